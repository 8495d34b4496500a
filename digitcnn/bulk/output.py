"""A file of answers in the making: a kill costs a second of it, and it has its name only when it is complete.

answers.npy            the answers, complete
answers.npy.json       what they were made from
.answers.npy.partial/  until then: `rows`, `progress.json`, and the lock of the process that writes them
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from .._files import sha256_of, sync_folder
from .._text import printable
from .._validation import explain_os_errors
from ..exceptions import ResumeError
from ..saving.lock import lock_output
from .record import Progress, Record, Task, difference, read_record, write_record

ROWS, PROGRESS, RECORD = "rows", "progress.json", "record.json"
MIN_SECONDS = 1.0  # between two records of the progress: what a kill costs
MAX_SHARE = 0.02  # of the time, for writing these records to a slow disk
_CHUNK = 1 << 20  # bytes that are read at once
_WRITABLE = "a file that can be written"
_ADVICE = "; what is done is kept, and the same command resumes"


def record_file(file: Path) -> Path:
    """Where the record of a complete file of answers is."""
    return file.with_name(f"{file.name}.json")


def partial_folder(file: Path) -> Path:
    """Where a file of answers is until it is complete."""
    return file.with_name(f".{file.name}.partial")


def read_progress(file: Path) -> Record | None:
    """The record of a file in the making; None if there is none. Raises ResumeError if it cannot be used."""
    try:
        return read_record(partial_folder(file) / PROGRESS)
    except ValueError as error:
        raise ResumeError(f"{error}; {_anew(file)}") from error


def completed(file: Path, task: Task) -> Progress | None:
    """The progress of a complete file of this task; None if nothing has its name, nor that of its record.

    Raises FileExistsError for any other file.
    """
    try:
        record = read_record(record_file(file))
    except ValueError:  # of another program
        name = printable(record_file(file))
        raise FileExistsError(f"{name}: expected a new file, found another program's; give another name") from None
    if not os.path.lexists(file):
        return None
    expected = f"{printable(file)}: expected a new file, or a complete one with the same answers, found one"
    if record is None or not file.is_file():
        raise FileExistsError(f"{expected} that was not written so; give another name")
    if found := difference(record.task, task):
        name, before, now = found
        raise FileExistsError(f"{expected} of {name}={before!r}, where now it is {now!r}; give another name")
    with explain_os_errors(file, "a file that can be read"):
        if sha256_of(file) != record.progress.rows_sha256:
            raise FileExistsError(f"{expected} that has changed since it was written; give another name")
    return record.progress


def remove_partial(file: Path) -> None:
    """Remove the folder of a file in the making, as far as that can be done."""
    shutil.rmtree(partial_folder(file), ignore_errors=True)


class Output:
    """The answers of one task, appended batch by batch; a context manager that holds their lock.

    Parameters
    ----------
    file : Path
        The file to write, in a folder that exists; nothing has its name.
    record : Record
        What it is made from, with the progress of the beginning.
    """

    _stream: BinaryIO

    def __init__(self, file: Path, record: Record):
        self.file, self._record = file, record
        self._folder = partial_folder(file)
        self._images, self._rows = hashlib.sha256(), hashlib.sha256()
        self.n_done = self._n_bytes = 0
        self._stack = contextlib.ExitStack()
        self._due = time.monotonic() + MIN_SECONDS
        self._is_whole = True  # whether the digests and counts above are of the same rows
        self._keeps = True  # whether the folder has something to resume from, or is another's

    def __enter__(self) -> Output:
        with explain_os_errors(self.file, _WRITABLE):
            self._folder.mkdir(exist_ok=True)
        with contextlib.ExitStack() as stack:
            if os.name == "nt":  # where no open file, such as the lock, can be removed
                stack.callback(self._remove_unless_kept)
            stack.enter_context(lock_output(self._folder, self.file))
            self._keeps = (self._folder / PROGRESS).exists()
            stack.callback(self._remove_unless_kept)
            if os.path.lexists(self.file):
                raise FileExistsError(f"{printable(self.file)}: expected a new file, found one written meanwhile")
            with explain_os_errors(self.file, _WRITABLE):
                self._stream = (self._folder / ROWS).open("a+b")
            stack.callback(self._close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record what is done, and leave nothing where nothing is done or all is."""
        with self._stack, contextlib.suppress(OSError):  # a full disk; the error on its way says so
            if self._is_whole and self.n_done:
                self.save()

    def _close(self) -> None:
        with contextlib.suppress(OSError):  # as above
            self._stream.close()

    def _remove_unless_kept(self) -> None:
        if not self._keeps:
            remove_partial(self.file)

    def begin(self, header: bytes) -> None:
        """Begin anew."""
        with explain_os_errors(self.file, _WRITABLE):
            self._stream.truncate(0)
            self._append(header)

    def resume(self, progress: Progress, images: Any) -> None:
        """Begin after the rows of a recorded progress; `images` is the digest of the digests of its batches.

        Raises ResumeError if these rows or images are not those that were recorded.
        """
        if images.hexdigest() != progress.images_sha256:
            raise ResumeError(
                f"{printable(self._record.data)}: expected the {progress.n_done:,} images with which "
                f"{printable(self.file)} began, found others; {_anew(self.file)}"
            )
        with explain_os_errors(self._folder / ROWS, "a file that can be read"):
            self._stream.seek(0)
            left = progress.n_bytes
            while left and (content := self._stream.read(min(_CHUNK, left))):
                self._rows.update(content)
                left -= len(content)
            if self._rows.hexdigest() != progress.rows_sha256:
                raise ResumeError(
                    f"{printable(self._folder / ROWS)}: expected the rows that were written, found others: damaged; "
                    f"{_anew(self.file)}"
                )
            self._stream.truncate(progress.n_bytes)  # what came after the record may be half a row
        self._images, self.n_done, self._n_bytes = images, progress.n_done, progress.n_bytes

    def write(self, images_sha256: bytes, rows: bytes, n: int) -> None:
        """Append the rows of a batch of n images, whose digest this is; record them once in a while. Raises OSError."""
        self._is_whole = False
        with explain_os_errors(self.file, _WRITABLE, _ADVICE):
            self._append(rows)
        self._images.update(images_sha256)
        self.n_done += n
        self._is_whole = True
        if time.monotonic() >= self._due:
            self.save()

    def _append(self, content: bytes) -> None:
        self._stream.write(content)
        self._rows.update(content)
        self._n_bytes += len(content)

    def save(self) -> None:
        """Write the rows so far, and then the record of them, to the disk. Raises OSError."""
        start = time.monotonic()
        self._sync()
        write_record(self._folder / PROGRESS, self._current())
        self._keeps = True
        self._due = time.monotonic() + max(MIN_SECONDS, (time.monotonic() - start) / MAX_SHARE)

    def finish(self) -> None:
        """Give the complete file its name. Raises OSError."""
        self._sync()
        self._is_whole = False
        self._stream.close()
        # In the folder, where a name that is long enough for the file is not too long.
        write_record(self._folder / RECORD, self._current())
        with explain_os_errors(self.file, _WRITABLE, _ADVICE):
            # The record first: a file without one would be taken for another program's.
            (self._folder / RECORD).replace(record_file(self.file))
            (self._folder / ROWS).replace(self.file)
        sync_folder(self.file.parent)
        self._keeps = False

    def _sync(self) -> None:
        with explain_os_errors(self.file, _WRITABLE, _ADVICE):
            self._stream.flush()
            os.fsync(self._stream.fileno())

    def _current(self) -> Record:
        progress = Progress(self.n_done, self._images.hexdigest(), self._n_bytes, self._rows.hexdigest())
        return dataclasses.replace(self._record, progress=progress)


def _anew(file: Path) -> str:
    return f"to begin anew, remove {printable(partial_folder(file))}"
