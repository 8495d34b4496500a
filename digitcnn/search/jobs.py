"""A job of a search: one training, as a pure function of what is declared here, and its result."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import _json
from ..data.datasets import DATASET_NAMES, Dataset

_MAX_HISTORY = 100_000  # epochs of a training, in an untrusted file


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that the bits of a training follow from, besides the versions of the programs and the kind of CPU.

    Parameters
    ----------
    data_sha256 : str
        SHA-256 of the data set.
    settings : dict
        All settings of DigitCNN but random_seed, image_shape and n_classes.
    steps : int or None
        Training steps, instead of the settings' epochs.
    seed : int
        The random_seed.
    fold : int or None
        Which fold is validated on, from 1; None for the last images of the training set.
    n_folds : int or None
        Number of folds.
    n_validation : int or None
        Number of last images that are validated on, without folds.
    threads : int
        TensorFlow's threads, on which the rounding depends.
    """

    data_sha256: str
    settings: dict[str, Any]
    steps: int | None
    seed: int
    fold: int | None
    n_folds: int | None
    n_validation: int | None
    threads: int

    @property
    def digest(self) -> str:
        """The job's name, by all that it depends on."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:20]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a worker looks for the data: they may lie elsewhere on its machine.

    Parameters
    ----------
    name : str
        Name of the data set, or absolute path of its folder.
    folder : str
        Absolute path of its folder, where the search was started.
    data_dir : str or None
        Folder of data sets that is searched first.
    """

    name: str
    folder: str
    data_dir: str | None


def place_of(dataset: Dataset, data_dir: str | os.PathLike | None = None) -> Place:
    """Where workers look for a data set that was loaded here, from `data_dir` if that is given."""
    folder = str(dataset.folder)
    name = dataset.name if dataset.name in DATASET_NAMES else folder
    return Place(name=name, folder=folder, data_dir=str(Path(data_dir).absolute()) if data_dir else None)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a finished job returns.

    Parameters
    ----------
    accuracy, loss : float
        On the validation images, after the last step.
    steps : int
        Training steps.
    weights_sha256 : str
        Digest of the weights.
    history : list of [epoch, training loss, validation accuracy]
        Of each epoch.
    machine : dict
        Versions, CPU and number type, by name: rounding differs between others.
    seconds : float
        Time of the training and its validation.
    worker : str
        Host and process that did it.
    """

    accuracy: float
    loss: float
    steps: int
    weights_sha256: str
    history: list[list[float]]
    machine: dict[str, Any]
    seconds: float
    worker: str


@dataclass(frozen=True)
class Failure:
    """Why a job has no result: a sentence."""

    error: str


@dataclass(frozen=True)
class Lost:
    """A worker process ended during the job, which is done again."""

    times: int


Outcome = Result | Failure | Lost

_NUMBERS = _json.list_of(_json.number_or_text, 3, 3)
_RESULT = _json.fields(
    {
        "accuracy": _json.number(0, 1),
        "loss": _json.number_or_text,
        "steps": _json.count(1),
        "weights_sha256": _json.sha256,
        "history": _json.list_of(_NUMBERS, 1, _MAX_HISTORY),
        "machine": _json.facts,
        "seconds": _json.number(0),
        "worker": _json.text,
    }
)
_FILE = _json.fields({"job": _json.table, "result": _RESULT})


def to_json(job: Job, result: Result) -> bytes:
    """The file of a finished job."""
    content = {"job": asdict(job), "result": _finite(asdict(result))}
    return json.dumps(content, indent=1, allow_nan=False).encode()


def from_json(content: bytes, job: Job) -> Result:
    """The result in a job's file. Raises TypeError or ValueError if it is damaged, or of another job."""
    found = _FILE("", _json.parse_json(content.decode("utf-8")))
    if found["job"] != json.loads(json.dumps(asdict(job))):
        raise ValueError("job: expected the one that the file is named for, found another one")
    return Result(**found["result"])


def _finite(value: Any) -> Any:
    """The value with 'nan', 'inf' and '-inf' in place of what JSON has no number for."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list) else value
