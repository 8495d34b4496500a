"""Files and folders that appear whole or not at all.

They are written under another name in the same folder and then renamed, which is one step. Cleaning up afterwards
never raises: it would hide the error before it, and what a failed deletion leaves has a hidden name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def write_whole(file: Path, content: bytes, *, is_durable: bool = False) -> None:
    """Write a file that is there whole or as it was before; where there is a link, the file replaces it.

    is_durable: force the bytes to the disk first, so that a power failure leaves no name without its bytes.
    Raises OSError.
    """
    # A temporary file in the same folder, so that the rename is atomic.
    temporary = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
    # "x": a new file, or an error; never one that is there, or what a link points to. The umask decides who may read
    # it, as of any new file; tempfile's are their owner's alone.
    stream = temporary.open("xb")
    try:
        with stream:
            stream.write(content)
            if is_durable:
                stream.flush()
                os.fsync(stream.fileno())
        temporary.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):  # already renamed, or the disk fails for this too
            temporary.unlink()
        raise
    if is_durable:
        sync_folder(file.parent)


@contextlib.contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[Path]:
    """A hidden folder `.NAME-...` in `parent`, removed at the end; a kill leaves it."""
    scratch = tempfile.mkdtemp(dir=parent, prefix=f".{name}-")
    try:
        yield Path(scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def sync(path: Path) -> None:
    """Force a file's bytes, or a folder's names, to the disk."""
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Force a folder's names to the disk, where the system can."""
    with contextlib.suppress(OSError):  # Windows and some network file systems sync files only
        sync(folder)


def sync_tree(path: Path) -> None:
    """Force a file, or a folder with all that is in it, to the disk, so that a rename leaves no name without bytes."""
    for inner in (*path.rglob("*"), path):
        if inner.is_file():
            sync(inner)
        elif inner.is_dir():
            sync_folder(inner)


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
