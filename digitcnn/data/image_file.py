"""Files of images of any length, IDX or NPY: the header is checked against the file's size, and nothing else is read.

The images are read when they are needed, into memory of their own. They are not mapped: the pages of a map count as
memory of the process, which would grow with the file, and if the file is cut meanwhile, a signal ends the process.
"""

from __future__ import annotations

import math
import os
import re
import tokenize
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .._content import N_START, describe_content
from .._text import printable
from .._validation import explain_os_errors
from ..exceptions import IDXError
from .idx import GZIP_MAGIC, read_header, shape_text

EXPECTED = "an IDX or NPY file of images"
NPY_MAGIC = b"\x93NUMPY"
_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# What NumPy raises for a header that is no header.
_BAD_HEADER = (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError)
# EMNIST has rows and columns exchanged; `load_dataset` knows it by these names too.
_TRANSPOSED = re.compile(r"emnist-.*-images[-.]idx3-ubyte")


@dataclass(frozen=True)
class ImageFile:
    """Where the images of a file are.

    Parameters
    ----------
    path : Path
        The file.
    dtype : dtype
        Type of the pixels: whole numbers or floats, in the file's byte order.
    shape : tuple of int
        Number of images, then the sizes of one.
    offset : int
        Bytes before the first image.
    is_transposed : bool, default False
        Whether rows and columns of the images are exchanged, as in EMNIST's files.
    """

    path: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int
    is_transposed: bool = False

    @property
    def image_bytes(self) -> int:
        """Bytes of one image."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def check_size(self, image_shape: tuple[int, int]) -> None:
        """Raise ValueError unless the images have this height and width: [n, pixels], [n, h, w] or [n, h, w, 1]."""
        height, width = image_shape
        if self.shape[1:] not in ((height * width,), (height, width), (height, width, 1)):
            raise ValueError(
                f"{printable(self.path)}: expected images of {height} x {width}, as the model takes them, found "
                f"{shape_text(self.shape)}; resize them, or give another model"
            )

    def read(self, stream: FileIO, start: int, stop: int) -> np.ndarray:
        """Images start to stop - 1 of the opened file, [n, pixels], in this machine's byte order.

        Raises OSError if the file cannot be read, or has been cut since its header was read.
        """
        images = np.empty((stop - start, *self.shape[1:]), self.dtype)
        content = images.reshape(-1).view(np.uint8).data
        n_read = 0
        with explain_os_errors(self.path, "a file that can be read"):
            stream.seek(self.offset + start * self.image_bytes)
            while n_read < len(content):
                n = stream.readinto(content[n_read:])
                if not n:
                    raise OSError(
                        f"{printable(self.path)}: expected {self.shape[0]:,} images, as its header says, found an end "
                        f"in image {start + n_read // self.image_bytes:,}: cut since this began"
                    )
                n_read += n
        if self.is_transposed:
            images = images.swapaxes(1, 2)
        return images.reshape(len(images), -1).astype(self.dtype.newbyteorder("="), copy=False)


def inspect_image_file(path: Path) -> ImageFile | None:
    """Read the header of a file of images; None for one that has a number or a record for each row, such as labels.

    Raises IDXError for a damaged IDX file, ValueError for another wrong one, OSError if it cannot be read.
    """
    with explain_os_errors(path, EXPECTED):
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise ValueError(f"{printable(path)}: expected {EXPECTED}, found {_kind_of(path)}")
        with path.open("rb") as stream:
            start = stream.read(N_START)
            stream.seek(0)
            if start.startswith(NPY_MAGIC):
                dtype, shape = _read_npy_header(stream, path)
            elif start.startswith(b"\0\0"):
                dtype, shape = read_header(stream, path)
            else:
                raise ValueError(f"{printable(path)}: expected {EXPECTED}, found {_describe(start)}")
            if len(shape) == 1 or dtype.names is not None:
                return None
            is_transposed = len(shape) == 3 and _TRANSPOSED.fullmatch(path.name) is not None
            file = ImageFile(path, dtype, shape, stream.tell(), is_transposed)
            _check(file, os.fstat(stream.fileno()).st_size)
            return file


def _check(file: ImageFile, size: int) -> None:
    """Raise IDXError or ValueError if type, sizes and length are not those of images."""
    name, found = printable(file.path), f"{shape_text(file.shape)} of {file.dtype.name}"
    if file.dtype.kind not in "uif":
        raise ValueError(f"{name}: expected images as whole numbers or floats, found {found}")
    if len(file.shape) < 2 or 0 in file.shape:
        raise ValueError(f"{name}: expected at least one image, found {found}")
    wanted = file.offset + file.shape[0] * file.image_bytes
    if size != wanted:
        what = "truncated, or a damaged header" if size < wanted else "more after the images"
        raise IDXError(f"{name}: expected {wanted:,} bytes ({found}), found {size:,}: {what}")


def _read_npy_header(stream: BinaryIO, path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    """The element type and the shape. Raises ValueError."""
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _READERS:
            raise ValueError(f"version {version[0]}.{version[1]}; save it by numpy.save")
        shape, is_fortran, dtype = _READERS[version](stream)
    except _BAD_HEADER as error:
        found = str(error).partition("\n")[0]
        raise ValueError(f"{printable(path)}: expected the header of an NPY file, found {printable(found)}") from error
    if min(shape, default=1) < 0:
        raise ValueError(f"{printable(path)}: expected sizes of at least 0, found {shape_text(shape)}")
    if dtype.hasobject:
        raise ValueError(f"{printable(path)}: expected numbers, found Python objects, which are not opened")
    if is_fortran and len(shape) > 1:
        raise ValueError(
            f"{printable(path)}: expected images one after the other (C order), found an array in Fortran order; save "
            "numpy.ascontiguousarray(array)"
        )
    return dtype, shape


def _kind_of(path: Path) -> str:
    return "a folder" if path.is_dir() else "no plain file"


def _describe(start: bytes) -> str:
    """What begins so, and what to do about it."""
    if start.startswith(GZIP_MAGIC):
        return "gzip-compressed data, of which no part can be read alone; unpack it first (gunzip -k)"
    return describe_content(start) or "something else"
