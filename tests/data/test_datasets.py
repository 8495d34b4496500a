import contextlib
import functools
import gzip
import hashlib
import http.server
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import write_set

from digitcnn import DownloadError, IDXError, download, load_dataset, load_mnist, read_idx, write_idx
from digitcnn.data import download as downloads

FILES = [f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


@pytest.mark.parametrize("joint", ["-", "."])
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dataset_type", ["train", "t10k"])
def test_both_name_styles(tmp_path, joint, suffix, dataset_type):
    images = write_set(tmp_path, joint, suffix)
    X, y = load_mnist(tmp_path, dataset_type=dataset_type)
    assert X.dtype == y.dtype == np.uint8
    np.testing.assert_array_equal(X, images.reshape(6, 784))
    np.testing.assert_array_equal(y, range(6))


def test_faults_between_files(tmp_path):
    write_set(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.arange(5, dtype=np.uint8))
    with pytest.raises(IDXError, match="train-images.*expected 5 x 28 x 28 elements, found 6 x 28 x 28"):
        load_mnist(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.array([0, 1, 2, 10, 4, 5], np.uint8))
    with pytest.raises(IDXError, match="train-labels.*expected labels 0..9, found 10 at index 3"):
        load_mnist(tmp_path)
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", np.zeros((6, 32, 32), np.uint8))
    with pytest.raises(IDXError, match="expected 6 x 28 x 28 elements, found 6 x 32 x 32"):
        load_mnist(tmp_path, "t10k")


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte.gz"):
        load_mnist(tmp_path)
    with pytest.raises(FileNotFoundError, match="found nothing there"):
        load_mnist(tmp_path / "no")
    with pytest.raises(ValueError, match="expected 'train' or 't10k', found 'test'"):
        load_mnist(tmp_path, "test")
    with pytest.raises(ValueError, match="expected bundled, mnist.*found 'minst'"):
        load_dataset("minst")


def test_bundled_is_whole(digits):
    assert digits.train_images.shape == (1437, 784) and digits.test_images.shape == (360, 784)
    assert np.bincount(digits.train_labels).min() > 130
    images = digits.train_images.reshape(-1, 28, 28).astype(float)
    # MNIST's form: ink in a box of at most 20x20, its centre of mass within half a pixel of the middle.
    for image in images[::50]:
        rows, columns = np.nonzero(image.max(axis=1))[0], np.nonzero(image.max(axis=0))[0]
        assert max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
        centre = [(image.sum(axis=axis) @ np.arange(0.5, 28)) / image.sum() for axis in (0, 1)]
        assert np.abs(np.subtract(centre, 14)).max() <= 0.5


def test_bundled_files_are_what_the_script_makes(tmp_path, monkeypatch):
    pytest.importorskip("sklearn", reason="scikit-learn, the source of the bundled digits, is not installed")
    import runpy

    from conftest import ROOT

    script = runpy.run_path(str(ROOT / "data" / "make_bundled.py"))
    made = tmp_path / "made.py"
    script["main"].__globals__["__file__"] = str(made)
    script["main"]()
    for file in (tmp_path / "bundled").iterdir():
        # Compared as arrays: zlib's output may differ from version to version.
        np.testing.assert_array_equal(read_idx(file), read_idx(ROOT / "data" / "bundled" / file.name))


def test_split_keeps_the_last_for_validation(digits):
    (X, y), (Xv, yv) = digits.split(37)
    assert len(X) == len(y) == 1400 and len(Xv) == len(yv) == 37
    np.testing.assert_array_equal(np.concatenate([X, Xv]), digits.train_images)
    assert digits.split(0)[1] is None
    for n in (-1, 1437, 1.5):
        with pytest.raises((ValueError, TypeError), match="n_validation: expected a whole number in 0..1436"):
            digits.split(n)


def test_data_dir_goes_before_the_environment(tmp_path, monkeypatch):
    for place, n in (("argument", 3), ("environment", 4)):
        write_set(tmp_path / place / "kmnist", n=n)
    monkeypatch.setenv("DIGITCNN_DATA", str(tmp_path / "environment"))
    assert len(load_dataset("kmnist").train_labels) == 4
    assert len(load_dataset("kmnist", tmp_path / "argument").train_labels) == 3
    assert len(load_dataset(tmp_path / "argument" / "kmnist").train_labels) == 3
    (tmp_path / "argument" / "kmnist").rename(tmp_path / "argument" / "mine")
    assert len(load_dataset("kmnist", tmp_path / "argument").train_labels) == 4
    mine = load_dataset("mine", tmp_path / "argument")
    with pytest.raises(FileNotFoundError, match="nowhere: expected a folder that has data sets"):
        load_dataset("bundled", tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere: expected a folder that has data sets"):
        load_dataset("mine", tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path / "argument")
    write_set(tmp_path / "argument" / "kmnist", n=7)
    for path in ("./kmnist", tmp_path / "argument" / "kmnist"):  # a path is not taken for a name
        assert len(load_dataset(path).train_labels) == 7
    (tmp_path / "argument" / "mine" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="expected one of t10k-labels"):
        load_dataset("mine", tmp_path / "argument")
    monkeypatch.setenv("DIGITCNN_DATA", str(tmp_path / "nowhere"))
    assert load_dataset().name == "bundled"
    assert mine.name == "mine" and mine.folder == tmp_path / "argument" / "mine"


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, content, length):
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def do_GET(self):
        kind, file = self.path.split("/")[1], self.path.rpartition("/")[2]
        if kind in ("slow", "stuck", "short"):  # half of it, and then ...
            content = (self.server.folder / file).read_bytes()
            middle = len(content) // 2
            self.answer(content[:middle], len(content))
            if kind == "slow":  # ... wait for the other one to have come as far
                if self.server.both.wait(30) == 0:
                    self.server.met += 1
                self.wfile.write(content[middle:])
            elif kind == "stuck":  # ... no more; "short" breaks off
                self.server.over.wait(60)
        elif kind == "wrong":
            content = gzip.compress(b"not what was asked for")
            self.answer(content, len(content))
        else:
            super().do_GET()


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    write_set(folder)
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.folder, server.both, server.met = folder, threading.Barrier(2), 0
        server.over = threading.Event()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def mirrors(monkeypatch, server, *paths):
    """Have MNIST come from `server` alone."""
    monkeypatch.delenv("DIGITCNN_DATA", raising=False)
    urls = tuple(f"http://127.0.0.1:{server.server_port}{path}/" for path in paths)
    sha256 = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in server.folder.iterdir()}
    monkeypatch.setitem(downloads.SOURCES, "mnist", downloads.Source(urls, sha256))


@pytest.mark.parametrize("first", ["/missing", "/short", "/wrong"])
def test_the_next_mirror_is_tried(tmp_path, monkeypatch, server, first):
    mirrors(monkeypatch, server, first, "")
    assert len(load_dataset("mnist", tmp_path / "to").train_labels) == 6
    assert sorted(file.name for file in (tmp_path / "to" / "mnist").iterdir()) == sorted(
        f"{name}-ubyte.gz" for name in FILES
    )


@pytest.mark.parametrize("only", ["/missing", "/short", "/wrong"])
def test_no_mirror_no_file(tmp_path, monkeypatch, server, only):
    mirrors(monkeypatch, server, only)
    with pytest.raises(
        DownloadError, match=r"could not get .*ubyte.gz(?s:.*)DIGITCNN_DATA.*'bundled' needs no network"
    ):
        download("mnist", tmp_path / "to")
    assert not any((tmp_path / "to" / "mnist").glob("*"))


def test_a_server_that_stops_sending(tmp_path, monkeypatch, server):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.5)
    mirrors(monkeypatch, server, "/stuck")
    with pytest.raises(DownloadError, match="could not get .*(?s:.*)timed out"):
        download("mnist", tmp_path / "to")
    assert not any((tmp_path / "to" / "mnist").glob("*"))
    mirrors(monkeypatch, server, "/stuck", "")
    assert len(load_dataset("mnist", tmp_path / "to").train_labels) == 6


def test_offline(tmp_path, monkeypatch, server):
    mirrors(monkeypatch, server, "")
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match="Check the network"):
        load_dataset("mnist", tmp_path / "to")


def test_what_is_there_is_not_downloaded_again(tmp_path, monkeypatch, server):
    mirrors(monkeypatch, server, "")
    folder = download("mnist", tmp_path / "to")
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    mirrors(monkeypatch, server, "/missing")
    assert download("mnist", tmp_path / "to") == folder
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before


def test_two_processes_at_once(tmp_path, monkeypatch, server):
    """Each file is held back half-way until both processes are downloading it."""
    mirrors(monkeypatch, server, "/slow")
    source = downloads.SOURCES["mnist"]
    code = (
        "from digitcnn.data import datasets, download;"
        f"download.SOURCES['mnist'] = download.Source({source.mirrors!r}, {source.sha256!r});"
        f"print(len(datasets.load_dataset('mnist', {str(tmp_path / 'to')!r}).train_labels))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    folder = tmp_path / "to" / "mnist"
    whole = {file.name: file.stat().st_size for file in server.folder.iterdir()}
    while any(process.poll() is None for process in processes):
        for name, size in whole.items():  # a file is there whole or not at all
            with contextlib.suppress(FileNotFoundError):
                assert (folder / name).stat().st_size == size
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0 and output.strip() == "6", errors
    assert sorted(file.name for file in folder.iterdir()) == sorted(whole)
    assert server.met == len(whole)


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch, server):
    """Given by name it is an error; from the environment, the user's cache is taken instead."""
    mirrors(monkeypatch, server, "")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DownloadError, match="expected a folder that can be written"):
        download("mnist", tmp_path / "file")
    monkeypatch.setenv("DIGITCNN_DATA", str(tmp_path / "file"))
    monkeypatch.setattr(downloads, "user_cache", lambda: tmp_path / "cache")
    assert download("mnist") == tmp_path / "cache" / "mnist"


def test_only_downloadable_names():
    with pytest.raises(ValueError, match=r"\(mnist, fashion-mnist, kmnist\), found 'bundled'"):
        download("bundled")


def test_checksums_of_mnist_are_those_of_the_real_files(mnist):
    import os
    from pathlib import Path

    for name, sha256 in downloads.SOURCES["mnist"].sha256.items():
        file = Path(os.environ["DIGITCNN_DATA"]) / "mnist" / name
        if file.exists():
            assert hashlib.sha256(file.read_bytes()).hexdigest() == sha256
    assert len(mnist.train_labels) == 60_000 and len(mnist.test_labels) == 10_000
