"""The whole graph around an architecture: placeholders, loss, Adam, predictions.

Each part is drawn as one box (loss, train, eval), and what the tutorials fetch by name stands
outside the boxes under exactly that name.
"""

from __future__ import annotations

import math

import tensorflow as tf

from .architectures import Architecture, Sizes
from .augmentation import augment
from .gradients import SHORT_WAY
from .layers import global_step
from .schedules import learning_rate
from .train_step import TrainStep, _count_step, _updates

v1 = tf.compat.v1


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
