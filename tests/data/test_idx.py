"""read_idx and write_idx: the format byte by byte, and files that break it."""

import gzip
import struct
import sys
import tracemalloc

import numpy as np
import pytest

from digitcnn import IDXError, read_idx, write_idx

DTYPES = ["uint8", "int8", "int16", "int32", "float32", "float64"]
SHAPES = [(), (0,), (7,), (3, 5), (2, 3, 5), (2, 1, 3, 2), (1,) * 32, (4, 0, 3)]


def idx_bytes(code, sizes, data):
    return struct.pack(f">BBBB{len(sizes)}I", 0, 0, code, len(sizes), *sizes) + data


@pytest.mark.parametrize("name", ["a.idx", "a.idx.gz"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_write_and_read_round_trip(tmp_path, rng, dtype, shape, name):
    array = np.asarray(rng.uniform(-100, 100, shape)).astype(np.int64).astype(dtype)
    write_idx(tmp_path / name, array)
    read = read_idx(tmp_path / name)
    assert read.dtype == np.dtype(dtype) and read.dtype.isnative
    assert read.shape == shape and read.flags.writeable and read.flags.c_contiguous
    np.testing.assert_array_equal(read, array)


def test_write_idx_bytes(tmp_path):
    write_idx(tmp_path / "a", np.array([[1, -2, 258]], dtype=np.int16))
    expected = bytes.fromhex("00000b02 00000001 00000003 0001 fffe 0102")
    assert (tmp_path / "a").read_bytes() == expected


@pytest.mark.parametrize("dtype", [">i4", "<i4"])
def test_write_idx_accepts_either_byte_order(tmp_path, dtype):
    write_idx(tmp_path / "a", np.array([1, 2, 3], dtype=dtype)[::2])
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), [1, 3])


def test_read_idx_detects_gzip_by_content(tmp_path):
    write_idx(tmp_path / "a.gz", np.arange(5, dtype=np.uint8))
    (tmp_path / "a.gz").rename(tmp_path / "plain-name")
    write_idx(tmp_path / "b", np.arange(5, dtype=np.uint8))
    (tmp_path / "b").rename(tmp_path / "b.gz")
    for name in ("plain-name", "b.gz"):
        np.testing.assert_array_equal(read_idx(tmp_path / name), range(5))


def test_write_idx_is_deterministic(tmp_path):
    for name in ("a.gz", "b.gz"):
        write_idx(tmp_path / name, np.arange(5, dtype=np.uint8))
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


GOOD = idx_bytes(0x08, [2, 3], bytes(6))
BAD = {
    "empty": (b"", "found an empty file"),
    "short magic": (b"\0\0\x08", "found 3 bytes"),
    "wrong magic": (b"\x01\0\x08\x01" + bytes(5), "0000xxxx, found 01000801"),
    "unknown type": (idx_bytes(0x0A, [1], b"\0"), "type code among 08, 09, 0b, 0c, 0d, 0e, found 0a"),
    "rank too large": (b"\0\0\x08\xff" + bytes(4 * 255), "rank of at most"),
    "header cut off": (GOOD[:7], "2 dimension sizes, found 0"),
    "data cut off": (GOOD[:-1], "6 bytes of data"),
    "no data": (GOOD[:12], "6 bytes of data"),
    "trailing byte": (GOOD + b"x", "more after them"),
    "sizes overflow": (idx_bytes(0x0E, [2**32 - 1] * 3, bytes(100)), "fit in memory"),
    "overflow behind a zero": (idx_bytes(0x08, [0, 2**32 - 1, 2**32 - 1], b""), "fit in memory"),
    "size of gigabytes": (idx_bytes(0x08, [2**32 - 1], bytes(100)), "can hold no more"),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("fault", BAD)
def test_read_idx_bad_file_raises(tmp_path, fault, compressed):
    content, message = BAD[fault]
    file = tmp_path / "bad-file"
    file.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.raises(IDXError) as caught:
        read_idx(file)
    assert str(file) in str(caught.value) and "expected" in str(caught.value)
    # Missing data are noticed at different places in a gzip stream and in a plain file.
    if fault not in ("data cut off", "no data"):
        assert message in str(caught.value)


@pytest.mark.parametrize("cut", [3, 15, 40, -4, -1])
def test_read_idx_truncated_gzip_raises(tmp_path, cut):
    content = gzip.compress(idx_bytes(0x08, [100], bytes(range(100))))
    (tmp_path / "a").write_bytes(content[:cut])
    with pytest.raises(IDXError, match="gzip|magic"):
        read_idx(tmp_path / "a")


def test_read_idx_damaged_gzip_raises(tmp_path):
    content = bytearray(gzip.compress(idx_bytes(0x08, [100], bytes(range(100)))))
    content[-6] ^= 0xFF  # its checksum
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(IDXError, match="complete gzip stream"):
        read_idx(tmp_path / "a")


@pytest.mark.parametrize("compress", [gzip.compress, bytes])
def test_read_idx_bounds_memory_for_false_headers(tmp_path, compress):
    """A small file whose header claims 4 GB, and a gzip bomb behind a header that claims 10 bytes."""
    too_short = idx_bytes(0x08, [2**32 - 1], bytes(5_000_000 if compress is gzip.compress else 100))
    bomb = idx_bytes(0x08, [10], bytes(200_000_000 if compress is gzip.compress else 100))
    for content in (too_short, bomb):
        (tmp_path / "a").write_bytes(compress(content))
        tracemalloc.start()
        with pytest.raises(IDXError):
            read_idx(tmp_path / "a")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 12_000_000


def test_read_idx_checks_expected_dtype_and_shape(tmp_path):
    write_idx(tmp_path / "a", np.zeros((3, 28, 28), np.uint8))
    assert read_idx(tmp_path / "a", expected_dtype=np.uint8, expected_shape=(None, 28, 28)).shape == (3, 28, 28)
    with pytest.raises(IDXError, match="expected 4 x 28 x 28 elements, found 3 x 28 x 28"):
        read_idx(tmp_path / "a", expected_shape=(4, 28, 28))
    with pytest.raises(IDXError, match="expected elements of type float32, found uint8"):
        read_idx(tmp_path / "a", expected_dtype=np.float32)


@pytest.mark.parametrize("dtype", [bool, np.int64, np.uint16, complex, object, "U1"])
def test_write_idx_unsupported_dtype_raises(tmp_path, dtype):
    with pytest.raises(TypeError, match="array: expected a dtype that IDX has"):
        write_idx(tmp_path / "a", np.zeros(3, dtype))
    assert list(tmp_path.iterdir()) == []


def test_write_idx_failure_keeps_the_old_file(tmp_path, monkeypatch):
    write_idx(tmp_path / "a", np.arange(3, dtype=np.uint8))

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", no_space)
    with pytest.raises(OSError, match="a folder to write a to, found no space left on device"):
        write_idx(tmp_path / "a", np.zeros(9, np.uint8))
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), range(3))
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_missing_files_and_folders_are_explained(tmp_path):
    with pytest.raises(FileNotFoundError, match="^a: expected an IDX file, found nothing there$") as caught:
        read_idx("a")
    assert caught.value.errno == 2  # for programs that look at it
    with pytest.raises(FileNotFoundError, match="^out: expected a folder to write a.gz to, found nothing there$"):
        write_idx("out/a.gz", np.zeros(3, np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows reports other errors for such paths")
@pytest.mark.parametrize(
    ("path", "error", "found"),
    [
        ("file/below", NotADirectoryError, "a file where its path needs a folder"),
        ("loop/a", OSError, "symbolic links that lead in a circle"),
        ("n" * 300, OSError, "a name that is too long"),
    ],
)
def test_paths_that_cannot_be_used_are_explained(tmp_path, path, error, found):
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(error, match=f"^{path}: expected an IDX file, found {found}$"):
        read_idx(path)
    with pytest.raises(error, match=f": expected .* to write.*, found {found}$"):
        write_idx(path, np.zeros(3, np.uint8))
    assert {file.name for file in tmp_path.iterdir()} == {"file", "loop"}


def test_missing_permission_is_explained(tmp_path, monkeypatch):
    write_idx("a", np.zeros(3, np.uint8))

    def no_permission(*_, **__):
        raise PermissionError(13, "Permission denied", "a")

    monkeypatch.setattr("pathlib.Path.open", no_permission)
    with pytest.raises(PermissionError, match="^a: expected an IDX file, found no permission to access it$"):
        read_idx("a")
    monkeypatch.setattr("tempfile.mkstemp", no_permission)
    with pytest.raises(PermissionError, match="^out: expected a folder to write a to, found no permission to access"):
        write_idx("out/a", np.zeros(3, np.uint8))
