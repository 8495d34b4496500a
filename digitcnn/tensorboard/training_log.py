"""What a training writes for TensorBoard: scalars and hyperparameters, and what is asked for besides.

train/        loss, accuracy, learning_rate, images_per_second; weights, filters, the traced step and its graph
validation/   loss, accuracy, images_per_second; activations, misread digits
              and, beside the two, hyperparameters and the projector's files
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..data.standardization import Standardization
from ..engine.engine import BATCH_SIZE, Engine
from ..engine.state import Progress
from ..graph.inspection import graph_layers
from .events import EventFiles, serialized_graph
from .image_grids import filters_picture, misread_picture
from .projector import FOLDER, write_projector
from .protos import end_of_session, histogram, image, start_of_session

v1 = tf.compat.v1


# What costs time, and so is to be asked for.
SUMMARIES = ("histograms", "images", "projector", "trace")


MOST_ACTIVATIONS = 500  # images, for histograms


MOST_POINTS = 1_000  # images, in the projector


MOST_MISREAD = 16  # images


TRACED_STEP = 10  # of a call of `train`: the first ones are those of a cold start


def check_summaries(summaries: Collection[str], logdir: os.PathLike | None) -> tuple[str, ...]:
    """The names, each once, in the order of SUMMARIES. Raises TypeError or ValueError."""
    if isinstance(summaries, str) or not isinstance(summaries, Collection):
        raise TypeError(f"summaries: expected a collection of names, of {', '.join(SUMMARIES)}, found {summaries!r}")
    for name in summaries:
        if name not in SUMMARIES:
            raise ValueError(f"summaries: expected any of {', '.join(SUMMARIES)}, found {name!r}")
    if summaries and logdir is None:
        raise ValueError("summaries: expected a logdir beside them to write into, found none")
    return tuple(name for name in SUMMARIES if name in summaries)


class TrainingLog:
    """The events of one training, in `logdir`; without a logdir it writes nothing, and only takes steps.

    A context manager. What it writes changes nothing in the training. Raises OSError.
    """

    def __init__(self, logdir: Path | None, summaries: tuple[str, ...], engine: Engine):
        self._logdir, self._summaries, self._engine = logdir, summaries, engine
        self._events = EventFiles(logdir)
        self._n_images, self._seconds = 0, 0.0  # in training steps since the last epoch's end
        self._trace: tuple[int, v1.RunMetadata] | None = None  # of the step that was traced

    def __enter__(self) -> TrainingLog:
        self._events.__enter__()
        for name in ("train", "validation", FOLDER) if self._events.is_on else ():
            if (self._logdir / name).is_symlink():  # of a stranger's
                raise OSError(f"{self._logdir / name}: expected a folder, found a link")
        return self

    def __exit__(self, *arguments) -> None:
        self._events.__exit__(*arguments)

    def begin(
        self,
        settings: dict[str, Any],
        standardization: Standardization | None,
        training_set: tuple,
        validation_set: tuple | None,
        first_step: int,
        last_step: int,
    ) -> None:
        """Before the first step of a call of `train`, which goes from `first_step` to `last_step`."""
        self._standardization, self._validation_set = standardization, validation_set
        self._image_shape = settings["image_shape"]
        self._looked_at = validation_set or training_set
        self._first_step = first_step
        self._steps_to_trace = min(TRACED_STEP, last_step - first_step) if "trace" in self._summaries else 0
        if not self._events.is_on:
            return
        self._events.start_at(first_step + 1)
        self._warn_of_what_is_left_out()
        self._events.write("", summary=start_of_session(settings))

    def _warn_of_what_is_left_out(self) -> None:
        graph, wanted = self._engine.session.graph, self._summaries
        if not graph_layers(graph) and {"histograms", "projector"} & set(wanted):
            without = "activations and projector are left out"
            warnings.warn(f"summaries: {without}: build() made no layer with the wrappers", stacklevel=4)
        if "images" in wanted and self._validation_set is None:
            warnings.warn("summaries: misread digits are left out: there is no validation set", stacklevel=4)

    def train_step(self, X: np.ndarray, y: np.ndarray, dropout: float) -> tuple[float, int | None]:
        """A training step: mean loss and, with a logdir, how many were read rightly."""
        if not self._events.is_on:
            return self._engine.train_step(X, y, self._standardization, dropout)
        self._steps_to_trace -= 1
        trace = v1.RunMetadata() if self._steps_to_trace == 0 else None
        started = time.perf_counter()
        done = self._engine.train_step(X, y, self._standardization, dropout, True, trace)
        if trace is None:
            self._seconds += time.perf_counter() - started
            self._n_images += len(y)
        else:  # written at the epoch's end: a full disk must not come between a step and its accounting
            self._trace = self._engine.global_step(), trace
        return done

    def _write_trace(self, step: int, trace: v1.RunMetadata) -> None:
        self._events.write("train", graph_def=serialized_graph(self._engine.session.graph))
        tagged = {"tag": f"step {step}", "run_metadata": trace.SerializeToString()}
        self._events.write("train", step=step, tagged_run_metadata=tagged)

    def validated(self, step: int, measured: dict[str, float], seconds: float) -> None:
        """After the validation of an epoch, as Engine.evaluate gives it, which took so long."""
        if self._events.is_on:
            speed = len(self._validation_set[1]) / seconds
            scalars = {"loss": measured["loss"], "accuracy": measured["accuracy"], "images_per_second": speed}
            self._events.scalars("validation", step, **scalars)

    def end_epoch(self, step: int, progress: Progress) -> None:
        """After an epoch, or what `train` does of one."""
        if not self._events.is_on:
            return
        scalars = {"loss": progress.mean_loss, "accuracy": progress.accuracy}
        if self._seconds:
            scalars["images_per_second"] = self._n_images / self._seconds
        self._n_images, self._seconds = 0, 0.0
        self._events.scalars("train", step, **{tag: value for tag, value in scalars.items() if value is not None})
        start = max(self._first_step, progress.epoch_start)  # before it, an earlier call has written them
        for place, rate in self._engine.learning_rates(start, step):
            self._events.scalars("train", place, learning_rate=rate)
        if self._trace:
            self._write_trace(*self._trace)
            self._trace = None
        if "histograms" in self._summaries:
            self._write_histograms(step)
        if "images" in self._summaries:
            self._write_images(step)

    @property
    def _run(self) -> str:
        """The run that what is computed from `_looked_at` belongs to."""
        return "train" if self._validation_set is None else "validation"

    def _write_histograms(self, step: int) -> None:
        engine = self._engine
        for variable in engine.session.graph.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES):
            values = engine.session.run(variable)
            self._events.write("train", step=step, summary=histogram(f"weights/{variable.op.name}", values))
        images = self._looked_at[0][:MOST_ACTIVATIONS]
        for layer in graph_layers(engine.session.graph):  # one at a time: together they take much memory
            values = engine.fetch(layer.output.name, images, self._standardization)
            self._events.write(self._run, step=step, summary=histogram(f"activations/{layer.name}", values))

    def _write_images(self, step: int) -> None:
        engine = self._engine
        variables = engine.session.graph.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES)
        for first in [variable for variable in variables if variable.shape.rank == 4][:1]:
            picture = filters_picture(engine.session.run(first))
            self._events.write("train", step=step, summary=image(f"filters/{first.op.name}", picture))
        if self._validation_set is not None:
            X, y = self._validation_set
            predictions = engine.predict(X, self._standardization, False, BATCH_SIZE, False)
            wrong = np.flatnonzero(predictions != y)[:MOST_MISREAD]
            if wrong.size:
                picture = misread_picture(self._as_pictures(X[wrong]), y[wrong], predictions[wrong])
                self._events.write("validation", step=step, summary=image("misread", picture))

    def finish(self) -> None:
        """After the last step. A training that was broken off has no end: it can be gone on with."""
        if not self._events.is_on:
            return
        if "projector" in self._summaries:
            self._write_projector()
        self._events.write("", summary=end_of_session())

    def _write_projector(self) -> None:
        layers = [layer for layer in graph_layers(self._engine.session.graph) if layer.variables]
        if not layers:
            return
        last_hidden = layers[-2:][0]  # T2 has but one
        X, y = (part[:MOST_POINTS] for part in self._looked_at)
        points = self._engine.fetch(last_hidden.output.name, X, self._standardization)
        predictions = self._engine.predict(X, self._standardization, False, BATCH_SIZE, False)
        points = points.reshape(len(X), -1)
        write_projector(self._logdir, last_hidden.name, points, self._as_pictures(X), y, predictions)

    def _as_pictures(self, X: np.ndarray) -> np.ndarray:
        """Flat images [n, pixels] -> [n, height, width]."""
        return X.reshape(-1, *self._image_shape)
