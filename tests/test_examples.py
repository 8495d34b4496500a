"""The examples run as they stand."""

import re
import subprocess
import sys

from conftest import ROOT


def run(name, *arguments):
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_retrain_chooses_then_retrains():
    output = run("retrain.py", "--epochs", "3", "--seeds", "1", "2", "--save", "model")
    assert output.count("1198 images to train on, 239 to choose by") == 2
    for seed in (1, 2):
        chosen = int(re.search(rf"Seed {seed}: (\d) epochs on all 1437", output)[1])
        assert 1 <= chosen <= 3 and f"Seed {seed}: test accuracy" in output
    assert "2 seeds: mean test accuracy" in output and "Saved as model/model.ckpt-" in output


def test_mistakes_are_told_without_a_traceback():
    for arguments in (["--data", "mnst"], ["--epochs", "0"]):
        command = [sys.executable, str(ROOT / "examples" / "retrain.py"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "error: " in done.stderr and "Traceback" not in done.stderr


def test_retrain_any_architecture_without_choosing():
    output = run("retrain.py", "--architecture", "softmax", "--epochs", "2", "--retrain-only")
    assert "choose" not in output and "Seed 27: 2 epochs on all 1437" in output


def test_compare_graphs():
    rows = run("compare_graphs.py", "--steps", "2").splitlines()
    assert len(rows) == 7 and rows[2].startswith("| cnn | 1,111,946 | 2 steps |")
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["cnn", "softmax", "same", "strided", "batchnorm"]
