"""The command line: results, files, messages and exit statuses."""

import contextlib
import csv
import inspect
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import environment_of_a_user, write_set
from PIL import Image

import digitcnn
from digitcnn import DigitCNN
from digitcnn.cli.main import main


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder, and the finished process that trained into it, where TensorFlow logs as it does for a user."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    command = [sys.executable, "-m", "digitcnn", "train", "--epochs", "4", "--seed", "1", "--learning-rate", "1e-3"]
    done = subprocess.run(
        [*command, "--run", str(folder)],
        env=environment_of_a_user(),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder.parent,
    )
    assert done.returncode == 0, done.stderr
    return folder, done


def test_train_fills_the_run_folder(trained):
    folder, done = trained
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["data"] == "bundled" and settings["data_folder"].endswith("bundled")
    assert settings["settings"]["random_seed"] == 1
    assert (settings["n_training"], settings["n_validation"], settings["epochs"]) == (1198, 239, 4)
    assert settings["settings"]["learning_rate"] == 1e-3 and settings["settings"]["batchsize"] == 100
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["Epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[-1]["Accuracy"]) > 0.9
    for name in ("training_curve.png", "test_predictions.png"):
        with Image.open(folder / name) as picture:
            assert picture.width > 500 and len(picture.convert("L").getcolors()) > 20
    for name in ("graph", "train", "validation"):
        assert len(list((folder / name).glob("events.out.tfevents.*"))) == 1
    assert len(list(folder.glob("model.ckpt-*.json"))) == 2 and len(list(folder.glob("model.ckpt-48.*"))) == 4
    assert len(list((folder / "best").glob("model.ckpt-*.json"))) == 1
    with DigitCNN.restore(folder) as model:
        assert model.weights_sha256() == settings["weights_sha256"]
    assert done.stdout.splitlines()[-1] == f"weights sha256: {settings['weights_sha256']}"

    accuracy, low, high, n_correct, n = re.search(
        r"Test accuracy ([\d.]+)% \(95% interval ([\d.]+)% to ([\d.]+)%; (\d+) of (\d+)\)", done.stdout
    ).groups()
    assert float(low) < float(accuracy) < float(high) and n == "360"
    assert int(n_correct) / 360 == settings["test"]["accuracy"] == pytest.approx(float(accuracy) / 100, abs=1e-4)
    for program, option in (("digitcnn", "predict --run"), ("tensorboard", "--logdir")):
        line = next(line for line in done.stdout.splitlines() if f"{option} {folder}" in line)
        assert shutil.which(shlex.split(line)[0]), "the printed command must be installed"
        assert program in line
    assert "Epoch 04: Training Avg. Loss:" in done.stdout and "seed 1" in done.stdout
    assert done.stderr == ""  # no TensorFlow log, and no bar outside a terminal


@contextlib.contextmanager
def in_terminal():
    """Standard error as a terminal of 100 columns; yields a list that has, in the end, what was shown in it."""
    import fcntl
    import pty
    import struct
    import termios

    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    shown = []
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_to_the_end, terminal)
        with os.fdopen(end, "w") as stream, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stderr", stream)
            yield shown
        shown.append(reading.result())
    os.close(terminal)


def read_to_the_end(terminal):
    seen = b""
    with contextlib.suppress(OSError):  # raised when the other end is closed
        while part := os.read(terminal, 4096):
            seen += part
    return seen


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """A folder with runs `a` and `b` of one seed and small layers, what each printed, what a terminal showed."""
    folder = tmp_path_factory.mktemp("twins")
    widths = ["--conv-1-output-channels", "4", "--conv-2-output-channels", "5", "--fc-3-output-units", "6"]
    train, printed = ["train", "--steps", "30", "--seed", "9", *widths], []
    with in_terminal() if os.name != "nt" else contextlib.nullcontext() as shown:
        for name, quiet in (("a", []), ("b", ["--quiet"])):
            with contextlib.redirect_stdout(io.StringIO()) as output:
                assert main([*train, "--run", str(folder / name), *quiet]) == 0
            printed.append(output.getvalue())
    return folder, printed, shown


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_train_shows_a_bar_in_a_terminal(twins):
    [seen] = twins[2]
    assert b"epoch 3" in seen and b"step/s" in seen


def test_evaluate_repeats_the_test_accuracy_of_train(trained, capsys):
    folder, done = trained
    assert main(["evaluate", "--run", str(folder)]) == 0
    output = capsys.readouterr().out
    assert next(line for line in done.stdout.splitlines() if line.startswith("Test accuracy")) in output
    assert "after 48 steps" in output


def test_evaluate_takes_the_newest_run(trained, finished_run, capsys):
    """By the times of the saved models: the names have another order."""
    for name, run, when in (("a", finished_run[0], 2_000), ("b", trained[0], 1_000)):
        for file in shutil.copytree(run, Path("logs") / name).glob("model.ckpt-*"):
            os.utime(file, (when, when))
    assert main(["evaluate"]) == 0
    assert str(Path("logs/a")) in (output := capsys.readouterr().out) and "after 400 steps" in output


@pytest.fixture(scope="module")
def run_of_files(tmp_path_factory):
    """The folder of a run, beside that of its data, on 20 images in IDX files without validation; what it printed."""
    folder = tmp_path_factory.mktemp("files")
    write_set(folder / "mine", n=20)
    options = ["--architecture", "strided", "--validation", "0", "--batch-size", "7", "--run", "r"]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as output:
        patch.chdir(folder)
        assert main(["train", "--data", "mine", *options]) == 0
    return folder / "r", output.getvalue()


def test_train_on_a_folder_of_idx_files_without_validation(run_of_files, capsys):
    folder, output = run_of_files
    assert "20 images to train on, 0 to validate" in output and "Validation" not in output
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["data"] == "mine" and settings["settings"]["batchsize"] == 7
    assert main(["evaluate", "--run", str(folder)]) == 0  # settings.json has the absolute path of the data
    assert "of 20)" in capsys.readouterr().out


def test_train_limits_tutorial_steps_on_small_data(run_of_files):
    """The 20,000 steps of `strided` would be 6,667 epochs of 20 images; 30 are taken."""
    assert "Epoch 30:" in run_of_files[1] and "Epoch 31:" not in run_of_files[1]


def test_evaluate_saved_model_that_is_no_run(few, capsys):
    with DigitCNN(architecture="softmax") as model:
        model.train(few, steps=1, verbose=False)
        model.save(path="m")
    assert main(["evaluate", "--run", "m"]) == 1
    assert "give --data" in capsys.readouterr().err
    assert main(["evaluate", "--run", "m", "--data", "bundled"]) == 0


def test_train_interrupted_before_the_first_step(tmp_path, monkeypatch, capsys):
    from digitcnn import Standardization

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Standardization, "fit", interrupt)
    assert main(["train", "--run", "r"]) == 130
    assert "nothing is saved yet" in capsys.readouterr().err


def test_summary(trained, capsys):
    assert main(["summary", "--architecture", "slim"]) == 0
    assert "159,194" in capsys.readouterr().out
    assert main(["summary", "--run", str(trained[0])]) == 0
    assert "1,111,946" in capsys.readouterr().out


def test_train_recipe_with_other_settings(capsys):
    options = ["--steps", "2", "--rotation", "7", "--precision", "float32", "--seed", "5"]
    assert main(["train", "--recipe", "fast", *options]) == 0
    assert "Training 'slim' (159,194 parameters) in float32 on 'bundled'" in capsys.readouterr().out
    [folder] = Path("logs").iterdir()
    assert folder.name.endswith("-bundled-fast")
    written = json.loads((folder / "settings.json").read_text())
    recipe = digitcnn.RECIPES["fast"].settings
    assert written["computes_in"] == "float32" and written["steps"] == 2
    assert recipe.items() - {("rotation", recipe["rotation"])} <= written["settings"].items()
    assert (written["settings"]["rotation"], written["settings"]["random_seed"]) == (7, 5)


def test_train_recipe_with_another_architecture(monkeypatch):
    """The settings are written before the first step, at which this training is interrupted."""

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(digitcnn.DigitCNN, "train", interrupt)
    assert main(["train", "--recipe", "fast", "--architecture", "softmax", "--steps", "1", "--run", "s"]) == 130
    written = json.loads(Path("s/settings.json").read_text())
    assert written["settings"]["architecture"] == "softmax" and written["settings"]["schedule"] == "one_cycle"


def test_parser_knows_every_schedule_and_setting():
    from digitcnn.cli import parser, train
    from digitcnn.graph.schedules import SCHEDULES

    assert parser.NAMES["schedule"] == tuple(SCHEDULES)
    assert set(train.SETTINGS) <= set(inspect.signature(digitcnn.DigitCNN).parameters)


def test_help_shows_defaults_without_importing_tensorflow(capsys):
    for command in ("train", "evaluate", "predict", "download", "summary"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0 and "usage: digitcnn" in capsys.readouterr().out
    code = (
        "import sys; sys.argv = ['digitcnn', 'train', '--help']\n"
        "from digitcnn.cli.main import main\n"
        "try:\n    main()\n"
        "finally:\n    print({'tensorflow', 'pandas', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("set()")
    assert "--recipe NAME" in done.stdout and done.stderr == ""
    text = " ".join(done.stdout.partition("examples:")[0].split())
    for option in ("--recipe", "--epochs", "--batch-size"):
        described = text.split(f" {option}")[-1].split(" --")[0]
        names = ("tutorial", "fast", "accurate") if option == "--recipe" else ("cnn", "same, compact")
        assert all(name in described for name in names), option
    for option in ("--data ", "--data-dir", "--architecture", "--epochs", "--batch-size", "--learning-rate", "--seed"):
        assert "(default:" in text.split(f" {option}")[-1].split(" --")[0], option


MISTAKES = {
    "misspelt option": (["train", "--learning_rate", "0.1"], 2, "--learning_rate 0.1; did you mean '--learning-rate'?"),
    "misspelt command": (["trian"], 2, "expected one of train, launch, evaluate"),
    "unknown data": (["train", "--data", "minst"], 1, "data set: expected bundled, mnist"),
    "too many for validation": (
        ["train", "--validation", "1437"],
        1,
        "n_validation: expected a whole number in 0..1436",
    ),
    "missing picture": (["predict", "nothing.png"], 1, "nothing.png: expected a picture file"),
    "missing run": (["evaluate", "--run", "nowhere"], 1, "nowhere: expected a run folder, found nothing there\n"),
    "no run yet": (["evaluate"], 1, "logs: expected a run with a saved model"),
    "data set without a download": (["download", "bundled"], 1, "expected one that is downloaded"),
    "unknown architecture": (["train", "--architecture", "x"], 2, "expected one of cnn, softmax"),
    "zero epochs": (["train", "--epochs", "0"], 2, "expected a whole number in 1..2147483647, found 0"),
    "epochs and steps": (["train", "--epochs", "1", "--steps", "1"], 2, "not allowed with"),
    "learning rate is NaN": (
        ["train", "--learning-rate", "nan"],
        2,
        "expected a number above 0 that float32 can hold, found nan",
    ),
    "unknown recipe": (
        ["train", "--recipe", "slow"],
        2,
        "expected one of tutorial, small, fast, accurate, found 'slow'",
    ),
    "rotation out of range": (["train", "--rotation", "200"], 2, "--rotation: expected degrees in 0..180, found 200.0"),
    "empty path to resume": (["train", "--resume", ""], 2, "--resume: expected a path, found an empty one"),
    "missing run to resume": (
        ["train", "--resume", "nowhere"],
        1,
        "nowhere: expected a run folder, found nothing there\n",
    ),
    "empty path of a run": (["predict", "--run", "", "x.png"], 2, "--run: expected a path, found an empty one"),
    "zero steps between checkpoints": (["train", "--checkpoint-every", "0"], 2, "expected a whole number in 1.."),
    "no command": ([], 2, "required: COMMAND"),
    "misspelt data": (["train", "--data", "mnits"], 1, "found 'mnits'; did you mean 'mnist'?"),
    "misspelt data to download": (["download", "fashion"], 1, "found 'fashion'; did you mean 'fashion-mnist'?"),
    "misspelt architecture": (["train", "--architecture", "compct"], 2, "found 'compct'; did you mean 'compact'?"),
    "misspelt architecture to show": (["summary", "--architecture", "sofmax"], 2, "did you mean 'softmax'?"),
    "misspelt recipe": (["train", "--recipe", "acurate"], 2, "found 'acurate'; did you mean 'accurate'?"),
    "misspelt schedule": (["train", "--schedule", "one-cycle"], 2, "found 'one-cycle'; did you mean 'one_cycle'?"),
    "misspelt summary": (["train", "--summaries", "image"], 2, "found 'image'; did you mean 'images'?"),
    "misspelt format": (["export", "out", "--format", "saved_model"], 2, "did you mean 'savedmodel'?"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_bad_arguments_print_an_error_without_a_traceback(mistake, tmp_path, capsys):
    arguments, status, message = MISTAKES[mistake]
    try:
        got = main(arguments)
    except SystemExit as exit:  # raised by argparse
        got = exit.code
    captured = capsys.readouterr()
    assert got == status and message in captured.err and "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


CHANGES = {
    "older version": lambda settings: settings.pop("weights_sha256"),
    "text for a number": lambda settings: settings.update(steps="3"),
    "list for settings": lambda settings: settings.update(settings=[]),
    "unknown setting": lambda settings: settings["settings"].update(magic=1),
    "setting of another type": lambda settings: settings["settings"].update(batchsize="x") or settings.pop("test"),
    "incomplete test result": lambda settings: settings.update(test={"n": "x"}),
    "infinite accuracy": lambda settings: settings["test"].update(accuracy=float("inf")),
    "accuracy of 200%": lambda settings: settings["test"].update(accuracy=2.0),
    "test of no images": lambda settings: settings["test"].update(n=0),
    "test of a huge number of images": lambda settings: settings["test"].update(n=10**400),
    "epochs and steps": lambda settings: settings.update(epochs=1, steps=1),
    "negative number of images": lambda settings: settings.update(n_training=-1),
    "unknown start": lambda settings: settings.update(start="elsewhere"),
    "unknown summary": lambda settings: settings.update(summaries=["x"]),
    "unknown field": lambda settings: settings.update(notes="x"),
    "too long": lambda settings: settings.update(notes="x" * (1 << 20)),
    "text instead of a table": None,
}


@pytest.mark.parametrize("change", CHANGES)
def test_resume_bad_settings_file_fails(trained, tmp_path, capsys, change):
    folder = tmp_path / "run"
    shutil.copytree(trained[0], folder)
    settings = json.loads((folder / "settings.json").read_text())
    if CHANGES[change]:
        CHANGES[change](settings)
    (folder / "settings.json").write_text(json.dumps(settings if CHANGES[change] else "text"))
    assert main(["train", "--resume", str(folder)]) == 1
    error = capsys.readouterr().err
    assert "expected" in error and "settings" in error and "Traceback" not in error


def test_resume_does_not_write_through_links(trained, tmp_path, capsys):
    """Links in an untrusted run folder are replaced, and their targets stay."""
    folder = tmp_path / "run"
    shutil.copytree(trained[0], folder)
    settings = json.loads((folder / "settings.json").read_text())
    del settings["test"]  # as if it was interrupted during the test
    (folder / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "mine").write_text("mine")
    (folder / ".graph-abc").mkdir()
    (folder / ".history.csv-abc").write_text("half of")
    for name in ("history.csv", "training_curve.png", "test_predictions.png"):
        (folder / name).unlink()
        (folder / name).symlink_to(tmp_path / "mine")
    assert main(["train", "--resume", str(folder), "--quiet"]) == 0
    assert (tmp_path / "mine").read_text() == "mine" and not (folder / "history.csv").is_symlink()
    assert {path.name for path in folder.glob(".*")} <= {".lock", ".lock-saving"}  # leftovers of a kill are removed
    (tmp_path / "folder").mkdir()
    shutil.rmtree(folder / "train")
    (folder / "train").symlink_to(tmp_path / "folder")
    (folder / "settings.json").write_text(json.dumps(settings))
    assert main(["train", "--resume", str(folder), "--quiet"]) == 1
    assert "train: expected a folder, found a link" in capsys.readouterr().err
    assert list((tmp_path / "folder").iterdir()) == []


def test_train_into_a_used_run_folder_fails(trained, capsys):
    folder, _ = trained
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    assert main(["train", "--run", str(folder), "--steps", "1"]) == 1
    assert (
        "expected a new or empty folder for the run, found files in it; --resume continues the run in it"
        in capsys.readouterr().err
    )
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_ctrl_c_saves_the_model(tmp_path, digits):
    command = [sys.executable, "-u", "-m", "digitcnn", "train", "--architecture", "softmax", "--epochs", "10000"]
    command += ["--run", "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in iter(process.stdout.readline, ""):
            if line.startswith("Epoch 02"):
                process.send_signal(signal.SIGINT)
                break
        process.stdout.read()
        errors = process.stderr.read()
    assert process.returncode == 130
    assert "Interrupted; the training so far is saved in run" in errors and "Traceback" not in errors
    with DigitCNN.restore("run") as model:
        assert len(model.history) >= 2 and model.predict(digits.test_images).shape == (360,)
        steps = model.global_step
        model.train(digits.split(239)[0], steps=1, initialize=False, verbose=False)
        assert model.global_step == steps + 1
    with (tmp_path / "run" / "history.csv").open() as file:
        assert len(list(csv.DictReader(file))) >= 2


def test_train_with_a_closed_output_pipe_saves_the_model(tmp_path):
    """In `digitcnn train | head -1`, the steps before the pipe closed are saved."""
    command = [sys.executable, "-m", "digitcnn", "train", "--architecture", "softmax", "--epochs", "50", "--run", "run"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 1 and "Traceback" not in errors
    with DigitCNN.restore("run") as model:
        assert model.global_step > 0


def test_train_same_seed_gives_the_same_bits(twins):
    folder, printed, _ = twins
    first, second = (
        [line for line in text.splitlines() if line.startswith(("Test acc", "weights"))] for text in printed
    )
    assert len(first) == 2 and first == second == printed[1].splitlines()
    assert (folder / "a" / "history.csv").read_bytes() == (folder / "b" / "history.csv").read_bytes()
    assert np.array_equal(*[json.loads((folder / name / "settings.json").read_text())["test"] for name in "ab"])


def test_resume_checks_the_summaries(capsys):
    train = ["train", "--architecture", "softmax", "--epochs", "1", "--quiet", "--run", "run"]
    assert main([*train, "--summaries", "projector", "images"]) == 0
    assert Path("run/projector_config.pbtxt").is_file()
    file = Path("run/settings.json")
    settings = json.loads(file.read_text())
    assert settings["summaries"] == ["images", "projector"]
    resume = ["train", "--resume", "run", "--quiet", "--summaries"]
    assert main([*resume, "images", "projector"]) == 0
    assert main([*resume, "trace"]) == 1
    assert "expected summaries=['images', 'projector'], with which this run began" in capsys.readouterr().err
    del settings["summaries"], settings["test"]  # as an older version wrote it, before the test
    file.write_text(json.dumps(settings))
    assert main(["train", "--resume", "run", "--quiet"]) == 0


def test_layer_sizes_are_options(twins):
    settings = json.loads((twins[0] / "a" / "settings.json").read_text())["settings"]
    sizes = [settings[name] for name in ("conv_1_output_channels", "conv_2_output_channels", "fc_3_output_units")]
    assert sizes == [4, 5, 6]
