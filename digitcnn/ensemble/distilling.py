"""Distills an ensemble: one network is trained on what the members answer about the training images.

Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", arXiv:1503.02531. Here the student's own
probabilities have no temperature, so that it is used as it is trained; its loss is the cross-entropy with
(1 - weight) * one-hot labels + weight * the teacher's probabilities, softened by a temperature.

distillation.json  what the targets were computed from
targets.npy        the targets, computed once: a resumed training takes the same ones
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import _json
from .._files import write_whole
from .._text import printable
from .._validation import check_real, explain_os_errors
from ..data.arrays import LabelledImages
from ..exceptions import DamagedError, ResumeError
from ..saving.lock import LOCK, lock_folder

DISTILLATION, TARGETS = "distillation.json", "targets.npy"
_HALF_WRITTEN = (f".{DISTILLATION}-", f".{TARGETS}-")  # beginnings of the names of what a kill leaves
TEMPERATURE, WEIGHT = 2.0, 0.7
_FORMAT_VERSION = 1
_MAX_RECORD = 1 << 20  # bytes
_MAX_TEMPERATURE = 1_000.0
MAX_COPIES = 1_000
_FIELDS = _json.fields(
    {
        "format_version": _json.one_of(_FORMAT_VERSION),
        "temperature": _json.number(0, _MAX_TEMPERATURE),
        "weight": _json.number(0, 1),
        "members": _json.list_of(_json.sha256, 1),
        "training_set": _json.sha256,
        "targets": _json.sha256,
        "copies": _json.facts,
        "seed": _json.count(),
    },
    optional=("copies", "seed"),
)


def soften(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(logits / temperature) of probabilities, which are softmax(logits); float64, over the last axis."""
    # The logits but for a constant, which softmax does not see. What float32 has rounded to 0 stays close to it.
    logits = np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float32).tiny)) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def mixed_targets(probabilities: np.ndarray, labels: np.ndarray, temperature: float, weight: float) -> np.ndarray:
    """What a student is trained on.

    Parameters
    ----------
    probabilities : ndarray of float, shape (members, n, classes)
        Of each member.
    labels : ndarray of int, shape (n,)
        The right classes.
    temperature : float
        Divides each member's logits; their mean is the teacher.
    weight : float
        Of the teacher, in 0..1; the rest is that of the labels.

    Returns
    -------
    ndarray of float32, shape (n, classes)
        Rows that sum to 1.
    """
    teacher = soften(probabilities[0], temperature)
    for member in probabilities[1:]:  # one after the other, for the memory
        teacher += soften(member, temperature)
    teacher /= len(probabilities)
    one_hot = np.eye(teacher.shape[1])[labels]
    return ((1 - weight) * one_hot + weight * teacher).astype(np.float32)


def check_mixture(temperature: Any, weight: Any) -> tuple[float, float]:
    """Temperature and weight as floats. Raises TypeError or ValueError."""
    expected = f"a number above 0, at most {_MAX_TEMPERATURE:g}"
    temperature = check_real("temperature", temperature, expected, lambda value: 0 < value <= _MAX_TEMPERATURE)
    return temperature, check_real("weight", weight, "a number in 0..1", lambda value: 0 <= value <= 1)


@contextlib.contextmanager
def open_distillation(folder: Path | None) -> Iterator[None]:
    """Make the folder of a distillation, or open it to resume, and hold its lock; without a folder, do nothing.

    Raises FileExistsError if it has something else, FolderInUseError if another process has it, OSError if it cannot
    be written.
    """
    if folder is None:
        yield
        return
    _check_own(folder)  # before the folder is touched
    with explain_os_errors(folder, "a folder that can be written"):
        folder.mkdir(parents=True, exist_ok=True)
    with lock_folder(folder):
        _check_own(folder)  # again: another process may have been here meanwhile
        with explain_os_errors(folder, "a folder that can be written"):
            for file in folder.iterdir():
                if file.name.startswith(_HALF_WRITTEN):
                    file.unlink()
        yield


def _check_own(folder: Path) -> None:
    """Raise FileExistsError unless a folder is new, empty, or has a distillation, or the begin of one."""
    with explain_os_errors(folder, "a folder that can be written"):
        if not os.path.lexists(folder) or os.path.lexists(folder / DISTILLATION):
            return
        if not folder.is_dir():
            raise FileExistsError(
                f"{folder}: expected a folder for the distillation, found a file or a link to nothing"
            )
        names = sorted(file.name for file in folder.iterdir())
        # The lock is there before the targets: without it, a file of their name is someone else's.
        own = (LOCK, TARGETS) if LOCK in names else ()
        for name in names:
            if name not in own and not name.startswith(_HALF_WRITTEN):
                raise FileExistsError(
                    f"{folder}: expected a new or empty folder, or that of a distillation to resume, found {name} in "
                    "it; give another folder"
                )


@dataclass(frozen=True)
class Asked:
    """What a distillation computes its targets from.

    Parameters
    ----------
    temperature, weight : float
        The mixture.
    members : list of str
        SHA-256 of each member's weights.
    training_set : str
        SHA-256 of the images and labels, without copies.
    seed : int
        Of the student, and of the copies.
    copies : dict, optional
        Number of warped copies and ranges of their warps, by name; None without copies.
    """

    temperature: float
    weight: float
    members: list[str]
    training_set: str
    seed: int
    copies: dict[str, Any] | None = None

    def check_same(self, recorded: dict[str, Any], folder: Path) -> None:
        """Raise ResumeError if the record of a distillation in a folder differs."""
        seedless = {"seed": self.seed}  # of records of earlier versions
        for name, value in vars(self).items():
            if (seedless | recorded).get(name) != value:
                raise ResumeError(
                    f"{folder}: expected {name}={_shown(recorded.get(name))}, with which this distillation began, "
                    f"found {_shown(value)}; give another folder for another distillation"
                )

    def described(self) -> dict[str, Any]:
        """What a record has of it."""
        return {name: value for name, value in vars(self).items() if value is not None}


def recorded_seed(folder: Path | None) -> int | None:
    """The seed that a distillation in a folder began with, if there is one. Raises DamagedError or OSError."""
    recorded = None if folder is None else _read_record(folder)
    return recorded.get("seed") if recorded else None


def training_set_for(
    examples: LabelledImages,
    asked: Asked,
    *,
    expand: Callable[[LabelledImages, int], LabelledImages],
    ask: Callable[[np.ndarray], np.ndarray],
    folder: Path | None,
) -> LabelledImages:
    """What the student is trained on: images, copies of them, and targets, those in the folder or new ones.

    Call it in `open_distillation`.

    Parameters
    ----------
    examples : LabelledImages
        The images and labels that were given.
    asked : Asked
        What the targets are computed from.
    expand : callable
        Takes the examples and a seed, and returns them with copies beside them.
    ask : callable
        Takes images, and returns the members' probabilities of them.
    folder : Path or None
        Where checkpoints go, if anywhere.

    Raises
    ------
    ResumeError
        If the folder has another distillation: what differs.
    DamagedError, OSError, MemoryError
        If its files are damaged, or cannot be read or written; if there is too little memory for the copies.
    """
    recorded = None if folder is None else _read_record(folder)
    if folder is None or recorded is None:
        examples = expand(examples, asked.seed)
        targets = mixed_targets(ask(examples.images), examples.labels, asked.temperature, asked.weight)
        if folder is not None:
            _write(folder, targets, asked.described())
    else:
        asked.check_same(recorded, folder)
        targets = _read_targets(folder, recorded["targets"])
        examples = expand(examples, asked.seed)
    return LabelledImages(examples.images, targets)


def _write(folder: Path, targets: np.ndarray, described: dict[str, Any]) -> None:
    content = io.BytesIO()
    np.save(content, targets, allow_pickle=False)
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    record = {"format_version": _FORMAT_VERSION, **described, "targets": digest}
    with explain_os_errors(folder, "a folder that can be written"):
        write_whole(folder / TARGETS, content.getvalue(), is_durable=True)
        try:  # last: with the record, there are targets
            write_whole(folder / DISTILLATION, json.dumps(record, indent=1).encode(), is_durable=True)
        except BaseException:
            with contextlib.suppress(OSError):  # without the record, they would be taken for someone else's
                (folder / TARGETS).unlink()
            raise


def _read_record(folder: Path) -> dict[str, Any] | None:
    file = folder / DISTILLATION
    with explain_os_errors(folder, "a folder that can be written"):
        if not os.path.lexists(file):
            return None
        if not file.is_file() or (size := file.stat().st_size) > _MAX_RECORD:
            raise DamagedError(f"{file}: expected a file of at most {_MAX_RECORD} bytes, found another one")
        content = file.read_bytes()[:size]
    try:
        return _FIELDS("", _json.parse_json(content.decode("utf-8")))
    except (TypeError, ValueError) as error:
        raise DamagedError(f"{file}: expected the record of a distillation, found: {error}") from error


def _read_targets(folder: Path, sha256: str) -> np.ndarray:
    file = folder / TARGETS
    with explain_os_errors(file, "the targets of a distillation"):
        content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DamagedError(f"{file}: expected the targets as they were written, found damage; give another folder")
    return np.load(io.BytesIO(content), allow_pickle=False)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return printable(", ".join(f"{name} {each}" for name, each in value.items()))
    if isinstance(value, list):
        return f"[{', '.join(one[:12] for one in value)}]"
    return f"sha256 {value[:12]}" if isinstance(value, str) else repr(value)
