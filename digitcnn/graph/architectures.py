"""The networks of the five tutorials and our own: flat images [batch, pixels] -> logits [batch, classes].

A network is a function of its layers (`Layers` of layers.py), the images and the settings; this file needs no
TensorFlow. `ARCHITECTURES` has each network with its tensor names and settings: to add one, write a function and
a record. The shapes beside the layers are for MNIST's images of 28x28.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..settings import Settings, check_name
from .schedules import SCHEDULES

if TYPE_CHECKING:
    from .layers import Layers


@dataclass(frozen=True)
class TensorNames:
    """Names of the tensors and operations of a graph that users feed, fetch and run by name.

    Parameters
    ----------
    images : str, default 'tf_x'
        Placeholder of the images, float32 [None, pixels].
    labels : str, default 'tf_y'
        Placeholder of the labels, int32 [None], or float32 [None, classes] if `one_hot_labels`.
    one_hot_labels : bool, default False
        Whether labels are fed one-hot.
    keep_prob : str, default 'fc_keep_prob'
        Placeholder of the probability of keeping a unit, float32 [], default 1.
    is_training : str, default 'is_training'
        Placeholder of the switch for batch normalization and augmentation, bool [], default False.
    probabilities : str, default 'probabilities'
        Output, float32 [None, classes].
    predictions : str, default 'labels'
        Predicted labels, int32 [None].
    loss : str, default 'cross_entropy_loss'
        Mean cross-entropy, float32 [].
    train_op : str, default 'train_op'
        Operation that takes a training step.
    correct : str, default 'correct_preds'
        Whether each prediction is correct, bool [None].
    accuracy : str, default 'accuracy'
        Share of correct predictions, float32 [].
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
    """A network with the names in its graph and the settings of its tutorial.

    Parameters
    ----------
    network : callable
        ``network(layers, x, settings)``: flat images float32 [batch, pixels] -> logits float32 [batch, classes].
    description : str
        Its layers in a line.
    settings : dict of str to number
        The tutorial's arguments to DigitCNN, and `steps` if it counts in steps. Our networks have a plain choice
        here; the recipes have better ones.
    min_side : int
        Smallest height and width of its images, in pixels; the layers shrink smaller images to nothing.
    names : TensorNames, default TensorNames()
        Tensor names; by default those of T1.
    scaling : str, default 'standardize'
        What raw pixels are converted to: 'standardize' (by statistics of the training set) or 'unit' (0..1).
    has_widths : bool, default True
        Whether the settings `Settings.WIDTHS` decide the sizes of its layers; otherwise they are fixed.
    has_dropout : bool, default True
        Whether its graph has the placeholder `names.keep_prob`.
    has_batch_norm : bool, default False
        Whether its graph has the placeholder `names.is_training`.
    """

    network: Callable[[Layers, Any, Settings], Any]
    description: str
    settings: dict[str, float]
    min_side: int
    names: TensorNames = field(default_factory=TensorNames)
    scaling: str = "standardize"
    has_widths: bool = True
    has_dropout: bool = True
    has_batch_norm: bool = False


def cnn(layers: Layers, x, settings: Settings):
    """T1: two VALID convolutions of 5x5, two fully connected layers."""
    net = layers.images(x, settings.image_shape)
    net = layers.conv(net, "conv_1", (5, 5), settings.conv_1_output_channels, "VALID")  # [batch, 24, 24, 32]
    net = layers.max_pool(net, "pool_1")  # [batch, 12, 12, 32]
    net = layers.conv(net, "conv_2", (5, 5), settings.conv_2_output_channels, "VALID")  # [batch, 8, 8, 64]
    net = layers.max_pool(net, "pool_2")  # [batch, 4, 4, 64]
    net = layers.fc(net, "fc_3", settings.fc_3_output_units, layers.relu)  # [batch, 1024]
    net = layers.dropout(net, "dropout_layer")
    return layers.fc(net, "fc_4", settings.n_classes)


def softmax(layers: Layers, x, settings: Settings):
    """T2: softmax regression, its weights `W` and biases `b` initialized to zeros."""
    return layers.linear(x, settings.n_classes)


def same(layers: Layers, x, settings: Settings):
    """T3: T1 with SAME convolutions, so that 7*7*64 features reach the dense layer."""
    net = layers.images(x, settings.image_shape)
    net = layers.conv(net, "conv_1", (5, 5), settings.conv_1_output_channels)  # [batch, 28, 28, 32]
    net = layers.max_pool(net, "pool_1")  # [batch, 14, 14, 32]
    net = layers.conv(net, "conv_2", (5, 5), settings.conv_2_output_channels)  # [batch, 14, 14, 64]
    net = layers.max_pool(net, "pool_2")  # [batch, 7, 7, 64]
    net = layers.fc(net, "fc_3", settings.fc_3_output_units, layers.relu)  # [batch, 1024]
    net = layers.dropout(net, "dropout_layer")
    return layers.fc(net, "fc_4", settings.n_classes)


def strided(layers: Layers, x, settings: Settings):
    """T4: strided linear convolutions without bias, all layers in the scope `dnn`."""
    linear: dict[str, Any] = {"activation_fn": None, "use_bias": False, "initializer": layers.truncated_normal}
    halve = (1, 2, 2, 1)
    with layers.scope("dnn"):
        net = layers.images(x, settings.image_shape)
        net = layers.conv(
            net, "conv_1", (5, 5), settings.conv_1_output_channels, strides=halve, **linear
        )  # [batch, 14, 14, 32]
        net = layers.max_pool(net, "pool_1")  # [batch, 7, 7, 32]
        net = layers.conv(
            net, "conv_2", (5, 5), settings.conv_2_output_channels, strides=halve, **linear
        )  # [batch, 4, 4, 64]
        net = layers.max_pool(net, "pool_2")  # [batch, 2, 2, 64]
        net = layers.fc(net, "fc_3", settings.fc_3_output_units, layers.relu)  # [batch, 1024]
        net = layers.dropout(net, "dropout_layer")
        return layers.fc(net, "fc_4", settings.n_classes)


def batchnorm(layers: Layers, x, settings: Settings):
    """T5: five 3x3 convolutions with batch normalization, and four dropouts of increasing rate.

    The rates 0.2, 0.3 and 0.4 after the convolutions are the tutorial's; the setting `dropout` is the last rate.
    """
    net = layers.images(x, settings.image_shape)
    for number, channels in enumerate((32, 32, 64, 64, 128), 1):
        net = layers.conv(net, f"conv_{number}", (3, 3), channels)
        net = layers.batch_norm(net, f"bn_{number}")
        if rate := {2: 0.20, 4: 0.30, 5: 0.40}.get(number):
            net = layers.max_pool(net, f"pool_{number}")  # [batch, 14, 14, 32], [.., 7, 7, 64], [.., 3, 3, 128]
            net = layers.dropout(net, f"dropout_{number}", rate=rate)
    net = layers.fc(net, "fc_6", 200, layers.relu)
    net = layers.batch_norm(net, "bn_6")
    net = layers.dropout(net, "dropout_layer")
    return layers.fc(net, "fc_7", settings.n_classes)


def _convolutions(layers: Layers, net, *convolutions):
    """Our convolutions; batch normalization and ReLU come after the pooling, where they cost less.

    convolutions: tuples of (side of the kernel, channels, padding, stride, whether to pool).
    """
    for number, (size, channels, padding, stride, is_pooled) in enumerate(convolutions, 1):
        strides = (1, stride, stride, 1)
        net = layers.conv(
            net, f"conv_{number}", (size, size), channels, padding, strides, activation_fn=None, use_bias=False
        )
        if is_pooled:
            net = layers.max_pool(net, f"pool_{number}")
        net = layers.batch_norm(net, f"bn_{number}", activation_fn=layers.relu)
    return net


def compact(layers: Layers, x, settings: Settings):
    """T1's convolutions with batch normalization, and 128 dense units."""
    return _two_convolutions(layers, x, settings, 32)


def slim(layers: Layers, x, settings: Settings):
    """Our smallest network: `compact` with half the channels in its first layer, where the images are largest."""
    return _two_convolutions(layers, x, settings, 16)


def _two_convolutions(layers: Layers, x, settings: Settings, n_channels: int):
    """`compact` with so many channels in its first layer."""
    net = _convolutions(
        layers,
        layers.images(x, settings.image_shape),
        (5, n_channels, "VALID", 1, True),  # [batch, 24, 24, n_channels], pooled [batch, 12, 12, n_channels]
        (5, 64, "VALID", 1, True),  # [batch, 8, 8, 64], pooled [batch, 4, 4, 64]
    )
    net = layers.fc(net, "fc_3", 128, use_bias=False)
    net = layers.batch_norm(net, "bn_3", activation_fn=layers.relu)
    return layers.fc(net, "fc_4", settings.n_classes)


def deep(layers: Layers, x, settings: Settings):
    """Our deepest network: six convolutions with batch normalization, halving by one pooling and one stride."""
    net = _convolutions(
        layers,
        layers.images(x, settings.image_shape),
        (3, 32, "VALID", 1, False),  # [batch, 26, 26, 32]
        (3, 32, "VALID", 1, True),  # [batch, 24, 24, 32], pooled [batch, 12, 12, 32]
        (3, 64, "SAME", 1, False),  # [batch, 12, 12, 64]
        (3, 64, "VALID", 1, False),  # [batch, 10, 10, 64]
        (5, 64, "SAME", 2, False),  # [batch, 5, 5, 64]
        (5, 128, "VALID", 1, False),  # [batch, 1, 1, 128]
    )
    net = layers.dropout(net, "dropout_layer")
    return layers.fc(net, "fc_7", settings.n_classes)


def tapered(layers: Layers, x, settings: Settings):
    """`deep` with half the channels in its first layer, and a dense layer in place of its last convolution."""
    net = _convolutions(
        layers,
        layers.images(x, settings.image_shape),
        (3, 16, "VALID", 1, False),  # [batch, 26, 26, 16]
        (3, 32, "VALID", 1, True),  # [batch, 24, 24, 32], pooled [batch, 12, 12, 32]
        (3, 64, "SAME", 1, False),  # [batch, 12, 12, 64]
        (3, 64, "VALID", 1, False),  # [batch, 10, 10, 64]
        (5, 64, "SAME", 2, False),  # [batch, 5, 5, 64]
    )
    net = layers.fc(net, "fc_6", 128, use_bias=False)
    net = layers.batch_norm(net, "bn_6", activation_fn=layers.relu)
    net = layers.dropout(net, "dropout_layer")
    return layers.fc(net, "fc_7", settings.n_classes)


ARCHITECTURES: dict[str, Architecture] = {
    "cnn": Architecture(
        network=cnn,
        description="T1: conv 5x5x32, pool, conv 5x5x64, pool (VALID), dense 1024, dropout",
        settings={"batchsize": 100, "epochs": 30, "learning_rate": 1e-4, "dropout": 0.5},
        min_side=16,
    ),
    "softmax": Architecture(
        network=softmax,
        description="T2: softmax regression",
        settings={"batchsize": 100, "epochs": 15, "learning_rate": 1e-3, "dropout": 0.0},
        min_side=1,
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
        min_side=4,
    ),
    "strided": Architecture(
        network=strided,
        description="T4: strided conv 5x5x32 and 5x5x64, pools, dense 1024, dropout",
        settings={"batchsize": 50, "steps": 20_000, "learning_rate": 1e-4, "dropout": 0.5},
        min_side=11,
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
        min_side=8,
        has_widths=False,
        has_batch_norm=True,
    ),
    "compact": Architecture(
        network=compact,
        description="ours: conv 5x5x32, pool, conv 5x5x64, pool, dense 128, with batch normalization",
        settings={"batchsize": 128, "epochs": 10, "learning_rate": 1e-3, "dropout": 0.0},
        min_side=16,
        has_widths=False,
        has_dropout=False,
        has_batch_norm=True,
    ),
    "slim": Architecture(
        network=slim,
        description="ours: conv 5x5x16, pool, conv 5x5x64, pool, dense 128, with batch normalization",
        settings={"batchsize": 128, "epochs": 10, "learning_rate": 1e-3, "dropout": 0.0},
        min_side=16,
        has_widths=False,
        has_dropout=False,
        has_batch_norm=True,
    ),
    "deep": Architecture(
        network=deep,
        description="ours: four conv 3x3 and two 5x5 with batch normalization, dropout",
        settings={"batchsize": 128, "epochs": 10, "learning_rate": 1e-3, "dropout": 0.3},
        min_side=26,
        has_widths=False,
        has_batch_norm=True,
    ),
    "tapered": Architecture(
        network=tapered,
        description="ours: four conv 3x3 and one 5x5 with batch normalization, dense 128, dropout",
        settings={"batchsize": 128, "epochs": 10, "learning_rate": 1e-3, "dropout": 0.3},
        min_side=10,
        has_widths=False,
        has_batch_norm=True,
    ),
}


def check_known_names(settings: Settings) -> None:
    """Raise ValueError unless the architecture and the schedule of these settings exist."""
    check_name("architecture", settings.architecture, ARCHITECTURES)
    check_name("schedule", settings.schedule, SCHEDULES)


def check_sizes(settings: Settings) -> None:
    """Raise ValueError unless the layers of the architecture can have these sizes."""
    name, architecture = settings.architecture, ARCHITECTURES[settings.architecture]
    widths = {width: getattr(settings, width) for width in Settings.WIDTHS}
    if not architecture.has_widths and any(getattr(Settings, width) != found for width, found in widths.items()):
        raise ValueError(
            f"{', '.join(widths)}: expected their defaults, since {name!r} has fixed layer sizes, found "
            f"{tuple(widths.values())}"
        )
    side = min(settings.image_shape)
    if side < architecture.min_side:
        fitting = [other for other, known in ARCHITECTURES.items() if side >= known.min_side]
        raise ValueError(
            f"image_shape: expected a height and width of at least {architecture.min_side} for the architecture "
            f"{name!r}, whose layers shrink smaller images to nothing, found {settings.image_shape}; these fit: "
            f"{', '.join(fitting)}"
        )
