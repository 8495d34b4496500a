"""Finds and reads saved models: TensorFlow's checkpoint beside a JSON record of everything else.

`model.ckpt-30` stands for four files: .index and .data-00000-of-00001 (weights, Adam's slots, global_step), .meta
(the graph, for TensorFlow's own tools) and .json (the record). The record decides: with it there is a model, and the
SHA-256 in it say which files are its own. The file `checkpoint` names the model saved last, as TensorFlow's does.
Nothing in them is executed. Reading changes nothing, and finds a whole model while another process saves or removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .._content import N_START, describe_content
from .._validation import check_text_path, check_whole, explain_os_errors
from ..exceptions import CheckpointError, DamagedError
from .bundle import MAX_INDEX_BYTES
from .last_saved import saved_last
from .layout import (
    checkpoint_prefix,
    foreign_advice,
    pending_files,
    place_of,
    record_file,
    saved_numbers,
    visible_file,
    without_suffix,
)
from .record import VARIABLE_FILES, Record
from .record_file import decoded, open_file, read_text, unreadable

_MAX_LOOKS = 100  # at a folder that changes while it is read
_SECONDS_BETWEEN_LOOKS = 0.01


class _ChangedError(Exception):
    """A model was replaced or removed while it was opened."""


@dataclass(frozen=True)
class SavedModel:
    """A saved model, opened: what its name stands for may be replaced or removed, and it still reads the same.

    Parameters
    ----------
    prefix : Path
        Where it was found.
    record : Record
        Everything but the variables.
    candidates : dict of list of (Path, file)
        Open files by suffix, one of which must have the SHA-256 in the record.
    """

    prefix: Path
    record: Record
    candidates: dict[str, list[tuple[Path, BinaryIO]]]

    def read(self, max_bytes: int) -> dict[str, bytes]:
        """Read TensorFlow's files, by suffix, after checking their SHA-256; the data file may have `max_bytes`.

        Raises CheckpointError.
        """
        return {
            suffix: self._read(suffix, MAX_INDEX_BYTES if suffix == ".index" else max_bytes)
            for suffix in VARIABLE_FILES
        }

    def _read(self, suffix: str, max_bytes: int) -> bytes:
        error: CheckpointError | None = None
        for file, stream in self.candidates[suffix]:
            try:
                stream.seek(0)
                if (size := os.fstat(stream.fileno()).st_size) > max_bytes:
                    error = DamagedError(f"{file}: expected at most {max_bytes} bytes, found {size}")
                    continue
                content = stream.read(size)
            except OSError as cause:  # a bad sector
                error = unreadable(file, cause)
                continue
            if not self.record.files or hashlib.sha256(content).hexdigest() == self.record.files[suffix]:
                return content
            kind = describe_content(content[:N_START])
            found = kind if kind and ";" in kind else "damage"
            error = DamagedError(f"{file}: expected TensorFlow's checkpoint files as they were written, found {found}")
        raise error or DamagedError(
            f"{visible_file(self.prefix, suffix)}: expected one of a saved model's files, found none"
        )


def find_checkpoint(folder: str | os.PathLike, epoch: int | None = None) -> Path:
    """The prefix of the model saved as `epoch` in a folder; by default, of the one saved last.

    A prefix, as `DigitCNN.save` returns it, or one of the model's files may be given in place of the folder.
    Raises FileNotFoundError, naming what is there, other OSErrors, and TypeError or ValueError for a bad number.
    """
    folder = check_text_path("path", folder)
    epoch = None if epoch is None else check_whole("epoch", epoch, 0)
    with explain_os_errors(folder, "a folder with a saved model"):
        folder = without_suffix(folder)
        if not folder.is_dir():
            if epoch is None and record_file(place_of(folder)).is_file():
                return folder
            found = f"no folder and no {record_file(folder).name}" if epoch is None else "no folder"
            if folder.is_file():
                content = _content_of(folder)
                found = f"a file: {content}" if content else "a file"
            advice = foreign_advice(folder) or "; give the folder, or what `save` returned"
            raise FileNotFoundError(f"{folder}: expected a folder with a saved model, found {found}{advice}")
        numbers = _numbers(folder, epoch)
        if not numbers or (epoch is not None and epoch not in numbers):
            wanted = "a saved model" if epoch is None else f"model.ckpt-{epoch}.json"
            found = ", ".join(f"model.ckpt-{number}" for number in numbers) or "none"
            raise FileNotFoundError(f"{folder}: expected {wanted}, found {found}{foreign_advice(folder)}")
        if epoch is None:
            names = {checkpoint_prefix(folder, number).name: number for number in numbers}
            epoch = names.get(saved_last(folder), numbers[-1])
    return checkpoint_prefix(folder, epoch)


def _numbers(folder: Path, epoch: int | None) -> list[int]:
    """The numbers of the saved models; looks again for what is not there, which a change while listing can hide."""
    for _ in range(3):
        numbers = saved_numbers(folder)
        if numbers and (epoch is None or epoch in numbers):
            break
    return numbers


@contextlib.contextmanager
def open_model(path: str | os.PathLike, epoch: int | None = None) -> Iterator[SavedModel]:
    """Open the model that `find_checkpoint` finds, anew if it is replaced or removed meanwhile.

    Raises as `find_checkpoint`, and CheckpointError.
    """
    with contextlib.ExitStack() as files:
        for look in range(_MAX_LOOKS):
            if look:
                time.sleep(_SECONDS_BETWEEN_LOOKS)
            try:
                saved = files.enter_context(_open(find_checkpoint(path, epoch)))
            except _ChangedError:
                continue
            break
        else:
            raise CheckpointError(
                f"{path}: expected a saved model that stays while it is opened, found one that is always replaced; "
                "end the processes that save there, or give `epoch`"
            )
        yield saved


@contextlib.contextmanager
def _open(prefix: Path) -> Iterator[SavedModel]:
    """Open one model. Raises _ChangedError if it is replaced or removed meanwhile, CheckpointError if it is damaged.

    The files that are open belong to the record if that is the same before and after: a writer replaces the record
    before the visible files, and until those have changed, the new ones have names of their own.
    """
    text = read_text(prefix)
    with contextlib.ExitStack() as files:
        try:
            if text is None:
                raise _ChangedError
            record = Record.from_json(decoded(record_file(prefix), text), record_file(prefix))
            candidates: dict[str, list[tuple[Path, BinaryIO]]] = {suffix: [] for suffix in VARIABLE_FILES}
            for suffix, places in _places(prefix, record, text).items():
                fault = None
                for file in places:
                    try:
                        if stream := open_file(file):
                            candidates[suffix].append((file, files.enter_context(stream)))
                    except CheckpointError as error:  # another place may have it
                        fault = fault or error
                if fault and not candidates[suffix]:
                    raise fault
        except CheckpointError as error:
            if read_text(prefix) != text:
                raise _ChangedError from error
            raise
        if read_text(prefix) != text:
            raise _ChangedError
        yield SavedModel(prefix, record, candidates)


def _places(prefix: Path, record: Record, text: bytes) -> dict[str, list[Path]]:
    """Where each of the files with the variables may be, the likeliest first."""
    pending, place = pending_files(prefix, record.files, text), place_of(prefix)
    places: dict[str, list[Path]] = {}
    for suffix in VARIABLE_FILES:
        files = [pending[suffix]] if suffix in pending else []
        files += [visible_file(place, suffix)] if place != prefix else []
        places[suffix] = [*files, visible_file(prefix, suffix)]
    return places


def _content_of(file: Path) -> str | None:
    """What a file is, in words."""
    with file.open("rb") as stream:
        return describe_content(stream.read(N_START))
