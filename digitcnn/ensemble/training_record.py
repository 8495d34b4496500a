"""What the folder of an ensemble in training has besides its members: training.json, and each member's result."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from .. import _json
from .._content import describe_content
from .._files import write_whole
from .._validation import check_text_path, explain_os_errors
from ..data.datasets import DATASET_NAMES, Dataset
from ..exceptions import CheckpointError, DamagedError, ResumeError, warn_user
from ..saving.checkpoint import open_model
from ..saving.lock import LOCK, lock_folder
from ..search.jobs import Job, Result, from_json, to_json
from ..version import __version__
from .folder import MEMBERS, TRAINING, check_no_link, read_record
from .plan import EnsemblePlan

RESULT = "result.json"
_FORMAT, _FORMAT_VERSION = "digitcnn ensemble training", 1
_MAX_BYTES = 1 << 26
_MAX_CHECKPOINT = 1 << 32  # bytes; the training, which reads larger ones, knows how large they must be
_FIELDS = _json.fields(
    {
        "format": _json.one_of(_FORMAT),
        "format_version": _json.one_of(_FORMAT_VERSION),
        "data": _json.text,
        "data_folder": _json.text,
        "data_sha256": _json.sha256,
        "threads": _json.count(1),
        "plan": _json.table,
        "jobs_sha256": _json.sha256,
        "versions": _json.facts,
    }
)


def describe(plan: EnsemblePlan, dataset: Dataset, jobs: list[Job]) -> dict[str, Any]:
    """The training.json of a training that begins."""
    return {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "data": dataset.name,
        "data_folder": str(dataset.folder),
        "data_sha256": jobs[0].data_sha256,
        "threads": jobs[0].threads,
        "plan": plan.declared(),
        "jobs_sha256": hashlib.sha256("".join(job.digest for job in jobs).encode()).hexdigest(),
        "versions": {
            "digitcnn": __version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def read_training(folder: str | os.PathLike) -> dict[str, Any] | None:
    """The training.json of a folder; None if it is new, empty, or has an ensemble that was saved.

    Raises DamagedError, OSError.
    """
    file = check_text_path("folder", folder) / TRAINING
    if not os.path.lexists(file):
        return None
    content = _read(file)
    try:
        return _FIELDS("", _json.parse_json(content.decode("utf-8")))
    except (TypeError, ValueError) as error:
        raise DamagedError(f"{file}: expected the plan of a training, found{_kind(content, error)}") from error


@contextlib.contextmanager
def open_training(folder: Path, description: dict[str, Any]) -> Iterator[None]:
    """Make the folder of a training, or open it to resume, and hold its lock.

    Raises FileExistsError if it has something else, ResumeError if it has another training, FolderInUseError if
    another process trains there.
    """
    _check_own(folder)  # before the folder is touched
    with explain_os_errors(folder, "a folder that can be written"):
        (folder / MEMBERS).mkdir(parents=True, exist_ok=True)
    with lock_folder(folder):
        recorded = read_training(folder)
        if recorded is None:
            with explain_os_errors(folder, "a folder that can be written"):
                write_whole(folder / TRAINING, json.dumps(description, indent=1).encode(), is_durable=True)
        else:
            _check_same(folder, recorded, json.loads(json.dumps(description)))
            for file in [*folder.glob(".*.json-*"), *(folder / MEMBERS).glob(f"*/.{RESULT}-*")]:
                file.unlink()  # what a kill has left half-written
        yield


def _check_own(folder: Path) -> None:
    with explain_os_errors(folder, "a folder that can be written"):
        for own in (folder / MEMBERS, *(folder / MEMBERS).glob("*")):
            check_no_link(own)  # also of a training to resume: its files are written and removed there
        if not os.path.lexists(folder) or (folder / TRAINING).is_file():
            return
        if not folder.is_dir():
            raise FileExistsError(f"{folder}: expected a folder for the ensemble, found a file or a link to nothing")
        for file in folder.iterdir():
            is_start = file.name == LOCK or file.name.startswith(f".{TRAINING}-")
            if not is_start and not (file.name == MEMBERS and file.is_dir() and not any(file.iterdir())):
                raise FileExistsError(
                    f"{folder}: expected a new or empty folder, or that of a training to resume, found {file.name} in "
                    "it; name another folder"
                )


def _check_same(folder: Path, recorded: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise ResumeError that names the first difference; warn if programs have changed."""
    began, wanted = ({**one["plan"], "data_sha256": one["data_sha256"]} for one in (recorded, now))
    began["threads"], wanted["threads"] = recorded["threads"], now["threads"]
    for name in {**wanted, **began}:
        if began.get(name) != wanted.get(name):
            raise ResumeError(
                f"{folder}: expected {name}={_json.shown(began.get(name)) if name != 'settings' else began.get(name)}, "
                f"with which this ensemble began, found "
                f"{_json.shown(wanted.get(name)) if name != 'settings' else wanted.get(name)}; name another folder for "
                "another ensemble"
            )
    changed = "; ".join(
        f"{name} {recorded['versions'].get(name)}, now {found}"
        for name, found in now["versions"].items()
        if recorded["versions"].get(name) != found
    )
    if recorded["jobs_sha256"] != now["jobs_sha256"]:
        raise ResumeError(
            f"{folder}: expected the trainings with which this ensemble began, found others, as other versions have "
            f"other defaults ({changed or 'no version differs'}); name another folder for another ensemble"
        )
    if changed:
        warn_user(f"{folder}: this ensemble began with {changed}: the members that are left may differ in rounding")


def data_of_ensemble(folder: str | os.PathLike, *, by_name: bool = False) -> str:
    """The data set that the ensemble in a folder was trained on: its folder or, if that is gone or `by_name`, its name.

    Raises FileNotFoundError if that is not known.
    """
    recorded = read_training(folder)
    if recorded is None:
        _ = read_record(Path(folder))  # raises if there is no ensemble
        raise FileNotFoundError(f"{folder}: expected {TRAINING}, which names the data, found none; give --data")
    name, place = recorded["data"], recorded["data_folder"]
    if by_name:
        return Path(name).name
    if not Path(place).is_dir() and name not in DATASET_NAMES:
        raise FileNotFoundError(f"{place}: expected the folder of the ensemble's data, found none; give --data")
    return place if Path(place).is_dir() else name


def member_folder(folder: Path, number: int) -> Path:
    """The folder of a member, counted from 1."""
    return folder / MEMBERS / f"{number:02}"


def read_result(folder: Path, job: Job) -> Result | None:
    """The result of a member whose training is complete; None if it is not, or if its last checkpoint is no more.

    Raises DamagedError, OSError.
    """
    file = folder / RESULT
    if not os.path.lexists(file):
        return None
    content = _read(file)
    try:
        result = from_json(content, job)
    except (TypeError, ValueError) as error:
        raise DamagedError(
            f"{file}: expected the result of a member, found{_kind(content, error)}; delete it, and the member's "
            "checkpoint is evaluated again"
        ) from error
    try:
        with open_model(folder, result.steps) as saved:
            saved.read(_MAX_CHECKPOINT)
    except (FileNotFoundError, CheckpointError):  # the member's training resumes from what is there
        return None
    return result


def write_result(folder: Path, job: Job, result: Result) -> None:
    """Record that a member's training is complete, on the disk before anything else is done. Raises OSError."""
    with explain_os_errors(folder, "a folder that can be written"):
        write_whole(folder / RESULT, to_json(job, result), is_durable=True)


def _read(file: Path) -> bytes:
    with explain_os_errors(file, "a file of an ensemble's training"):
        if not file.is_file():
            raise DamagedError(f"{file}: expected a file of an ensemble's training, found something else")
        if (size := file.stat().st_size) > _MAX_BYTES:
            raise DamagedError(f"{file}: expected at most {_MAX_BYTES} bytes, found {size}")
        return file.read_bytes()


def _kind(content: bytes, error: Exception) -> str:
    kind = describe_content(content)
    return f" {kind}" if kind and ";" in kind else f": {error}"
