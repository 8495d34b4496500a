"""A folder of checkpoints from which a training can be resumed after a kill at any moment.

model.ckpt-STEP.*        the newest few
best/model.ckpt-STEP.*   the one with the best validation accuracy
.lock                    held by the process that trains into the folder
.lock-saving             held while a model is written or removed
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from .._validation import explain_os_errors
from ..engine.machine import differences
from ..exceptions import CheckpointError, DamagedError, warn_user
from ..settings import settings_dict
from .checkpoint import open_model
from .layout import checkpoint_prefix, record_file, saved_numbers
from .lock import LOCK, lock_folder
from .model_parts import ModelParts
from .record import Plan, Record
from .record_file import is_training_checkpoint, read_record
from .writing import finish_leftovers, remove_checkpoint

BEST = "best"


class CheckpointFolder:
    """The checkpoints of one training, in a folder that this process has locked.

    A context manager, which makes the folder if need be and takes its lock. Without a folder it does nothing. Files
    that are no checkpoint of a training, such as a model that `DigitCNN.save` wrote, are neither removed nor replaced.
    """

    def __init__(self, folder: Path | None, max_to_keep: int, *, resumes: bool = False):
        """resumes: whether checkpoints in the folder are those of this training."""
        self._path, self._resumes = folder, resumes
        self._max_to_keep = max_to_keep
        self._steps: list[int] = []  # of the checkpoints in the folder, the newest last
        self._replaceable: set[int] = set()  # damaged ones, which have been reported
        self._lock: AbstractContextManager | None = None
        self._lock_identity: tuple[int, int] | None = None

    @property
    def is_on(self) -> bool:
        """Whether checkpoints are written at all."""
        return self._path is not None

    @property
    def _folder(self) -> Path:
        if self._path is None:
            raise RuntimeError("expected a folder of checkpoints, found none")  # a fault in the caller
        return self._path

    def __enter__(self) -> CheckpointFolder:
        if self.is_on:
            with explain_os_errors(self._folder, "a folder that can be written"):
                if not (self._folder / LOCK).exists() and not self._has_checkpoints():
                    self._check_no_models()  # before the lock's file is made: a refusal changes nothing
                self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = lock_folder(self._folder)
            self._lock.__enter__()
            self._lock_identity = self._identity()
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._lock is not None:
            self._lock.__exit__(*exception)

    def _identity(self) -> tuple[int, int] | None:
        """The lock file's device and number, by which the folder is known; None if it is gone."""
        try:
            found = (self._folder / LOCK).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _prefix(self, step: int) -> Path:
        return checkpoint_prefix(self._folder, step)

    def _has_checkpoints(self) -> bool:
        """Whether there are models that a training may be resumed from, or that cannot be read."""
        try:
            records = [read_record(self._prefix(step)) for step in saved_numbers(self._folder)] if self._resumes else []
        except CheckpointError:
            return True
        except OSError:
            return False
        return any(record.plan is not None for record in records)

    def check_empty(self) -> None:
        """Raise FileExistsError if there are saved models in the folder, of whatever program; change nothing then."""
        self._check_no_models()
        self._finish_leftovers()

    def _check_no_models(self) -> None:
        for folder in (self._folder, self._folder / BEST):
            names = sorted(file.name for file in folder.glob("model.ckpt-*"))
            if folder.is_dir():  # what a kill of an earlier version left has a hidden name
                names += [checkpoint_prefix(folder, number).name for number in saved_numbers(folder)]
            if names:
                expected = f"{folder}: expected a folder without saved models for a new training, found {names[-1]}"
                if self._resumes:
                    raise FileExistsError(f"{expected}, which is no checkpoint to resume from; give another folder")
                raise FileExistsError(f"{expected}; give another folder or, to continue that training, resume=True")

    def load_newest(self, model: ModelParts, plan: Plan) -> Plan | None:
        """Load the newest whole checkpoint; None if there is none at all.

        A damaged checkpoint is reported in a warning, and the one before it is used; what a kill has interrupted is
        finished. plan: of the training to resume.
        Raises ResumeError if it is another training, CheckpointError if all are damaged; then nothing is changed.
        """
        damages = []
        for step in reversed(saved_numbers(self._folder)):
            prefix = self._prefix(step)
            try:
                with open_model(self._folder, step) as saved:
                    record = saved.record
                    if record.plan is None:  # saved by `save`
                        continue
                    record.check_resumes(record_file(prefix), model.class_name, settings_dict(model.settings), plan)
                    model.load(saved)
            except DamagedError as error:
                damages.append(str(error))
                self._replaceable.add(step)
                continue
            self._finish_leftovers()
            self._steps = [number for number in saved_numbers(self._folder) if number <= step]
            self._steps = [number for number in self._steps if is_training_checkpoint(self._prefix(number))]
            self._remove_oldest()
            for damage in damages:
                warn_user(f"{damage}; resuming from {prefix.name}, the newest undamaged checkpoint")
            for name, began, now in differences(record.plan.machine, plan.machine):
                warn_user(
                    f"{name}: expected {began or None}, with which this training began, found {now or None}; the "
                    "weights will be close to those of an uninterrupted training, but may not be equal to the bit"
                )
            return record.plan
        if damages:
            raise CheckpointError(
                f"{self._folder}: expected an undamaged checkpoint, found none: " + "; ".join(damages)
            )
        return None

    def _finish_leftovers(self) -> None:
        for folder in (self._folder, self._folder / BEST):
            if folder.is_dir() and not folder.is_symlink():
                finish_leftovers(folder)

    def save(self, model: ModelParts, step: int, plan: Plan) -> None:
        """Write a checkpoint, then remove those beyond `max_to_keep`.

        At the end of an epoch with a better validation accuracy than all before, best/ gets it too.
        Raises OSError, and then what was saved stays as it was.
        """
        if self._identity() != self._lock_identity:
            raise FileNotFoundError(
                f"{self._folder}: expected the folder that this training began in, found it deleted"
            )
        prefix = self._prefix(step)
        if step not in self._replaceable:
            _check_free(prefix)
        record = model.record(plan)
        *before, last = [-1.0, *(row["Accuracy"] for row in record.history)]
        if record.progress.n_samples == 0 and last > np.nanmax([-1.0, *before]):
            self._save_best(model, step, record)
        model.write(prefix, record)
        self._steps.append(step)
        self._remove_oldest()

    def _remove_oldest(self) -> None:
        for old in self._steps[: -self._max_to_keep]:
            remove_checkpoint(self._prefix(old))
        self._steps = self._steps[-self._max_to_keep :]

    def _save_best(self, model: ModelParts, step: int, record: Record) -> None:
        folder = self._folder / BEST
        if folder.is_symlink():
            raise OSError(f"{folder}: expected a folder, found a link")
        with explain_os_errors(folder, "a folder that can be written"):
            folder.mkdir(exist_ok=True)
        prefix = checkpoint_prefix(folder, step)
        if not _is_of_a_training(prefix):
            _check_free(prefix)
        # Exchanged, not copied: the optimizer's weights are there too, so that a training resumes from best/ as well.
        with model.engine.averages.in_use():
            model.write(prefix, record)
        for old in saved_numbers(folder):
            if old != step and is_training_checkpoint(checkpoint_prefix(folder, old)):
                remove_checkpoint(checkpoint_prefix(folder, old))


def _check_free(prefix: Path) -> None:
    """Raise FileExistsError if there are files of a model of that name."""
    if list(prefix.parent.glob(f"{prefix.name}.*")):
        raise FileExistsError(
            f"{prefix}: expected a free name for a checkpoint, found another model's files; move {prefix.name}.* away "
            "and resume"
        )


def _is_of_a_training(prefix: Path) -> bool:
    """Whether a checkpoint has that name, even a damaged one: this training wrote it before it was killed."""
    try:
        return read_record(prefix).plan is not None
    except DamagedError:
        return record_file(prefix).exists()
    except CheckpointError:
        return False
