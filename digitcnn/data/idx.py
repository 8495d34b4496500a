"""IDX files, the format of MNIST: bytes <-> NumPy arrays, every header checked.

Layout (Y. LeCun, http://yann.lecun.com/exdb/mnist): two zero bytes, one byte for the element
type, one for the rank, then one big-endian uint32 per dimension, then the elements, big-endian,
the last index moving fastest. A file may be gzip-compressed; that is told by its content.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .._validation import check_array, check_path
from ..exceptions import IDXError

TYPE_CODES = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}


_CODES = {dtype.newbyteorder("="): code for code, dtype in TYPE_CODES.items()}


_GZIP_MAGIC = b"\x1f\x8b"


_MAX_DEFLATE_RATIO = 1032  # https://zlib.net/zlib_tech.html: no deflate stream expands further


_CHUNK = 1 << 16  # bytes, allocated before it is known whether the file has them


# The largest rank that this NumPy can hold: 32 in NumPy 1, 64 in NumPy 2.
_MAX_RANK = 64 if int(np.__version__.split(".")[0]) >= 2 else 32


_MAX_BYTES = np.iinfo(np.intp).max


def read_idx(
    path: str | os.PathLike,
    *,
    expected_dtype: np.dtype | type | None = None,
    expected_shape: tuple[int | None, ...] | None = None,
) -> np.ndarray:
    """Read one IDX file, plain or gzip-compressed.

    expected_dtype, expected_shape: what the header must say, checked before any data are read;
    None, also for a single dimension, takes what is there.

    Returns a writable, C-contiguous array of the file's own shape, in this machine's byte order:
    uint8, int8, int16, int32, float32 or float64.

    Nothing larger than the file justifies is allocated, whatever its header claims.

    Raises IDXError for anything but a complete, exact IDX file, and FileNotFoundError.
    """
    path = check_path("path", path)
    expected = (_check_dtype(expected_dtype), _check_shape(expected_shape))
    if path.exists() and not path.is_file():  # to open a pipe would wait for ever
        raise IDXError(f"{path}: expected an IDX file, found {'a folder' if path.is_dir() else 'no plain file'}")
    with path.open("rb") as raw:
        compressed = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        size_on_disk = os.fstat(raw.fileno()).st_size
        if not compressed:
            return _read(raw, path, expected, most_bytes=size_on_disk)
        try:
            with gzip.GzipFile(fileobj=raw) as stream:
                return _read(stream, path, expected, most_bytes=size_on_disk * _MAX_DEFLATE_RATIO)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise IDXError(f"{path}: expected a complete gzip stream, found: {error}") from error


def _check_dtype(expected: Any) -> np.dtype | None:
    try:
        return None if expected is None else np.dtype(expected)
    except TypeError as error:
        raise TypeError(f"expected_dtype: expected a NumPy dtype, found {expected!r}") from error


def _check_shape(expected: Any) -> tuple | None:
    if expected is not None and not isinstance(expected, (tuple, list)):
        raise TypeError(f"expected_shape: expected a tuple of sizes, found {expected!r}")
    return expected


def _read(stream: BinaryIO, path: Path, expected: tuple, most_bytes: int) -> np.ndarray:
    dtype, shape = _read_header(stream, path)
    expected_dtype, expected_shape = expected
    if expected_dtype not in (None, dtype.newbyteorder("=")):
        raise IDXError(f"{path}: expected elements of type {expected_dtype}, found {dtype.name}")
    if expected_shape is not None and not (
        len(shape) == len(expected_shape)
        and all(want in (None, size) for want, size in zip(expected_shape, shape, strict=True))
    ):
        wanted = " x ".join("n" if want is None else str(want) for want in expected_shape)
        raise IDXError(f"{path}: expected {wanted} elements, found {_by(shape)}")
    n_bytes = math.prod(shape) * dtype.itemsize
    # A zero-sized dimension hides the others from the product, yet NumPy multiplies those too.
    if math.prod(max(size, 1) for size in shape) * dtype.itemsize > _MAX_BYTES:
        raise IDXError(f"{path}: expected sizes that fit in memory, found {_by(shape)} of {dtype.name}")
    if n_bytes > most_bytes:
        raise IDXError(
            f"{path}: expected {n_bytes} bytes of data ({_by(shape)} of {dtype.name}), "
            f"found a file that can hold no more than {most_bytes}: truncated, or a damaged header"
        )
    content = bytearray()
    while len(content) <= n_bytes:  # one byte more than promised is enough to know
        chunk = stream.read(min(_CHUNK, n_bytes + 1 - len(content)))
        if not chunk:
            break
        content += chunk
    if len(content) != n_bytes:
        found = f"only {len(content)}: truncated" if len(content) < n_bytes else "more after them"
        raise IDXError(f"{path}: expected {n_bytes} bytes of data ({_by(shape)} of {dtype.name}), found {found}")
    array = np.frombuffer(content, dtype).reshape(shape)
    if not dtype.isnative:
        array = array.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return array


def _read_header(stream: BinaryIO, path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    magic = stream.read(4)
    if len(magic) < 4:
        raise IDXError(f"{path}: expected a 4-byte IDX magic number, found {len(magic)} bytes")
    if magic[:2] != b"\0\0":
        raise IDXError(f"{path}: expected an IDX magic number 0000xxxx, found {magic.hex()}")
    code, rank = magic[2], magic[3]
    if code not in TYPE_CODES:
        known = ", ".join(f"{c:02x}" for c in TYPE_CODES)
        raise IDXError(f"{path}: expected a type code among {known}, found {code:02x}")
    if rank > _MAX_RANK:
        raise IDXError(f"{path}: expected a rank of at most {_MAX_RANK}, found {rank}")
    sizes = stream.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise IDXError(f"{path}: expected {rank} dimension sizes, found {len(sizes) // 4}: truncated")
    return TYPE_CODES[code], struct.unpack(f">{rank}I", sizes)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single element"


def write_idx(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write `array`, of any rank, as an IDX file; gzip-compressed if the name ends in `.gz`.

    The dtype must be one that IDX has: uint8, int8, int16, int32, float32 or float64, in either
    byte order. The same array always gives the same bytes, and the file appears whole or not at all.

    Raises TypeError for another dtype, and ValueError for a dimension over 2**32 - 1.
    """
    path, array = check_path("path", path), check_array("array", array, "an array")
    if path.is_dir():
        raise IsADirectoryError(f"{path}: expected the name of a file to write, found a folder")
    native = array.dtype.newbyteorder("=")
    if native not in _CODES:
        names = ", ".join(dtype.name for dtype in _CODES)
        raise TypeError(f"array: expected a dtype that IDX has ({names}), found {array.dtype.name}")
    if any(size > 0xFFFFFFFF for size in array.shape):
        raise ValueError(f"array: expected dimensions below 2**32, found shape {array.shape}")
    code = _CODES[native]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    content = header + array.astype(TYPE_CODES[code], copy=False).tobytes()
    if path.name.endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    # A temporary file in the same folder, so that the rename is atomic.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise
