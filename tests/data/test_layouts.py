"""QMNIST and EMNIST, by name and by their files' names: upright, labels from 0; other names get a warning."""

import functools
import hashlib
import http.server
import threading
import zipfile

import numpy as np
import pytest
from conftest import write_set

from digitcnn import DownloadError, IDXError, load_dataset, load_mnist, read_idx, write_idx
from digitcnn.cli.main import main
from digitcnn.data import download as downloads
from digitcnn.data.fetching import unpack
from digitcnn.data.layouts import LAYOUTS
from digitcnn.data.sources import SOURCES, RemoteFile, Source
from digitcnn.exceptions import DigitCNNWarning

N = 30
UPRIGHT = (np.arange(N * 784) % 251).astype(np.uint8).reshape(N, 28, 28)
LETTERS = (np.arange(N) % 26).astype(np.uint8)


def write_emnist(folder, split="letters", labels=LETTERS + 1):
    """EMNIST's four files as they come: images transposed, letters counted from 1."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        write_idx(folder / f"emnist-{split}-{part}-images-idx3-ubyte.gz", UPRIGHT.transpose(0, 2, 1))
        write_idx(folder / f"emnist-{split}-{part}-labels-idx1-ubyte.gz", labels.astype(np.uint8))


def write_qmnist(folder):
    """QMNIST's four files as they come: a row of eight numbers for each image, its class the first."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.arange(8 * N, dtype=np.int32).reshape(N, 8) * 1000
    labels[:, 0] = np.arange(N) % 10
    for part in ("train", "test"):
        write_idx(folder / f"qmnist-{part}-images-idx3-ubyte.gz", UPRIGHT)
        write_idx(folder / f"qmnist-{part}-labels-idx2-int.gz", labels)


def check(dataset, labels):
    for images, found in (
        (dataset.train_images, dataset.train_labels),
        (dataset.test_images, dataset.test_labels),
    ):
        np.testing.assert_array_equal(images, UPRIGHT.reshape(N, 784))
        np.testing.assert_array_equal(found, labels)
        assert images.flags.c_contiguous and found.dtype == np.uint8


def test_emnist_is_read_upright_and_from_0(tmp_path):
    write_emnist(tmp_path / "emnist-letters")
    for letters in (load_dataset("emnist-letters", tmp_path), load_dataset("./emnist-letters")):
        check(letters, LETTERS)
        assert letters.n_classes == 26
    (tmp_path / "emnist-letters").rename(tmp_path / "mine")  # the files' names say it
    check(load_dataset("./mine"), LETTERS)
    write_emnist(tmp_path / "mine", "balanced", np.arange(N) + 17)
    with pytest.raises(IDXError, match="mine: expected the files of one data set, found those of emnist-letters, emni"):
        load_dataset("./mine")
    write_emnist(tmp_path / "emnist-digits", "digits", np.arange(N) % 10)
    check(load_dataset("emnist-digits", tmp_path), np.arange(N) % 10)
    write_emnist(tmp_path / "emnist-balanced", "balanced", np.arange(N) + 17)
    assert load_dataset("emnist-balanced", tmp_path).n_classes == 47


def test_qmnist_is_read_by_its_first_column(tmp_path):
    write_qmnist(tmp_path / "qmnist")
    for dataset in (load_dataset("qmnist", tmp_path), load_dataset("./qmnist")):
        check(dataset, np.arange(N) % 10)
    np.testing.assert_array_equal(load_mnist("qmnist", "t10k")[1], np.arange(N) % 10)


def test_labels_of_another_layout_raise(tmp_path):
    write_emnist(tmp_path / "emnist-letters", labels=LETTERS)  # from 0
    with pytest.raises(IDXError, match=r"emnist-letters-train-labels.*expected labels 1..26, found 0 at index 0"):
        load_dataset("emnist-letters", tmp_path)
    write_qmnist(tmp_path / "qmnist")
    write_idx(tmp_path / "qmnist" / "qmnist-test-labels-idx2-int.gz", np.full((N, 8), 300, np.int32))
    with pytest.raises(IDXError, match="qmnist-test-labels.*expected labels 0..9, found 300"):
        load_dataset("qmnist", tmp_path)


@pytest.mark.parametrize("name", ["./mine", "emnist-letters"])
def test_emnist_under_other_names_warns(tmp_path, name, recwarn):
    folder = tmp_path / name
    write_set(folder)
    load_dataset("./" + folder.name)
    assert not recwarn
    for part in ("train", "t10k"):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", UPRIGHT)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", LETTERS + 1)
    with pytest.warns(DigitCNNWarning, match=r"emnist-letters under other names\? .* \(emnist-letters-train-ima"):
        load_dataset(name, tmp_path)


def test_digits_in_emnists_number_warn(tmp_path):
    for part, n in (("train", 240_000), ("t10k", 40_000)):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", np.zeros((n, 1, 1), np.uint8))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", (np.arange(n) % 10).astype(np.uint8))
    with pytest.warns(DigitCNNWarning, match="files of emnist-digits under other names"):
        load_dataset(tmp_path)


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A server that has EMNIST's archive, made here, and stands for its hosts."""
    monkeypatch.delenv("DIGITCNN_DATA", raising=False)
    served = tmp_path / "served"
    for split, labels in (("letters", LETTERS + 1), ("digits", LETTERS % 10), ("balanced", LETTERS)):
        write_emnist(served / "gzip", split, labels)
    with zipfile.ZipFile(served / "gzip.zip", "w") as made:
        for file in (served / "gzip").iterdir():
            made.write(file, f"gzip/{file.name}")
        made.writestr("gzip/emnist-byclass-train-images-idx3-ubyte.gz", bytes(9_999))
    content = (served / "gzip.zip").read_bytes()
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    handler = functools.partial(handler, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        files = {"gzip.zip": RemoteFile(len(content), hashlib.sha256(content).hexdigest())}
        source = Source((f"http://127.0.0.1:{server.server_port}/",), files, is_archive=True)
        for name in list(SOURCES):
            if name.startswith("emnist-"):
                monkeypatch.setitem(SOURCES, name, source)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_emnist_is_downloaded_once_for_all_splits(tmp_path, archive, capsys):
    (tmp_path / "to").mkdir()
    check(load_dataset("emnist-letters", tmp_path / "to"), LETTERS)
    archive.shutdown()
    archive.server_close()
    check(load_dataset("emnist-digits", tmp_path / "to"), LETTERS % 10)
    assert main(["download", "emnist-balanced", "--data-dir", "to"]) == 0
    folders = sorted(folder.name for folder in (tmp_path / "to").iterdir())
    assert folders == ["emnist-balanced", "emnist-digits", "emnist-letters"]
    for folder in folders:
        names = {file.name for file in (tmp_path / "to" / folder).iterdir()}
        assert len(names) == 4 and all(name.startswith(folder) for name in names)
    (tmp_path / "to" / "emnist-digits" / "emnist-digits-test-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DownloadError, match="could not get gzip.zip of 'emnist-digits'"):
        load_dataset("emnist-digits", tmp_path / "to")


def test_an_archive_without_the_files_raises(tmp_path, archive, monkeypatch):
    empty = tmp_path / "served" / "gzip.zip"
    with zipfile.ZipFile(empty, "w") as made:
        made.writestr("gzip/readme.txt", "")
    expected = RemoteFile(empty.stat().st_size, hashlib.sha256(empty.read_bytes()).hexdigest())
    source = Source(SOURCES["emnist-digits"].mirrors, {"gzip.zip": expected}, is_archive=True)
    monkeypatch.setitem(SOURCES, "emnist-digits", source)
    with pytest.raises(DownloadError, match="expected emnist-digits-train-images-idx3-ubyte.gz in gzip.zip, found"):
        downloads.download("emnist-digits", tmp_path / "to")
    assert not list((tmp_path / "to" / "emnist-digits").iterdir())


NO_IDX = {
    "a web page; download the file itself": b"<html><body>404</body></html>",
    "a zip archive; unpack it": b"PK\x03\x04" + bytes(9),
    "a Git LFS pointer in place of the file; fetch": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(20),
    "an array of NumPy's; numpy.load": b"\x93NUMPY\x01\0",
    "an HDF5 file": b"\x89HDF\r\n\x1a\n",
    "text": b"no data",
}


def test_a_damaged_archive_raises(tmp_path):
    """Its bytes have the right SHA-256 when they come; the disk may change them."""
    file = tmp_path / "gzip.zip"
    name = "emnist-digits-train-images-idx3-ubyte.gz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"gzip/{name}", np.random.default_rng(1).bytes(9_000) * 2)
    content = bytearray(file.read_bytes())
    content[200:260] = b"\xff" * 60
    file.write_bytes(content)
    with pytest.raises(OSError, match="expected a zip archive, found"):
        unpack(file, {tmp_path / "out": LAYOUTS["emnist-digits"]})


def test_a_file_in_place_of_a_folder_is_said(tmp_path):
    (tmp_path / "mnist.zip").write_bytes(NO_IDX["a zip archive; unpack it"])
    with pytest.raises(ValueError, match="of IDX files or .*, found 'mnist.zip', a file: a zip archive; unpack it"):
        load_dataset("mnist.zip")


@pytest.mark.parametrize("found", NO_IDX)
def test_what_is_no_idx_file_is_said(tmp_path, found):
    import gzip

    file = write_set(tmp_path / "mine") is not None and tmp_path / "mine" / "train-labels-idx1-ubyte.gz"
    file.write_bytes(NO_IDX[found])
    for read in (lambda: read_idx(file), lambda: load_dataset(tmp_path / "mine")):
        with pytest.raises(IDXError, match=f"train-labels-idx1-ubyte.gz: expected an IDX file, found {found}"):
            read()
    file.write_bytes(gzip.compress(NO_IDX[found]))
    with pytest.raises(IDXError, match=f"expected an IDX file within its gzip compression, found {found}"):
        read_idx(file)
    file.write_bytes(gzip.compress(gzip.compress(b"\0\0\x08\x01\0\0\0\0")))
    with pytest.raises(IDXError, match="within its gzip compression, found gzip-compressed data; unpack it first"):
        read_idx(file)
