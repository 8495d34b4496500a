"""`digitcnn predict`: pictures, folders, patterns, standard input; text, JSON, CSV, drawing."""

import csv
import errno
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from digitcnn.cli.main import main


@pytest.fixture
def pictures(tmp_path, write_digit):
    """A folder with brackets and spaces in its name: 0.png, 2.png, 3.png are drawn digits in ink on paper."""
    return write_pictures(tmp_path / "my scans [1]", write_digit)


def write_pictures(folder, write_digit):
    folder.mkdir()
    for label in (0, 2, 3):
        paper = np.full((200, 260), 225, np.uint8)
        write_digit(paper, label, 90, 50)
        Image.fromarray(paper).save(folder / f"{label}.png")
    return folder


@pytest.fixture
def predict(finished_run):
    """A function that runs the command with a network of our own, which is loaded sooner than the one that ships."""
    return lambda *arguments: main(["predict", "--run", str(finished_run[0]), *arguments])


def test_a_folder_a_pattern_and_files_give_the_same_lines(pictures, capsys):
    assert main(["predict", *(str(pictures / f"{label}.png") for label in (0, 2, 3))]) == 0
    shown = capsys.readouterr()
    assert [line.split("  probability ")[0] for line in shown.out.splitlines()] == [
        f"{pictures}/{label}.png: {label}" for label in (0, 2, 3)
    ]
    assert shown.err == "Read by digitcnn's own weights, trained on MNIST\n"
    forms = [str(pictures)], [str(pictures / "*.png")], [str(pictures / "[0-2].png"), str(pictures / "3.png")]
    assert main(["predict", *(name for form in forms for name in form)]) == 0
    assert capsys.readouterr().out == shown.out * 3


def test_sub_folders_are_read_too(predict, pictures, capsys):
    (pictures / "2").mkdir()
    (pictures / "2.png").rename(pictures / "2" / "a.png")
    (pictures / ".hidden").mkdir()
    (pictures / "3.png").rename(pictures / ".hidden" / "3.png")
    assert predict(str(pictures)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [f"{pictures}/0.png: 0", f"{pictures}/2/a.png: 2"]


@pytest.fixture(scope="module")
def printed(tmp_path_factory, write_digit):
    """The lines that a process prints for pictures of strange names and one on standard input, where text is ASCII."""
    folder = write_pictures(tmp_path_factory.mktemp("strange") / "scans", write_digit)
    for name in ("caf\xe9.png", "red\x1b[31m.png", "new\nline.png"):
        (folder / name).write_bytes((folder / "0.png").read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "digitcnn", "predict", str(folder), "-"],
        input=(folder / "2.png").read_bytes(),
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode("ascii").splitlines()


def test_standard_input(printed):
    assert printed[-1].startswith("-: 2  probability 0.9")


def test_strange_names_cost_nothing(printed):
    """Names that the output cannot encode, that move the cursor or that break lines."""
    assert len(printed) == 7 and all(": " in line and "\x1b" not in line for line in printed)
    assert any("caf\\xe9.png: 0" in line for line in printed) and any("new\\nline.png: 0" in line for line in printed)


def test_json_has_a_line_for_each_picture(predict, pictures, capsys):
    assert predict("--json", str(pictures)) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["digits"] for line in lines] == ["0", "2", "3"]
    assert [Path(line["file"]).name for line in lines] == ["0.png", "2.png", "3.png"]
    [found] = lines[1]["found"]
    assert found["label"] == 2 and found["sure"] is True and found["candidates"][0] == [2, found["probability"]]
    left, top, right, bottom = found["box"]
    assert 80 <= left < right <= 182 and 40 <= top < bottom <= 160


def test_csv_has_a_line_for_each_row(pictures, capsys):
    row = np.hstack([np.asarray(Image.open(pictures / f"{label}.png"))[:, 70:170] for label in (2, 3)])
    Image.fromarray(np.vstack([row, row])).save(pictures / "page.png")
    assert main(["predict", "--csv", str(pictures / "page.png"), str(pictures / "0.png")]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["file", "row", "not sure", "numbers"]
    assert [(Path(name).name, *counts, "".join(numbers)) for name, *counts, numbers in _joined(rows[1:])] == [
        ("page.png", "1", "0", "23"),
        ("page.png", "2", "0", "23"),
        ("0.png", "1", "0", "0"),
    ]


def _joined(rows):
    return [[*row[:3], row[3:]] for row in rows]


def test_a_bad_file_does_not_cost_the_others(predict, pictures, capsys):
    (pictures / "2.png").write_text("no picture")
    (pictures / "blank.png").write_bytes(b"")
    (pictures / "a").mkdir()
    names = [
        str(pictures / "no\nthing.png"),
        str(pictures / "nothing.png"),
        str(pictures),
        str(pictures / "*.gif"),
        str(pictures / "[a0]*"),
    ]
    assert predict(*names) == 1
    shown = capsys.readouterr()
    assert [line.split(": ")[1][0] for line in shown.out.splitlines()] == ["0", "3", "0"]
    for name, found in (
        ("no\\nthing.png", "expected a picture file, found nothing there"),
        ("nothing.png", "expected a picture file, found nothing there"),
        ("2.png", "expected a picture that Pillow can read"),
        ("blank.png", "expected a picture that Pillow can read"),
        ("*.gif", "expected pictures, found none that match"),
        ("a", "expected a folder with pictures, found none in it"),
    ):
        assert f"digitcnn: error: {pictures}/{name}: {found}" in shown.err and shown.err.count(f"{name}: ") == 1
    assert "Traceback" not in shown.err


def test_blank_paper_is_no_digit(predict, capsys):
    Image.new("L", (100, 100), 230).save("blank.png")
    assert predict("blank.png") == 0
    assert capsys.readouterr().out.startswith("blank.png: no digit (")


def test_show_draws_what_was_read(predict, pictures, capsys):
    with matplotlib.rc_context({"text.usetex": True}):  # LaTeX would read the names, if it is there at all
        assert predict(str(pictures / "0.png"), str(pictures / "2.png"), "--show", "answer.png") == 0
    assert "answer.png: the pictures with their boxes" in capsys.readouterr().err
    with Image.open("answer.png") as drawn:
        assert drawn.width > 1000 and drawn.height > drawn.width * 0.7
    before = (pictures / "0.png").read_bytes()
    Path("folder.png").mkdir()
    for target, found in (
        ("folder.png", "expected a file for the drawing, found a folder"),
        ("nowhere/answer.png", "expected a folder that exists for the drawing, found no nowhere"),
        ("answer.jpg", "expected a file name that ends in .png"),
        (str(pictures / "0.png"), "expected another file for the drawing than the pictures"),
    ):
        assert predict(str(pictures / "0.png"), "--show", target) == 1
        shown = capsys.readouterr()
        assert f"{target}: {found}" in shown.err and not shown.out
    assert (pictures / "0.png").read_bytes() == before


def test_show_into_a_folder_that_may_not_be_written_is_refused_before_reading(predict, pictures, capsys, monkeypatch):
    def refuse(*_, dir, **__):  # as root, permissions would refuse nothing
        raise PermissionError(errno.EACCES, "Permission denied", f"{dir}/tmp")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert predict(str(pictures / "0.png"), "--show", "answer.png") == 1
    shown = capsys.readouterr()
    assert "answer.png: expected a file that can be written, found no permission" in shown.err and not shown.out


def test_a_run_answers_when_it_is_asked_for(pictures, finished_run, capsys):
    shutil.copytree(finished_run[0], "logs/mine")
    for run in ("logs/mine", "latest"):
        assert main(["predict", "--run", run, str(pictures / "0.png")]) == 0
        assert capsys.readouterr().err == "Read by logs/mine\n"


def test_latest_is_the_newest_run_everywhere(finished_run, capsys):
    shutil.copytree(finished_run[0], "logs/mine")
    for command in (["evaluate"], ["summary"], ["export", "out.tflite", "--format", "tflite"]):
        assert main([*command, "--run", "latest"]) == 0
    assert main(["train", "--resume", "latest"]) == 0
    assert "mine is complete: there is nothing left to do" in capsys.readouterr().out


def test_pictures_are_data(pictures, digits, capsys):
    """Labels by sub-folder or file name; fine-tuning from the weights that ship, resumed, evaluated."""
    for index, (image, label) in enumerate(zip(digits.test_images[:70], digits.test_labels[:70], strict=True)):
        parent = "mine" if index < 60 else "others"
        folder = Path(parent, str(label)) if index % 2 else Path(parent)
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
    assert main(["evaluate", "--run", "run", "--data", "mine"]) == 0
    assert capsys.readouterr().out.count("of 12)") == 2, "a fifth of the pictures that it has seen"
    Path("mine").rename("moved")
    assert main(["evaluate", "--run", "run", "--data", "moved"]) == 0
    assert "run on 12 test images of moved" in capsys.readouterr().out, "its training pictures in another place"
    assert main(["evaluate", "--run", "run", "--data", "others"]) == 0
    assert "run on all 10 pictures of others" in (shown := capsys.readouterr().out) and "of 10)" in shown
    history = Path("run/history.csv").read_text().splitlines()
    assert len(history) == 2 and history[1].startswith("1,"), "a training of its own"
    assert main(["train", "--from", "pretrained", "--recipe", "fast"]) == 1
    assert "--from pretrained: expected no --recipe or --architecture beside it" in capsys.readouterr().err


BOTH_FORMS = """
import sys
from digitcnn.cli.main import main
sys.exit(main(sys.argv[1:]) or main([*sys.argv[1:], "--csv"]))
"""


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell closes the output")
def test_closed_streams(pictures, finished_run):
    run = shlex.quote(str(finished_run[0]))
    for start, redirection in ((f"-c {shlex.quote(BOTH_FORMS)}", ">&-"), ("-m digitcnn", "- <&-")):
        command = f"{shlex.quote(sys.executable)} {start} predict --run {run} '{pictures / '0.png'}' {redirection}"
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr and done.returncode == (redirection == "- <&-"), done.stderr
