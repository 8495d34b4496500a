"""A run whose data folder has moved resumes from the new place, if the images and labels are the same."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from digitcnn import write_idx
from digitcnn.cli.main import main
from digitcnn.data.datasets import load_dataset
from digitcnn.training.loop import TrainingLoop

TRAIN = ["train", "--architecture", "softmax", "--epochs", "2", "--batch-size", "50", "--seed", "1"]


def write_data(folder, digits, n_test=20):
    folder.mkdir(parents=True)
    for part, images, labels in (
        ("train", digits.train_images[:120], digits.train_labels[:120]),
        ("t10k", digits.test_images[:n_test], digits.test_labels[:n_test]),
    ):
        write_idx(folder / f"{part}-images-idx3-ubyte", images.reshape(-1, 28, 28))
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels)


@pytest.fixture(scope="module")
def interrupted(digits, tmp_path_factory):
    """A folder with a run in `run` that ended before its second epoch did, on the data in `old`; and the weights of
    the same run without interruption.
    """
    folder = tmp_path_factory.mktemp("moved")
    write_data(folder / "old", digits)
    finish_epoch = TrainingLoop._finish_epoch

    def interrupt(loop, epoch, step):
        if epoch == 2:
            raise KeyboardInterrupt
        return finish_epoch(loop, epoch, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*TRAIN, "--data", "old", "--run", "whole", "--quiet"]) == 0
        patch.setattr(TrainingLoop, "_finish_epoch", interrupt)
        assert main([*TRAIN, "--data", "old", "--run", "run", "--quiet"]) == 130
    return folder, json.loads((folder / "whole/settings.json").read_text())["weights_sha256"]


@pytest.fixture
def run(interrupted):
    """A copy of the interrupted run and its data, here; returns the weights that it should end with."""
    for name in ("old", "run"):
        shutil.copytree(interrupted[0] / name, name)
    change_settings(data_folder=str(Path("old").resolve()))
    return interrupted[1]


def change_settings(**changes):
    settings = json.loads(Path("run/settings.json").read_text()) | changes
    Path("run/settings.json").write_text(json.dumps({k: v for k, v in settings.items() if v is not ...}))


@pytest.mark.parametrize("options", [["--data", "elsewhere/old"], ["--data-dir", "elsewhere"]], ids=lambda o: o[0])
def test_moved_data_resume_to_the_same_bits(run, capsys, options):
    Path("elsewhere").mkdir()
    shutil.move("old", "elsewhere/old")
    assert main(["train", "--resume", "run", *options]) == 0
    out = capsys.readouterr().out
    assert f"The data of run are in {Path('elsewhere/old').resolve()} now: the same images and labels" in out
    assert f"weights sha256: {run}" in out
    assert main(["evaluate", "--run", "run"]) == 0  # finds them


def test_run_of_an_earlier_version_resumes(run, capsys):
    """Without a SHA-256 of the data, those of the checkpoints are compared."""
    change_settings(data_sha256=...)
    shutil.move("old", "new")
    assert main(["train", "--resume", "run", "--data", "new"]) == 0
    assert f"weights sha256: {run}" in capsys.readouterr().out


def test_moved_data_without_an_option_says_what_to_give(run, capsys):
    os.rename("old", "new")  # noqa: PTH104
    for command in (["train", "--resume", "run"], ["evaluate", "--run", "run"]):
        assert main(command) == 1
        assert "old: expected the folder of the run's data, found none; if it has moved, give --data FOLDER" in (
            capsys.readouterr().err
        )


def test_a_complete_run_records_where_its_data_are(interrupted, digits, capsys):
    for name in ("old", "whole"):
        shutil.copytree(interrupted[0] / name, "run" if name == "whole" else name)
    change_settings(data_folder=str(Path("gone").resolve()), data="gone")
    OTHERS["fewer test images"](digits)
    settings = Path("run/settings.json").read_bytes()
    assert main(["train", "--resume", "run", "--data", "new"]) == 1
    assert "found others in" in capsys.readouterr().err and Path("run/settings.json").read_bytes() == settings
    assert main(["train", "--resume", "run", "--data", "old"]) == 0
    out = capsys.readouterr().out
    assert f"The data of run are in {Path('old').resolve()} now" in out and "run is complete" in out
    assert main(["evaluate", "--run", "run"]) == 0
    change_settings(data_sha256=...)  # of an earlier version: nothing says whether the data are the same
    assert main(["train", "--resume", "run", "--data", "new"]) == 1
    assert "with which this run began, found 'new'" in capsys.readouterr().err


OTHERS = {
    "fewer test images": lambda digits: write_data(Path("new"), digits, n_test=19),
    "another label": lambda digits: change("train-labels-idx1-ubyte", lambda y: (y + (np.arange(120) == 7)) % 10),
    "another test pixel": lambda digits: change("t10k-images-idx3-ubyte", lambda X: X ^ 1),
}


def change(name, function):
    from digitcnn import read_idx

    shutil.copytree("old", "new")
    write_idx(Path("new") / name, function(read_idx(Path("new") / name)).astype(np.uint8))


@pytest.mark.parametrize("kind", OTHERS)
def test_other_data_are_refused(run, digits, capsys, kind):
    before = sorted((file.name, file.stat().st_mtime_ns) for file in Path("run").rglob("*"))
    OTHERS[kind](digits)
    assert main(["train", "--resume", "run", "--data", "new"]) == 1
    error = capsys.readouterr().err
    assert "run: expected the images and labels with which this run began, data='old'" in error and "/new" in error
    assert sorted((file.name, file.stat().st_mtime_ns) for file in Path("run").rglob("*")) == before


def test_other_data_in_the_same_folder_are_refused(run, digits, capsys):
    """The test images too, which the training itself does not see."""
    OTHERS["another test pixel"](digits)
    shutil.rmtree("old")
    shutil.move("new", "old")
    assert main(["train", "--resume", "run"]) == 1
    assert "found others in" in capsys.readouterr().err


def test_sha256_of_a_data_set_is_that_of_its_content(digits):
    write_data(Path("a"), digits)
    write_data(Path("b"), digits)
    write_data(Path("c"), digits, n_test=19)
    assert load_dataset("./a").sha256() == load_dataset("./b").sha256() != load_dataset("./c").sha256()
