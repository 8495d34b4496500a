"""`digitcnn train --resume`: after a full disk, on a read-only one, after a signal, with other options."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from resuming import files, make, on_posix, started, started_once, steps_in, train

from digitcnn import DigitCNN
from digitcnn.cli.main import main


@contextlib.contextmanager
def mounted(folder, *options):
    """Mount a separate file system, or skip the test where mounting is not allowed."""
    Path(folder).mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


# A run from the command line: 12 steps an epoch, so many epochs that a signal comes before their end.
RUN = ["train", "--architecture", "softmax", "--seed", "3", "--epochs", "150"]


def cli(*arguments):
    """Run `digitcnn` in a process of its own."""
    return subprocess.run([sys.executable, "-m", "digitcnn", *arguments], capture_output=True, text=True, check=False)


def weights_sha256(run):
    """The SHA-256 of the weights, from the settings of a run that is complete."""
    return json.loads(Path(run, "settings.json").read_text())["weights_sha256"]


@pytest.fixture(scope="module")
def uninterrupted_run(tmp_path_factory):
    """The folder of a run that nothing interrupts."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert main([*RUN, "--quiet", "--run", str(folder)]) == 0
    return folder


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount")
def test_resume_after_a_full_disk(tmp_path, uninterrupted_run, capsys):
    with mounted(str(tmp_path / "small"), "-o", "size=600k"):
        done = cli(*RUN, "--quiet", "--run", "small/run")
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert "digitcnn: error: could not save a model as small/run/" in done.stderr
        assert "train --resume small/run" in done.stderr
        with DigitCNN.restore("small/run") as model:
            assert 12 <= model.global_step < 1800
        subprocess.run(["mount", "-o", "remount,size=200m", str(tmp_path / "small")], check=True)
        assert main(["train", "--resume", "small/run"]) == 0
        last_line = capsys.readouterr().out.splitlines()[-1]
        assert last_line == f"weights sha256: {weights_sha256(uninterrupted_run)}"


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount")
def test_train_read_only_folder_raises(tmp_path, started, few, capsys):
    with mounted(str(tmp_path / "fixed")):
        shutil.copytree("run", "fixed/run")
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path / "fixed")], check=True)
        before = files("fixed")
        with make() as model, pytest.raises(OSError, match="fixed/run: expected a folder that can be written"):
            train(model, few, checkpoint_dir="fixed/run", resume=True)
        assert main(["train", "--run", "fixed/new"]) == 1
        assert "found read-only file system" in capsys.readouterr().err
        assert files("fixed") == before


@on_posix
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_writes_a_checkpoint(uninterrupted_run, number, status, capsys):
    command = [sys.executable, "-u", "-m", "digitcnn", *RUN, "--run", "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in iter(process.stdout.readline, ""):
            if line.startswith("Epoch 01"):
                process.send_signal(number)
                break
        errors = process.communicate()[1]
    assert process.returncode == status and "Traceback" not in errors
    assert "Interrupted; the training so far is saved in run" in errors and "train --resume run" in errors
    assert 12 <= steps_in("run")[-1] < 1800
    assert main(["train", "--resume", "run"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"weights sha256: {weights_sha256(uninterrupted_run)}"
    assert Path("run/history.csv").read_bytes() == (uninterrupted_run / "history.csv").read_bytes()


def test_cli_resume_another_setting_fails(few, capsys):
    begin = ["train", "--recipe", "tutorial", "--architecture", "softmax", "--steps", "3", "--seed", "1"]
    assert main([*begin, "--run", "run", "--quiet"]) == 0
    settings = json.loads(Path("run/settings.json").read_text())
    del settings["test"]  # as if it was interrupted during the test
    Path("run/settings.json").write_text(json.dumps(settings))
    before = files("run")
    for option, message in (
        (["--steps", "4"], "expected steps=3, with which this run began, found 4"),
        (["--learning-rate", "1"], "expected learning_rate=0.0001"),
        (["--data", "mnist"], "expected data='bundled'"),
        (["--validation", "0"], "expected validation=239"),
        (["--recipe", "fast"], "expected recipe='tutorial'"),
    ):
        assert main(["train", "--resume", "run", *option]) == 1
        assert f"digitcnn: error: run: {message}" in capsys.readouterr().err
    assert files("run") == before
    assert main(["train", "--resume", "run", "--steps", "3", "--seed", "1"]) == 0
    assert f"weights sha256: {settings['weights_sha256']}" in capsys.readouterr().out
    assert main(["train", "--resume", "nowhere"]) == 1
    assert "nowhere: expected a run folder, found nothing there" in capsys.readouterr().err


def test_cli_prints_warnings_as_lines(uninterrupted_run):
    shutil.copytree(uninterrupted_run, "run")
    settings = json.loads(Path("run/settings.json").read_text())
    del settings["test"]
    Path("run/settings.json").write_text(json.dumps(settings))
    Path("run/model.ckpt-1800.json").write_text("{}")
    done = cli("train", "--resume", "run", "--quiet")
    assert done.returncode == 0 and f"weights sha256: {settings['weights_sha256']}" in done.stdout
    assert done.stderr.startswith("digitcnn: warning: run/model.ckpt-1800.json: expected a record with format")
    assert "Traceback" not in done.stderr and ".py" not in done.stderr
