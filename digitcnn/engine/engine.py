"""Runs the named tensors of one graph in one session: a training step, evaluation, prediction.

Images come in as raw pixels or as scaled floats; at most a batch of them is in the graph at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2

from .._progress import progress_bar
from ..data.arrays import LabelledImages
from ..data.batches import batch_generator
from ..data.standardization import Standardization
from ..exceptions import UntrainedModelError
from ..graph.architectures import TensorNames
from ..graph.finishing import Handles
from ..graph.inspection import find_operation, optimizer_rates, products_before
from ..graph.layers import Layer
from ..graph.train_step import N_STEPS, RATE, SET_N_STEPS, STEP
from .session import NamedSession

v1 = tf.compat.v1

BATCH_SIZE = 1_000  # images at once outside of training: bounds memory, and no size is faster
MAX_FLOAT32_IMAGES = 8  # so few are predicted in float32 before the weights are cast to bfloat16
NO_WEIGHTS = "this model has no weights yet: call train(...) or load(...) first"
MAX_RATES = 50  # places at which the learning rate of an epoch is looked up

# Handing a step over to TensorFlow's threads and back costs 0.1 ms, and what is parallel in a prediction is within
# the operations, which have threads of their own. In a training step with convolutions, gradients and updates can
# be computed side by side; there the threads save some hundredths of the time.
_IN_THIS_THREAD = v1.RunOptions(inter_op_thread_pool=-1)
_IN_THREADS = v1.RunOptions()
_TRACED = v1.RunOptions(inter_op_thread_pool=-1, trace_level=v1.RunOptions.FULL_TRACE)


class Engine:
    """The session of a finished graph, and what is fed to it besides images and labels."""

    def __init__(self, graph: tf.Graph, handles: Handles, computes_in: str):
        """computes_in: 'float32' or 'bfloat16'."""
        self.computes_in = computes_in
        # On a GPU, leave room for the other notebook.
        config = v1.ConfigProto(gpu_options=v1.GPUOptions(allow_growth=True))
        if computes_in == "bfloat16":
            rewrites = config.graph_options.rewrite_options
            rewrites.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
        self.session = NamedSession(graph=graph, config=config)
        self._names = names = handles.names
        self._handles = handles
        # What is fed besides images and labels, in the graphs that have it.
        self._switches = [name for name in (names.keep_prob, names.is_training) if find_operation(graph, name)]
        has_convolutions = any(op.type == "Conv2D" for op in graph.get_operations())
        self._training_options = _IN_THREADS if has_convolutions and handles.in_any_order else _IN_THIS_THREAD
        self._callables: dict[tuple, Callable] = {}
        self.is_closed = False
        self._has_weights = False  # not asked yet

    @property
    def names(self) -> TensorNames:
        """Names of the tensors that are fed and fetched."""
        return self._names

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that the wrappers made, in their order; none in a graph that was built without them."""
        return self._handles.layers

    def close(self) -> None:
        """Free the session and the variables in it."""
        self.is_closed = True
        self._callables.clear()
        self.session.close()

    def check_open(self) -> None:
        """Raise UntrainedModelError if the session is closed."""
        if self.is_closed:
            raise UntrainedModelError("this model is closed; DigitCNN.restore makes a new one of what was saved")

    def check_trained(self) -> None:
        """Raise UntrainedModelError if the session is closed or its variables have no values."""
        self.global_step()

    @property
    def saver(self) -> v1.train.Saver:
        """Saves and restores all variables of the graph."""
        return self._handles.saver

    def initialize(self) -> None:
        """Give every variable its first value. Raises UntrainedModelError if the session is closed."""
        self.check_open()
        self.session.run(self._handles.init_op)

    def global_step(self) -> int:
        """Training steps taken. Raises UntrainedModelError if there are no weights."""
        if not self._has_weights:  # asked first, since TensorFlow logs a run that fails
            check = self._handles.is_initialized
            if check is not None and not self._call((check.name,))[0]:
                raise UntrainedModelError(NO_WEIGHTS)
            self._has_weights = True
        return int(self._call((self._handles.global_step.name,))[0])

    def weights_sha256(self) -> str:
        """SHA-256, in hex, of the values of all trained variables in the order of their names."""
        self.check_trained()
        digest = hashlib.sha256()
        variables = self.session.graph.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES)
        for values in self.session.run(sorted(variables, key=lambda variable: variable.op.name)):
            digest.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def set_schedule(self, n_steps: int) -> None:
        """Set the length of the learning rate's schedule, if the graph has one."""
        if find_operation(self.session.graph, SET_N_STEPS):
            self.session.run(SET_N_STEPS, {f"{N_STEPS}:0": n_steps})

    def learning_rates(self, first_step: int, last_step: int) -> list[tuple[int, float]]:
        """(step, rate) at up to 50 places of a schedule; without one, the optimizer's rate at last_step."""
        if find_operation(self.session.graph, SET_N_STEPS):
            steps = np.unique(np.linspace(first_step, last_step - 1, MAX_RATES).astype(int))
            return [(int(step), float(self.session.run(f"{RATE}:0", {f"{STEP}:0": step}))) for step in steps]
        rates = optimizer_rates(self.session.graph)
        return [(last_step, float(self.session.run(rates[0])))] if rates else []

    def fetch(self, name: str, X: np.ndarray, standardization: Standardization | None) -> np.ndarray:
        """The tensor `name` for these images, all at once."""
        return self._call((name,), to_float(X, standardization))[0]

    def _call(
        self,
        fetches: tuple[str, ...],
        *inputs: np.ndarray,
        keep_prob: float = 1.0,
        is_training: bool = False,
        trace: v1.RunMetadata | None = None,
    ) -> list[Any]:
        """Run the names `fetches`, feeding images and, if given, labels: a list of values.

        An operation's name runs it, and gives no value.
        """
        self.check_open()
        is_few = self.computes_in == "bfloat16" and len(inputs) == 1 and len(inputs[0]) <= MAX_FLOAT32_IMAGES
        key = (fetches, len(inputs), is_few, is_training, trace is not None)
        if key not in self._callables:
            fed = [self._names.images, self._names.labels][: len(inputs)] + self._switches
            values = [name for name in fetches if ":" in name]
            run = [name for name in fetches if ":" not in name]
            if is_few:  # what is asked for by name is not rewritten to bfloat16
                run += products_before(self.session.graph, values)
            if trace is not None:
                options = _TRACED
            else:
                options = self._training_options if is_training else _IN_THIS_THREAD
            self._callables[key] = self._make_callable(values, run, [f"{name}:0" for name in fed], options)
        switched = {self._names.keep_prob: np.float32(keep_prob), self._names.is_training: np.bool_(is_training)}
        try:
            return self._callables[key](*inputs, *(switched[name] for name in self._switches), run_metadata=trace)
        except tf.errors.FailedPreconditionError as error:
            raise UntrainedModelError(NO_WEIGHTS) from error

    def _make_callable(self, values: list[str], run: list[str], fed: list[str], options: v1.RunOptions) -> Callable:
        """A function of arrays, fed by position, to a list of `values`.

        TensorFlow's public make_callable is Session.run by another name in every call. This one goes straight
        to the runtime, which saves 0.25 ms a call.
        """
        options = config_pb2.CallableOptions(fetch=values, target=run, feed=fed, run_options=options)
        return self.session._make_callable_from_options(options)

    def _labels(self, y: np.ndarray) -> np.ndarray:
        """int32 [n], or float32 [n, classes] where the graph takes labels so."""
        if self._names.one_hot_labels:
            return np.eye(self._handles.n_classes, dtype=np.float32)[y]
        return y.astype(np.int32, copy=False)

    def train_step(
        self,
        X: np.ndarray,
        y: np.ndarray,
        standardization: Standardization | None,
        dropout: float,
        *,
        counts: bool = False,
        trace: v1.RunMetadata | None = None,
    ) -> tuple[float, int | None]:
        """Take a step of Adam on a batch: its mean loss before the step and, if it `counts`, how many are correct.

        Parameters
        ----------
        X, y : array
            Images [n, pixels] and labels int32 [n].
        standardization : Standardization or None
            What raw pixels go through.
        dropout : float
            Probability of dropping a dense unit.
        counts : bool, default False
            Whether to fetch which images are read correctly.
        trace : RunMetadata, optional
            Receives time and memory of each operation; the step is slower then.
        """
        values = [f"{name}:0" for name in (self._names.loss, self._names.correct)]
        loss, *correct = self._call(
            (*values[: 1 + counts], *(op.name for op in self._handles.train_ops)),
            to_float(X, standardization),
            self._labels(y),
            keep_prob=1.0 - dropout,
            is_training=True,
            trace=trace,
        )
        return float(loss), int(np.sum(correct[0])) if counts else None

    def evaluate(
        self, examples: LabelledImages, standardization: Standardization | None, *, show_bar: bool = False
    ) -> dict[str, Any]:
        """accuracy and loss (means over samples, not over batches), and global_step."""
        correct, loss_sum, n = 0, 0.0, len(examples)
        batches = batch_generator(examples.images, examples.labels, BATCH_SIZE)
        for X_batch, y_batch in progress_bar(batches, n, BATCH_SIZE, "evaluating", show=show_bar):
            loss, is_correct = self._call(
                (f"{self._names.loss}:0", f"{self._names.correct}:0"),
                to_float(X_batch, standardization),
                self._labels(y_batch),
            )
            correct += int(np.sum(is_correct))
            loss_sum += float(loss) * len(y_batch)
        return {"accuracy": correct / n, "loss": loss_sum / n, "global_step": self.global_step()}

    def predict(
        self,
        X: np.ndarray,
        standardization: Standardization | None,
        *,
        return_proba: bool = False,
        batch_size: int = BATCH_SIZE,
        show_bar: bool = False,
    ) -> np.ndarray:
        """Predict labels int32 [n], or probabilities float32 [n, classes], of images [n, pixels].

        Parameters
        ----------
        X : array
            Raw pixels uint8 or scaled floats, [n, pixels].
        standardization : Standardization or None
            What raw pixels go through.
        return_proba : bool, default False
            Whether to return probabilities.
        batch_size : int, default 1000
            Images in the graph at once.
        show_bar : bool, default False
            Whether to show a bar if it takes longer than a second.
        """
        fetched = (f"{self._names.probabilities if return_proba else self._names.predictions}:0",)
        if len(X) <= batch_size:
            return self._call(fetched, to_float(X, standardization))[0]
        batches = progress_bar(
            batch_generator(X, batch_size=batch_size), len(X), batch_size, "predicting", show=show_bar
        )
        return np.concatenate([self._call(fetched, to_float(batch, standardization))[0] for batch in batches])


def to_float(X: np.ndarray, standardization: Standardization | None) -> np.ndarray:
    """What `tf_x` takes: raw pixels standardized, floats as they are; float32 [n, pixels]."""
    if X.dtype == np.uint8 and standardization is not None:
        return standardization(X)
    return X.astype(np.float32, copy=False)
