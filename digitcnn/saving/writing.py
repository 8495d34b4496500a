"""Writes and removes saved models so that every reader finds the old one whole or the new one whole at every moment.

One rename decides: that of the record. Before it, the new files have pending names that nothing points at; after it,
readers take them under these names, and `_settle` gives them the visible ones. Nothing is ever rolled back, and a file
is deleted only once no record names it. What a kill leaves, the next writer finishes; readers do not need that.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from pathlib import Path

import tensorflow as tf

from .._files import scratch_folder, sha256_of, sync, sync_folder
from .._validation import explain_os_errors
from ..engine.engine import Engine
from ..exceptions import CheckpointError, FolderInUseError, reason_of, warn_user
from .last_saved import states_in_order
from .layout import (
    GRAPH,
    REMOVED,
    STATE,
    is_pending,
    is_removed,
    is_scratch,
    leftover_in,
    pending_files,
    record_file,
    removed_file,
    state_after,
    visible_file,
)
from .lock import writers_lock
from .record import MAX_RECORD_BYTES, VARIABLE_FILES, Record, files_of
from .record_file import decoded, read_files_and_text, read_record_file


def write_checkpoint(engine: Engine, prefix: Path, record: Record) -> None:
    """Write variables and record as the model of that name, whole or not at all. Models of other names stay.

    Raises OSError, and then leaves the model that was there.
    """
    try:
        with writers_lock(prefix.parent) as is_alone:
            if is_alone:
                _finish(prefix.parent)
            try:
                with scratch_folder(prefix.parent, prefix.name) as scratch:
                    written = _write(engine, scratch / prefix.name, prefix, record)
            except BaseException:
                if is_alone:  # else the files may be another writer's
                    _sweep(prefix)
                raise
            try:
                _settle(prefix, written if is_alone else None)
            except (OSError, CheckpointError) as error:
                warn_user(
                    f"{prefix}: saved, but TensorFlow's files have no visible names yet: {reason_of(error)}; "
                    "digitcnn reads them, and the next model saved there completes this one"
                )
    except FolderInUseError:
        raise
    except (OSError, tf.errors.OpError, ValueError) as error:  # a full disk, a folder that may not be written
        raise OSError(f"could not save a model as {prefix}: {reason_of(error)}") from error


def _write(engine: Engine, new: Path, prefix: Path, record: Record) -> dict[str, Path]:
    """Write all files in a scratch folder, as `new`, and make them the model of that prefix; return those that wait."""
    engine.saver.save(engine.session, str(new))
    files = {suffix: sha256_of(visible_file(new, suffix)) for suffix in VARIABLE_FILES}
    text = dataclasses.replace(record, files=files).to_json().encode()
    if len(text) > MAX_RECORD_BYTES:
        raise ValueError(
            f"record: expected at most {MAX_RECORD_BYTES:,} bytes, found {len(text):,} with {len(record.history):,} "
            "rows of history; train in longer epochs"
        )
    record_file(new).write_bytes(text)
    state = visible_file(new, STATE)
    state.write_bytes(state_after(state.read_bytes(), states_in_order(prefix.parent)[1]))
    for file in new.parent.iterdir():  # a power failure must not leave names without their bytes
        sync(file)
    pending_by_suffix = pending_files(prefix, files, text)
    for suffix, pending in pending_by_suffix.items():
        visible_file(new, suffix).replace(pending)
    sync_folder(prefix.parent)
    record_file(new).replace(record_file(prefix))  # decides
    sync_folder(prefix.parent)
    return pending_by_suffix


def _settle(prefix: Path, written: dict[str, Path] | None = None) -> None:
    """Give the files that a model's record points at their visible names. Raises OSError, CheckpointError.

    written: these files by suffix, if the model was saved just now; else its record is read, and another model may
    have been saved since.
    """
    if not record_file(prefix).exists():
        return
    pending_by_suffix = written or pending_files(prefix, *read_files_and_text(prefix))
    for suffix, pending in pending_by_suffix.items():
        with contextlib.suppress(FileNotFoundError):  # it has its name
            if suffix == STATE and not written and pending not in states_in_order(prefix.parent)[0]:
                pending.unlink()  # another model was saved since
            else:
                pending.replace(visible_file(prefix, suffix))


def _sweep(prefix: Path) -> None:
    """Delete pending files of a model that its record does not point at, as far as that is possible."""
    with contextlib.suppress(OSError, CheckpointError):  # of a record that cannot be read, nothing is known
        kept = pending_files(prefix, *read_files_and_text(prefix)) if record_file(prefix).exists() else {}
        for file in list(prefix.parent.iterdir()):
            match = is_pending(file.name)
            if match and match[1] == prefix.name and file not in kept.values():
                file.unlink()


def remove_checkpoint(prefix: Path) -> None:
    """Delete a saved model. A kill leaves it whole, or what the next writer deletes. Raises OSError."""
    with (
        explain_os_errors(prefix, "a saved model that can be deleted"),
        writers_lock(prefix.parent) as is_alone,
    ):
        if is_alone:
            _finish(prefix.parent)
        if not record_file(prefix).exists():
            return
        removed = removed_file(prefix, record_file(prefix).read_bytes())
        record_file(prefix).replace(removed)  # from here on, there is no such model
        sync_folder(prefix.parent)
        with contextlib.suppress(OSError, CheckpointError):  # the next writer tries again
            _finish_removal(prefix, removed)


def _finish_removal(prefix: Path, removed: Path) -> None:
    """Delete the files of a model whose record has become `removed`, and then this. Raises OSError."""
    if not record_file(prefix).exists():  # else one was saved since, and its files come or came
        files = files_of(decoded(removed, read_record_file(removed) or b""), removed)
        _delete_files(prefix, files, removed.stat().st_mtime_ns)
    removed.unlink()  # without a flush before it: a power failure leaves at most files that nothing points at


def _delete_files(prefix: Path, files: dict[str, str], written_ns: int) -> None:
    """Delete the visible files that a record of that time names; the graph goes with them. Files of others stay."""
    visible = {suffix: visible_file(prefix, suffix) for suffix in VARIABLE_FILES}
    own = [file for suffix, file in visible.items() if _is_own(file, suffix, files.get(suffix), written_ns)]
    graph = [visible_file(prefix, GRAPH)] if own else []
    for file in (*graph, *own):  # the graph first: the others tell whose it is
        file.unlink(missing_ok=True)


def _is_own(file: Path, suffix: str, sha256: str | None, written_ns: int) -> bool:
    """Whether a file is the one that a record names; its SHA-256 is taken unless it is large and has not changed."""
    if not file.is_file():
        return False
    if suffix != ".index" and file.stat().st_mtime_ns <= written_ns:
        return True
    return sha256 in (None, sha256_of(file))


def finish_leftovers(folder: Path) -> None:
    """Finish what a kill interrupted: a model that was decided, or a removal; delete other remains.

    What cannot be finished stays for the next writer. Readers find every model without this.
    """
    with contextlib.suppress(PermissionError), writers_lock(folder) as is_alone:
        if is_alone:
            _finish(folder)


def _finish(folder: Path) -> None:
    """As finish_leftovers, for the holder of the lock."""
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    for path in paths:
        name = path.name
        if path.is_symlink() or not name.startswith("."):
            continue  # not made here: whatever a link points to stays
        with contextlib.suppress(OSError, CheckpointError):
            if match := is_removed(name):
                _finish_removal(folder / match[1], path)
            elif match := is_pending(name):
                _settle(folder / match[1])
                _sweep(folder / match[1])
            elif (match := is_scratch(name)) and path.is_dir():
                _finish_scratch(folder / match[1], path)


def _finish_scratch(prefix: Path, scratch: Path) -> None:
    """Delete a scratch folder; if an earlier version left the only files of a model in it, those move to their names.

    Raises OSError, CheckpointError, and then the folder stays.
    """
    leftover = leftover_in(scratch, prefix.name)
    if leftover and not record_file(prefix).exists():
        new = leftover / prefix.name
        moves = {visible_file(new, suffix): visible_file(prefix, suffix) for suffix in (*VARIABLE_FILES, GRAPH)}
        moves = {file: visible for file, visible in moves.items() if file.exists()}  # others have moved already
        if any(visible.exists() for visible in moves.values()):
            return  # another program's files came since; readers take those in the folder
        for file, visible in moves.items():
            file.replace(visible)
        if not visible_file(prefix, STATE).exists():  # else the model saved last is known
            with contextlib.suppress(FileNotFoundError):
                visible_file(new, STATE).replace(visible_file(prefix, STATE))
        sync_folder(prefix.parent)
        record_file(new).replace(record_file(prefix))
        sync_folder(prefix.parent)
    removed = scratch / REMOVED
    if removed.exists() and record_file(scratch / prefix.name).is_file() and not record_file(prefix).exists():
        files = read_files_and_text(scratch / prefix.name)[0]
        _delete_files(prefix, files, record_file(scratch / prefix.name).stat().st_mtime_ns)
    shutil.rmtree(scratch)
