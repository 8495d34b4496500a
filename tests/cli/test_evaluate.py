"""`digitcnn evaluate --report`: what the report has of each kind of model, and where it may be written."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from digitcnn import DigitCNN, write_idx
from digitcnn.cli.main import main


def read(folder):
    return (Path(folder) / "report.html").read_text(encoding="utf-8")


def headings(page):
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_report_of_a_run(capsys):
    assert main(["train", "--epochs", "1", "--seed", "1", "--run", "r", "--quiet", "--fc-3-output-units", "8"]) == 0
    assert main(["evaluate", "--run", "r", "--report", "r"]) == 0  # into the run's own folder
    lines = capsys.readouterr().out.splitlines()
    page = read("r")
    accuracy, n_correct = re.search(r"Test accuracy ([\d.]+%) .*; (\d+) of 360", "\n".join(lines)).groups()
    assert f">{accuracy} <" in page and f"{n_correct} of 360 test images are read right" in page
    assert headings(page)[-3:] == ["Calibration", "Learning curve", "Filters of the first convolution"]
    assert "<h1>cnn on bundled</h1>" in page and "32 filters of 5x5 pixels" in page and "12 steps" in page
    digest = json.loads(Path("r/settings.json").read_text())["weights_sha256"]
    assert digest in page
    with DigitCNN.restore("r") as model:
        assert f"{model.n_parameters:,} parameters" in page

    assert main(["evaluate", "--run", "r", "--shifts", "1", "--report", "out/shifted"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "Each image is read as the mean of itself and four copies, shifted by 1 px"
    shifted = re.search(r"Test accuracy .*; (\d+) of 360", "\n".join(lines))[1]
    assert lines[-1] == f"Report: {Path('out/shifted/report.html')}"
    page_shifted = read("out/shifted")
    assert f"{shifted} of 360 test images are read right" in page_shifted and "shifted by 1 px" in page_shifted

    assert main(["evaluate", "--run", "r", "--report", "r"]) == 0  # again: a folder with a report is still a run
    assert read("r") == page


def test_report_of_a_saved_model_without_filters(few):
    with DigitCNN(architecture="softmax") as model:
        model.train(few, steps=1, verbose=False)
        model.save(path="m")
    assert main(["evaluate", "--run", "m", "--data", "bundled", "--report", "out"]) == 0
    assert "Filters" not in read("out") and "There was no validation set." in read("out")


def test_report_of_other_sizes_and_classes(rng):
    """Images of 17 x 20 pixels in 13 classes, trained without validation."""
    folder = Path("mine <b>")
    folder.mkdir()
    for part in ("train", "t10k"):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", rng.integers(0, 256, (26, 17, 20), dtype=np.uint8))
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", (np.arange(26) % 13).astype(np.uint8))
    train = ["train", "--data", str(folder), "--validation", "0", "--epochs", "1", "--run", "r", "--quiet"]
    assert main([*train, "--architecture", "slim"]) == 0
    assert main(["evaluate", "--run", "r", "--report", "out"]) == 0
    page = read("out")
    assert "26 of 17x20 pixels, 13 classes, from mine &lt;b&gt;" in page and "<b>," not in page
    assert "There was no validation set." in page
    embedded = json.loads(re.search(r'id="images">(.*?)</script>', page)[1])
    assert sum(map(len, embedded.values())) == 26


@pytest.mark.parametrize(
    "found, message",
    [
        ("a file", "out: expected a folder for the report, found a file; name another folder"),
        ("another report", "report.html: expected nothing, or an earlier report to replace, found something else"),
    ],
)
def test_report_keeps_files_of_others_before_anything_is_computed(found, message, capsys):
    file = Path("out") if found == "a file" else Path("out/report.html")
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")
    assert main(["evaluate", "--run", "no such run", "--report", "out"]) == 1
    captured = capsys.readouterr()
    assert message in captured.err and "no such run" not in captured.err and captured.out == ""
    assert file.read_text() == "mine"
