"""What test_fuzz.py and benchmarks/fuzz_idx.py have in common: IDX files, damage, and a judge."""

import gzip
import io
import random
import struct
import tracemalloc
import zlib

import numpy as np

from digitcnn import IDXError, read_idx
from digitcnn.data.idx import TYPE_CODES

BUFFERS = 256 << 10  # bytes that gzip and the file take whatever the size of the data: 10 KB, with gzip 116 KB here


def plain(array: np.ndarray) -> bytes:
    """An IDX file, written independently of the package."""
    code = next(code for code, dtype in TYPE_CODES.items() if dtype.newbyteorder("=") == array.dtype)
    header = bytes([0, 0, code, array.ndim]) + b"".join(struct.pack(">I", size) for size in array.shape)
    return header + array.astype(TYPE_CODES[code]).tobytes()


def content_of(data: bytes) -> bytes:
    """What a file really holds: itself, or as much as can be had from its gzip streams."""
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
    """Read `data` as a file: 'refused' or 'read'. AssertionError for anything but the contract.

    That is: IDXError or the very array that the bytes hold, and no more memory than twice what the file
    really holds.
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
    """A valid file: any type, rank 0 to 5, at times compressed."""
    shape = [draws.randrange(0, 9) for _ in range(draws.randrange(6))]
    dtype = draws.choice(list(TYPE_CODES.values())).newbyteorder("=")
    size = int(np.prod(shape)) * dtype.itemsize
    array = np.frombuffer(draws.randbytes(size), dtype).reshape(shape)
    return gzip.compress(plain(array), draws.choice([1, 9]), mtime=0) if draws.random() < 0.4 else plain(array)


def damaged(data: bytes, draws: random.Random) -> bytes:
    """The file after some of: bytes changed, most of them in the header, cut off, added, doubled."""
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
