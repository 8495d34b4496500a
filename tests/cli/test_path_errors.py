"""Paths that cannot be used: every command and method says so in a sentence, without an error number."""

import os
from pathlib import Path

import numpy as np
import pytest

from digitcnn import DigitCNN
from digitcnn.cli.main import main

LONG = "x" * 300  # longer than any file system takes
COMMANDS = {
    "train --run": ["train", "--architecture", "softmax", "--steps", "1", "--quiet", "--run"],
    "train --resume": ["train", "--resume"],
    "train --data": ["train", "--data"],
    "train --data-dir": ["train", "--data", "mnist", "--data-dir"],
    "evaluate": ["evaluate", "--run"],
    "predict --run": ["predict", "digit.png", "--run"],
    "predict": ["predict"],
    "predict --data": ["predict", "--out", "answers.npy", "--data"],
    "predict --out": ["predict", "--data", "digits.npy", "--out"],
    "summary": ["summary", "--run"],
    "download": ["download", "mnist", "--data-dir"],
    "examples": ["examples"],
}
METHODS = {
    "save": lambda model, path: model.save(1, path),
    "load": lambda model, path: model.load(path=path),
    "restore": lambda model, path: DigitCNN.restore(path),
    "import_checkpoint": lambda model, path: DigitCNN.import_checkpoint(path),
    "export": lambda model, path: model.export(path / "model"),
    "export_logs": lambda model, path: model.export_logs(path),
    "train into": lambda model, path: model.train(*model.data, checkpoint_dir=path),
    "train with logdir": lambda model, path: model.train(*model.data, logdir=path),
}
PATHS = {"below a file": "file/below", "too long": LONG, "a loop of links": "loop/below"}


@pytest.fixture
def unusable(request, tmp_path, digits):
    """A path of one of the kinds, and beside it a picture of a digit."""
    from PIL import Image

    if os.name == "nt" and "loop" in request.param:
        pytest.skip("links need a privilege on Windows")
    Image.fromarray(digits.test_images[0].reshape(28, 28)).save("digit.png")
    np.save("digits.npy", digits.test_images[:2])
    Path("file").write_text("a file")
    if os.name != "nt":
        Path("loop").symlink_to("loop")
    return Path(PATHS[request.param])


@pytest.mark.parametrize("unusable", PATHS, indirect=True)
@pytest.mark.parametrize("command", COMMANDS)
def test_command_with_unusable_path_prints_a_sentence(command, unusable, finished_run, capsys, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    words = [*COMMANDS[command], "--run", str(finished_run[0])] if command == "predict" else COMMANDS[command]
    assert main([*words, str(unusable)]) == 1
    error = capsys.readouterr().err
    assert error.removeprefix(f"Read by {finished_run[0]}\n").startswith("digitcnn: error: ") and "expected" in error
    assert "Errno" not in error and "Traceback" not in error
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture(scope="module")
def model(few):
    with DigitCNN(architecture="softmax", random_seed=1) as model:
        model.train(few, steps=1, verbose=False)
        object.__setattr__(model, "data", [few])
        yield model


@pytest.mark.parametrize("unusable", PATHS, indirect=True)
@pytest.mark.parametrize("method", METHODS)
def test_method_with_unusable_path_raises_a_sentence(method, unusable, model, tmp_path):
    before, weights = sorted(tmp_path.rglob("*")), model.weights_sha256()
    with pytest.raises(OSError, match=r"expected|could not") as caught:
        METHODS[method](model, unusable)
    assert "Errno" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before and model.weights_sha256() == weights


def test_logs_that_is_a_file_or_a_dead_link_raises(tmp_path, capsys):
    train = ["train", "--architecture", "softmax", "--steps", "1", "--quiet"]
    Path("logs").write_text("a file")
    assert main(train) == 1
    if os.name != "nt":
        Path("logs").unlink()
        Path("logs").symlink_to("nowhere")
        assert main(train) == 1
    assert capsys.readouterr().err.count("logs: expected a folder that can be written, found a file or a link") == 2
