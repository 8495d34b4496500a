"""Trials of a search for TensorBoard's HParams: one for each job, grouped by settings over seeds and folds."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

from .._files import scratch_folder
from .._validation import explain_os_errors
from ..tensorboard.events import EventFiles
from ..tensorboard.protos import end_of_session, search_of_hyperparameters, start_of_trial
from .jobs import Job, Result
from .plan import Plan, text_of

METRICS = {"accuracy": "validation accuracy", "loss": "validation loss"}


class Trials:
    """Writes into `folder` what TensorBoard shows of a search."""

    def __init__(self, folder: Path, plan: Plan):
        """Make the folder, and declare settings and metrics in it if that is not done. Raises OSError."""
        self._folder, self._searched = folder, plan.searched
        with explain_os_errors(folder, "a folder that can be written"):
            folder.mkdir(exist_ok=True)
            for leftover in folder.glob(".job-*"):
                shutil.rmtree(leftover)
            if any(path.is_file() for path in folder.glob("events.*")):
                return
            values: dict[str, Any] = {**plan.grid, **{name: (r.low, r.high) for name, r in plan.ranges.items()}}
            with EventFiles(folder) as events:
                events.write("", summary=search_of_hyperparameters(values, set(plan.ranges), METRICS))

    def write(self, number: int, job: Job, result: Result) -> None:
        """Write a finished job's trial, whole, unless it is there. Raises OSError."""
        name = f"job-{number:04}"
        if (self._folder / name).exists():
            return
        settings = {name: job.settings[name] for name in self._searched}
        with (
            explain_os_errors(self._folder, "a folder that can be written"),
            scratch_folder(self._folder, name) as scratch,
        ):
            with EventFiles(scratch / name) as events:
                events.write("", summary=start_of_trial(settings, text_of(settings)))
                for epoch, loss, accuracy in result.history:
                    events.scalars("", math.ceil(epoch), training_loss=loss, accuracy=accuracy)
                events.scalars("", math.ceil(result.history[-1][0]), loss=result.loss)
                events.write("", summary=end_of_session())
            (scratch / name).replace(self._folder / name)
