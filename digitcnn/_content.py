"""Says what a file is that is not what was expected, by its first bytes, and what to do about it."""

from __future__ import annotations

import re

N_START = 1024  # bytes that are enough

_LFS = "a Git LFS pointer in place of the file; fetch the file with `git lfs pull`"
_PAGE = "a web page; download the file itself, not the page that shows it"
_PDF = "a PDF document; save its page as a PNG picture"
_ZIP = "a zip archive; unpack it, and give a file in it"
_ARCHIVE = "an archive; unpack it, and give a file in it"
_PACKED = "compressed data; unpack it first"
_PICKLE = "a Python pickle, which could run anything and is not opened"
# What begins so, after blanks for text; the first that fits.
_KINDS: list[tuple[bytes, str]] = [
    (rb"version https://git-lfs\.github\.com/spec/", _LFS),
    (rb"%PDF-", _PDF),
    (rb"PK(?:\x03\x04|\x05\x06)", _ZIP),
    (rb"\x1f\x8b", "gzip-compressed data; unpack it first (gunzip)"),
    (rb"7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|.{257}ustar", _ARCHIVE),
    (rb"\xfd7zXZ\x00|BZh[1-9]1AY&SY|\x28\xb5\x2f\xfd", _PACKED),
    (rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF.{4}WEBP|II\*\x00|MM\x00\*|BM.{4}\x00\x00\x00\x00", "a picture"),
    (rb"\x00\x00[\x08\x09\x0b-\x0e][\x00-\x20]", "an IDX file; read_idx and load_mnist read it"),
    (rb"\x93NUMPY", "an array of NumPy's; numpy.load reads it"),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file, such as a Keras model"),
    (rb"\x80[\x02-\x05]", _PICKLE),
    (rb"\s*(?:<\?xml.*)?(?:<!--.*)?(?:<!DOCTYPE svg.*)?<svg\b", "an SVG drawing; save it as PNG"),
    (rb"\s*(?:<\?xml.*)?(?:<!--.*)?<(?:!doctype html|html|head|body|title|meta|script)\b", _PAGE),
    (rb"\s*<\?xml|\s*<[A-Za-z!]", "XML text"),
    (rb"\s*[{\[]\s*[\"\d\[{\]}]", "JSON text"),
]


def describe_content(start: bytes) -> str | None:
    """What a file is that begins so, in words and with advice; None for what is not known."""
    if not start:
        return "an empty file"
    start = start[:N_START].removeprefix(b"\xef\xbb\xbf")  # the byte order mark of UTF-8
    for beginning, kind in _KINDS:
        if re.match(beginning, start, re.DOTALL | re.IGNORECASE if beginning.startswith(rb"\s") else re.DOTALL):
            return kind
    is_text = not re.search(rb"[^\t\n\r\x20-\x7e\x80-\xff]", start) and len(re.findall(rb"[\x80-\xff]", start)) < (
        len(start) / 3
    )
    return "text" if is_text else None
