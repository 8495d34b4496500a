"""What a search leaves in its folder. Only the process that was started writes there, never a worker.

search.json        what is searched, on which data, with which versions
jobs/DIGEST.json   a finished job and its result; a job that has a file is not done again
results.csv        a row for each job in their order: settings, seed, fold, result; equal for equal searches
times.csv          seconds and worker of each job
tensorboard/       a trial for each job
"""

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
from ..data.datasets import Dataset
from ..exceptions import ResumeError, warn_user
from ..saving.lock import LOCK, lock_folder
from ..version import __version__
from .jobs import Job, Result, from_json, to_json
from .plan import Plan

SEARCH_FILE, JOBS, TENSORBOARD = "search.json", "jobs", "tensorboard"
_MAX_SEARCH = 1 << 24  # bytes: a grid of 10,000 values has less than a tenth
_MAX_JOB = 1 << 26
_FORMAT_VERSION = 1
_MAX_SHOWN = 200  # characters of a value in an error
_FILE = _json.fields(
    {
        "format_version": _json.one_of(_FORMAT_VERSION),
        "data": _json.text,
        "data_folder": _json.text,
        "data_sha256": _json.sha256,
        "threads": _json.count(1),
        "searched": _json.table,
        "n_jobs": _json.count(1),
        "jobs_sha256": _json.sha256,
        "versions": _json.facts,
    }
)


def describe_search(plan: Plan, dataset: Dataset, jobs: list[Job]) -> dict[str, Any]:
    """The search.json of a search."""
    return {
        "format_version": _FORMAT_VERSION,
        "data": dataset.name,
        "data_folder": str(dataset.folder),
        "data_sha256": dataset.sha256(),
        "threads": jobs[0].threads,
        "searched": plan.declared(),
        "n_jobs": len(jobs),
        "jobs_sha256": hashlib.sha256("".join(job.digest for job in jobs).encode()).hexdigest(),
        "versions": {
            "digitcnn": __version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def read_search(folder: str | os.PathLike) -> dict[str, Any] | None:
    """The search.json of a search to resume; None if the folder is new or empty.

    Raises FileExistsError for a folder with other files, ValueError if the file is damaged, other OSErrors.
    """
    path = check_text_path("out", folder)
    file = path / SEARCH_FILE
    with explain_os_errors(path, "a folder that can be written"):
        if not os.path.lexists(path):
            return None
        if not path.is_dir():
            raise FileExistsError(f"{path}: expected a new folder, or that of a search, found a file or a link")
        if not os.path.lexists(file):
            if not all(map(_is_of_a_start, path.iterdir())):
                raise FileExistsError(
                    f"{path}: expected a new or empty folder, or that of a search to resume, found files in it; name "
                    "another folder"
                )
            return None
    content = _read(file, _MAX_SEARCH)
    try:
        return _FILE("", _json.parse_json(content.decode("utf-8")))
    except (TypeError, ValueError) as error:
        found = _describe(content, error)
        raise ValueError(f"{file}: expected a search as this version writes it, found{found}") from error


class SearchFolder:
    """The folder of a search, locked; `results` has those that are recorded, by the digests of their jobs."""

    def __init__(self, path: Path, jobs: list[Job]):
        self.path, self.results = path, dict[str, Result]()
        for job in jobs:
            file = self._file(job)
            if os.path.lexists(file):
                content = _read(file, _MAX_JOB)
                try:
                    self.results[job.digest] = from_json(content, job)
                except (TypeError, ValueError) as error:
                    found = _describe(content, error)
                    raise ValueError(
                        f"{file}: expected a job's result, found{found}; delete it, and the job is done again"
                    ) from error

    def record(self, job: Job, result: Result) -> None:
        """Keep a result, whole and on the disk, before anything else is done. Raises OSError."""
        self.write(self._file(job), to_json(job, result))
        self.results[job.digest] = result

    def write(self, file: Path, content: bytes) -> None:
        """Write a file of the folder, whole or not at all. Raises OSError."""
        with explain_os_errors(file, "a file that can be written"):
            write_whole(file, content, is_durable=True)

    def _file(self, job: Job) -> Path:
        return self.path / JOBS / f"{job.digest}.json"


@contextlib.contextmanager
def open_search(folder: str | os.PathLike, description: dict[str, Any], jobs: list[Job]) -> Iterator[SearchFolder]:
    """Make the folder of a search, or open it to resume, and lock it.

    Raises ResumeError if another search is in it, FolderInUseError if another process runs it, and as `read_search`.
    """
    read_search(folder)  # raises before the folder is touched
    path = check_text_path("out", folder)
    with explain_os_errors(path, "a folder that can be written"):
        (path / JOBS).mkdir(parents=True, exist_ok=True)
    with lock_folder(path):
        recorded = read_search(path)
        if recorded is None:
            with explain_os_errors(path / SEARCH_FILE, "a file that can be written"):
                write_whole(path / SEARCH_FILE, json.dumps(description, indent=1).encode(), is_durable=True)
        else:
            _check_same(path, recorded, description)
            _remove_leftovers(path)
        yield SearchFolder(path, jobs)


def _check_same(path: Path, recorded: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise ResumeError that names the first difference; warn if programs have changed."""
    began, wanted = _fixed(recorded), _fixed(json.loads(json.dumps(now)))
    for name in {**wanted, **began}:
        if began.get(name) != wanted.get(name):
            raise ResumeError(
                f"{path}: expected {name}={_short(began.get(name))}, with which this search began, found "
                f"{_short(wanted.get(name))}; name another folder for another search"
            )
    versions = recorded["versions"]
    changed = "; ".join(
        f"{name} {versions.get(name)}, now {found}"
        for name, found in now["versions"].items()
        if versions.get(name) != found
    )
    if recorded["jobs_sha256"] != now["jobs_sha256"]:
        raise ResumeError(
            f"{path}: expected the jobs with which this search began, found others, as other versions have other "
            f"defaults or draws ({changed or 'no version differs'}); name another folder for another search"
        )
    if changed:
        warn_user(f"{path}: this search began with {changed}: new results may differ in rounding")


def _fixed(description: dict[str, Any]) -> dict[str, Any]:
    """What must not change when a search is resumed, by name."""
    return {**description["searched"], "threads": description["threads"], "data_sha256": description["data_sha256"]}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _describe(content: bytes, error: Exception) -> str:
    """What a file that is damaged holds: another kind of file, or JSON with a mistake."""
    kind = describe_content(content)
    return f" {kind}" if kind and ";" in kind else f": {error}"


def _read(file: Path, most: int) -> bytes:
    with explain_os_errors(file, "a file that a search has written"):
        if not file.is_file():
            raise ValueError(f"{file}: expected a file that a search has written, found none")
        if (size := file.stat().st_size) > most:
            raise ValueError(f"{file}: expected at most {most} bytes, found {size}")
        return file.read_bytes()


def _is_of_a_start(file: Path) -> bool:
    """Whether it is what a search leaves that was killed before it was described."""
    is_empty_folder = file.name == JOBS and file.is_dir() and not any(file.iterdir())
    return file.name == LOCK or file.name.startswith(f".{SEARCH_FILE}-") or is_empty_folder


def _remove_leftovers(path: Path) -> None:
    """Delete what a killed process left half-written."""
    with explain_os_errors(path, "a folder that can be written"):
        for folder, pattern in ((path, ".*.json-*"), (path, ".*.csv-*"), (path / JOBS, ".*.json-*")):
            for file in folder.glob(pattern):
                file.unlink()
