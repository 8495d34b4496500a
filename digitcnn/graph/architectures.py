"""The five tutorials' graphs and ours, side by side: flat images [batch, pixels] -> logits [batch, classes].

The shapes beside the layers are those of MNIST's images of 28x28.

They know no session and no loss. `ARCHITECTURES` holds each with its tutorial's tensor names and
settings; a new architecture is a function here and a record there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import tensorflow as tf

from ..data.arrays import IMAGE_SHAPE, N_CLASSES
from .layers import (
    batch_norm_layer,
    conv_layer,
    dropout_layer,
    fc_layer,
    linear_layer,
    max_pool_layer,
    truncated_normal,
)

v1 = tf.compat.v1


@dataclass(frozen=True)
class Sizes:
    """The sizes that DigitCNN's constructor sets; conv_1, conv_2, fc_3 for the architectures that `has_widths`.

    image_shape: height and width.
    """

    image_shape: tuple[int, int] = IMAGE_SHAPE
    n_classes: int = N_CLASSES
    conv_1: int = 32
    conv_2: int = 64
    fc_3: int = 1024


@dataclass(frozen=True)
class TensorNames:
    """What the tensors and operations that people fetch by name are called in a graph.

    images: float32 [None, pixels]; labels: int32 [None], or float32 [None, classes] if `one_hot_labels`.
    """

    images: str = "tf_x"
    labels: str = "tf_y"
    one_hot_labels: bool = False
    keep_prob: str = "fc_keep_prob"
    is_training: str = "is_training"
    probabilities: str = "probabilities"
    predictions: str = "labels"
    loss: str = "cross_entropy_loss"
    train_op: str = "train_op"
    correct: str = "correct_preds"
    accuracy: str = "accuracy"


@dataclass(frozen=True)
class Architecture:
    """A graph, the names in it, and the settings at which its tutorial trains it.

    network: (images [batch, pixels], keep_prob, is_training, sizes) -> logits [batch, classes]; both switches
    are None in a graph that only predicts.
    smallest: the height and width that images must have at least.
    scaling: what raw pixels become, 'standardize' (training statistics) or 'unit' (0..1).
    settings: the tutorial's own arguments to DigitCNN, and `steps` where it counts in steps; for
    ours a plain start, since the recipes have better ones.
    """

    network: Callable[[tf.Tensor, tf.Tensor | None, tf.Tensor | None, Sizes], tf.Tensor]
    description: str
    settings: dict[str, float]
    smallest: int
    names: TensorNames = field(default_factory=TensorNames)
    scaling: str = "standardize"
    has_widths: bool = True
    has_dropout: bool = True
    has_batch_norm: bool = False


def _images(x: tf.Tensor, sizes: Sizes) -> tf.Tensor:
    return tf.reshape(x, [-1, *sizes.image_shape, 1], name="input_x_2dimages")


def cnn(x, keep_prob, is_training, sizes):
    """T1: two VALID convolutions of 5x5, two fully connected layers."""
    net = conv_layer(_images(x, sizes), "conv_1", (5, 5), sizes.conv_1, padding="VALID")  # [batch, 24, 24, 32]
    net = max_pool_layer(net, "pool_1")  # [batch, 12, 12, 32]
    net = conv_layer(net, "conv_2", (5, 5), sizes.conv_2, padding="VALID")  # [batch, 8, 8, 64]
    net = max_pool_layer(net, "pool_2")  # [batch, 4, 4, 64]
    net = fc_layer(net, "fc_3", sizes.fc_3, activation_fn=tf.nn.relu)  # [batch, 1024]
    net = dropout_layer(net, "dropout_layer", keep_prob)
    return fc_layer(net, "fc_4", sizes.n_classes)


def softmax(x, keep_prob, is_training, sizes):
    """T2: softmax regression. Its weights `W` and `b` start from zeros."""
    return linear_layer(x, sizes.n_classes)


def same(x, keep_prob, is_training, sizes):
    """T3: like T1 with SAME convolutions, so that 7*7*64 features reach the dense layer."""
    net = conv_layer(_images(x, sizes), "conv_1", (5, 5), sizes.conv_1)  # [batch, 28, 28, 32]
    net = max_pool_layer(net, "pool_1")  # [batch, 14, 14, 32]
    net = conv_layer(net, "conv_2", (5, 5), sizes.conv_2)  # [batch, 14, 14, 64]
    net = max_pool_layer(net, "pool_2")  # [batch, 7, 7, 64]
    net = fc_layer(net, "fc_3", sizes.fc_3, activation_fn=tf.nn.relu)  # [batch, 1024]
    net = dropout_layer(net, "dropout_layer", keep_prob)
    return fc_layer(net, "fc_4", sizes.n_classes)


def strided(x, keep_prob, is_training, sizes):
    """T4: strided linear convolutions without bias, all in the scope `dnn`."""
    bare = {
        "strides": (1, 2, 2, 1),
        "activation_fn": None,
        "use_bias": False,
        "initializer": truncated_normal,
    }
    with v1.variable_scope("dnn"):
        net = conv_layer(_images(x, sizes), "conv_1", (5, 5), sizes.conv_1, **bare)  # [batch, 14, 14, 32]
        net = max_pool_layer(net, "pool_1")  # [batch, 7, 7, 32]
        net = conv_layer(net, "conv_2", (5, 5), sizes.conv_2, **bare)  # [batch, 4, 4, 64]
        net = max_pool_layer(net, "pool_2")  # [batch, 2, 2, 64]
        net = fc_layer(net, "fc_3", sizes.fc_3, activation_fn=tf.nn.relu)  # [batch, 1024]
        net = dropout_layer(net, "dropout_layer", keep_prob)
        return fc_layer(net, "fc_4", sizes.n_classes)


def batchnorm(x, keep_prob, is_training, sizes):
    """T5: five 3x3 convolutions, each with batch normalization, and growing dropout.

    The rates .20, .30 and .40 after the convolutions are the tutorial's; `keep_prob` is the last one's.
    """
    net = _images(x, sizes)
    convolutions = ((1, 32), (2, 32), (3, 64), (4, 64), (5, 128))
    dropout_after = {2: 0.20, 4: 0.30, 5: 0.40}
    for number, channels in convolutions:
        net = conv_layer(net, f"conv_{number}", (3, 3), channels)
        net = batch_norm_layer(net, f"bn_{number}", is_training)
        if number in dropout_after:
            net = max_pool_layer(net, f"pool_{number}")  # [batch, 14, 14, 32], [.., 7, 7, 64], [.., 3, 3, 128]
            keep = None
            if is_training is not None:
                with v1.name_scope(f"dropout_{number}"):
                    keep = tf.where(is_training, 1.0 - dropout_after[number], 1.0)
            net = dropout_layer(net, f"dropout_{number}", keep)
    net = fc_layer(net, "fc_6", 200, activation_fn=tf.nn.relu)
    net = batch_norm_layer(net, "bn_6", is_training)
    net = dropout_layer(net, "dropout_layer", keep_prob)
    return fc_layer(net, "fc_7", sizes.n_classes)


def _convolutions(net, is_training, *convolutions):
    """Ours: each with batch normalization and ReLU, after the pooling if there is one, where they are cheap.

    convolutions: (kernel's side, channels, padding, stride, whether pooled).
    """
    for number, (size, channels, padding, stride, is_pooled) in enumerate(convolutions, 1):
        bare = {"padding": padding, "strides": (1, stride, stride, 1), "activation_fn": None, "use_bias": False}
        net = conv_layer(net, f"conv_{number}", (size, size), channels, **bare)
        if is_pooled:
            net = max_pool_layer(net, f"pool_{number}")
        net = batch_norm_layer(net, f"bn_{number}", is_training, activation_fn=tf.nn.relu)
    return net


def compact(x, keep_prob, is_training, sizes):
    """Ours: T1's convolutions with batch normalization, and 128 dense units."""
    net = _convolutions(
        _images(x, sizes),
        is_training,
        (5, 32, "VALID", 1, True),  # [batch, 24, 24, 32], pooled [batch, 12, 12, 32]
        (5, 64, "VALID", 1, True),  # [batch, 8, 8, 64], pooled [batch, 4, 4, 64]
    )
    net = fc_layer(net, "fc_3", 128, use_bias=False)
    net = batch_norm_layer(net, "bn_3", is_training, activation_fn=tf.nn.relu)
    return fc_layer(net, "fc_4", sizes.n_classes)


def deep(x, keep_prob, is_training, sizes):
    """Ours: six convolutions with batch normalization, the images halved by a pooling and by strides."""
    net = _convolutions(
        _images(x, sizes),
        is_training,
        (3, 32, "VALID", 1, False),  # [batch, 26, 26, 32]
        (3, 32, "VALID", 1, True),  # [batch, 24, 24, 32], pooled [batch, 12, 12, 32]
        (3, 64, "SAME", 1, False),  # [batch, 12, 12, 64]
        (3, 64, "VALID", 1, False),  # [batch, 10, 10, 64]
        (5, 64, "SAME", 2, False),  # [batch, 5, 5, 64]
        (5, 128, "VALID", 1, False),  # [batch, 1, 1, 128]
    )
    net = dropout_layer(net, "dropout_layer", keep_prob)
    return fc_layer(net, "fc_7", sizes.n_classes)


def tapered(x, keep_prob, is_training, sizes):
    """Ours: `deep` with half the channels where the images are largest, and a dense layer for its last convolution."""
    net = _convolutions(
        _images(x, sizes),
        is_training,
        (3, 16, "VALID", 1, False),  # [batch, 26, 26, 16]
        (3, 32, "VALID", 1, True),  # [batch, 24, 24, 32], pooled [batch, 12, 12, 32]
        (3, 64, "SAME", 1, False),  # [batch, 12, 12, 64]
        (3, 64, "VALID", 1, False),  # [batch, 10, 10, 64]
        (5, 64, "SAME", 2, False),  # [batch, 5, 5, 64]
    )
    net = fc_layer(net, "fc_6", 128, use_bias=False)
    net = batch_norm_layer(net, "bn_6", is_training, activation_fn=tf.nn.relu)
    net = dropout_layer(net, "dropout_layer", keep_prob)
    return fc_layer(net, "fc_7", sizes.n_classes)


ARCHITECTURES = {
    "cnn": Architecture(
        network=cnn,
        description="T1: conv 5x5x32, pool, conv 5x5x64, pool (VALID), dense 1024, dropout",
        settings={"batchsize": 100, "epochs": 30, "learning_rate": 1e-4, "dropout": 0.5},
        smallest=16,
    ),
    "softmax": Architecture(
        network=softmax,
        description="T2: softmax regression",
        settings={"batchsize": 100, "epochs": 15, "learning_rate": 1e-3, "dropout": 0.0},
        smallest=1,
        names=TensorNames(
            images="myInput",
            labels="Y",
            one_hot_labels=True,
            probabilities="myOutput",
            loss="loss",
        ),
        scaling="unit",
        has_widths=False,
        has_dropout=False,
    ),
    "same": Architecture(
        network=same,
        description="T3: conv 5x5x32, pool, conv 5x5x64, pool (SAME), dense 1024, dropout",
        settings={"batchsize": 128, "epochs": 10, "learning_rate": 1e-3, "dropout": 0.2},
        smallest=4,
    ),
    "strided": Architecture(
        network=strided,
        description="T4: strided conv 5x5x32 and 5x5x64, pools, dense 1024, dropout",
        settings={"batchsize": 50, "steps": 20_000, "learning_rate": 1e-4, "dropout": 0.5},
        smallest=11,
        names=TensorNames(
            probabilities="dnn/probabilities",
            predictions="dnn/labels",
            loss="loss/cross_entropy_loss",
            train_op="train/train_op",
            correct="eval/correct_preds",
            accuracy="eval/accuracy",
        ),
    ),
    "batchnorm": Architecture(
        network=batchnorm,
        description="T5: five conv 3x3 with batch normalization, dense 200, four dropouts",
        settings={"batchsize": 100, "steps": 10_000, "learning_rate": 1e-3, "dropout": 0.5},
        smallest=8,
        has_widths=False,
        has_batch_norm=True,
    ),
    "compact": Architecture(
        network=compact,
        description="ours: conv 5x5x32, pool, conv 5x5x64, pool, dense 128, with batch normalization",
        settings={"batchsize": 128, "epochs": 10, "learning_rate": 1e-3, "dropout": 0.0},
        smallest=16,
        has_widths=False,
        has_dropout=False,
        has_batch_norm=True,
    ),
    "deep": Architecture(
        network=deep,
        description="ours: four conv 3x3 and two 5x5 with batch normalization, dropout",
        settings={"batchsize": 128, "epochs": 10, "learning_rate": 1e-3, "dropout": 0.3},
        smallest=26,
        has_widths=False,
        has_batch_norm=True,
    ),
    "tapered": Architecture(
        network=tapered,
        description="ours: four conv 3x3 and one 5x5 with batch normalization, dense 128, dropout",
        settings={"batchsize": 128, "epochs": 10, "learning_rate": 1e-3, "dropout": 0.3},
        smallest=10,
        has_widths=False,
        has_batch_norm=True,
    ),
}
