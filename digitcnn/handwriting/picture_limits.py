"""What a picture file may ask for, found out before Pillow opens it: a few bytes can cost minutes, or all memory.

Pillow bounds the number of pixels. These bound what else its readers repeat, gather or copy.
"""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

MAX_SCANS = 100  # of a progressive JPEG, each of which goes over all pixels; cameras and editors write about ten
MAX_BLOCKS = 10_000  # of a file's metadata: Pillow gathers them one by one; files of cameras have fewer than 300
MAX_VALUES = 100_000  # of a tag of a TIFF file, each of which becomes an object; a strip for each row has fewer
MAX_PLAIN = 4 << 20  # bytes of a PPM file whose numbers are text: Pillow reads them in Python
MAX_WEBP_PIXELS = 25_000_000  # whose reader holds four copies of RGBA
_BLOCK = 1 << 16  # bytes read at a time
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]", re.DOTALL)  # not 0, which stands for ff in a scan, nor a restart
_TIFF_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_BYTE_TYPES = (1, 2, 6, 7)  # of which Pillow makes no objects


def check_file(file: BinaryIO) -> None:
    """Raise ValueError, with what was found, for a file that asks for too much; its position is where it was."""
    place = file.tell()
    start = file.read(16)
    file.seek(place)
    try:
        if start.startswith(b"\xff\xd8"):
            _check_jpeg(file)
        elif start.startswith(b"\x89PNG\r\n\x1a\n"):
            _check_png(file)
        elif start.startswith(b"GIF8"):
            _check_gif(file)
        elif start[:4] in (b"II*\0", b"MM\0*"):
            _check_tiff(file, "<" if start[:1] == b"I" else ">", place)
        elif re.match(rb"P[123]\s", start) and file.seek(0, 2) - place > MAX_PLAIN:
            raise ValueError(f"numbers as text, more than {MAX_PLAIN >> 20} MB; save it as PNG")
    finally:
        file.seek(place)


def _check_jpeg(file: BinaryIO) -> None:
    """Count the segments and scans of the first picture; behind it, phones put a second one, or a film."""
    file.seek(2, 1)
    n_segments = n_scans = 0
    while (marker := _next_marker(file)) not in (None, 0xD9):  # the picture's end
        n_segments, n_scans = n_segments + 1, n_scans + (marker == 0xDA)
        if n_scans > MAX_SCANS:
            raise ValueError(f"more than {MAX_SCANS} scans, each over all pixels; save it anew")
        if n_segments > MAX_BLOCKS:
            raise ValueError(f"more than {MAX_BLOCKS:,} segments of metadata; save it anew")
        size = file.read(2)
        if len(size) == 2:
            file.seek(max(0, struct.unpack(">H", size)[0] - 2), 1)


def _next_marker(file: BinaryIO) -> int | None:
    """The number of a JPEG's next marker, behind which the file then stands; None at the file's end."""
    place, size = file.tell(), 2  # where one segment ends, the next one begins; behind a scan's head, pixels follow
    while len(block := file.read(size)) > 1:
        if found := _MARKER.search(block):
            file.seek(place + found.end())
            return block[found.end() - 1]
        place += len(block) - 1  # the last byte may be a marker's first
        file.seek(place)
        size = _BLOCK
    return None


def _check_png(file: BinaryIO) -> None:
    file.seek(8, 1)
    n = 0
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        n_bytes = struct.unpack(">I", head[:4])[0]
        # Writers make chunks of pixels of 8 KB or more, but for the last.
        n += head[4:] not in (b"IDAT", b"fdAT") or n_bytes < 1024
        if n > MAX_BLOCKS:
            raise ValueError(f"more than {MAX_BLOCKS:,} small chunks; save it anew")
        file.seek(n_bytes + 4, 1)


def _check_gif(file: BinaryIO) -> None:
    """Count the blocks of extensions up to the second picture."""
    head = file.read(13)
    if len(head) < 13:
        return
    if head[10] & 0x80:
        file.seek(3 << (head[10] & 7) + 1, 1)
    n = n_pictures = 0
    while n_pictures < 2 and (kind := file.read(1)) not in (b"", b";"):
        if kind == b",":
            n_pictures += 1
            place = file.read(9)
            if len(place) == 9 and place[8] & 0x80:
                file.seek(3 << (place[8] & 7) + 1, 1)
            file.seek(1, 1)
        elif kind == b"!":
            file.seek(1, 1)
        n += 1
        if kind in (b",", b"!"):
            while (size := file.read(1)) not in (b"", b"\0"):
                n += kind == b"!"
                if n > MAX_BLOCKS:
                    break
                file.seek(size[0], 1)
        if n > MAX_BLOCKS:
            raise ValueError(f"more than {MAX_BLOCKS:,} blocks beside its pixels; save it anew")


def _check_tiff(file: BinaryIO, order: str, place: int) -> None:
    """Check the tags of the first picture."""
    head = file.read(8)
    if len(head) < 8:
        return
    file.seek(place + struct.unpack(f"{order}I", head[4:])[0])
    count = file.read(2)
    entries = file.read(12 * struct.unpack(f"{order}H", count)[0]) if len(count) == 2 else b""
    for at in range(0, len(entries) - 11, 12):
        tag, kind, n = struct.unpack_from(f"{order}HHI", entries, at)
        if kind in _TIFF_BYTES and kind not in _BYTE_TYPES and n > MAX_VALUES:
            raise ValueError(f"a tag, {tag}, of {n:,} values, more than {MAX_VALUES:,}; save it anew")
