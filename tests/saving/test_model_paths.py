"""Paths of models: letters that a pattern would use, and every name of a model's files."""

import sys
from pathlib import Path

import pytest

from digitcnn import DigitCNN
from digitcnn.cli.main import main

# Brackets, and where the system allows them a backslash and the other signs of a pattern.
NAMES = ["lr=[0.1] a"] * 2 if sys.platform == "win32" else [r"lr=[0.1] a\b", "data [old]*?/{run}"]


@pytest.mark.parametrize(("name", "is_absolute"), [(NAMES[0], True), (NAMES[1], False)])
def test_folder_named_like_a_pattern_works_all_the_way(few, tmp_path, name, is_absolute):
    folder = tmp_path / name if is_absolute else Path(name)
    settings = {"architecture": "softmax", "batchsize": 50, "epochs": 2, "random_seed": 3}
    saved = {"checkpoint_dir": folder / "run", "checkpoint_every": 2, "verbose": False}
    with DigitCNN(**settings) as model, DigitCNN(**settings) as resumed:
        model.train(few, few, steps=4, logdir=folder / "logs", summaries=["projector"], **saved)
        resumed.train(few, few, steps=4, resume=True, **saved)
        expected = model.weights_sha256()
        assert resumed.weights_sha256() == expected
        prefix = model.save(3, folder)
        resumed.load(3, folder)
        assert resumed.evaluate(*few, verbose=False) == model.evaluate(*few, verbose=False)
        for path in (folder, prefix):
            with DigitCNN.restore(path) as again:
                assert again.weights_sha256() == expected
                assert (again.predict(few[0]) == model.predict(few[0])).all()
        model.export_logs(folder / "graph")
        model.export(folder / "saved_model")
        model.export(folder / "model.tflite", "tflite")
    assert (folder / "saved_model" / "saved_model.pb").is_file() and (folder / "model.tflite").stat().st_size > 30_000


def test_commands_in_a_folder_named_like_a_pattern(tmp_path, monkeypatch, capsys):
    folder = tmp_path / NAMES[-1] / "logs" / "run[1]"
    options = ["--architecture", "softmax", "--steps", "2", "--data", "bundled", "--quiet"]
    assert main(["train", *options, "--run", str(folder)]) == 0
    trained = capsys.readouterr().out
    monkeypatch.chdir(folder.parents[1])
    assert main(["train", "--resume", str(folder), "--quiet"]) == 0
    assert capsys.readouterr().out == trained
    assert main(["evaluate", "--report", "report [1]"]) == 0  # of the newest run in logs/
    assert main(["export", "--format", "savedmodel", "--run", str(folder), "out [1]"]) == 0
