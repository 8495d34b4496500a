"""Reads the record of a saved model from its file, which may be untrusted, damaged, or be replaced meanwhile."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from .._content import N_START, describe_content
from ..exceptions import CheckpointError, DamagedError, reason_of
from .layout import place_of, record_file
from .record import MAX_RECORD_BYTES, Record, files_of


def read_text(prefix: Path) -> bytes | None:
    """The bytes of a model's record; None if there is none. Raises CheckpointError if it cannot be read."""
    return read_record_file(record_file(place_of(prefix)))


def read_record_file(file: Path) -> bytes | None:
    """The bytes of a record; None if there is none. Raises CheckpointError if it cannot be read."""
    stream = open_file(file)
    if stream is None:
        return None
    with stream:
        try:
            if (size := os.fstat(stream.fileno()).st_size) > MAX_RECORD_BYTES:
                raise DamagedError(f"{file}: expected at most {MAX_RECORD_BYTES} bytes, found {size}")
            return stream.read()
        except OSError as error:  # a bad sector
            raise unreadable(file, error) from error


def decoded(file: Path, text: bytes) -> str:
    """The text of a record. Raises DamagedError."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        found = describe_content(text[:N_START]) or reason_of(error)
        raise DamagedError(f"{file}: expected UTF-8 text, found {found}") from error


def _required_text(prefix: Path) -> bytes:
    text = read_text(prefix)
    if text is None:
        raise DamagedError(f"{record_file(prefix)}: expected one of a saved model's files, found none")
    return text


def read_record(prefix: Path) -> Record:
    """The record of a saved model. Raises CheckpointError if it cannot be read."""
    return Record.from_json(decoded(record_file(prefix), _required_text(prefix)), record_file(prefix))


def read_files_and_text(prefix: Path) -> tuple[dict[str, str], bytes]:
    """The SHA-256 in a record by suffix, and its bytes. Raises CheckpointError if it cannot be read."""
    text = _required_text(prefix)
    return files_of(decoded(record_file(prefix), text), record_file(prefix)), text


def is_training_checkpoint(prefix: Path) -> bool:
    """Whether a training can be resumed from the model of that name."""
    try:
        return read_record(prefix).plan is not None
    except CheckpointError:
        return False


def open_file(file: Path) -> BinaryIO | None:
    """Open a plain file in its folder; None if there is none. Raises CheckpointError for anything else."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise DamagedError(f"{file}: expected one of a saved model's files, found something else")
        if file.resolve().parent != file.parent.resolve():
            raise CheckpointError(f"{file}: expected a file in its folder, found a link out of it")
        return file.open("rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(file, error) from error


def unreadable(file: Path, error: OSError) -> CheckpointError:
    """The error for a file that the system does not let read; a bad sector is damage, a permission is not."""
    kind = DamagedError if error.errno == errno.EIO else CheckpointError
    return kind(f"{file}: expected a file that can be read, found {reason_of(error)}")
