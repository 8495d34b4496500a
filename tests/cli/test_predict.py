"""`digitcnn predict`: pictures, folders, patterns, standard input; text, JSON, CSV, drawing."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digitcnn.cli.main import main


@pytest.fixture
def pictures(tmp_path, digits):
    """A folder with brackets and spaces in its name: 0.png, 1.png, 2.png are test digits in ink on paper."""
    folder = tmp_path / "my scans [1]"
    folder.mkdir()
    for label in range(3):
        index = int(np.argmax(digits.test_labels == label))
        digit = Image.fromarray(digits.test_images[index].reshape(28, 28)).resize((112, 112), Image.Resampling.BICUBIC)
        paper = np.full((200, 260), 225, np.uint8)
        paper[40:152, 70:182] -= (np.asarray(digit) * 0.7).astype(np.uint8)
        Image.fromarray(paper).save(folder / f"{label}.png")
    return folder


def test_a_folder_a_pattern_and_files_give_the_same_lines(pictures, capsys):
    assert main(["predict", *(str(pictures / f"{label}.png") for label in range(3))]) == 0
    shown = capsys.readouterr()
    assert [line.split("  probability ")[0] for line in shown.out.splitlines()] == [
        f"{pictures}/{label}.png: {label}" for label in range(3)
    ]
    assert shown.err == "Read by digitcnn's own weights, trained on MNIST\n"
    for names in ([str(pictures)], [str(pictures / "*.png")], [str(pictures / "[0-1].png"), str(pictures / "2.png")]):
        assert main(["predict", *names]) == 0
        assert capsys.readouterr().out == shown.out


def test_standard_input(pictures):
    command = [sys.executable, "-m", "digitcnn", "predict", "-"]
    done = subprocess.run(command, input=(pictures / "2.png").read_bytes(), capture_output=True, check=True)
    assert done.stdout.startswith(b"-: 2  probability 0.9")


def test_json_has_a_line_for_each_picture(pictures, capsys):
    assert main(["predict", "--json", str(pictures)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["digits"] for line in lines] == ["0", "1", "2"]
    assert [Path(line["file"]).name for line in lines] == ["0.png", "1.png", "2.png"]
    [found] = lines[1]["found"]
    assert found["label"] == 1 and found["sure"] is True and found["candidates"][0] == [1, found["probability"]]
    left, top, right, bottom = found["box"]
    assert 70 <= left < right <= 182 and 40 <= top < bottom <= 152


def test_csv_has_a_line_for_each_row(pictures, capsys):
    row = np.hstack([np.asarray(Image.open(pictures / f"{label}.png"))[:, 40:200] for label in (1, 2)])
    Image.fromarray(np.vstack([row, row[:, ::-1][:, ::-1]])).save(pictures / "page.png")
    assert main(["predict", "--csv", str(pictures / "page.png"), str(pictures / "0.png")]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert [(Path(name).name, number, "".join(numbers)) for name, number, *numbers in rows] == [
        ("page.png", "1", "12"),
        ("page.png", "2", "12"),
        ("0.png", "1", "0"),
    ]


def test_a_bad_file_does_not_cost_the_others(pictures, capsys):
    (pictures / "1.png").write_text("no picture")
    (pictures / "blank.png").write_bytes(b"")
    names = [str(pictures / "nothing.png"), str(pictures), str(pictures / "*.gif")]
    assert main(["predict", *names]) == 1
    shown = capsys.readouterr()
    assert [line.split(": ")[1][0] for line in shown.out.splitlines()] == ["0", "2"]
    for name, found in (
        ("nothing.png", "expected a picture file, found nothing there"),
        ("1.png", "expected a picture that Pillow can read"),
        ("blank.png", "expected a picture that Pillow can read"),
        ("*.gif", "expected pictures, found none that match"),
    ):
        assert f"digitcnn: error: {pictures}/{name}: {found}" in shown.err
    assert "Traceback" not in shown.err


def test_blank_paper_is_no_digit(tmp_path, capsys):
    Image.new("L", (100, 100), 230).save("blank.png")
    assert main(["predict", "blank.png"]) == 0
    assert capsys.readouterr().out.startswith("blank.png: no digit (")


def test_show_draws_what_was_read(pictures, capsys):
    assert main(["predict", str(pictures / "0.png"), str(pictures / "2.png"), "--show", "answer.png"]) == 0
    assert "answer.png: the pictures with their boxes" in capsys.readouterr().err
    with Image.open("answer.png") as drawn:
        assert drawn.width > 1000 and drawn.height > drawn.width * 0.7
    assert main(["predict", str(pictures / "0.png"), "--show", "nowhere/answer.png"]) == 1
    assert "nowhere/answer.png: expected a file that can be written" in capsys.readouterr().err


def test_a_run_answers_when_it_is_asked_for(pictures, capsys):
    assert main(["train", "--architecture", "softmax", "--epochs", "3", "--quiet", "--run", "logs/mine"]) == 0
    capsys.readouterr()
    for run in ("logs/mine", "latest"):
        assert main(["predict", "--run", run, str(pictures / "0.png")]) == 0
        assert capsys.readouterr().err == "Read by logs/mine\n"


def test_pictures_are_data(pictures, digits, capsys):
    """Labels by sub-folder or file name; fine-tuning from the weights that ship, resumed, evaluated."""
    for index, (image, label) in enumerate(zip(digits.test_images[:60], digits.test_labels[:60], strict=True)):
        folder = Path("mine", str(label)) if index % 2 else Path("mine")
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{index}.png" if index % 2 else f"{label}_{index}.png"
        Image.fromarray(255 - image.reshape(28, 28)).resize((56, 56)).save(folder / name)
    options = ["--from", "pretrained", "--epochs", "1", "--seed", "1", "--run", "run"]
    assert main(["train", "--data", "mine", *options]) == 0
    shown = capsys.readouterr().out
    assert "Training 'tapered'" in shown and "Test accuracy" in shown
    settings = json.loads(Path("run/settings.json").read_text())
    assert settings["start"] == "pretrained" and settings["n_training"] + settings["n_validation"] > 40
    del settings["test"], settings["weights_sha256"]
    Path("run/settings.json").write_text(json.dumps(settings))
    assert main(["train", "--resume", "run"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == shown.splitlines()[-1], "the same weights"
    assert main(["evaluate", "--run", "run"]) == 0
    assert main(["train", "--from", "pretrained", "--recipe", "fast"]) == 1
    assert "--from pretrained: expected no --recipe or --architecture beside it" in capsys.readouterr().err
