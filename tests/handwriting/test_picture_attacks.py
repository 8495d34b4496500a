"""Pictures that ask for much time or memory, and files that are none: PictureError soon, and little memory."""

import gzip
import io
import random
import subprocess
import sys
import warnings
import zipfile

import picture_attacks
import pytest
from PIL import Image

from digitcnn import PictureError
from digitcnn.handwriting.pictures import read_grey

ATTACKS = {
    "many_scans": "more than 100 scans",
    "large_webp": "5200 x 5200 pixels, more than 25 million",
    "many_chunks": "more than 10,000 small chunks",
    "many_segments": "more than 10,000 segments",
    "many_comments": "more than 10,000 blocks",
    "large_tag": "a tag, 273, of 2,000,000 values",
    "plain_numbers": "numbers as text, more than 4 MB",
    "large_exif": "EXIF data of more than 1 MB",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_pictures_that_ask_for_much_raise(name, tmp_path):
    """From bytes and from a file."""
    content = getattr(picture_attacks, name)()
    (tmp_path / "attack").write_bytes(content)
    for source in (content, tmp_path / "attack"):
        with pytest.raises(PictureError, match=ATTACKS[name]):
            read_grey(source)


MEASURE = """
import resource, sys
from PIL import Image
from digitcnn.handwriting.pictures import read_grey, read_reduced
read_reduced(Image.new("RGBA", (50, 50)), 20)  # loads what is loaded once
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(read_grey(sys.argv[1]).shape, end=" ")
except ValueError as error:
    print(type(error).__name__, end=" ")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures the memory as Linux counts it")
@pytest.mark.parametrize(
    ("attack", "found", "most"),
    [
        ("many_scans", "PictureError", 10),
        ("large_webp", "PictureError", 10),
        ("large_png RGBA", "(4000, 4000)", 100),  # 64 MB of RGBA; whole copies took 145
        ("large_png P", "(4000, 4000)", 20),  # 31
    ],
)
def test_reading_takes_a_bounded_memory(attack, found, most, tmp_path):
    """The peak of a process of its own, in MB above what it has before."""
    name, *arguments = attack.split()
    (tmp_path / "attack").write_bytes(getattr(picture_attacks, name)(*arguments))
    done = subprocess.run([sys.executable, "-c", MEASURE, "attack"], capture_output=True, text=True, check=True)
    what, _, grown = done.stdout.strip().rpartition(" ")
    assert what == found and int(grown) <= most, done.stdout


def test_a_photo_with_a_film_behind_it_is_read():
    """As phones write it: bytes behind the picture's end count for nothing."""
    content = picture_attacks.encoded(Image.new("L", (90, 60), 200), "JPEG", progressive=True)
    film = random.Random(1).randbytes(1 << 16) + b"\xff\xda" * 1_000
    assert read_grey(content + film).shape == (60, 90)


def test_a_photo_of_many_pixels_is_read():
    """50 million pixels, as phones have, in a JPEG of few scans."""
    content = picture_attacks.encoded(Image.new("RGB", (8_160, 6_120), (200, 190, 180)), "JPEG", quality=20)
    grey = read_grey(content)
    assert grey.shape == (6_120, 8_160) and grey.min() >= 192 and grey.max() <= 193


def test_damaged_pictures_raise_or_are_read():
    draws, found = random.Random(1), {"refused": 0, "read": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damaged metadata
        for _ in range(500):
            data = picture_attacks.damaged(picture_attacks.random_picture(draws), draws)
            found[picture_attacks.attack(data, draws)] += 1
    assert found["refused"] > 100 and found["read"] > 100


def _zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("digit.png", b"x")
    return file.getvalue()


NO_PICTURES = {
    "a web page; download the file itself": b"\n<!DOCTYPE html><html><title>404</title>",
    "an SVG drawing; save it as PNG": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"></svg>',
    "a PDF document; save its page as a PNG picture": b"%PDF-1.7\n",
    "a Git LFS pointer in place of the file; fetch the file with `git lfs pull`": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    ),
    "a zip archive; unpack it": _zip(),
    "gzip-compressed data; unpack it first": gzip.compress(b"x"),
    "an IDX file; read_idx and load_mnist read it": b"\0\0\x08\x03" + bytes(12),
    "a Python pickle, which could run anything": b"\x80\x04\x95" + bytes(9),
    "an empty file, none of PNG, JPEG": b"",
    "text, none of PNG, JPEG": b"a digit",
    "JSON text, none of PNG": b'{"a": 1}',
    "found: none of PNG": bytes(range(1, 99)),
}


@pytest.mark.parametrize("found", NO_PICTURES)
def test_what_is_no_picture_is_said(found):
    with pytest.raises(PictureError, match=f"expected a picture that Pillow can read, found: .*{found[7:]}"):
        read_grey(NO_PICTURES[found])
