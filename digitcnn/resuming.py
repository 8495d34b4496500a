"""A folder of checkpoints from which a training that was killed at any moment goes on.

model.ckpt-STEP.*        the newest few, each written beside the others and then renamed
best/model.ckpt-STEP.*   the one with the best validation accuracy
.lock                    held by the process that trains into the folder
"""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import tensorflow as tf

from .checkpoints import (
    checkpoint_prefix,
    read_record,
    record_file,
    remove_checkpoint,
    remove_leftovers,
    saved_numbers,
)
from .checks import MOST, check_bool, check_path, check_whole
from .precision import cpu_name
from .records import CheckpointError, Plan, Record

LOCK = ".lock"
BEST = "best"


class FolderInUseError(OSError):
    """Another process is training into the folder."""


def this_machine() -> dict[str, Any]:
    """What the rounding of a training depends on besides its plan, by name."""
    try:
        n_cpus = len(os.sched_getaffinity(0))  # as TensorFlow counts its threads
    except AttributeError:
        n_cpus = os.cpu_count()
    return {
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "n_cpus": n_cpus,
    }


def lock_folder(folder: str | os.PathLike) -> filelock.BaseFileLock:
    """A context manager that holds a folder's lock; the same process may take it again.

    It ends with the process, however that ends. Raises FolderInUseError if another process has it,
    OSError if the folder cannot be written, both before anything is changed.
    """
    folder = Path(folder)
    lock = filelock.FileLock(folder / LOCK, timeout=0, is_singleton=True)
    try:
        return lock.acquire()
    except filelock.Timeout:
        raise FolderInUseError(
            f"{folder}: expected a folder that no other process trains into, found one that does; "
            "wait for it to end, or give another folder"
        ) from None
    except OSError as error:
        raise OSError(f"{folder}: expected a folder that can be written, found: {error}") from error


def check_checkpoint_arguments(folder, every: int | None, max_to_keep: int, resume: bool) -> None:
    """Raises TypeError or ValueError that names the argument."""
    if folder is not None:
        check_path("checkpoint_dir", folder)
    if every is not None:
        check_whole("checkpoint_every", every, 1, MOST)
    check_whole("max_to_keep", max_to_keep, 1, MOST)
    if folder is None and every is not None:
        raise ValueError("checkpoint_every: expected a checkpoint_dir beside it, found none")
    if folder is None and resume:
        raise ValueError("resume: expected a checkpoint_dir to resume from, found none")
    check_bool("resume", resume)


class CheckpointFolder:
    """The checkpoints of one training, in a folder that is this process's own meanwhile.

    A context manager, which takes the lock and clears away what a kill has left. Without a folder it
    does nothing.
    """

    def __init__(self, folder: str | os.PathLike | None, max_to_keep: int):
        self._folder = None if folder is None else Path(folder)
        self._max_to_keep = max_to_keep
        self._steps: list[int] = []
        self._lock = None

    @property
    def is_on(self) -> bool:
        """Whether checkpoints are written at all."""
        return self._folder is not None

    def __enter__(self) -> CheckpointFolder:
        if self._folder is not None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OSError(f"{self._folder}: expected a folder that can be written, found: {error}") from error
            self._lock = lock_folder(self._folder)
            self._lock.__enter__()
        return self

    def __exit__(self, *exception) -> None:
        if self._lock is not None:
            self._lock.__exit__(*exception)

    def clean(self) -> None:
        """Clear away what a kill has left."""
        for folder in (self._folder, self._folder / BEST):
            if folder.is_dir():
                remove_leftovers(folder)

    def check_empty(self) -> None:
        """Raises FileExistsError if there are saved models in the folder."""
        if self.is_on and (numbers := saved_numbers(self._folder)):
            raise FileExistsError(
                f"{self._folder}: expected a folder without saved models to begin a training in, found model.ckpt-"
                f"{numbers[-1]}; give another folder or, if that is this training's, resume=True"
            )

    def load_newest(
        self, class_name: str, settings: dict[str, Any], plan: Plan, load: Callable[[Path, Record], None]
    ) -> Record | None:
        """Load the newest checkpoint that is whole, by `load`; None if there is none at all.

        A damaged one, of which load(prefix, record) raises CheckpointError, is reported, as a warning, and
        the one before it is used. class_name, settings, plan: of the training that is to go on.
        Raises ResumeError if it is another one, CheckpointError if all are damaged.
        """
        damages = []
        for step in reversed(saved_numbers(self._folder)):
            prefix = checkpoint_prefix(self._folder, step)
            try:
                record = read_record(prefix)
                if record.plan is None:  # saved by hand
                    continue
                record.check_goes_on(record_file(prefix), class_name, settings, plan)
                load(prefix, record)
            except CheckpointError as error:
                damages.append(str(error))
                continue
            self._steps = [number for number in saved_numbers(self._folder) if number <= step and self._is_own(number)]
            for damage in damages:
                _warn(f"{damage}. Going on from {prefix.name}, the newest that is whole")
            for name, value in plan.machine.items():
                if (began := record.plan.machine.get(name)) != value:
                    _warn(
                        f"{name}: this training began with {began}, and goes on with {value}: the weights will be "
                        "close to what they would have been, not equal to the bit"
                    )
            return record
        if damages:
            raise CheckpointError(
                f"{self._folder}: expected a checkpoint that is whole, found none: " + "; ".join(damages)
            )
        return None

    def _is_own(self, step: int) -> bool:
        """Whether a checkpoint is not one that was saved by hand."""
        prefix = checkpoint_prefix(self._folder, step)
        try:
            return not record_file(prefix).exists() or read_record(prefix).plan is not None
        except CheckpointError:  # damaged
            return True

    def save(self, step: int, record: Record, write: Callable[[Path, Record], None]) -> None:
        """Write a checkpoint, then remove those beyond `max_to_keep`. write(prefix, record) writes the files.

        At the end of an epoch with a better validation accuracy than all before, best/ gets it too.
        Raises OSError, and then what was saved stays as it was.
        """
        if not (self._folder / LOCK).exists():
            raise FileNotFoundError(f"{self._folder}: expected the folder that this training began in, found it gone")
        prefix = checkpoint_prefix(self._folder, step)
        if not self._is_own(step):
            raise FileExistsError(f"{prefix}: expected a name to write a checkpoint to, found a model saved by hand")
        *before, last = [-1.0, *(row["Accuracy"] for row in record.history)]
        if record.progress.n_samples == 0 and last > np.nanmax([-1.0, *before]):
            self._save_best(step, record, write)
        write(prefix, record)
        self._steps = [number for number in self._steps if number != step] + [step]
        for old in self._steps[: -self._max_to_keep]:
            remove_checkpoint(checkpoint_prefix(self._folder, old))
        self._steps = self._steps[-self._max_to_keep :]

    def _save_best(self, step, record, write):
        folder = self._folder / BEST
        folder.mkdir(exist_ok=True)
        write(checkpoint_prefix(folder, step), record)
        for old in saved_numbers(folder):
            if old != step:
                remove_checkpoint(checkpoint_prefix(folder, old))


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)  # at the call of `train`
