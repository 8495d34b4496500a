"""The training loop: what happens in a step, at the end of an epoch and at an interruption, in this order."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._progress import TrainingBar, write_line
from ..cluster.workers import Workers
from ..data.arrays import LabelledImages
from ..data.batches import batch_generator, rows_of
from ..engine.calls import ShardFeed
from ..exceptions import WorkerLostError
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
    workers : Workers
        Those that train together, of which worker 0 writes.
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
    workers: Workers
    update_history: Callable[[dict[str, float]], None]

    def run(self, last_step: int) -> None:
        """Train from the model's global step up to `last_step`, from within the open epoch.

        Batch k of epoch e is a pure function of (random_seed, e, k), so that interruptions do not change the result.
        A checkpoint is written after each epoch, at the end, after every `checkpoint_every` steps if that is given,
        and before an interruption is raised.
        """
        settings, progress, workers = self.model.settings, self.model.state.progress, self.workers
        step, checkpoint_every = self.model.engine.global_step(), self.options.checkpoint_every
        with (
            hold_signals(terminates=self.checkpoints.is_on or workers.n > 1) as interrupted,
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
                    part=(workers.index, workers.n),
                )
                for X_batch, y_batch in batches:
                    n_rows = min(
                        progress.batchsize, progress.n_images - (step - progress.epoch_start) * progress.batchsize
                    )
                    asked = interrupted() if workers.n > 1 else None
                    shard = ShardFeed((*rows_of(workers.index, workers.n, n_rows), n_rows), stops=asked is not None)
                    done = workers.call(self.log.train_step, X_batch, y_batch, settings.dropout, shard)
                    progress.count(done.loss, n_rows, done.n_correct)
                    step += 1
                    bar.step(done.loss)
                    if step in (last_step, epoch_end):
                        break  # even if a signal is held: the epoch's end comes first
                    interruption = interrupted()
                    if workers.n > 1:  # all of them stop after the same step
                        interruption = (interruption or _stopped(done.n_stopping, step)) if done.n_stopping else None
                    if interruption or (checkpoint_every and step % checkpoint_every == 0):
                        self._save(step)
                    if interruption:
                        raise interruption
                epoch: float = progress.epoch + 1
                if step != epoch_end:  # the end of a training that stops within an epoch
                    epoch = progress.epoch + (step - progress.epoch_start) / progress.batches_per_epoch
                if step == last_step:
                    self.model.engine.averages.take()
                row = self._finish_epoch(epoch, step)
                bar.end_epoch(row["Accuracy"])
                if step == epoch_end:
                    progress.begin_epoch(progress.epoch + 1, step)
                self._save(step)
                if "lines" in self.options.shown:  # after the save: printing raises if the reader is gone
                    write_line(line_of(row))
                if workers.n == 1 and (interruption := interrupted()):
                    raise interruption
                if step == last_step:
                    break

    def _finish_epoch(self, epoch: float, step: int) -> dict[str, Any]:
        """Validate, log, and add the epoch's row to the history; returns the row."""
        state = self.model.state
        row = {"Epoch": epoch, "Loss": state.progress.mean_loss, "Accuracy": float("nan")}
        if self.validation_set is not None:
            started = time.perf_counter()
            show_bar = "bar" in self.options.shown
            measured = self._evaluate(self.validation_set, show_bar=show_bar)
            self.log.validated(step, measured, time.perf_counter() - started)
            row["Accuracy"] = measured["accuracy"]
        self.log.end_epoch(step, state.progress)
        state.drop_open_epoch()
        self.update_history(row)
        return row

    def _evaluate(self, examples: LabelledImages, *, show_bar: bool) -> dict[str, float]:
        """Return accuracy and loss over the images of all workers, each of which computes a part of them.

        The network has its moving averages as weights, if it has any.
        """
        part, engine = examples.part(self.workers.index, self.workers.n), self.model.engine
        with engine.averages.in_use():
            counted = engine.count(part, self.model.state.standardization, show_bar=show_bar)
        counts = [json.loads(text) for text in self.workers.gather(json.dumps(counted).encode())]
        correct, loss_sum = (sum(column) for column in zip(*counts, strict=True))
        return {"accuracy": correct / len(examples), "loss": loss_sum / len(examples)}

    def _save(self, step: int) -> None:
        if self.plan is not None:
            self.checkpoints.save(self.model, step, self.plan)


def _stopped(n_workers: int, step: int) -> WorkerLostError:
    """The end of a worker's training after another one was asked to stop."""
    return WorkerLostError(
        f"expected to train on, found {n_workers} other worker(s) asked to stop after step {step}, where all stopped; "
        "worker 0 saved a checkpoint if it has a folder: start this worker again to resume"
    )


def line_of(row: dict[str, Any]) -> str:
    """An epoch's line, as the tutorial prints it; the second part needs a validation set."""
    epoch, loss, accuracy = row["Epoch"], row["Loss"], row["Accuracy"]
    number = f"{epoch:02}" if isinstance(epoch, int) else f"{epoch:.2f}"
    line = f"Epoch {number}: Training Avg. Loss: {loss:7.3f} "
    return line if math.isnan(accuracy) else f"{line}, Validation Acc: {accuracy:7.3f}"
