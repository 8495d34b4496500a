"""The whole graph around an architecture: placeholders, loss, Adam, predictions.

Each part is drawn as one box (loss, train, eval), and what the tutorials fetch by name stands
outside the boxes under exactly that name.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import tensorflow as tf

from .architectures import Architecture, Sizes, TensorNames
from .augmentation import Augmentation, augment
from .gradients import SHORT_WAY
from .layers import LAYERS, global_step
from .schedules import learning_rate

v1 = tf.compat.v1


@dataclass(frozen=True)
class TrainStep:
    """What a training step is made of besides the architecture.

    learning_rate: Adam's, or the peak of a `schedule` of schedules.py. label_smoothing: the share of a
    label's weight that is spread over all classes (Szegedy et al. 2016, section 7).
    """

    learning_rate: float
    schedule: str = "constant"
    label_smoothing: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)


def build_graph(architecture: Architecture, sizes: Sizes, train_step: TrainStep) -> None:
    """Build placeholders, network, loss, train step and predictions into the default graph."""
    names = architecture.names
    count = global_step()
    n_pixels, n_classes = math.prod(sizes.image_shape), sizes.n_classes
    x = v1.placeholder(tf.float32, [None, n_pixels], name=names.images)
    if names.one_hot_labels:
        one_hot = v1.placeholder(tf.float32, [None, n_classes], name=names.labels)
    else:
        y = v1.placeholder(tf.int32, [None], name=names.labels)
        one_hot = tf.one_hot(y, n_classes, name="input_y_onehot")
    keep_prob = is_training = None
    if architecture.has_dropout:
        keep_prob = v1.placeholder_with_default(1.0, [], name=names.keep_prob)
    if architecture.has_batch_norm or train_step.augmentation:
        is_training = v1.placeholder_with_default(False, [], name=names.is_training)
    network_input = x
    if train_step.augmentation:
        images = tf.reshape(x, [-1, *sizes.image_shape, 1], name="augmentation/unwarped")
        images = augment(images, train_step.augmentation, is_training, "augmentation")
        network_input = tf.reshape(images, [-1, n_pixels], name="augmentation/warped")

    logits = architecture.network(network_input, keep_prob, is_training, sizes)

    # A name that ends in "/" is taken as it stands, even beside a box of that name (T2's `loss`).
    tf.nn.softmax(logits, name=names.probabilities + "/")
    with v1.name_scope("loss"):
        cross_entropy = tf.nn.softmax_cross_entropy_with_logits(one_hot, logits)
        loss = tf.reduce_mean(cross_entropy)
    loss = tf.identity(loss, name=names.loss + "/")
    with v1.name_scope("eval"):
        predictions = tf.argmax(logits, axis=1, output_type=tf.int32)
        truth = tf.argmax(one_hot, axis=1, output_type=tf.int32) if names.one_hot_labels else y
        correct = tf.equal(predictions, truth)
        accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))
    tf.identity(predictions, name=names.predictions + "/")
    tf.identity(correct, name=names.correct + "/")
    tf.identity(accuracy, name=names.accuracy + "/")
    with v1.name_scope("train"):
        objective = loss
        if train_step.label_smoothing:
            with v1.name_scope("label_smoothing"):
                smooth = one_hot * (1 - train_step.label_smoothing) + train_step.label_smoothing / n_classes
                objective = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(smooth, logits))
        rate = learning_rate(train_step.schedule, train_step.learning_rate)
        v1.add_to_collection(SHORT_WAY, True)
        step = v1.train.AdamOptimizer(rate).minimize(objective)
        v1.get_default_graph().clear_collection(SHORT_WAY)
        # The moving averages of batch normalization move with the train step, and only with it. Their momentum
        # follows the count, which is therefore not touched before they are.
        counted = _count_step(count, [step, *_updates()])
    tf.group(counted, name=names.train_op + "/")


def _count_step(count: tf.Variable, after: list[tf.Operation]) -> tf.Operation:
    one = tf.constant(1, tf.int64)
    with tf.control_dependencies(after):
        return tf.raw_ops.AssignAddVariableOp(resource=count.handle, value=one, name="count_step")


def _updates() -> list[tf.Operation]:
    return [update.op for update in v1.get_collection(v1.GraphKeys.UPDATE_OPS)]


def find_operation(graph: tf.Graph, name: str) -> tf.Operation | None:
    """The operation of that name, or None."""
    try:
        return graph.get_operation_by_name(name)
    except KeyError:
        return None


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


def saved_variables(graph: tf.Graph) -> dict[str, tf.Variable]:
    """Every variable by its name in a checkpoint: its own, but the global step's is without the box `train`."""
    variables = {variable.op.name: variable for variable in graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)}
    for name in [name for name in variables if name.endswith("train/global_step")]:
        known_as = name.removesuffix("train/global_step") + "global_step"
        if known_as not in variables:  # one of the user's own
            variables[known_as] = variables.pop(name)
    return variables


def model_variables(graph: tf.Graph) -> list[tf.Variable]:
    """What the network consists of, in the order of their making: trained, then moving averages."""
    return [
        *graph.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES),
        *graph.get_collection(v1.GraphKeys.MODEL_VARIABLES),
    ]


@dataclass(frozen=True)
class Layer:
    """A layer that the wrappers of layers.py made: its output, and the names of its own variables."""

    name: str
    output: tf.Tensor
    variables: tuple[str, ...]


def graph_layers(graph: tf.Graph) -> list[Layer]:
    """The layers in their order; of a graph that was built without the wrappers, none."""
    names, layers = [variable.op.name for variable in model_variables(graph)], []
    for entry in graph.get_collection(LAYERS):
        layer, tensor, *outside = entry.split("=")
        if find_operation(graph, tensor.partition(":")[0]) is None:
            continue  # it was made in a branch of a tf.cond, which is a graph of its own
        outside = outside[0].split(",") if outside else []
        own = tuple(name for name in names if name.startswith(layer + "/") or name in outside)
        names = [name for name in names if name not in own]
        layers.append(Layer(layer, graph.get_tensor_by_name(tensor), own))
    return layers


def count_parameters(graph: tf.Graph) -> int:
    """How many numbers `model_variables` holds."""
    return sum(map(variable_size, model_variables(graph)))


def variable_size(variable: tf.Variable) -> int:
    """How many numbers it holds; 0 where its shape is not known before it has a value."""
    return math.prod(variable.shape) if variable.shape.is_fully_defined() else 0
