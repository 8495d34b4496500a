"""The training loop: what happens in a step, at the end of an epoch and at an interruption, in this order."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._progress import TrainingBar, write_line
from ..data.arrays import LabelledImages
from ..data.batches import batch_generator
from ..saving.checkpoint_folder import CheckpointFolder
from ..saving.model_parts import ModelParts
from ..saving.record import Plan
from ..tensorboard.training_log import TrainingLog
from .options import TrainingOptions
from .signals import hold_signals


@dataclass(frozen=True)
class TrainingLoop:
    """Trains a model up to a step, with validation, events, checkpoints and lines on the way.

    Parameters
    ----------
    model : ModelParts
        The model: settings, engine, state.
    options : TrainingOptions
        What `train` was asked for.
    training_set, validation_set : LabelledImages, LabelledImages or None
        Checked, and of the kind that the model's standardization takes.
    log : TrainingLog
        Takes the training steps, and writes for TensorBoard.
    checkpoints : CheckpointFolder
        Where checkpoints go, if anywhere.
    plan : Plan or None
        Of the training, for its checkpoints.
    update_history : callable
        Takes the row of each epoch: the model's own method, which a subclass may override.
    """

    model: ModelParts
    options: TrainingOptions
    training_set: LabelledImages
    validation_set: LabelledImages | None
    log: TrainingLog
    checkpoints: CheckpointFolder
    plan: Plan | None
    update_history: Callable[[dict[str, float]], None]

    def run(self, last_step: int) -> None:
        """Train from the model's global step up to `last_step`, from within the open epoch.

        Batch k of epoch e is a pure function of (random_seed, e, k), so that interruptions do not change the result.
        A checkpoint is written after each epoch, at the end, after every `checkpoint_every` steps if that is given,
        and before an interruption is raised.
        """
        settings, progress = self.model.settings, self.model.state.progress
        step, checkpoint_every = self.model.engine.global_step(), self.options.checkpoint_every
        with (
            hold_signals(terminates=self.checkpoints.is_on) as interrupted,
            TrainingBar(last_step - step, show="bar" in self.options.shown) as bar,
        ):
            while True:  # at least once: an interrupted call may have left a full epoch without its validation
                bar.begin_epoch(progress.epoch + 1)
                start = step - progress.epoch_start
                epoch_end = progress.epoch_start + progress.batches_per_epoch
                batches = batch_generator(
                    self.training_set.images,
                    self.training_set.labels,
                    progress.batchsize,
                    settings.shuffle,
                    settings.random_seed,
                    epoch=progress.epoch,
                    start=start,
                )
                for X_batch, y_batch in batches:
                    loss, n_correct = self.log.train_step(X_batch, y_batch, settings.dropout)
                    progress.count(loss, len(y_batch), n_correct)
                    step += 1
                    bar.step(loss)
                    if step in (last_step, epoch_end):
                        break  # even if a signal is held: the epoch's end comes first
                    interruption = interrupted()
                    if interruption or (checkpoint_every and step % checkpoint_every == 0):
                        self._save(step)
                    if interruption:
                        raise interruption
                epoch: float = progress.epoch + 1
                if step != epoch_end:  # the end of a training that stops within an epoch
                    epoch = progress.epoch + (step - progress.epoch_start) / progress.batches_per_epoch
                row = self._finish_epoch(epoch, step)
                bar.end_epoch(row["Accuracy"])
                if step == epoch_end:
                    progress.begin_epoch(progress.epoch + 1, step)
                self._save(step)
                if "lines" in self.options.shown:  # after the save: printing raises if the reader is gone
                    write_line(line_of(row))
                if interruption := interrupted():
                    raise interruption
                if step == last_step:
                    break

    def _finish_epoch(self, epoch: float, step: int) -> dict[str, Any]:
        """Validate, log, and add the epoch's row to the history; returns the row."""
        engine, state = self.model.engine, self.model.state
        row = {"Epoch": epoch, "Loss": state.progress.mean_loss, "Accuracy": float("nan")}
        if self.validation_set is not None:
            started = time.perf_counter()
            show_bar = "bar" in self.options.shown
            measured = engine.evaluate(self.validation_set, state.standardization, show_bar=show_bar)
            self.log.validated(step, measured, time.perf_counter() - started)
            row["Accuracy"] = measured["accuracy"]
        self.log.end_epoch(step, state.progress)
        state.drop_open_epoch()
        self.update_history(row)
        return row

    def _save(self, step: int) -> None:
        if self.plan is not None:
            self.checkpoints.save(self.model, step, self.plan)


def line_of(row: dict[str, Any]) -> str:
    """An epoch's line, as the tutorial prints it; the second part needs a validation set."""
    epoch, loss, accuracy = row["Epoch"], row["Loss"], row["Accuracy"]
    number = f"{epoch:02}" if isinstance(epoch, int) else f"{epoch:.2f}"
    line = f"Epoch {number}: Training Avg. Loss: {loss:7.3f} "
    return line if math.isnan(accuracy) else f"{line}, Validation Acc: {accuracy:7.3f}"
