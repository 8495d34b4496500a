"""The state of a model besides its variables: progress of training, history, standardization."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from .._json import as_number
from .._validation import MAX_COUNT, check_names
from ..data.standardization import Standardization

HISTORY_COLUMNS = ("Epoch", "Loss", "Accuracy")


@dataclass
class Progress:
    """Progress of training; with `global_step`, it determines the next batch.

    The open epoch is the one that has begun and is not finished.

    Parameters
    ----------
    epoch : int, default 0
        Finished epochs.
    epoch_start : int, default 0
        Global step at which the open epoch began.
    n_images : int, default 0
        Images of the open epoch.
    batchsize : int, default 1
        Images per batch of the open epoch.
    loss_sum : float, default 0.0
        Sum of the losses of the open epoch's samples so far.
    n_samples : int, default 0
        Number of these samples.
    n_correct : int or None, default 0
        Number of these samples that were predicted correctly in their training step; None if not counted for all.
    """

    epoch: int = 0
    epoch_start: int = 0
    n_images: int = 0
    batchsize: int = 1
    loss_sum: float = 0.0
    n_samples: int = 0
    n_correct: int | None = 0

    @property
    def batches_per_epoch(self) -> int:
        """Batches of the open epoch, the smaller last one included."""
        return -(-self.n_images // self.batchsize)

    @property
    def mean_loss(self) -> float:
        """Mean loss over the samples of the open epoch; NaN if there are none."""
        return self.loss_sum / self.n_samples if self.n_samples else float("nan")

    @property
    def accuracy(self) -> float | None:
        """Training accuracy over the samples of the open epoch; None if not counted."""
        return self.n_correct / self.n_samples if self.n_samples and self.n_correct is not None else None

    def open_epoch(self, global_step: int, n_images: int, batchsize: int) -> None:
        """Continue the open epoch, or begin a new one.

        A new one begins if the number of images or the batch size has changed, or if the steps since the open
        epoch's start do not match the samples counted here.
        """
        done = global_step - self.epoch_start
        accounted = self.n_samples == min(done * self.batchsize, self.n_images)
        if (n_images, batchsize) != (self.n_images, self.batchsize) or done > self.batches_per_epoch or not accounted:
            self.n_images, self.batchsize = n_images, batchsize
            self.begin_epoch(self.epoch, global_step)

    def begin_epoch(self, epoch: int, global_step: int) -> None:
        """Begin an epoch after `epoch` finished ones, and discard the counts of the open one."""
        self.epoch, self.epoch_start = epoch, global_step
        self.loss_sum, self.n_samples, self.n_correct = 0.0, 0, 0

    def count(self, mean_loss: float, n_samples: int, n_correct: int | None) -> None:
        """Add the results of a step on `n_samples` images."""
        self.loss_sum += mean_loss * n_samples
        self.n_samples += n_samples
        self.n_correct = None if self.n_correct is None or n_correct is None else self.n_correct + n_correct


def _no_history() -> pd.DataFrame:
    return pd.DataFrame(columns=HISTORY_COLUMNS)


@dataclass
class ModelState:
    """What training changes in a model besides its variables.

    Parameters
    ----------
    progress : Progress, default Progress()
        Progress of training.
    history : DataFrame, default empty
        Epoch, Loss and Accuracy of each epoch.
    standardization : Standardization or None, default None
        Converts raw pixels to floats; None if the model was trained on floats, or before any training.
    origin : str or None, default None
        Name of the weights that a training starts from; None for random ones. A saved model does not keep it.
    """

    progress: Progress = field(default_factory=Progress)
    history: pd.DataFrame = field(default_factory=_no_history)
    standardization: Standardization | None = None
    origin: str | None = None

    def add_row(self, entry: Mapping[str, float] | Sequence[float]) -> None:
        """Add a row to the history; raise TypeError or ValueError for anything but three numbers."""
        row = pd.DataFrame([history_row(entry)], columns=HISTORY_COLUMNS)
        self.history = pd.concat([self.history, row], ignore_index=True) if len(self.history) else row

    def reset(self, standardization: Standardization | None) -> None:
        """Begin anew: no history, no progress."""
        self.progress, self.history, self.standardization = Progress(), _no_history(), standardization
        self.origin = None

    def drop_open_epoch(self) -> None:
        """Drop the row of an unfinished epoch, which the epoch's own row replaces."""
        epochs = self.history["Epoch"]
        self.history = self.history[(epochs <= self.progress.epoch) | (epochs % 1 == 0)]


def check_history(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a history with these rows; raise TypeError or ValueError unless they can be saved."""
    if not isinstance(rows, pd.DataFrame):
        raise TypeError(f"history: expected a DataFrame of {', '.join(HISTORY_COLUMNS)}, found {type(rows).__name__}")
    check_names("history", list(rows.columns), HISTORY_COLUMNS)
    return pd.DataFrame([history_row(row) for row in rows.to_dict("records")], columns=HISTORY_COLUMNS)


def history_row(entry: Mapping[str, float] | Sequence[float]) -> dict[str, float]:
    """Return a row of the history from numbers by name or in order; raise TypeError or ValueError."""
    if not isinstance(entry, Mapping):
        if not isinstance(entry, Collection) or len(entry) != len(HISTORY_COLUMNS):
            raise TypeError(f"entry: expected {', '.join(HISTORY_COLUMNS)}, found {entry!r}")
        entry = dict(zip(HISTORY_COLUMNS, entry, strict=True))
    check_names("entry", entry, HISTORY_COLUMNS)
    row = {name: as_number(f"entry.{name}", entry[name]) for name in HISTORY_COLUMNS}
    as_number("entry.Epoch", row["Epoch"], (0, MAX_COUNT))
    return row
