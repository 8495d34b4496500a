"""Shared by test_picture_attacks.py and benchmarks/fuzz_pictures.py: pictures that ask for much, and damaged ones."""

import io
import random
import struct
import zlib

import numpy as np
from PIL import Image

from digitcnn.exceptions import PictureError
from digitcnn.handwriting.pictures import read_grey, read_reduced

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")


def many_scans(side=64, n=1_000):
    """A progressive JPEG whose last scan is there again and again: each goes over all pixels."""
    content = encoded(Image.new("L", (side, side), 128), "JPEG", progressive=True, quality=10)
    scan = content.rfind(b"\xff\xda")
    table = content.rfind(b"\xff\xc4", 0, scan)
    return content[:-2] + content[table:-2] * n + b"\xff\xd9"


def large_webp(side=5_200):
    """A WebP of few bytes whose reader copies all of its pixels, beyond the number allowed."""
    return encoded(Image.new("RGBA", (side, side), "white"), "WEBP", lossless=True, method=0)


def large_png(mode, side=4_000):
    """A PNG of 16 million pixels."""
    return encoded(Image.new(mode, (side, side), 1 if mode == "1" else 120), "PNG", compress_level=1)


def many_chunks(n=20_000):
    """A PNG with empty chunks of text before its pixels."""
    content = encoded(Image.new("L", (9, 9), 7), "PNG")
    chunk = struct.pack(">I", 2) + b"tEXta\0" + struct.pack(">I", zlib.crc32(b"tEXta\0"))
    return content[:33] + chunk * n + content[33:]


def many_segments(n=20_000):
    """A JPEG with empty segments of metadata before its pixels."""
    content = encoded(Image.new("L", (9, 9), 7), "JPEG")
    return content[:2] + b"\xff\xed\0\2" * n + content[2:]


def many_comments(n=20_000):
    """A GIF with comments before its picture."""
    content = encoded(Image.new("P", (9, 9), 7), "GIF")
    place = content.find(b",", 13 + (3 << (content[10] & 7) + 1))
    return content[:place] + b"!\xfe\1x\0" * n + content[place:]


def large_tag(n=2_000_000):
    """A TIFF that says where each of many strips is."""
    head = b"II*\0" + struct.pack("<I", 8)
    entries = [(256, 3, 1, 9), (257, 3, 1, 9), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, n, 100), (279, 4, n, 100)]
    tags = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return (head + tags).ljust(100, b"\0") + bytes(4 * n)


def plain_numbers(side=2_200):
    """A PPM whose single bits are text."""
    return b"P1 %d %d\n" % (side, side) + b"1" * side * side


def large_exif(n_bytes=3 << 20):
    """A PNG with EXIF data that no camera writes."""
    content = encoded(Image.new("L", (9, 9), 7), "PNG")
    data = b"eXIf" + b"II*\0\x08\0\0\0\0\0" + bytes(n_bytes)
    return content[:33] + struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data)) + content[33:]


def encoded(picture, format, **options):
    """A picture's file."""
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def random_picture(draws):
    """A small file of any format and mode."""
    side, format = draws.randrange(1, 70), draws.choice(FORMATS)
    modes = {"PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), "JPEG": ("L", "RGB", "CMYK"), "GIF": ("L", "P")}
    modes |= {"TIFF": ("1", "L", "P", "RGB", "RGBA", "I;16", "CMYK"), "WEBP": ("RGB", "RGBA"), "BMP": ("1", "L", "RGB")}
    mode = draws.choice(modes.get(format, ("L", "RGB")))
    pixels = np.frombuffer(draws.randbytes(side * 40), np.uint8).reshape(side, 40)
    picture = Image.fromarray(pixels // 8 * 8)
    picture = Image.fromarray(pixels.astype(np.uint16) * 200) if mode == "I;16" else picture.convert(mode)
    options = {"JPEG": {"progressive": draws.random() < 0.5}, "WEBP": {"lossless": draws.random() < 0.5}}
    if format == "TIFF" and mode != "I;16":
        options["TIFF"] = {"compression": draws.choice(["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate"])}
    exif = Image.Exif()
    exif[0x0112] = draws.randrange(1, 9)
    return encoded(picture, format, exif=exif, **options.get(format, {}))


def damaged(data, draws):
    """The file with bytes changed (mostly near its beginning), cut off, inserted, or a part of it repeated."""
    content = bytearray(data)
    for _ in range(draws.choice([1, 1, 1, 2, 4, 9])):
        kind, place = draws.random(), draws.randrange(min(len(content), draws.choice([40, 400, 1 << 20])) or 1)
        if kind < 0.6 and content:
            flipped = content[place] ^ 1 << draws.randrange(8)
            content[place] = draws.choice([0, 1, 127, 255, draws.randrange(256), flipped])
        elif kind < 0.7:
            del content[place:]
        elif kind < 0.85:
            content[place:place] = draws.randbytes(draws.randrange(1, 9))
        else:
            part = content[place : place + draws.randrange(1, 99)]
            content[place:place] = part * draws.randrange(1, 200)
    return bytes(content)


def attack(data, draws=random):
    """Read `data` as a picture, at full size or reduced: 'refused' or 'read'. Raises what is no PictureError."""
    try:
        grey = read_grey(data) if draws.random() < 0.5 else read_reduced(data, 20)[0]
    except PictureError:
        return "refused"
    assert grey.dtype == np.uint8 and grey.ndim == 2 and grey.size, "not the grey values of a picture"
    return "read"
