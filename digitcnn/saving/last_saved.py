"""Which model of a folder was saved last: by TensorFlow's file `checkpoint`, also while writers have not finished."""

from __future__ import annotations

import contextlib
import hashlib
import re
from pathlib import Path

import tensorflow as tf

from ..exceptions import CheckpointError
from .layout import STATE, comes_after, is_pending, pending_files
from .record_file import read_files_and_text

v1 = tf.compat.v1

_MAX_STATE_BYTES = 1 << 16


def saved_last(folder: Path) -> str:
    """The name of the model saved last, by TensorFlow's file `checkpoint`; '' if that names none.

    While a record is there and its writer has not finished, that file has another name.
    """
    waiting, _ = states_in_order(folder)
    if waiting and (match := is_pending(waiting[-1].name)):
        return match[1]
    return named_last(folder)


def named_last(folder: Path) -> str:
    """The name in TensorFlow's file `checkpoint`, without its folder, which may have been moved; '' if none."""
    if not _read_state(folder / "checkpoint"):
        return ""
    try:
        state = v1.train.get_checkpoint_state(str(folder))
    except ValueError:  # not text
        return ""
    return re.split(r"[/\\]", state.model_checkpoint_path)[-1] if state else ""


def states_in_order(folder: Path) -> tuple[list[Path], str]:
    """Files `checkpoint` that wait for that name, each after the one before it, and the digest of the last one.

    The first comes after the visible one; what comes after another one is out of date.
    """
    digest = _digest(_read_state(folder / "checkpoint"))
    following: dict[str | None, tuple[Path, bytes]] = {}
    for file in folder.iterdir():
        match = is_pending(file.name)
        if not match or match[2] != STATE:
            continue
        prefix = folder / match[1]
        with contextlib.suppress(OSError, CheckpointError):
            if pending_files(prefix, *read_files_and_text(prefix)).get(STATE) == file:
                state = _read_state(file)
                following[comes_after(state)] = file, state
    waiting: list[Path] = []
    while digest in following:
        file, state = following.pop(digest)
        waiting.append(file)
        digest = _digest(state)
    return waiting, digest


def _read_state(file: Path) -> bytes:
    """The bytes of a file `checkpoint`; none of one that cannot be read, or is too large for one."""
    with contextlib.suppress(OSError):
        if file.is_file() and file.stat().st_size <= _MAX_STATE_BYTES:
            return file.read_bytes()
    return b""


def _digest(state: bytes) -> str:
    return hashlib.sha256(state).hexdigest()[:16]
