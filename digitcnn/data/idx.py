"""Read and write IDX files, the format of MNIST, as NumPy arrays.

Layout (Y. LeCun, http://yann.lecun.com/exdb/mnist): two zero bytes, one byte for the element
type, one for the rank, then one big-endian uint32 per dimension, then the elements, big-endian,
the last index moving fastest. A file may be gzip-compressed, whatever its name.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .._content import N_START, describe_content
from .._files import write_whole
from .._validation import check_array, check_path, explain_os_errors
from ..exceptions import IDXError

TYPE_CODES: dict[int, np.dtype] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_CODES = {dtype.newbyteorder("="): code for code, dtype in TYPE_CODES.items()}
GZIP_MAGIC = b"\x1f\x8b"
_MAX_DEFLATE_RATIO = 1032  # https://zlib.net/zlib_tech.html: no deflate stream expands further
_CHUNK_BYTES = 1 << 16  # allocated before it is known whether the file has them
_MAX_RANK = 64 if int(np.__version__.split(".")[0]) >= 2 else 32  # what NumPy 2 and NumPy 1 can hold
_MAX_BYTES = np.iinfo(np.intp).max  # of one array in memory
_MAX_SIZE = 0xFFFFFFFF  # of one dimension: the header's uint32


def read_idx(
    path: str | os.PathLike,
    *,
    expected_dtype: np.dtype | type | None = None,
    expected_shape: tuple[int | None, ...] | None = None,
) -> np.ndarray:
    """Read one IDX file, plain or gzip-compressed.

    Allocates no more memory than the file's size justifies, whatever its header claims.

    Parameters
    ----------
    path : str or path-like
        The file; gzip is detected by its content, not by its name.
    expected_dtype : dtype, optional
        The element type that the header must declare, checked before any data are read.
    expected_shape : tuple of int or None, optional
        The sizes that the header must declare; None in it accepts any size of that dimension.

    Returns
    -------
    ndarray
        Writable and C-contiguous, of the file's own shape, in this machine's byte order: uint8, int8,
        int16, int32, float32 or float64.

    Raises
    ------
    IDXError
        If the file is anything but one complete IDX file of the expected type and shape.
    OSError
        If the file is not there (FileNotFoundError) or cannot be read.
    TypeError
        If an argument is of a wrong type.
    ValueError
        If `path` is empty.

    Examples
    --------
    >>> import numpy as np
    >>> from digitcnn import load_dataset
    >>> folder = load_dataset("bundled").folder
    >>> read_idx(folder / "t10k-labels-idx1-ubyte.gz").shape
    (360,)
    >>> read_idx(
    ...     folder / "t10k-images-idx3-ubyte.gz", expected_dtype=np.uint8, expected_shape=(None, 28, 28)
    ... ).shape
    (360, 28, 28)
    """
    path = check_path("path", path)
    expected = (_check_dtype(expected_dtype), _check_shape(expected_shape))
    with explain_os_errors(path, "an IDX file"):
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise IDXError(f"{path}: expected an IDX file, found {'a folder' if path.is_dir() else 'no plain file'}")
        with path.open("rb") as raw:
            return _read_file(raw, path, expected)


def _check_dtype(expected: Any) -> np.dtype | None:
    """A dtype, or None. Raises TypeError."""
    try:
        return None if expected is None else np.dtype(expected)
    except TypeError as error:
        raise TypeError(f"expected_dtype: expected a NumPy dtype, found {expected!r}") from error


def _check_shape(expected: Any) -> tuple | None:
    """Sizes, or None. Raises TypeError."""
    if expected is not None and not isinstance(expected, (tuple, list)):
        raise TypeError(f"expected_shape: expected a tuple of sizes, found {expected!r}")
    return None if expected is None else tuple(expected)


def _read_file(raw: BinaryIO, path: Path, expected: tuple) -> np.ndarray:
    """The array in an open file, plain or gzip-compressed."""
    compressed = raw.read(2) == GZIP_MAGIC
    raw.seek(0)
    size_on_disk = os.fstat(raw.fileno()).st_size
    if not compressed:
        return _read_array(raw, path, expected, max_bytes=size_on_disk)
    try:
        with gzip.GzipFile(fileobj=raw) as stream:
            return _read_array(stream, path, expected, max_bytes=size_on_disk * _MAX_DEFLATE_RATIO)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise IDXError(f"{path}: expected a complete gzip stream, found: {error}") from error


def _read_array(stream: BinaryIO | gzip.GzipFile, path: Path, expected: tuple, max_bytes: int) -> np.ndarray:
    """The array in a stream that can hold `max_bytes` bytes of data; `expected` is (dtype, shape), either None."""
    dtype, shape = read_header(stream, path)
    expected_dtype, expected_shape = expected
    if expected_dtype not in (None, dtype.newbyteorder("=")):
        raise IDXError(f"{path}: expected elements of type {expected_dtype}, found {dtype.name}")
    if expected_shape is not None and not (
        len(shape) == len(expected_shape)
        and all(want in (None, size) for want, size in zip(expected_shape, shape, strict=True))
    ):
        wanted = " x ".join("n" if want is None else str(want) for want in expected_shape)
        raise IDXError(f"{path}: expected {wanted} elements, found {shape_text(shape)}")
    n_bytes = math.prod(shape) * dtype.itemsize
    # Leave zero-sized dimensions out: NumPy checks the product of the others too.
    if math.prod(max(size, 1) for size in shape) * dtype.itemsize > _MAX_BYTES:
        raise IDXError(f"{path}: expected sizes that fit in memory, found {shape_text(shape)} of {dtype.name}")
    if n_bytes > max_bytes:
        raise IDXError(
            f"{path}: expected {n_bytes} bytes of data ({shape_text(shape)} of {dtype.name}), "
            f"found a file that can hold no more than {max_bytes}: truncated, or a damaged header"
        )
    content = bytearray()
    while len(content) <= n_bytes:  # one byte too many is enough to detect trailing data
        chunk = stream.read(min(_CHUNK_BYTES, n_bytes + 1 - len(content)))
        if not chunk:
            break
        content += chunk
    if len(content) != n_bytes:
        found = f"only {len(content)}: truncated" if len(content) < n_bytes else "more after them"
        raise IDXError(f"{path}: expected {n_bytes} bytes of data ({shape_text(shape)} of {dtype.name}), found {found}")
    array = np.frombuffer(content, dtype).reshape(shape)
    if not dtype.isnative:
        array = array.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return array


def read_header(stream: BinaryIO | gzip.GzipFile, path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    """The element type, big-endian, and the shape, at the beginning of a stream. Raises IDXError."""
    magic = stream.read(4)
    if magic[:2] != b"\0\0" and (content := describe_content(magic + stream.read(N_START - len(magic)))):
        within = " within its gzip compression" if isinstance(stream, gzip.GzipFile) else ""
        raise IDXError(f"{path}: expected an IDX file{within}, found {content}")
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


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as "60000 x 28 x 28"."""
    return " x ".join(map(str, shape)) or "a single element"


def write_idx(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write an array as an IDX file.

    The file appears whole or not at all, and the same array always gives the same bytes.

    Parameters
    ----------
    path : str or path-like
        The file to write, in a folder that exists; gzip-compressed if its name ends in `.gz`.
    array : array of any shape
        The data: uint8, int8, int16, int32, float32 or float64, in either byte order.

    Raises
    ------
    TypeError
        If IDX has no such dtype.
    ValueError
        If a dimension is over 2**32 - 1, or `path` is empty.
    OSError
        If the file cannot be written: FileNotFoundError without its folder, IsADirectoryError for a folder.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "labels.gz"
    ...     write_idx(path, np.array([7, 2, 1], np.uint8))
    ...     print(read_idx(path))
    [7 2 1]
    """
    path, array = check_path("path", path), check_array("array", array, "an array")
    with explain_os_errors(path, "the name of a file to write"):
        if path.is_dir():
            raise IsADirectoryError(f"{path}: expected the name of a file to write, found a folder")
    native = array.dtype.newbyteorder("=")
    if native not in _CODES:
        names = ", ".join(dtype.name for dtype in _CODES)
        raise TypeError(f"array: expected a dtype that IDX has ({names}), found {array.dtype.name}")
    if any(size > _MAX_SIZE for size in array.shape):
        raise ValueError(f"array: expected dimensions below 2**32, found shape {array.shape}")
    code = _CODES[native]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    content = header + array.astype(TYPE_CODES[code], copy=False).tobytes()
    if path.name.endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    with explain_os_errors(path.parent, f"a folder to write {path.name} to"):
        write_whole(path, content)
