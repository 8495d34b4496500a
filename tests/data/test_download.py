"""Downloads from a server of our own, with every fault that a server can have."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import write_set

from digitcnn import DownloadError, download, load_dataset
from digitcnn.cli.main import main
from digitcnn.data import download as downloads
from digitcnn.data.fetching import Limits, fetch
from digitcnn.data.sources import RemoteFile, Source

BOMB = gzip.compress(bytes(5 << 20), 1)
FILES = [f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError):  # the client has left
            super().handle()

    def answer(self, content, length):
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def do_GET(self):
        kind, file = self.path.split("/")[1].replace("%20", " "), self.path.rpartition("/")[2]
        if kind in ("slow", "stuck", "short"):  # send half of it, and then ...
            content = (self.server.folder / file).read_bytes()
            middle = len(content) // 2
            self.answer(content[:middle], len(content))
            if kind == "slow":  # ... wait until the other process has as much
                if self.server.both.wait(30) == 0:
                    self.server.met += 1
                self.wfile.write(content[middle:])
            elif kind == "stuck":  # ... nothing more; "short" closes the connection
                self.server.over.wait(60)
        elif kind in ("endless", "drip", "liar"):
            self.send_response(200)
            if kind == "liar":
                self.send_header("Content-Length", str(1 << 40))
            self.end_headers()
            self.wfile.write(b"<html>")
            while not self.server.over.wait(0.05 if kind == "drip" else 0):
                self.wfile.write(b"x" if kind == "drip" else bytes(1 << 16))
        elif kind == "dripping head":
            while not self.server.over.wait(0.05):
                self.wfile.write(b"X")
        elif kind == "round":
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()
        elif kind == "bomb":
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(BOMB)
        elif kind == "encoded":  # as servers do that take a file's ending for how they send it
            content = (self.server.folder / file).read_bytes()
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(content)
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
        thread = threading.Thread(target=server.serve_forever, args=[0.02])  # seconds until it sees that it is to end
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def mirrors(monkeypatch, server, *paths):
    """Make `server` the only source of MNIST, at these paths."""
    monkeypatch.delenv("DIGITCNN_DATA", raising=False)
    urls = tuple(f"http://127.0.0.1:{server.server_port}{path}/" for path in paths)
    files = {file.name: file.read_bytes() for file in server.folder.iterdir()}
    files = {name: RemoteFile(len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()}
    monkeypatch.setitem(downloads.SOURCES, "mnist", Source(urls, files))


@pytest.mark.parametrize("first", ["/missing", "/short", "/wrong"])
def test_download_tries_the_next_mirror(tmp_path, monkeypatch, server, first):
    mirrors(monkeypatch, server, first, "")
    (tmp_path / "to").mkdir()
    assert len(load_dataset("mnist", tmp_path / "to").train_labels) == 6
    assert sorted(file.name for file in (tmp_path / "to" / "mnist").iterdir()) == sorted(
        f"{name}-ubyte.gz" for name in FILES
    )


@pytest.mark.parametrize("only", ["/missing", "/short", "/wrong"])
def test_download_without_a_good_mirror_leaves_no_file(tmp_path, monkeypatch, server, only):
    mirrors(monkeypatch, server, only)
    with pytest.raises(
        DownloadError, match=r"could not get .*ubyte.gz(?s:.*)DIGITCNN_DATA.*'bundled' needs no network"
    ):
        download("mnist", tmp_path / "to")
    assert not any((tmp_path / "to" / "mnist").glob("*"))


def test_download_times_out_when_the_server_stops_sending(tmp_path, monkeypatch, server):
    mirrors(monkeypatch, server, "/stuck")
    with pytest.raises(DownloadError, match="could not get .*(?s:.*)timed out"):
        downloads.download_set("mnist", tmp_path / "to", Limits(0.5))
    assert not any((tmp_path / "to" / "mnist").glob("*"))
    mirrors(monkeypatch, server, "/stuck", "")
    downloads.download_set("mnist", tmp_path / "to", Limits(0.5))
    assert len(load_dataset("mnist", tmp_path / "to").train_labels) == 6


BAD_SERVERS = {
    "endless": r"expected [\d,]+ bytes, found more: a web page$",
    "liar": r"expected [\d,]+ bytes, found 1,099,511,627,776: a web page$",
    "drip": "timed out: expected 100,000 bytes within 1 s, found ",
    "dripping head": "timed out: expected 100,000 bytes within 1 s, found 0$",
    "round": "Exceeded 30 redirects",
    "bomb": r"expected [\d,]+ bytes, found ",
}


@pytest.mark.parametrize("server_is", BAD_SERVERS)
def test_download_from_a_bad_server_is_bounded(tmp_path, monkeypatch, server, server_is):
    """In bytes and in time; the next mirror has the file."""
    limits = Limits(1.0 if "drip" in server_is else 20.0)
    mirrors(monkeypatch, server, f"/{server_is}")
    begin = time.monotonic()
    with pytest.raises(DownloadError, match=f"(?m){BAD_SERVERS[server_is]}"):
        downloads.download_set("mnist", tmp_path / "to", limits)
    assert time.monotonic() - begin < 10
    assert not any((tmp_path / "to" / "mnist").iterdir())
    url = f"http://127.0.0.1:{server.server_port}/{server_is}/{FILES[1]}-ubyte.gz"
    with pytest.raises(OSError, match="expected|Exceeded"):
        fetch(url, tmp_path / "part", RemoteFile(1_000, "0"), limits)
    assert (tmp_path / "part").stat().st_size <= 1_000
    mirrors(monkeypatch, server, "")
    whole = download("mnist", tmp_path / "to") / f"{FILES[1]}-ubyte.gz"
    whole.unlink()
    mirrors(monkeypatch, server, f"/{server_is}", "")
    downloads.download_set("mnist", tmp_path / "to", limits)
    assert whole.is_file()


def test_download_takes_the_bytes_as_they_are(tmp_path, monkeypatch, server):
    mirrors(monkeypatch, server, "/encoded")
    assert len(list(download("mnist", tmp_path / "to").iterdir())) == 4


def test_download_removes_what_a_killed_one_left(tmp_path, monkeypatch, server):
    """And nothing of one that lives."""
    mirrors(monkeypatch, server, "/drip")
    source = downloads.SOURCES["mnist"]
    code = (
        "from pathlib import Path; from digitcnn.data import download, fetching, sources;"
        "from digitcnn.data.sources import RemoteFile;"
        f"sources.SOURCES['mnist'] = sources.Source({source.mirrors!r}, {source.files!r});"
        "download.download_set('mnist', Path('to'), fetching.Limits(60))"
    )
    folder = tmp_path / "to" / "mnist"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        while not any(folder.glob(".download-*/*-ubyte.gz")):
            assert process.poll() is None
            time.sleep(0.02)
        [scratch] = folder.glob(".download-*")
        mirrors(monkeypatch, server, "")
        os.utime(scratch, (1, 1))
        download("mnist", tmp_path / "to")
        assert scratch.is_dir(), "its process lives"
        process.kill()
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    download("mnist", tmp_path / "to")
    assert sorted(file.name for file in folder.iterdir()) == sorted(f"{name}-ubyte.gz" for name in FILES)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_downloaded_files_have_the_permissions_of_new_files(tmp_path, monkeypatch, server):
    mirrors(monkeypatch, server, "")
    before = os.umask(0o027)
    try:
        folder = download("mnist", tmp_path / "to")
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o640}


def test_download_offline_raises(tmp_path, monkeypatch, server):
    mirrors(monkeypatch, server, "")
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match="Check the network"):
        download("mnist", tmp_path / "to")


def test_download_keeps_good_files(tmp_path, monkeypatch, server):
    mirrors(monkeypatch, server, "")
    folder = download("mnist", tmp_path / "to")
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    mirrors(monkeypatch, server, "/missing")
    assert download("mnist", tmp_path / "to") == folder
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before


def test_two_processes_download_at_once(tmp_path, monkeypatch, server):
    """The server holds each file back half-way until both processes are downloading it."""
    mirrors(monkeypatch, server, "/slow")
    source = downloads.SOURCES["mnist"]
    (tmp_path / "to").mkdir()
    code = (
        "from digitcnn.data import datasets, sources;"
        "from digitcnn.data.sources import RemoteFile;"
        f"sources.SOURCES['mnist'] = sources.Source({source.mirrors!r}, {source.files!r});"
        f"print(len(datasets.load_dataset('mnist', {str(tmp_path / 'to')!r}).train_labels))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    folder = tmp_path / "to" / "mnist"
    whole = {file.name: file.stat().st_size for file in server.folder.iterdir()}
    while any(process.poll() is None for process in processes):
        for name, size in whole.items():  # a file appears whole or not at all
            with contextlib.suppress(FileNotFoundError):
                assert (folder / name).stat().st_size == size
        time.sleep(0.001)  # leaves the cores to the processes
    for process in processes:
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0 and output.strip() == "6", errors
    assert sorted(file.name for file in folder.iterdir()) == sorted(whole)
    assert server.met == len(whole)


def test_download_to_an_unwritable_folder(tmp_path, monkeypatch, server):
    """As data_dir it raises; from the environment, the user's cache replaces it."""
    mirrors(monkeypatch, server, "")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(
        DownloadError, match="expected a folder that can be written, to download 'mnist' to, found a file where"
    ):
        download("mnist", tmp_path / "file")
    monkeypatch.setenv("DIGITCNN_DATA", str(tmp_path / "file"))
    monkeypatch.setattr(downloads, "user_cache", lambda: tmp_path / "cache")
    assert download("mnist") == tmp_path / "cache" / "mnist"


def test_download_rejects_other_names():
    with pytest.raises(ValueError, match=r"\(mnist, fashion-mnist, kmnist, .*emnist-balanced\), found 'bundled'"):
        download("bundled")
    with pytest.raises(ValueError, match="found 'minst'; did you mean 'mnist'"):
        download("minst")


def test_download_makes_a_missing_folder(tmp_path, monkeypatch, capsys, server):
    mirrors(monkeypatch, server, "")
    assert download("mnist", "no/such/dir").resolve() == tmp_path / "no" / "such" / "dir" / "mnist"
    assert len(load_dataset("mnist", "no/such/dir").train_labels) == 6
    assert main(["download", "mnist", "--data-dir", "new"]) == 0
    assert capsys.readouterr().out == f"mnist: {Path('new') / 'mnist'}\n"
    assert len(load_dataset("mnist", "new").train_labels) == 6


def test_download_to_a_full_disk_is_explained(tmp_path, monkeypatch, server):
    mirrors(monkeypatch, server, "")

    def no_space(*_, **__):
        raise OSError(28, "No space left on device", "mnist/file")

    monkeypatch.setattr(downloads, "fetch", no_space)
    with pytest.raises(DownloadError, match=r"could not get .*(?s:.*)ubyte.gz: no space left on device\n"):
        download("mnist", tmp_path / "to")


def test_mnist_checksums_match_the_real_files(mnist):
    for name, expected in downloads.SOURCES["mnist"].files.items():
        file = Path(os.environ["DIGITCNN_DATA"]) / "mnist" / name
        if file.exists():
            assert hashlib.sha256(file.read_bytes()).hexdigest() == expected.sha256
            assert file.stat().st_size == expected.n_bytes
    assert len(mnist.train_labels) == 60_000 and len(mnist.test_labels) == 10_000
