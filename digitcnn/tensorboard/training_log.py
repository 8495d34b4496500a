"""What training writes for TensorBoard, and when: scalars, hyperparameters, and the summaries on request.

train/        loss, accuracy, learning_rate, images_per_second; weights, filters, the traced step and its graph
validation/   loss, accuracy, images_per_second; activations, misread digits
              and, beside the two, hyperparameters and the projector's files
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..data.arrays import LabelledImages
from ..data.standardization import Standardization
from ..engine.calls import ShardFeed
from ..engine.engine import Engine, StepResult
from ..engine.state import Progress
from ..exceptions import warn_user
from .events import EventFiles, serialized_graph
from .image_grids import filters_picture, misread_picture
from .projector import PROJECTOR_FOLDER, write_projector
from .protos import end_of_session, histogram, image, start_of_session

v1 = tf.compat.v1

MAX_ACTIVATIONS = 500  # images whose activations are in histograms
MAX_POINTS = 1_000  # images in the projector
MAX_MISREAD = 16  # misread digits in an image
TRACED_STEP = 10  # of a call of `train`: the first steps are slower


class TrainingLog:
    """Takes the training steps and writes the events of one training into `logdir`, if there is one.

    A context manager. Writing changes no bit of the weights. Raises OSError.
    """

    def __init__(self, logdir: Path | None, summaries: tuple[str, ...], engine: Engine) -> None:
        self._logdir, self._summaries, self._engine = logdir, summaries, engine
        self._events = EventFiles(logdir)
        self._n_images, self._seconds = 0, 0.0  # of training steps since the last epoch's end
        self._trace: tuple[int, v1.RunMetadata] | None = None  # global step and measurements

    def __enter__(self) -> TrainingLog:
        self._events.__enter__()
        for name in ("train", "validation", PROJECTOR_FOLDER):
            if self._logdir is not None and (self._logdir / name).is_symlink():  # it may lead to another's files
                raise OSError(f"{self._logdir / name}: expected a folder, found a link; delete it")
        return self

    def __exit__(self, *arguments: Any) -> None:
        self._events.__exit__(*arguments)

    def begin(
        self,
        settings: dict[str, Any],
        standardization: Standardization | None,
        training_set: LabelledImages,
        validation_set: LabelledImages | None,
        last_step: int,
    ) -> None:
        """Write the hyperparameters; call before the first step.

        Parameters
        ----------
        settings : dict
            Hyperparameters to show.
        standardization : Standardization or None
            Applied to raw pixels; None for images scaled by the user.
        training_set, validation_set : LabelledImages, LabelledImages or None
            The images that summaries are computed from.
        last_step : int
            Global step at which the training ends.
        """
        first_step = self._engine.global_step()
        self._standardization, self._validation_set = standardization, validation_set
        self._image_shape = settings["image_shape"]
        self._summary_set = training_set if validation_set is None else validation_set
        self._first_step = first_step
        self._steps_to_trace = min(TRACED_STEP, last_step - first_step) if "trace" in self._summaries else 0
        if not self._events.is_on:
            return
        self._events.start_at(first_step + 1)
        self._warn_about_missing_summaries()
        self._events.write("", summary=start_of_session(settings))

    def _warn_about_missing_summaries(self) -> None:
        wanted = self._summaries
        if not self._engine.layers and {"histograms", "projector"} & set(wanted):
            without = "activations and projector are left out"
            warn_user(f"summaries: {without}: build() made no layer with conv_layer or fc_layer")
        if "images" in wanted and self._validation_set is None:
            warn_user("summaries: misread digits are left out: there is no validation set")

    def train_step(self, X: np.ndarray, y: np.ndarray, dropout: float, shard: ShardFeed) -> StepResult:
        """Take a training step; with a logdir, it counts the correct predictions.

        Parameters
        ----------
        X, y : array
            This worker's rows of the batch, and their labels.
        dropout : float
            Probability of dropping a unit.
        shard : ShardFeed
            Which rows they are.
        """
        if not self._events.is_on:
            return self._engine.train_step(X, y, self._standardization, dropout, shard=shard)
        self._steps_to_trace -= 1
        trace = v1.RunMetadata() if self._steps_to_trace == 0 else None
        started = time.perf_counter()
        done = self._engine.train_step(X, y, self._standardization, dropout, counts=True, shard=shard, trace=trace)
        if trace is None:
            self._seconds += time.perf_counter() - started
            self._n_images += shard.rows[2]
        else:  # written at the epoch's end: an error of a full disk must not come between a step and its accounting
            self._trace = self._engine.global_step(), trace
        return done

    def _write_trace(self, step: int, trace: v1.RunMetadata) -> None:
        self._events.write("train", graph_def=serialized_graph(self._engine.session.graph))
        tagged = {"tag": f"step {step}", "run_metadata": trace.SerializeToString()}
        self._events.write("train", step=step, tagged_run_metadata=tagged)

    def validated(self, step: int, measured: dict[str, float], seconds: float) -> None:
        """Write what `Engine.evaluate` measured after an epoch, and its speed."""
        if self._validation_set is not None and self._events.is_on:
            speed = len(self._validation_set) / seconds
            scalars = {"loss": measured["loss"], "accuracy": measured["accuracy"], "images_per_second": speed}
            self._events.scalars("validation", step, **scalars)

    def end_epoch(self, step: int, progress: Progress) -> None:
        """Write scalars and summaries after an epoch, or at the end of training within one."""
        if not self._events.is_on:
            return
        scalars = {"loss": progress.mean_loss, "accuracy": progress.accuracy}
        if self._seconds:
            scalars["images_per_second"] = self._n_images / self._seconds
        self._n_images, self._seconds = 0, 0.0
        self._events.scalars("train", step, **{tag: value for tag, value in scalars.items() if value is not None})
        start = max(self._first_step, progress.epoch_start)  # an earlier call wrote those before
        for place, rate in self._engine.learning_rates(start, step):
            self._events.scalars("train", place, learning_rate=rate)
        if self._trace:
            self._write_trace(*self._trace)
            self._trace = None
        if "histograms" in self._summaries:
            self._write_weights(step)
        with self._engine.averages.in_use():  # as in the validation
            if "histograms" in self._summaries:
                self._write_activations(step)
            if "images" in self._summaries:
                self._write_images(step)

    @property
    def _run(self) -> str:
        """The run that summaries computed from `_summary_set` belong to."""
        return "train" if self._validation_set is None else "validation"

    def _write_weights(self, step: int) -> None:
        engine = self._engine
        trained = engine.session.graph.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES)
        tagged = {f"weights/{variable.op.name}": variable for variable in trained}
        tagged |= {variable.op.name: variable for variable in engine.averages.variables}
        for tag, variable in tagged.items():
            self._events.write("train", step=step, summary=histogram(tag, engine.session.run(variable)))

    def _write_activations(self, step: int) -> None:
        engine = self._engine
        images = self._summary_set.images[:MAX_ACTIVATIONS]
        for layer in engine.layers:  # one at a time, to save memory
            values = engine.fetch(layer.output.name, images, self._standardization)
            self._events.write(self._run, step=step, summary=histogram(f"activations/{layer.name}", values))

    def _write_images(self, step: int) -> None:
        engine = self._engine
        variables = engine.session.graph.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES)
        for first in [variable for variable in variables if variable.shape.rank == 4][:1]:
            picture = filters_picture(engine.session.run(first))
            self._events.write("train", step=step, summary=image(f"filters/{first.op.name}", picture))
        if self._validation_set is not None:
            X, y = self._validation_set.images, self._validation_set.classes
            predictions = engine.predict(X, self._standardization)
            wrong = np.flatnonzero(predictions != y)[:MAX_MISREAD]
            if wrong.size:
                picture = misread_picture(self._as_pictures(X[wrong]), y[wrong], predictions[wrong])
                self._events.write("validation", step=step, summary=image("misread", picture))

    def finish(self) -> None:
        """Write the projector's files and the trial's end; not called after an interruption, which can be resumed."""
        if self._logdir is None:
            return
        if "projector" in self._summaries:
            self._write_projector(self._logdir)
        self._events.write("", summary=end_of_session())

    def _write_projector(self, logdir: Path) -> None:
        layers = [layer for layer in self._engine.layers if layer.variables]
        if not layers:
            return
        last_hidden = layers[-2:][0]  # a network of one layer has no hidden one: its logits
        X, y = self._summary_set.images[:MAX_POINTS], self._summary_set.classes[:MAX_POINTS]
        points = self._engine.fetch(last_hidden.output.name, X, self._standardization)
        predictions = self._engine.predict(X, self._standardization)
        points = points.reshape(len(X), -1)
        write_projector(logdir, last_hidden.name, points, self._as_pictures(X), y, predictions)

    def _as_pictures(self, X: np.ndarray) -> np.ndarray:
        """Reshape [n, pixels] to [n, height, width]."""
        return X.reshape(-1, *self._image_shape)
