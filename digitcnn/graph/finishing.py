"""Completes a built graph with predictions, initialization and saving, and closes it."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import tensorflow as tf

from ..settings import Settings
from .architectures import ARCHITECTURES, TensorNames
from .averages import AverageOps, add_averages
from .builder import add_predictions
from .inspection import find_operation, layers_with_variables, operations_before, saved_variables
from .layers import Layer, global_step
from .replicas import Replicas, share_step
from .train_step import count_step, statistics_updates

v1 = tf.compat.v1


@dataclass(frozen=True)
class Handles:
    """What a session needs of a finished graph.

    Parameters
    ----------
    names : TensorNames
        Names of the tensors that are fed and fetched.
    layers : tuple of Layer
        The layers that the wrappers made, in their order, with their variables.
    n_classes : int
        Number of classes.
    train_ops : tuple of Operation
        Operations that a training step runs.
    global_step : Tensor
        int64 [].
    is_initialized : Tensor or None
        Whether `global_step`, and so every variable, has a value, bool []; None if the graph lacks this tensor.
    init_op, saver : Operation, Saver
        Initialize all variables; save and restore them.
    step_results : tuple of str
        Names of the tensors that a training step returns: mean loss, correct predictions and, of a step that is
        shared among replicas, the number of workers that are asked to stop.
    averages : AverageOps or None
        Operations of the moving averages of weights; None if the settings ask for none.
    """

    names: TensorNames
    layers: tuple[Layer, ...]
    n_classes: int
    train_ops: tuple[tf.Operation, ...]
    global_step: tf.Tensor
    is_initialized: tf.Tensor | None
    init_op: tf.Operation
    saver: v1.train.Saver
    step_results: tuple[str, ...]
    averages: AverageOps | None


@contextlib.contextmanager
def _no_info() -> Iterator[None]:
    """Suppress the INFO messages of TensorFlow's logger, which a notebook shows."""

    def matters(record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO

    logger = tf.get_logger()
    logger.addFilter(matters)
    try:
        yield
    finally:
        logger.removeFilter(matters)


class GraphSaver(v1.train.Saver):
    """A Saver that works outside of `with graph.as_default()`, as in TensorFlow 1.

    TensorFlow 2's Saver is in eager mode there and tries to build its operations again. It also logs every file that
    it writes or reads, which a notebook shows.
    """

    def save(self, sess: v1.Session, *args, **kwargs) -> str:
        """As tf.compat.v1.train.Saver.save."""
        with sess.graph.as_default(), _no_info():
            return super().save(sess, *args, **kwargs)

    def restore(self, sess: v1.Session, save_path: str) -> None:
        """As tf.compat.v1.train.Saver.restore."""
        with sess.graph.as_default(), _no_info():
            super().restore(sess, save_path)


def finish_graph(
    graph: tf.Graph, settings: Settings, made: Iterable[Layer], replicas: Replicas | None = None
) -> Handles:
    """Check a built graph, add missing predictions, initialization and saving, and finalize it.

    Tensors have the names of the settings' architecture or, in a custom graph, those of T1. Raises ValueError if a
    tensor that training and prediction need is missing or has another shape than the settings require.

    Parameters
    ----------
    graph : tf.Graph
        The built graph, the default graph.
    settings : Settings
        Has the architecture and the sizes.
    made : iterable of Layer
        The layers recorded by the wrappers.
    replicas : Replicas, optional
        Those that share its training step; default one for all.
    """
    names = ARCHITECTURES[settings.architecture].names
    if _missing(graph, names):
        names = TensorNames()
    if missing := _missing(graph, names):
        raise ValueError(
            f"build(): expected operations named {', '.join(missing)} in the graph, found none of that name; name "
            "the tensors as the tutorial does, e.g. tf.nn.softmax(logits, name='probabilities')"
        )
    for name, size, setting in (
        (names.images, math.prod(settings.image_shape), f"image_shape={settings.image_shape}"),
        (names.probabilities, settings.n_classes, f"n_classes={settings.n_classes}"),
    ):
        shape = graph.get_tensor_by_name(f"{name}:0").shape
        if not shape.is_compatible_with([None, size]):
            raise ValueError(f"build(): expected {name} of shape [None, {size}], since {setting}, found {shape}")
    if any(find_operation(graph, name) is None for name in (names.predictions, names.correct, names.accuracy)):
        scores, labels = (graph.get_tensor_by_name(f"{name}:0") for name in (names.probabilities, names.labels))
        add_predictions(names, scores, labels)
    train_op = graph.get_operation_by_name(names.train_op)
    # In a user's graph, train_op may leave the updates out; a session runs an operation that is listed twice once.
    updates = statistics_updates()
    train_ops = [train_op, *updates]
    results = tuple(f"{name}:0" for name in (names.loss, names.correct))
    if replicas is not None:
        shared = share_step(graph, names, train_op, updates, replicas)
        results = (shared.loss.name, shared.correct.name, shared.stopping.name)
    count = global_step()
    counts = [op for op in count.handle.consumers() if op.type == "AssignAddVariableOp"]
    _count_last(count, counts, train_ops)
    if not counts:
        # The tutorial's `minimize(loss, name='train_op')` does not count steps, but dropout, checkpoints and resuming
        # depend on the count.
        with v1.name_scope("train"):
            train_ops.append(count_step(train_ops))
    averages = None
    if settings.average_decay:
        averages = add_averages(settings.average_decay, train_ops)
        train_ops.append(graph.get_operation_by_name(averages.update))
    with v1.name_scope("initialization"):
        init_op = v1.global_variables_initializer()
    with v1.name_scope("save"):
        step = tf.identity(count, name="global_step")
    saver = GraphSaver(
        saved_variables(graph),
        max_to_keep=None,  # never delete a checkpoint
        save_relative_paths=True,  # so that the folder can be moved
        name="save/",
    )
    graph.finalize()  # so that no call adds operations unnoticed
    is_initialized = find_operation(graph, f"{count.op.name}/IsInitialized/VarIsInitializedOp")
    return Handles(
        names=names,
        layers=tuple(layers_with_variables(graph, made)),
        n_classes=settings.n_classes,
        train_ops=tuple(train_ops),
        global_step=step,
        is_initialized=is_initialized and is_initialized.outputs[0],
        init_op=init_op,
        saver=saver,
        step_results=results,
        averages=averages,
    )


def _count_last(count: tf.Variable, counts: list[tf.Operation], train_ops: list[tf.Operation]) -> None:
    """Let a training step increment its count after it was read for masks, warps, rates and statistics.

    A user's graph may have the increment beside the reads, or before them; what it says of their order, it keeps.
    """
    step = operations_before(train_ops)
    reads = [one for one in count.handle.consumers() if one in step and one not in counts]
    for increment in step.intersection(counts):
        before = operations_before([increment])
        free = [read for read in reads if read not in before and increment not in operations_before([read])]
        increment._add_control_inputs(free)


def _missing(graph: tf.Graph, names: TensorNames) -> list[str]:
    """Return the names that every graph needs and this one lacks."""
    needed = (names.images, names.labels, names.probabilities, names.loss, names.train_op)
    return [name for name in needed if find_operation(graph, name) is None]
