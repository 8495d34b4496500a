"""Runs one graph in one session: training steps, evaluation, prediction.

Images are raw pixels or scaled floats; the graph has at most one batch of them at a time.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2

from .._progress import progress_bar
from ..data.arrays import LabelledImages
from ..data.batches import batch_generator
from ..data.standardization import Standardization
from ..exceptions import UntrainedModelError
from ..graph.architectures import TensorNames
from ..graph.finishing import Handles
from ..graph.inspection import (
    SOFT_LABELS,
    find_operation,
    has_soft_labels,
    optimizer_rates,
    saved_variables,
)
from ..graph.layers import Layer
from ..graph.train_step import N_STEPS, RATE, SET_N_STEPS, STEP
from .averages import Averages
from .calls import NO_WEIGHTS, Calls, ShardFeed
from .constants import Constants
from .machine import has_gpu
from .memory import bytes_per_image, check_memory
from .session import NamedSession
from .threads import let_caller_compute

v1 = tf.compat.v1

BATCH_SIZE = 1_000  # images per batch outside training: bounds memory, and no other size is faster
MAX_RATES = 50  # steps of an epoch at which the learning rate is read


class StepResult(NamedTuple):
    """Of a training step: mean loss before it, correct predictions if counted, workers that are asked to stop."""

    loss: float
    n_correct: int | None
    n_stopping: int = 0


class Engine:
    """The session of a finished graph.

    Parameters
    ----------
    graph : tf.Graph
        The graph, finalized.
    handles : Handles
        Its tensors and operations.
    computes_in : str
        Number type of products: 'float32' or 'bfloat16'.
    target : str, default ''
        Address of the TensorFlow server that runs the session; '' for this process.
    config : ConfigProto, optional
        More for the session's configuration.
    may_freeze : bool, default False
        Whether predictions may run in a copy of the graph with constants for weights: whether it is known that they
        change nothing and depend on no state but the variables.

    Attributes
    ----------
    averages : Averages
        The moving averages of the weights.
    """

    def __init__(
        self,
        graph: tf.Graph,
        handles: Handles,
        computes_in: str,
        *,
        target: str = "",
        config: v1.ConfigProto | None = None,
        may_freeze: bool = False,
    ):
        self.computes_in = computes_in
        let_caller_compute()
        config = config or v1.ConfigProto()
        config.gpu_options.allow_growth = True  # leave memory for other processes
        # A session asks tf.config for nothing once it is given a config.
        config.intra_op_parallelism_threads = tf.config.threading.get_intra_op_parallelism_threads()
        config.inter_op_parallelism_threads = tf.config.threading.get_inter_op_parallelism_threads()
        if computes_in == "bfloat16":
            rewrites = config.graph_options.rewrite_options
            rewrites.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
        self.session = NamedSession(graph=graph, config=config, target=target)
        self._names = names = handles.names
        self._handles = handles
        self.averages = Averages(self.session, handles.averages)
        constants = Constants(self.session, config, [names.probabilities, names.predictions]) if may_freeze else None
        self._calls = Calls(self.session, handles, constants)
        self._has_weights = False  # not checked yet
        self._bytes_per_image: dict[bool, int] = {}  # at least, by whether it is in training
        self._training = threading.Lock()  # held by the one call of `train` that may run
        self._training_thread: threading.Thread | None = None

    @property
    def names(self) -> TensorNames:
        """Names of the tensors that are fed and fetched."""
        return self._names

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers made by the wrappers, in the order of creation; empty for a graph built without them."""
        return self._handles.layers

    @property
    def is_closed(self) -> bool:
        """Whether the session is closed."""
        return self.session.is_closed

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the session and the variables in it; a run in another thread raises UntrainedModelError."""
        self.session.close()
        self._calls.close()

    def check_open(self) -> None:
        """Raise UntrainedModelError if the session is closed, RuntimeError in a process forked from its own."""
        self.session.check_usable()

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Be the one training of this model; raise RuntimeError if there is another, whose steps would mix with it."""
        if not self._training.acquire(blocking=False):
            raise RuntimeError(self._expected_alone("train"))
        self._training_thread = threading.current_thread()
        try:
            yield
        finally:
            self._training_thread = None
            self._training.release()

    def check_not_training(self, what: str) -> None:
        """Raise RuntimeError if another thread trains: weights and history would be of different steps."""
        if self._training_thread not in (None, threading.current_thread()):
            raise RuntimeError(self._expected_alone(what))

    def _expected_alone(self, what: str) -> str:
        name = getattr(self._training_thread, "name", "another")  # just ended, or just begun
        return (
            f"{what}: expected a model that is not being trained, found one in training in thread {name!r}; wait for it"
        )

    def check_batch(self, n_images: int, name: str, *, is_training: bool = False) -> None:
        """Raise MemoryError, naming the argument, if a batch of so many images cannot fit into memory."""
        if is_training not in self._bytes_per_image:
            itemsize = 2 if self.computes_in == "bfloat16" else 4
            found = 0 if has_gpu() else bytes_per_image(self.session.graph, itemsize, is_training=is_training)
            self._bytes_per_image[is_training] = found
        check_memory(n_images, n_images * self._bytes_per_image[is_training], name)

    def check_trained(self) -> None:
        """Raise UntrainedModelError if the session is closed or its variables have no values."""
        self.global_step()

    @property
    def saver(self) -> v1.train.Saver:
        """The Saver of all variables of the graph."""
        return self._handles.saver

    def initialize(self) -> None:
        """Set every variable to its initial value; raise UntrainedModelError if the session is closed."""
        self.check_open()
        self.session.run(self._handles.init_op)

    def has_values(self) -> bool:
        """Return whether the variables have values; asked first, because TensorFlow logs every run that fails."""
        check = self._handles.is_initialized
        return check is None or bool(self._calls.run((check.name,))[0])

    def global_step(self) -> int:
        """Return the number of training steps; raise UntrainedModelError if there are no weights."""
        if not self._has_weights:
            if not self.has_values():
                raise UntrainedModelError(NO_WEIGHTS)
            self._has_weights = True
        return int(self._calls.run((self._handles.global_step.name,))[0])

    def weights_sha256(self) -> str:
        """Return the SHA-256, in hex, of the values of all trained variables in the order of their names."""
        self.check_trained()
        digest = hashlib.sha256()
        variables = self.session.graph.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES)
        for values in self.session.read(sorted(variables, key=lambda variable: variable.op.name)):
            digest.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def variables(self) -> dict[str, np.ndarray]:
        """Return the values of all variables by their names in a checkpoint."""
        self.check_trained()
        return self.session.read(saved_variables(self.session.graph))

    def assign(self, values: Mapping[str, np.ndarray]) -> None:
        """Set variables by their names in a checkpoint; values take the variable's type."""
        variables = saved_variables(self.session.graph)
        fed = {
            variables[name].initializer.inputs[1]: value.astype(variables[name].dtype.as_numpy_dtype, copy=False)
            for name, value in values.items()
        }
        self.session.run([variables[name].initializer for name in values], fed)

    def restore(self, values: Mapping[str, np.ndarray]) -> None:
        """Set all variables by their names in a checkpoint; values have the variables' types and shapes.

        They are fed in place of what the Saver's operation reads from a file, which takes as long as reading did; the
        first run of `assign` takes a quarter more.
        """
        graph, scope = self.session.graph, self.saver.saver_def.restore_op_name.rpartition("/")[0]
        read = graph.get_operation_by_name(f"{scope}/RestoreV2")
        names = tf.get_static_value(read.inputs[1])
        fed = {tensor: values[name.decode()] for name, tensor in zip(names, read.outputs, strict=True)}
        self.session.run(self.saver.saver_def.restore_op_name, fed)

    def set_schedule(self, n_steps: int) -> None:
        """Set the length of the learning rate schedule, in steps, if the graph has one."""
        if find_operation(self.session.graph, SET_N_STEPS):
            self.session.run(SET_N_STEPS, {f"{N_STEPS}:0": n_steps})

    def learning_rates(self, first_step: int, last_step: int) -> list[tuple[int, float]]:
        """Return (step, rate) at up to 50 steps of a schedule; without one, the optimizer's rate at last_step."""
        if find_operation(self.session.graph, SET_N_STEPS):
            steps = np.unique(np.linspace(first_step, last_step - 1, MAX_RATES).astype(int))
            return [(int(step), float(self.session.run(f"{RATE}:0", {f"{STEP}:0": step}))) for step in steps]
        rates = optimizer_rates(self.session.graph)
        return [(last_step, float(self.session.run(rates[0])))] if rates else []

    def fetch(self, name: str, X: np.ndarray, standardization: Standardization | None) -> np.ndarray:
        """Return the value of the tensor `name` for these images, in one batch."""
        return self._calls.run((name,), to_float(X, standardization))[0]

    def _labels(self, y: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return labels as the graph takes them: int32 [n], or one-hot float32 [n, classes].

        Of soft labels, float32 [n, classes], these are the most probable classes, and the labels themselves.
        """
        if self._names.one_hot_labels:
            return (y if y.ndim == 2 else np.eye(self._handles.n_classes, dtype=np.float32)[y],)
        return (y.astype(np.int32, copy=False),) if y.ndim == 1 else (y.argmax(axis=1).astype(np.int32), y)

    def check_takes(self, y: np.ndarray) -> None:
        """Raise ValueError if labels are soft, float32 [n, classes], and the graph has no place for them."""
        if y.ndim == 2 and not self._names.one_hot_labels and not has_soft_labels(self.session.graph, self._names):
            raise ValueError(
                f"training_set[1], the labels: expected whole numbers, as the loss of this graph does not depend on "
                f"{self._names.labels} through a float32 tensor [None, classes] named {SOFT_LABELS} alone, found "
                "probabilities; make that tensor with tf.one_hot, or give y.argmax(axis=1)"
            )

    def train_step(
        self,
        X: np.ndarray,
        y: np.ndarray,
        standardization: Standardization | None,
        dropout: float,
        *,
        counts: bool = False,
        shard: ShardFeed | None = None,
        trace: v1.RunMetadata | None = None,
    ) -> StepResult:
        """Take one training step on a batch.

        Parameters
        ----------
        X : array
            Images [n, pixels].
        y : array
            Labels, integers [n], or soft ones, float32 [n, classes].
        standardization : Standardization or None
            Converts raw pixels to floats.
        dropout : float
            Probability of dropping a unit of the last hidden layer.
        counts : bool, default False
            Whether to count the correct predictions.
        shard : ShardFeed, optional
            Which rows of the batch these are, in a graph whose step is shared; default all of them.
        trace : RunMetadata, optional
            Receives time and memory of each operation, which makes the step slower.

        Returns
        -------
        StepResult
            Of the whole batch, before the step.
        """
        results = self._handles.step_results
        if len(results) == 2:
            results = results[: 1 + counts]
        loss, *more = self._calls.run(
            (*results, *(op.name for op in self._handles.train_ops)),
            to_float(X, standardization),
            *self._labels(y),
            keep_prob=1.0 - dropout,
            is_training=True,
            shard=shard or ShardFeed((0, len(y), len(y))),
            trace=trace,
        )
        n_correct = int(np.sum(more[0])) if more else None
        return StepResult(float(loss), n_correct, int(more[1]) if len(more) == 2 else 0)

    def evaluate(
        self, examples: LabelledImages, standardization: Standardization | None, *, show_bar: bool = False
    ) -> dict[str, Any]:
        """Return accuracy and loss, as means over samples and not over batches, and global_step."""
        correct, loss_sum = self.count(examples, standardization, show_bar=show_bar)
        n = len(examples)
        return {"accuracy": correct / n, "loss": loss_sum / n, "global_step": self.global_step()}

    def count(
        self, examples: LabelledImages, standardization: Standardization | None, *, show_bar: bool = False
    ) -> tuple[int, float]:
        """Return the number of correct predictions, and the sum of the losses over all samples."""
        correct, loss_sum, n = 0, 0.0, len(examples)
        batches = batch_generator(examples.images, examples.labels, BATCH_SIZE)
        for X_batch, y_batch in progress_bar(batches, n, BATCH_SIZE, "evaluating", show=show_bar):
            loss, is_correct = self._calls.run(
                (f"{self._names.loss}:0", f"{self._names.correct}:0"),
                to_float(X_batch, standardization),
                *self._labels(y_batch),
            )
            correct += int(np.sum(is_correct))
            loss_sum += float(loss) * len(y_batch)
        return correct, loss_sum

    def predict(
        self,
        X: np.ndarray,
        standardization: Standardization | None,
        *,
        return_proba: bool = False,
        batch_size: int = BATCH_SIZE,
        show_bar: bool = False,
    ) -> np.ndarray:
        """Return labels, int32 [n], or probabilities, float32 [n, classes].

        Parameters
        ----------
        X : array
            Images [n, pixels]: raw pixels uint8, or scaled floats.
        standardization : Standardization or None
            Converts raw pixels to floats.
        return_proba : bool, default False
            Whether to return probabilities.
        batch_size : int, default 1000
            Images per batch.
        show_bar : bool, default False
            Whether to show a progress bar if it takes longer than a second.
        """
        self.check_batch(min(len(X), batch_size), "batch_size")
        fetched = (f"{self._names.probabilities if return_proba else self._names.predictions}:0",)
        if len(X) <= batch_size:
            return self._calls.run(fetched, to_float(X, standardization))[0]
        batches = progress_bar(
            batch_generator(X, batch_size=batch_size), len(X), batch_size, "predicting", show=show_bar
        )
        return np.concatenate([self._calls.run(fetched, to_float(batch, standardization))[0] for batch in batches])

    def classify(self, X: np.ndarray, standardization: Standardization | None) -> tuple[np.ndarray, np.ndarray]:
        """Return labels, int32 [n], and probabilities, float32 [n, classes], of one batch of images."""
        fetched = (f"{self._names.predictions}:0", f"{self._names.probabilities}:0")
        labels, probabilities = self._calls.run(fetched, to_float(X, standardization))
        return labels, probabilities


def to_float(X: np.ndarray, standardization: Standardization | None) -> np.ndarray:
    """Return float32 [n, pixels] for `tf_x`: standardized raw pixels, or floats unchanged."""
    if X.dtype == np.uint8 and standardization is not None:
        return standardization(X)
    return X.astype(np.float32, copy=False)
