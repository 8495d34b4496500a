"""The last touches to a built graph: initialization and saving; then it is closed."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass

import tensorflow as tf

from .architectures import Sizes, TensorNames
from .inspection import (
    find_operation,
    saved_variables,
)
from .layers import global_step
from .train_step import _count_step, _updates

v1 = tf.compat.v1


@dataclass(frozen=True)
class Handles:
    """What a session needs of a finished graph.

    names: of the tensors that are fed and fetched. n_classes: how many labels there are.
    train_ops: what a training step runs. in_any_order: whether it may run operations side by side that do not
    wait for each other. global_step: int64 [].
    """

    names: TensorNames
    n_classes: int
    train_ops: tuple[tf.Operation, ...]
    in_any_order: bool
    global_step: tf.Tensor
    init_op: tf.Operation
    saver: v1.train.Saver


@contextlib.contextmanager
def _no_chatter() -> Iterator[None]:
    """Keep back what TensorFlow's logger has of level INFO, which it prints in a notebook."""

    def matters(record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO

    logger = tf.get_logger()
    logger.addFilter(matters)
    try:
        yield
    finally:
        logger.removeFilter(matters)


class GraphSaver(v1.train.Saver):
    """A Saver that works outside of `with graph.as_default()`, as it did in the tutorials' time.

    TensorFlow 2's own is then in eager mode and tries to build its operations anew. And in a notebook it tells of
    every file that it writes or reads; this one does not.
    """

    def save(self, sess: v1.Session, *args, **kwargs) -> str:
        """As tf.compat.v1.train.Saver.save."""
        with sess.graph.as_default(), _no_chatter():
            return super().save(sess, *args, **kwargs)

    def restore(self, sess: v1.Session, save_path: str) -> None:
        """As tf.compat.v1.train.Saver.restore."""
        with sess.graph.as_default(), _no_chatter():
            super().restore(sess, save_path)


def finish_graph(graph: tf.Graph, names: TensorNames, sizes: Sizes) -> Handles:
    """Check a built graph, add initialization and saving, and let nothing be added after that.

    names: the architecture's; a graph of the user's own may have T1's instead.
    Raises ValueError if it lacks a name that training and prediction fetch, or takes other images than `sizes` says.
    """
    if _missing(graph, names):
        names = TensorNames()
    if missing := _missing(graph, names):
        raise ValueError(
            f"build(): expected operations named {', '.join(missing)} in the graph, found none so named. "
            "Give its tensors the tutorial's names, as in tf.nn.softmax(logits, name='probabilities')"
        )
    for name, size, setting in (
        (names.images, math.prod(sizes.image_shape), f"image_shape={sizes.image_shape}"),
        (names.probabilities, sizes.n_classes, f"n_classes={sizes.n_classes}"),
    ):
        shape = graph.get_tensor_by_name(f"{name}:0").shape
        if not shape.is_compatible_with([None, size]):
            raise ValueError(f"build(): expected {name} of shape [None, {size}], since {setting}, found {shape}")
    train_op = graph.get_operation_by_name(names.train_op)
    # In a graph of the user's own, train_op may leave these out; run twice, they run once.
    train_ops = [train_op, *_updates()]
    count = global_step()
    counts = [op for op in count.handle.consumers() if op.type == "AssignAddVariableOp"]
    # One of the user's own may count the step before the moving averages' momentum has been read.
    in_any_order = all(set(_updates()) <= set(op.control_inputs) for op in counts)
    if not counts:
        # The tutorial's own `minimize(loss, name='train_op')` does not count steps, yet dropout,
        # checkpoints and a training that goes on all follow the count.
        with v1.name_scope("train"):
            train_ops.append(_count_step(count, train_ops))
    with v1.name_scope("initialization"):
        init_op = v1.global_variables_initializer()
    with v1.name_scope("save"):
        step = tf.identity(count, name="global_step")
    saver = GraphSaver(
        saved_variables(graph),
        max_to_keep=None,  # what was saved stays saved
        save_relative_paths=True,  # also where the folder is moved to
        name="save/",
    )
    graph.finalize()  # nothing can grow it unnoticed, call after call
    return Handles(names, sizes.n_classes, tuple(train_ops), in_any_order, step, init_op, saver)


def _missing(graph: tf.Graph, names: TensorNames) -> list[str]:
    needed = (names.images, names.labels, names.probabilities, names.predictions, names.loss)
    return [name for name in (*needed, names.train_op, names.correct) if find_operation(graph, name) is None]
