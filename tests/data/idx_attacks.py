"""Shared by test_fuzz.py and benchmarks/fuzz_idx.py: make IDX files, damage them, and judge how they are read."""

import gzip
import io
import random
import struct
import tracemalloc
import zlib

import numpy as np

from digitcnn import IDXError, read_idx
from digitcnn.data.idx import TYPE_CODES

BUFFERS = 256 << 10  # bytes, for buffers that do not grow with the data: 10 KB measured, with gzip 116 KB


def plain(array: np.ndarray) -> bytes:
    """The bytes of an IDX file, made independently of the package."""
    code = next(code for code, dtype in TYPE_CODES.items() if dtype.newbyteorder("=") == array.dtype)
    header = bytes([0, 0, code, array.ndim]) + b"".join(struct.pack(">I", size) for size in array.shape)
    return header + array.astype(TYPE_CODES[code]).tobytes()


def content_of(data: bytes) -> bytes:
    """The bytes that a file really holds: its own, or as many as its gzip streams give."""
    if data[:2] != b"\x1f\x8b":
        return data
    out, stream = io.BytesIO(), gzip.GzipFile(fileobj=io.BytesIO(data))
    try:
        while chunk := stream.read1(1 << 16):
            out.write(chunk)
    except (OSError, EOFError, zlib.error):
        pass
    return out.getvalue()


def attack(path, data: bytes) -> str:
    """Read `data` as a file: 'refused' or 'read'. Raises AssertionError where the contract is broken.

    The contract: IDXError, or exactly the array that the bytes hold; and at most twice the memory of what
    the file really holds.
    """
    path.write_bytes(data)
    honest = content_of(data)
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    try:
        array = read_idx(path)
    except IDXError:
        array = None
    finally:
        peak = tracemalloc.get_traced_memory()[1] - before
        if not was_tracing:
            tracemalloc.stop()
    assert peak <= 2 * max(len(honest), len(data)) + BUFFERS, f"{peak} bytes for {len(honest)} in {len(data)}"
    if array is None:
        return "refused"
    assert plain(array) == honest, "not the array that the file holds"
    return "read"


def random_file(draws: random.Random) -> bytes:
    """The bytes of a valid file of any type and of rank 0 to 5, compressed in 4 of 10 cases."""
    shape = [draws.randrange(0, 9) for _ in range(draws.randrange(6))]
    dtype = draws.choice(list(TYPE_CODES.values())).newbyteorder("=")
    size = int(np.prod(shape)) * dtype.itemsize
    array = np.frombuffer(draws.randbytes(size), dtype).reshape(shape)
    return gzip.compress(plain(array), draws.choice([1, 9]), mtime=0) if draws.random() < 0.4 else plain(array)


def damaged(data: bytes, draws: random.Random) -> bytes:
    """The file with bytes changed (mostly in the header), cut off, inserted, appended or doubled."""
    content = bytearray(data)
    for _ in range(draws.choice([1, 1, 1, 2, 4])):
        kind, place = draws.random(), draws.randrange(min(len(content), draws.choice([8, 40, 1 << 20])) or 1)
        if kind < 0.5 and content:
            flipped = content[place] ^ 1 << draws.randrange(8)
            content[place] = draws.choice([0, 1, 8, 255, draws.randrange(256), flipped])
        elif kind < 0.65:
            del content[place:]
        elif kind < 0.8:
            content[place:place] = draws.randbytes(draws.randrange(1, 9))
        elif kind < 0.9:
            content += draws.randbytes(draws.randrange(1, 99))
        else:
            content *= 2
    return bytes(content)
