"""One file over HTTP: no more bytes than it has, no slower than a least rate, and only with the right SHA-256."""

from __future__ import annotations

import contextlib
import hashlib
import queue
import shutil
import threading
import time
import zipfile
import zlib
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .._content import N_START, describe_content
from .._files import scratch_folder, sha256_of
from .layouts import Layout, missing_files
from .sources import RemoteFile

_SCRATCH = "download"  # within the name of a download's folder
_LOCK = "lock"
_YOUNG = 2.0  # seconds, within which a scratch folder may not have its lock yet
_CHUNK = 1 << 14  # bytes


@dataclass(frozen=True)
class Limits:
    """What a mirror must keep to.

    Parameters
    ----------
    seconds : float, default 30
        A window of time.
    n_bytes : int, default 100,000
        What must come within each window, the last one aside: this bounds the whole download, too.
    """

    seconds: float = 30.0
    n_bytes: int = 100_000


LIMITS = Limits()


def fetch(url: str, file: Path, expected: RemoteFile, limits: Limits) -> None:
    """Download one file. Raises OSError with a sentence, and may then leave a part of it.

    Parameters
    ----------
    url : str
        Where it is.
    file : Path
        The file to write, which must not exist.
    expected : RemoteFile
        What it must be.
    limits : Limits
        How slowly it may come.
    """
    from .._progress import bar_options, tqdm

    digest, n_bytes, start = hashlib.sha256(), 0, b""
    with (
        file.open("xb") as stream,
        contextlib.closing(_chunks(url, expected, limits)) as chunks,
        tqdm(total=expected.n_bytes, desc=file.name, unit="B", unit_scale=True, **bar_options(show=True)) as bar,
    ):
        for chunk in chunks:
            n_bytes += len(chunk)
            start += chunk[: N_START - len(start)]
            if n_bytes > expected.n_bytes:
                raise OSError(f"expected {expected.n_bytes:,} bytes, found more{_what(start)}")
            stream.write(chunk)
            digest.update(chunk)
            bar.update(len(chunk))
    if n_bytes != expected.n_bytes:
        raise OSError(f"expected {expected.n_bytes:,} bytes, found {n_bytes:,}{_what(start)}")
    if digest.hexdigest() != expected.sha256:
        raise OSError(f"expected SHA-256 {expected.sha256}, found {digest.hexdigest()}{_what(start)}")


def _what(start: bytes) -> str:
    found = describe_content(start)
    return f": {found.partition(';')[0]}" if found and not start.startswith((b"\x1f\x8b", b"PK")) else ""


def _chunks(url: str, expected: RemoteFile, limits: Limits) -> Generator[bytes, None, None]:
    """The body's bytes as they come. Raises OSError if they come too slowly, or the server answers otherwise.

    A thread of its own waits for the server, as no time-out of a socket ends a server that sends a byte now and then,
    be it of the head or of the body. The thread ends with the next byte, or with the process.
    """
    arrived: queue.Queue[bytes | Exception | None] = queue.Queue(maxsize=64)
    is_over = threading.Event()
    thread = threading.Thread(target=_receive, args=(url, expected, limits, arrived, is_over), daemon=True)
    thread.start()
    end, in_window = time.monotonic() + limits.seconds, 0
    try:
        while True:
            try:
                chunk = arrived.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                chunk = b""
            if chunk is None:
                return
            if isinstance(chunk, Exception):
                raise OSError(_sentence(chunk)) from chunk
            if chunk:
                in_window += len(chunk)
                yield chunk
            if time.monotonic() >= end:
                if in_window < limits.n_bytes:
                    raise TimeoutError(
                        f"timed out: expected {limits.n_bytes:,} bytes within {limits.seconds:g} s, found {in_window:,}"
                    )
                end, in_window = time.monotonic() + limits.seconds, 0
    finally:
        is_over.set()


def _receive(url: str, expected: RemoteFile, limits: Limits, arrived: queue.Queue, is_over: threading.Event) -> None:
    """Put the body's chunks, then None, or the exception that ended it, into a queue."""
    import requests

    def put(item: bytes | Exception | None) -> None:
        while not is_over.is_set():
            with contextlib.suppress(queue.Full):
                arrived.put(item, timeout=0.1)
                return

    try:
        # Not compressed, as that could grow a thousandfold here.
        headers = {"Accept-Encoding": "identity"}
        with requests.get(url, stream=True, timeout=limits.seconds, headers=headers) as response:
            response.raise_for_status()
            length = response.headers.get("Content-Length", "")
            if length.isdecimal() and int(length) != expected.n_bytes:
                content = response.raw.read(N_START, decode_content=False)
                found = f"{int(length):,}{_what(content)}"
                raise OSError(f"expected {expected.n_bytes:,} bytes, found {found}")
            while not is_over.is_set() and (chunk := response.raw.read(_CHUNK, decode_content=False)):
                put(chunk)
        put(None)
    except Exception as error:  # of requests, urllib3, sockets and TLS
        put(error)


def _sentence(error: Exception) -> str:
    """What an exception says, in a line."""
    import requests

    if isinstance(error, requests.Timeout):
        return "timed out: the server sends nothing"
    if isinstance(error, requests.ConnectionError):
        return f"no connection: {error}"
    return str(error) or type(error).__name__


def has_content(file: Path, expected: RemoteFile) -> bool:
    """Whether a file is there with the right bytes."""
    if not file.is_file() or file.stat().st_size != expected.n_bytes:
        return False
    return sha256_of(file) == expected.sha256


@contextlib.contextmanager
def own_scratch(folder: Path) -> Iterator[Path]:
    """A hidden folder for a download under way, locked as long as its process lives; removes those of killed ones."""
    from filelock import FileLock

    _remove_stale(folder)
    with scratch_folder(folder, _SCRATCH) as scratch, contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # on a file system without locks, what a killed download left stays
            held.enter_context(FileLock(scratch / _LOCK))
        yield scratch


def _remove_stale(folder: Path) -> None:
    """Remove the scratch folders of downloads whose processes are gone."""
    from filelock import FileLock, Timeout

    for scratch in folder.glob(f".{_SCRATCH}-*"):
        with contextlib.suppress(OSError, Timeout):
            if scratch.is_dir() and not scratch.is_symlink() and time.time() - scratch.stat().st_mtime > _YOUNG:
                with FileLock(scratch / _LOCK, blocking=False):
                    pass
                shutil.rmtree(scratch)


def unpack(archive: Path, targets: Mapping[Path, Layout]) -> None:
    """Unpack the files of data sets out of a zip archive into their folders, each file whole or not at all.

    archive: beside it there is room for a file. Raises OSError if a file is not in it, or damaged.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = {name.rpartition("/")[2]: name for name in opened.namelist()}
            for folder, layout in targets.items():
                folder.mkdir(exist_ok=True)
                for name in missing_files(folder, layout):
                    if name not in members:
                        raise OSError(f"expected {name} in {archive.name}, found none")
                    part = archive.with_name(f"{name}.part")
                    with opened.open(members[name]) as source, part.open("wb") as target:
                        shutil.copyfileobj(source, target, 1 << 20)
                    part.replace(folder / name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise OSError(f"expected a zip archive, found: {error}") from error
