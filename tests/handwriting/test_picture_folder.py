"""Folders of pictures as data sets."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digitcnn import NoDigitError, PictureError, load_dataset, load_digit
from digitcnn.cli.main import main
from digitcnn.handwriting.picture_folder import pictures_in


@pytest.fixture
def write(write_digit):
    """A function that writes a picture of a digit to a path."""

    def write(path, label, height=80):
        paper = np.full((160, 160), 225, np.uint8)
        write_digit(paper, label, 40, 30, height)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(paper).save(path)

    return write


def test_labels_by_sub_folder_and_by_name(write):
    for label in (0, 2, 3, 5, 6):
        write(f"mine/{label}/a.png", label)
        write(f"mine/{label}_b.jpg", label, height=60)
    Path("mine/notes.txt").write_text("no picture")
    mine = load_dataset("mine")
    assert (len(mine.train_labels), len(mine.test_labels)) == (8, 2) and mine.image_shape == (28, 28)
    assert sorted([*mine.train_labels, *mine.test_labels]) == [0, 0, 2, 2, 3, 3, 5, 5, 6, 6]
    images = {image.tobytes(): label for image, label in zip(mine.train_images, mine.train_labels, strict=True)}
    images |= {image.tobytes(): label for image, label in zip(mine.test_images, mine.test_labels, strict=True)}
    assert images[load_digit("mine/5/a.png").tobytes()] == 5 and images[load_digit("mine/6_b.jpg").tobytes()] == 6


def test_order_mixes_the_labels(write):
    """Neither test nor validation, the last training images, are all of one digit."""
    for label in (0, 2, 3, 5):
        for height in range(50, 90, 4):
            write(f"mine/{label}/{height}.png", label, height)
    mine = load_dataset("mine")
    assert len(mine.test_labels) == 8 and len(set(mine.test_labels)) > 1
    assert len(set(mine.split(8)[1][1])) > 1


def test_parts_of_their_own(write):
    for label in (2, 3):
        write(f"mine/train/{label}/a.png", label)
    write("mine/test/5_a.png", 5)
    mine = load_dataset("mine")
    assert sorted(mine.train_labels) == [2, 3] and list(mine.test_labels) == [5]


def test_what_cannot_be_read_is_named(write):
    for label in (0, 2, 3, 5):
        write(f"mine/{label}.png", label)
    with pytest.raises(PictureError, match="mine: expected at least five pictures, .*found 4 pictures"):
        load_dataset("mine")
    write("mine/seven.png", 7)
    with pytest.raises(PictureError, match=r"mine.seven.png: expected a label, found none; a label is a sub-folder"):
        load_dataset("mine")
    Image.new("L", (50, 50), 230).save("mine/7.png")
    Path("mine/seven.png").unlink()
    with pytest.raises(NoDigitError, match=r"mine.7.png: expected a picture of a digit, found blank paper"):
        load_dataset("mine")
    Path("mine/7.png").write_text("no picture")
    with pytest.raises(PictureError, match=r"mine.7.png: expected a picture that Pillow can read"):
        load_dataset("mine")


def test_all_bad_pictures_are_named_at_once(write):
    for label in (0, 2, 3, 5, 6):
        write(f"mine/{label}/a.png", label)
    write("mine/seven.png", 7)
    Path("mine/7_text.png").write_text("no picture")
    Path("mine/1").mkdir()
    Image.new("L", (50, 50), 230).save("mine/1/blank.png")
    with pytest.raises(
        PictureError, match="mine: expected a digit and its label in each picture, found 3 of 8"
    ) as info:
        load_dataset("mine")
    for name, found in (
        ("seven.png", "expected a label"),
        ("7_text.png", "expected a picture that Pillow can read"),
        ("1/blank.png", "found blank paper"),
    ):
        assert any(str(Path("mine", name)) in line and found in line for line in str(info.value).splitlines())


def test_many_bad_pictures_are_a_line_each_and_five_at_most(capsys):
    Path("mine").mkdir()
    for number in range(30):
        Path(f"mine/\u202e{number:02}.png").write_text("no picture")
    assert main(["train", "--data", "mine"]) == 1
    lines = capsys.readouterr().err.splitlines()
    with pytest.raises(PictureError) as info:
        load_dataset("mine")
    assert str(info.value).splitlines() == [lines[0].removeprefix("digitcnn: error: "), *lines[1:]]
    assert "found 30 of 30 without; mend them or move them elsewhere; a label is a sub-folder" in lines[0]
    files = ["mine" + os.sep + f"\\u202e{number:02}.png" for number in range(5)]
    assert lines[1:] == [*(f"  {file}: expected a label, found none" for file in files), "  and 25 more"]
    assert "\n".join(lines).count("a sub-folder named by its digit (7/a.png)") == 1


def test_hidden_files_and_folders_are_left_out(write):
    for label in (0, 2, 3, 5, 6):
        write(f"mine/{label}.png", label)
    for name in (".trash/7.png", "a/.7.png"):
        write(Path("mine", name), 7)
    assert [file.name for file in pictures_in(Path("mine"))] == ["0.png", "2.png", "3.png", "5.png", "6.png"]


def test_a_folder_that_cannot_be_listed_raises(monkeypatch):
    Path("mine/closed").mkdir(parents=True)
    listed = os.scandir

    def scandir(path):
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError, match=r"closed: expected a folder of pictures, found no permission"):
        pictures_in(Path("mine"))
