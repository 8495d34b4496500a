"""The files of saved models: TensorFlow's checkpoint beside a JSON record of everything else.

`model.ckpt-30` stands for four files: .index and .data-00000-of-00001 (weights, Adam's slots, global_step), .meta
(the graph, for TensorFlow's own tools) and .json (the record). The record is written last: without it a model is not
complete. The file `checkpoint` names the model saved last, as TensorFlow's does. Nothing in them is executed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf

from .._content import N_START, describe_content
from .._files import scratch_folder, sync, sync_folder
from .._validation import check_text_path, check_whole, explain_os_errors
from ..engine.engine import Engine
from ..exceptions import CheckpointError, DamagedError, reason_of
from .names import foreign_advice, without_suffix
from .record import VARIABLE_FILES, Record

v1 = tf.compat.v1

# Marker files in a scratch folder: its model is all on the disk; it holds a model to remove.
READY, REMOVED = "ready", "removed"
_MAX_RECORD_BYTES = 4 << 20
_MAX_STATE_BYTES = 1 << 16


def checkpoint_prefix(folder: str | os.PathLike, number: int) -> Path:
    """The tutorial's name of a saved model: `folder`/model.ckpt-`number`."""
    return Path(folder) / f"model.ckpt-{number}"


def record_file(prefix: Path) -> Path:
    """Where the record of a saved model is."""
    return prefix.with_name(f"{prefix.name}.json")


def saved_numbers(folder: Path) -> list[int]:
    """The numbers of the complete models in a folder, ascending."""
    matches = (re.fullmatch(r"model\.ckpt-(0|[1-9]\d*)\.json", file.name) for file in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


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
            if epoch is None and record_file(folder).is_file():
                return folder
            found = f"no folder and no {record_file(folder).name}" if epoch is None else "no folder"
            if folder.is_file():
                content = _content_of(folder)
                found = f"a file: {content}" if content else "a file"
            advice = foreign_advice(folder) or "; give the folder, or what `save` returned"
            raise FileNotFoundError(f"{folder}: expected a folder with a saved model, found {found}{advice}")
        numbers = saved_numbers(folder)
        if not numbers or (epoch is not None and epoch not in numbers):
            wanted = "a saved model" if epoch is None else f"model.ckpt-{epoch}.json"
            found = ", ".join(f"model.ckpt-{number}" for number in numbers) or "none"
            raise FileNotFoundError(f"{folder}: expected {wanted}, found {found}{foreign_advice(folder)}")
        if epoch is None:
            names = {checkpoint_prefix(folder, number).name: number for number in numbers}
            epoch = names.get(_saved_last(folder), numbers[-1])
    return checkpoint_prefix(folder, epoch)


def _saved_last(folder: Path) -> str:
    """The model's name in TensorFlow's file `checkpoint`, without its folder; '' if there is none."""
    file = folder / "checkpoint"
    if not file.is_file() or file.stat().st_size > _MAX_STATE_BYTES:
        return ""
    try:
        state = v1.train.get_checkpoint_state(str(folder))
    except ValueError:  # not text
        return ""
    return Path(state.model_checkpoint_path).name if state else ""


def write_checkpoint(engine: Engine, prefix: Path, record: Record) -> None:
    """Write variables and record; they replace a model of that name only once they are all on the disk.

    They are written into a scratch folder, which is then marked as ready, and moved to their names. A kill before
    the mark changes nothing; one after it leaves what `finish_leftovers` finishes. Models of other names are not
    touched. Raises OSError, and then leaves the model that was there.
    """
    folder = prefix.parent
    try:
        with scratch_folder(prefix.parent, prefix.name) as scratch:
            new, old = scratch / "new", scratch / "old"
            new.mkdir()
            old.mkdir()
            engine.saver.save(engine.session, str(new / prefix.name))
            files = {suffix: _sha256(new / f"{prefix.name}{suffix}") for suffix in VARIABLE_FILES}
            content = dataclasses.replace(record, files=files).to_json()
            record_file(new / prefix.name).write_text(content, encoding="utf-8")
            for file in new.iterdir():  # a power failure must not leave names without their bytes
                sync(file)
            (scratch / READY).touch()
            sync_folder(scratch)
            before = [file.name for file in _files_of(prefix)]
            try:
                _move(reversed(_files_of(prefix)), old)
                _move(_in_order(new.iterdir()), folder)
            except BaseException:
                (scratch / READY).unlink()
                for file in _files_of(prefix):
                    if file.name not in before or (old / file.name).exists():  # a new one
                        file.unlink()
                _move(_in_order(old.iterdir()), folder)
                raise
            sync_folder(folder)
    except (OSError, tf.errors.OpError, ValueError) as error:  # a full disk, a folder that may not be written
        raise OSError(f"could not save a model as {prefix}: {reason_of(error)}") from error


def _files_of(prefix: Path) -> list[Path]:
    """The files of a saved model that exist, in the order in which they are written."""
    files = (prefix.with_name(prefix.name + suffix) for suffix in (*VARIABLE_FILES, ".meta", ".json"))
    return [file for file in files if file.exists()]


def _in_order(files: Iterable[Path]) -> list[Path]:
    """Variables first, then the record that makes them a model, then the file that names it the last one."""
    return sorted(files, key=lambda file: (file.name == "checkpoint", file.suffix == ".json"))


def _move(files: Iterable[Path], folder: Path) -> None:
    for file in files:
        file.replace(folder / file.name)


def remove_checkpoint(prefix: Path) -> None:
    """Delete a saved model. A kill leaves it whole, or what `finish_leftovers` deletes. Raises OSError."""
    with (
        explain_os_errors(prefix, "a saved model that can be deleted"),
        scratch_folder(prefix.parent, prefix.name) as scratch,
    ):
        (scratch / REMOVED).touch()
        _move(reversed(_files_of(prefix)), scratch)


def finish_leftovers(folder: Path) -> None:
    """Finish what a kill interrupted: writing a model that was ready, or removing one; delete other remains."""
    for scratch in [path for path in folder.iterdir() if re.match(r"\.model\.ckpt-\d+-", path.name)]:
        new = scratch / "new"
        if scratch.is_symlink() or new.is_symlink() or not scratch.is_dir():
            continue  # not made here: whatever a link points to stays
        prefix = folder / scratch.name[1:].rpartition("-")[0]
        if (scratch / READY).exists() and new.is_dir():
            ready = [*_files_of(new / prefix.name), *new.glob("checkpoint")]
            _move(_in_order(ready), folder)
            sync_folder(folder)
        elif (scratch / REMOVED).exists() and (scratch / record_file(prefix).name).exists():
            _move(_files_of(prefix), scratch)  # removal begins with the record
        shutil.rmtree(scratch)


def read_record(prefix: Path) -> Record:
    """The record of a saved model. Raises CheckpointError if it cannot be read."""
    file = record_file(prefix)
    try:
        check_file(file, _MAX_RECORD_BYTES)
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        found = _content_of(file) or reason_of(error)
        raise DamagedError(f"{file}: expected UTF-8 text, found {found}") from error
    except OSError as error:  # a bad sector
        raise DamagedError(f"{file}: expected a file that can be read, found {reason_of(error)}") from error
    return Record.from_json(text, file)


def is_training_checkpoint(prefix: Path) -> bool:
    """Whether a training can be resumed from the model of that name."""
    try:
        return read_record(prefix).plan is not None
    except CheckpointError:
        return False


def variable_files(prefix: Path, record: Record) -> dict[str, Path]:
    """The files of a saved model's variables, by the ends of their names."""
    return {suffix: prefix.with_name(f"{prefix.name}{suffix}") for suffix in VARIABLE_FILES}


def check_file(file: Path, max_bytes: int) -> None:
    """Raise CheckpointError unless it is a plain file in its folder, of at most `max_bytes`."""
    if not file.is_file():
        raise DamagedError(f"{file}: expected one of a saved model's files, found none")
    if file.resolve().parent != file.parent.resolve():
        raise CheckpointError(f"{file}: expected a file in its folder, found a link out of it")
    if (size := file.stat().st_size) > max_bytes:
        raise DamagedError(f"{file}: expected at most {max_bytes} bytes, found {size}")


def _content_of(file: Path) -> str | None:
    """What a file is, in words."""
    with file.open("rb") as stream:
        return describe_content(stream.read(N_START))


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
