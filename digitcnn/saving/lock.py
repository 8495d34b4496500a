"""The lock of a folder that a process trains into."""

from __future__ import annotations

from pathlib import Path

import filelock

from .._validation import explain_os_errors
from ..exceptions import FolderInUseError

LOCK = ".lock"


def lock_folder(folder: Path) -> filelock.AcquireReturnProxy:
    """A context manager that holds a folder's lock; the same process may take it again.

    The lock ends with the process, however that ends. Raises FolderInUseError if another process holds it, OSError
    if the folder cannot be written, both before anything is changed.
    """
    lock = filelock.FileLock(folder / LOCK, timeout=0, is_singleton=True)
    try:
        with explain_os_errors(folder, "a folder that can be written"):
            return lock.acquire()
    except filelock.Timeout:
        raise FolderInUseError(
            f"{folder}: expected a folder that no other process trains into, found one in use; "
            "wait for that process to end, or give another folder"
        ) from None
