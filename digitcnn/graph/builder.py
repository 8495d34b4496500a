"""The whole graph around a network: placeholders, loss, predictions, training step.

Each part is drawn as one box (loss, eval, train), and only the tensors that the tutorials fetch by name stay
outside the boxes, under exactly that name.
"""

from __future__ import annotations

import math

import tensorflow as tf

from ..settings import Settings
from .architectures import ARCHITECTURES, TensorNames, check_sizes
from .augmentation import Augmentation, augment
from .inspection import SOFT_LABELS, find_operation
from .layers import Layers, global_step
from .train_step import minimize

v1 = tf.compat.v1


def build_graph(settings: Settings, layers: Layers) -> None:
    """Build placeholders, network, loss, predictions and training step into the default graph.

    Sets `layers.keep_prob` and `layers.is_training` to the placeholders that the network needs.
    """
    check_sizes(settings)
    architecture = ARCHITECTURES[settings.architecture]
    names = architecture.names
    augmentation = Augmentation.of(settings)
    global_step()
    n_pixels, n_classes = math.prod(settings.image_shape), settings.n_classes
    x = v1.placeholder(tf.float32, [None, n_pixels], name=names.images)
    if names.one_hot_labels:
        one_hot = v1.placeholder(tf.float32, [None, n_classes], name=names.labels)
        y = None
    else:
        y = v1.placeholder(tf.int32, [None], name=names.labels)
        one_hot = tf.one_hot(y, n_classes, name=SOFT_LABELS)
    if architecture.has_dropout:
        layers.keep_prob = v1.placeholder_with_default(1.0, [], name=names.keep_prob)
    if architecture.has_batch_norm or augmentation:
        layers.is_training = v1.placeholder_with_default(False, [], name=names.is_training)
    network_input = x
    if augmentation:
        images = tf.reshape(x, [-1, *settings.image_shape, 1], name="augmentation/unwarped")
        images = augment(images, augmentation, layers.is_training, "augmentation", layers.shard)
        network_input = tf.reshape(images, [-1, n_pixels], name="augmentation/warped")

    logits = architecture.network(layers, network_input, settings)

    # A name that ends in "/" is taken as it stands, even beside a box of that name (T2's `loss`).
    tf.nn.softmax(logits, name=names.probabilities + "/")
    with v1.name_scope("loss"):
        cross_entropy = tf.nn.softmax_cross_entropy_with_logits(one_hot, logits)
        loss = tf.reduce_mean(cross_entropy)
    loss = tf.identity(loss, name=names.loss + "/")
    add_predictions(names, logits, one_hot if y is None else y)
    minimize(loss, one_hot, logits, settings)


def add_predictions(names: TensorNames, scores: tf.Tensor, labels: tf.Tensor) -> None:
    """Add the predicted labels, int32 [n], which of them are correct, bool [n], and the accuracy, float32 [].

    scores: logits or probabilities float32 [n, classes]; labels: int32 [n], or one-hot float32 [n, classes].
    Tensors that the graph already has under one of the names stay.
    """
    graph = v1.get_default_graph()

    def named(name: str) -> tf.Tensor | None:
        op = find_operation(graph, name)
        if op is not None and not op.outputs:
            raise ValueError(f"build(): expected a tensor named {name}, found an operation without output")
        return None if op is None else op.outputs[0]

    predictions, correct, accuracy = map(named, (names.predictions, names.correct, names.accuracy))
    made = {}
    with v1.name_scope("eval"):
        if predictions is None:
            made[names.predictions] = predictions = tf.argmax(scores, axis=1, output_type=tf.int32)
        if correct is None:
            truth = labels
            if labels.shape.rank == 2:
                truth = tf.argmax(labels, axis=1, output_type=tf.int32)
            made[names.correct] = correct = tf.equal(tf.cast(predictions, tf.int32), tf.cast(truth, tf.int32))
        if accuracy is None:
            made[names.accuracy] = tf.reduce_mean(tf.cast(correct, tf.float32))
    for name, tensor in made.items():
        tf.identity(tensor, name=name + "/")
