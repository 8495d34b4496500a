"""The lock of a folder that a process trains into."""

from __future__ import annotations

import os
from pathlib import Path

import filelock

from ..exceptions import FolderInUseError

LOCK = ".lock"


def lock_folder(folder: str | os.PathLike) -> filelock.AcquireReturnProxy:
    """A context manager that holds a folder's lock; the same process may take it again.

    It ends with the process, however that ends. Raises FolderInUseError if another process has it,
    OSError if the folder cannot be written, both before anything is changed.
    """
    folder = Path(folder)
    lock = filelock.FileLock(folder / LOCK, timeout=0, is_singleton=True)
    try:
        return lock.acquire()
    except filelock.Timeout:
        raise FolderInUseError(
            f"{folder}: expected a folder that no other process trains into, found one that does; "
            "wait for it to end, or give another folder"
        ) from None
    except OSError as error:
        raise OSError(f"{folder}: expected a folder that can be written, found: {error}") from error
