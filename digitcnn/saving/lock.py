"""The locks of a folder: of the process that trains into it, and of those that save into it."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import filelock

from .._validation import explain_os_errors
from ..exceptions import FolderInUseError

LOCK, SAVING_LOCK = ".lock", ".lock-saving"
MAX_SECONDS = 60  # a model is written in less than a second


# What systems say of a file system, such as some network ones, that has no locks.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}


def lock_folder(folder: Path) -> AbstractContextManager:
    """A context manager that holds a folder's lock; the same process may take it again.

    The lock ends with the process, however that ends. A file system without locks has none. Raises FolderInUseError
    if another process holds it, OSError if the folder cannot be written, both before anything is changed.
    """
    lock = filelock.FileLock(folder / LOCK, timeout=0, is_singleton=True)
    return _acquire(
        lock,
        folder,
        f"{folder}: expected a folder that no other process trains into, found one in use; "
        "wait for that process to end, or give another folder",
    )


def lock_output(folder: Path, file: Path) -> AbstractContextManager:
    """A context manager that holds the lock of a file in the making, in the folder for it; one thread alone has it.

    As `lock_folder` otherwise.
    """
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    return _acquire(
        lock,
        file.parent,
        f"{file}: expected a file that no other process writes, found one being written; "
        "wait for that process to end, or give another name",
    )


def _acquire(lock: filelock.BaseFileLock, folder: Path, in_use: str) -> AbstractContextManager:
    """The lock, held, or nothing on a file system without locks. `in_use`: what FolderInUseError says."""
    try:
        with explain_os_errors(folder, "a folder that can be written"):
            try:
                return lock.acquire()
            except OSError as error:
                if error.errno in _NO_LOCKS:
                    return contextlib.nullcontext()
                raise
    except filelock.Timeout:
        raise FolderInUseError(in_use) from None


@contextlib.contextmanager
def writers_lock(folder: Path) -> Iterator[bool]:
    """Let one process or thread at a time change saved models in a folder; the others wait.

    Yields False on a file system without locks, where only one may save at a time, and nobody sees to it.
    Raises FolderInUseError if another one does not end, OSError if the folder cannot be written.
    """
    lock = filelock.FileLock(folder / SAVING_LOCK, timeout=MAX_SECONDS, poll_interval=0.01)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock)
        except filelock.Timeout:
            raise FolderInUseError(
                f"{folder}: expected others that save into it to end, found one that holds {SAVING_LOCK} for "
                f"{MAX_SECONDS} seconds; end that process, or give another folder"
            ) from None
        except NotImplementedError:
            pass
        except OSError as error:
            if error.errno not in _NO_LOCKS:  # a lock that another account made cannot be done without
                raise
        yield lock.is_locked
