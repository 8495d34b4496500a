"""Reads the variables of TensorFlow's checkpoint files without TensorFlow's reader.

That reader trusts the index: one with right checksums and a negative dimension, or with two equal slices, ends the
process, whatever Python catches. It also takes a path for a pattern, so that `lr=[0.1]/model.ckpt-1` finds nothing.
Here every length, offset and shape is checked against the files before it is used.

The index is a table of LevelDB: blocks of entries in the order of their keys, a block that lists the blocks, a footer.
Each key is a variable's name, each value a BundleEntryProto, which says where in the data file its numbers are; the
empty key has a BundleHeaderProto. All numbers are little-endian.
https://github.com/google/leveldb/blob/main/doc/table_format.md
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import google_crc32c
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import tensor_bundle_pb2

# Bounds of memory and time for untrusted files; the largest network here has 85 variables in 6 kilobytes.
MAX_INDEX_BYTES = 1 << 20
_MAX_VARIABLES = 10_000
_MAX_NAME_BYTES = 1_024
_MAX_RANK = 16
_MAX_TEXTS = 10_000

_FOOTER_BYTES, _MAGIC = 48, 0xDB4775248B80FB57
_TRAILER_BYTES = 5  # after each block: one for its compression, four for its checksum
_REFERENCES = 100  # from here on are the types of TensorFlow 1's references, which no file has
_BUNDLE_VERSION = 1  # the highest that TensorFlow 2.16 to 2.21 know


@dataclass(frozen=True)
class Entry:
    """Where one variable is in the data file.

    Parameters
    ----------
    dtype : numpy.dtype or None
        Type of its numbers; object for texts; None for anything else.
    shape : tuple of int
        Its shape.
    offset, size : int
        Bytes of the data file, which are in it.
    crc32c : int
        Checksum of these bytes, as TensorFlow masks it.
    """

    dtype: np.dtype | None
    shape: tuple[int, ...]
    offset: int
    size: int
    crc32c: int


def read_index(content: bytes, n_data_bytes: int, *, checks_crc: bool) -> dict[str, Entry]:
    """Read where each variable is.

    Parameters
    ----------
    content : bytes
        The .index file.
    n_data_bytes : int
        Size of the data file.
    checks_crc : bool
        Whether to check the blocks' checksums, too; a SHA-256 of the file makes that needless.

    Returns
    -------
    dict of Entry
        By the variables' names.

    Raises
    ------
    ValueError
        If it is not the index of one data file of that size.
    """
    if not _FOOTER_BYTES <= len(content) <= MAX_INDEX_BYTES:
        raise ValueError(f"expected {_FOOTER_BYTES} to {MAX_INDEX_BYTES} bytes, found {len(content)}")
    footer = len(content) - _FOOTER_BYTES
    if int.from_bytes(content[-8:], "little") != _MAGIC:
        raise ValueError("expected a table of TensorFlow's, found another file")
    entries: dict[str, Entry] = {}
    last, is_first = b"", True
    for key, value in _table(content, footer, checks_crc=checks_crc):
        if is_first:
            _check_header(key, value)
            is_first = False
            continue
        if key <= last:
            raise ValueError(f"expected names in their order, found {key[:99]!r} after {last[:99]!r}")
        if len(entries) == _MAX_VARIABLES:
            raise ValueError(f"expected at most {_MAX_VARIABLES} variables, found more")
        name, last = key.decode("utf-8"), key
        entries[name] = _entry(name, value, n_data_bytes)
    if is_first:
        raise ValueError("expected a header, found an empty table")
    return entries


def variable_from(name: str, entry: Entry, content: bytes | memoryview, *, checks_crc: bool) -> np.ndarray:
    """Return the value of a variable, read-only.

    Parameters
    ----------
    name : str
        The variable's name, for errors.
    entry : Entry
        From the index.
    content : bytes or memoryview
        The bytes of the data file that the entry names.
    checks_crc : bool
        Whether to check their checksum.

    Raises
    ------
    ValueError
        If it does not hold numbers, or texts whose checksum is not asked for, or if the checksum is wrong.
    """
    if entry.dtype is None or (entry.dtype.kind == "O" and checks_crc):
        raise ValueError(f"expected numbers for {name}, found another type")
    if entry.dtype.kind == "O":
        return np.array(_texts(name, content, math.prod(entry.shape)), object).reshape(entry.shape)
    if len(content) != entry.size or (checks_crc and _masked_crc(bytes(content)) != entry.crc32c):
        raise ValueError(f"expected the numbers of {name} as they were written, found damage")
    return np.frombuffer(content, entry.dtype).reshape(entry.shape)


def _texts(name: str, content: bytes | memoryview, n: int) -> list[bytes]:
    """Return `n` texts from their lengths, the checksum of these, and their bytes."""
    if n > _MAX_TEXTS:
        raise ValueError(f"expected at most {_MAX_TEXTS} texts for {name}, found {n}")
    lengths, at = [], 0
    for _ in range(n):
        length, at = _varint(content, at, len(content))
        lengths.append(length)
    ends = list(itertools.accumulate(lengths, initial=at + 4))
    if ends[-1] != len(content):
        raise ValueError(f"expected texts of {len(content)} bytes for {name}, found {ends[-1]}")
    return [bytes(content[start:end]) for start, end in itertools.pairwise(ends)]


def _table(content: bytes, footer: int, *, checks_crc: bool) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of all data blocks, which the block that the footer names lists."""
    _, at = _handle(content, footer, len(content))  # of a block that TensorFlow leaves empty
    index, _ = _handle(content, at, len(content))
    end = 0
    for _, value in _pairs(_block(content, index, footer, checks_crc=checks_crc)):
        handle, _ = _handle(value, 0, len(value))
        if handle[0] < end:  # else a small file could list one block again and again
            raise ValueError("expected blocks one after the other, found two of the same bytes")
        yield from _pairs(_block(content, handle, footer, checks_crc=checks_crc))
        end = sum(handle)


def _block(content: bytes, handle: tuple[int, int], footer: int, *, checks_crc: bool) -> memoryview:
    """Return the entries of the block at (offset, size)."""
    offset, size = handle
    end = offset + size
    if end + _TRAILER_BYTES > footer:
        raise ValueError(f"expected blocks within {footer} bytes, found one up to {end + _TRAILER_BYTES}")
    if content[end]:
        raise ValueError(f"expected blocks that are not compressed, found compression {content[end]}")
    checksum = int.from_bytes(content[end + 1 : end + _TRAILER_BYTES], "little")
    if checks_crc and _masked_crc(content[offset : end + 1]) != checksum:
        raise ValueError("expected a table as it was written, found damage")
    return memoryview(content)[offset:end]


def _pairs(block: memoryview) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of a block, each key of which begins with so many bytes of the key before it."""
    # At the end is a list of entries with whole keys, for searches, and its length.
    end = len(block) - 4
    end -= 4 * int.from_bytes(block[end:], "little") if end >= 0 else 0
    if end < 0:
        raise ValueError("expected the list at the end of a block, found a block that is too short")
    key, at = b"", 0
    while at < end:
        n_shared, at = _varint(block, at, end)
        n_own, at = _varint(block, at, end)
        n_value, at = _varint(block, at, end)
        if n_shared > len(key) or n_shared + n_own > _MAX_NAME_BYTES or at + n_own + n_value > end:
            raise ValueError("expected an entry within its block, found one that is too long")
        key = key[:n_shared] + bytes(block[at : at + n_own])
        at += n_own + n_value
        yield key, bytes(block[at - n_value : at])


def _handle(content: bytes, at: int, end: int) -> tuple[tuple[int, int], int]:
    """Return (offset, size) of a block and where the bytes that say so end."""
    offset, at = _varint(content, at, end)
    size, at = _varint(content, at, end)
    return (offset, size), at


def _varint(content: bytes | memoryview, at: int, end: int) -> tuple[int, int]:
    """Return a number of 7 bits a byte, the lowest first, and where it ends."""
    number = 0
    for n, byte in enumerate(content[at : min(end, at + 10)]):
        number |= (byte & 127) << 7 * n
        if byte < 128:
            return number, at + n + 1
    raise ValueError("expected a number, found one that does not end")


def _check_header(key: bytes, value: bytes) -> None:
    """Raise ValueError unless it is the first entry of an index of one little-endian data file."""
    if key:
        raise ValueError(f"expected a header, found {key[:99]!r}")
    header = tensor_bundle_pb2.BundleHeaderProto()
    _parse(header, value, "header")
    if header.num_shards != 1:
        raise ValueError(f"expected variables in one data file, found {header.num_shards}")
    if header.endianness != tensor_bundle_pb2.BundleHeaderProto.LITTLE:
        raise ValueError("expected little-endian numbers, found big-endian ones")
    if header.version.min_consumer > _BUNDLE_VERSION:
        raise ValueError(f"expected version {_BUNDLE_VERSION} of TensorFlow's checkpoints, found a newer one")


def _entry(name: str, value: bytes, n_data_bytes: int) -> Entry:
    """Check an entry against the size of the data file."""
    found = tensor_bundle_pb2.BundleEntryProto()
    _parse(found, value, name)
    if found.slices:
        raise ValueError(f"expected whole variables, found {name} in slices")
    if found.shard_id or found.offset < 0 or found.size < 0 or found.offset + found.size > n_data_bytes:
        raise ValueError(f"expected {name} within {n_data_bytes} bytes, found {found.size} bytes at {found.offset}")
    shape = tuple(dim.size for dim in found.shape.dim[: _MAX_RANK + 1])
    if found.shape.unknown_rank or len(shape) > _MAX_RANK or min(shape, default=0) < 0:
        raise ValueError(f"expected at most {_MAX_RANK} sizes of at least 0 for {name}, found others")
    dtype = _dtype(found.dtype)
    if dtype is not None and dtype.kind != "O" and math.prod(shape) * dtype.itemsize != found.size:
        raise ValueError(f"expected {found.size} bytes for {name}, found shape {list(shape)} of {dtype}")
    return Entry(dtype, shape, found.offset, found.size, found.crc32c)


def _parse(message: tensor_bundle_pb2.BundleEntryProto, value: bytes, what: str) -> None:
    try:
        message.ParseFromString(value)
    except DecodeError as error:
        raise ValueError(f"expected the entry of {what}, found other bytes") from error


def _dtype(number: int) -> np.dtype | None:
    """NumPy's type for TensorFlow's; object for text, None for resources, references and unknown ones."""
    if number >= _REFERENCES:
        return None
    try:
        dtype = tf.dtypes.as_dtype(number)
    except TypeError:
        return None
    if dtype == tf.string:
        return np.dtype(object)
    is_number = dtype.is_floating or dtype.is_integer or dtype.is_complex or dtype.is_bool
    return np.dtype(dtype.as_numpy_dtype) if is_number and not dtype.is_quantized else None


def _masked_crc(content: bytes) -> int:
    """CRC-32C as TensorFlow stores it: turned and shifted, since a checksum of data with checksums is weak."""
    crc = google_crc32c.value(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
