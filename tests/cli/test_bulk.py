"""`digitcnn predict --data --out --shard`: real processes that are killed, ended and in each other's way; messages."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from digitcnn import DigitCNN
from digitcnn.bulk.output import read_progress
from digitcnn.cli.main import main

N = 20_000
# A batch lasts a while, and is recorded at once, so that a test can end the process in the middle.
SLOWLY = """
import sys, time
from digitcnn.bulk import output
from digitcnn.cli.main import main
from digitcnn.engine.engine import Engine

classify = Engine.classify
def classify_slowly(self, *arguments):
    time.sleep(0.1)
    return classify(self, *arguments)
Engine.classify = classify_slowly
output.MIN_SECONDS, output.MAX_SHARE = 0, 1e9
sys.exit(main(sys.argv[1:]))
"""


RESUME_THEN_WHOLE = """
import sys
from digitcnn.cli.main import main
sys.exit(main(sys.argv[1:]) or main([*sys.argv[1:-1], "whole.npy"]))
"""


@pytest.fixture
def data(digits):
    """20,000 images in a folder with brackets and a space in its name."""
    folder = Path("in [1] x")
    folder.mkdir()
    np.save(folder / "x.npy", np.tile(digits.train_images, (14, 1))[:N])
    return str(folder / "x.npy")


@pytest.fixture(scope="module")
def run(few, tmp_path_factory):
    """The folder of a saved model."""
    folder = tmp_path_factory.mktemp("model")
    with DigitCNN(architecture="softmax", random_seed=1) as model:
        model.train(few, steps=6, verbose=False)
        model.save(path=folder)
    return str(folder)


def begin(arguments, n_images):
    """A process that predicts slowly, once it has recorded so many images."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    file, deadline = Path(arguments[arguments.index("--out") + 1]), time.monotonic() + 300
    while (record := read_progress(file)) is None or record.progress.n_done < n_images:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)
    return process


def test_killed_and_ended_processes_resume_to_the_bytes_of_an_undisturbed_one(data, run, capsys):
    out = Path("out [2]")
    out.mkdir()
    arguments = ["predict", "--data", data, "--run", run, "--out", str(out / "a b.npy")]
    # All but the last two in processes of their own, all with the same threads: rounding depends on these.
    process = begin(arguments, 3_000)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed_at = read_progress(out / "a b.npy").progress.n_done
    assert 3_000 <= killed_at < N and not (out / "a b.npy").exists()

    process = begin(arguments, killed_at + 2_000)
    assert main(arguments) == 1  # while the other one writes
    assert "a b.npy: expected a file that no other process writes, found one being written" in capsys.readouterr().err
    process.terminate()
    output, errors = process.communicate()
    assert process.returncode == (143 if os.name != "nt" else 1) and not output and "Traceback" not in errors
    if os.name != "nt":
        ended_at = read_progress(out / "a b.npy").progress.n_done
        assert f"Interrupted; {ended_at:,} images are done" in errors and "same command" in errors

    last = subprocess.run(
        [sys.executable, "-c", RESUME_THEN_WHOLE, *arguments], capture_output=True, text=True, check=True
    )
    resumed, whole = last.stdout.splitlines()
    assert "of 20,000 images, " in resumed and "of them before; " in resumed
    assert whole.startswith("whole.npy: labels and probabilities of 20,000 images; ") and "images/s" in whole
    assert last.stderr == f"Read by {run}\n" * 2
    assert (out / "a b.npy").read_bytes() == Path("whole.npy").read_bytes()
    assert sorted(file.name for file in out.iterdir()) == ["a b.npy", "a b.npy.json"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{out / 'a b.npy'} is complete: there is nothing left to do\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal for one process")
def test_ctrl_c_keeps_what_is_done(data, run):
    arguments = ["predict", "--data", data, "--run", run, "--out", "a.csv"]
    process = begin(arguments, 2_000)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130 and "images are done" in errors and "Traceback" not in errors
    lines = Path(".a.csv.partial/rows").read_text().splitlines()
    assert len(lines) - 1 == read_progress(Path("a.csv")).progress.n_done >= 2_000


def test_shards_are_together_the_whole(data, run, capsys):
    command = ["predict", "--data", data, "--run", run]
    assert main([*command, "--out", "whole.npy"]) == 0
    for i in (1, 2, 3):
        assert main([*command, "--out", f"{i}.npy", "--shard", f"{i}/3"]) == 0
    assert "2.npy: labels and probabilities of images 6,000 to 12,999 of 20,000; " in capsys.readouterr().out
    parts = [np.load(f"{i}.npy") for i in (1, 2, 3)]
    assert np.concatenate(parts).tobytes() == np.load("whole.npy").tobytes()


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["a.png", "--data", "x.npy", "--out", "a.npy"], "PICTURE: expected none beside --data"),
        (["--data", "x.npy"], "--data: expected --out FILE beside it, found none"),
        (["a.png", "--out", "a.npy"], "--out: expected --data FILE_OR_FOLDER beside it, found none"),
        (["a.png", "--shard", "1/2"], "--shard: expected --data FILE_OR_FOLDER beside it, found none"),
        (["--data", "x.npy", "--out", "a.npy", "--json"], "--json: expected no --data beside it"),
        (["--data", "x.npy", "--out", "a.npy", "--csv"], "--csv: expected no --data beside it"),
        (["--data", "x.npy", "--out", "a.npy", "--show", "a.png"], "--show: expected no --data beside it"),
        ([], "PICTURE: expected at least one, or --data FILE_OR_FOLDER and --out FILE, found none"),
    ],
)
def test_options_that_do_not_go_together_exit_with_the_usage(arguments, found, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["predict", *arguments])
    assert caught.value.code == 2 and found in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "1/2/3", "-1/2", "a/b", "1/99999999999", "\u0661/\u0662", ""])
def test_shard_that_is_none_exits_with_the_usage(shard, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["predict", "--data", "x.npy", "--out", "a.npy", f"--shard={shard}"])
    error = capsys.readouterr().err
    assert caught.value.code == 2 and "--shard: expected I/N, such as 1/4, with I in 1..N, found" in error


def test_mistakes_are_one_sentence_and_leave_nothing(data, run, capsys, tmp_path):
    np.save("small.npy", np.zeros((3, 8, 8), np.uint8))
    before = sorted(tmp_path.rglob("*"))
    for options, found in (
        (["--data", "mnist", "--out", "a.npy"], "`digitcnn evaluate --data mnist` tests a model on that data set"),
        (["--data", data, "--out", "a.txt"], "a.txt: expected a name that ends in .npy or .csv, found another"),
        (["--data", data, "--out", "nowhere/a.npy"], "nowhere/a.npy: expected a folder that exists, found no nowhere"),
        (["--data", data, "--out", data], "x.npy: expected a new file, or a complete one"),
        (["--data", data, "--out", "a.npy", "--shard", "1/21"], "--shard: expected at most 20 parts of 20,000 images"),
        (["--data", "small.npy", "--out", "a.npy"], "small.npy: expected images of 28 x 28, as the model takes them"),
        (["--data", str(tmp_path), "--out", "a\nb.npy"], "small.npy: expected images of 28 x 28"),
    ):
        assert main(["predict", "--run", run, *options]) == 1
        error = capsys.readouterr().err
        assert found in error and error.count("digitcnn: error: ") == 1 and "Traceback" not in error
    assert sorted(tmp_path.rglob("*")) == before
