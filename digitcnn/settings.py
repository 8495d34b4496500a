"""DigitCNN's settings: the tutorial's constructor arguments, checked."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np

from ._validation import MOST, check_bool, check_real, check_whole
from .data.arrays import IMAGE_SHAPE, N_CLASSES, check_image_shape
from .engine.precision import PRECISIONS
from .graph.architectures import ARCHITECTURES
from .graph.schedules import SCHEDULES

# Of a layer, and of the two that grow with the images: a saved model of a stranger must not ask for all memory.
MOST_WIDTH = 4_096


MOST_WEIGHTS = MOST_WIDTH**2 * 784


@dataclasses.dataclass
class Settings:
    """What a model is made with, in the order and with the defaults of the tutorial's constructor.

    Their meaning is told in digitcnn.DigitCNN. Raises TypeError or ValueError that names the
    argument, what was expected and what was found.
    """

    batchsize: int = 100
    epochs: int = 10
    learning_rate: float = 1e-4
    conv_1_output_channels: int = 32
    conv_2_output_channels: int = 64
    dropout: float = 0.5
    fc_3_output_units: int = 1024
    shuffle: bool = True
    random_seed: int | None = None
    architecture: str = "cnn"
    precision: str = "auto"
    schedule: str = "constant"
    label_smoothing: float = 0.0
    rotation: float = 0.0
    scaling: float = 0.0
    shift: float = 0.0
    image_shape: tuple[int, int] = IMAGE_SHAPE
    n_classes: int = N_CLASSES

    # What may be set on a finished model; the rest is built into its graph.
    SETTABLE: ClassVar[tuple[str, ...]] = ("batchsize", "epochs", "dropout", "shuffle")

    def __post_init__(self):
        if self.random_seed is None:  # drawn once and kept, so that every run can be had again
            self.random_seed = int(np.random.SeedSequence().generate_state(1)[0]) >> 1
        self.random_seed = check_whole("random_seed", self.random_seed, 0, 2**31 - 1)
        for name in ("batchsize", "epochs", "conv_1_output_channels", "conv_2_output_channels", "fc_3_output_units"):
            most = MOST if name in self.SETTABLE else MOST_WIDTH
            setattr(self, name, check_whole(name, getattr(self, name), 1, most))
        self.learning_rate = check_real(
            "learning_rate",
            self.learning_rate,
            "a number above 0 that float32 can hold",
            lambda rate: float(np.finfo(np.float32).tiny) <= rate <= float(np.finfo(np.float32).max),
        )
        self.dropout = check_real(
            "dropout", self.dropout, "a probability of dropping, 0 <= dropout < 1", lambda p: 0 <= p < 1
        )
        self.label_smoothing = check_real(
            "label_smoothing", self.label_smoothing, "a share, 0 <= label_smoothing < 1", lambda share: 0 <= share < 1
        )
        self.rotation = check_real("rotation", self.rotation, "degrees in 0..180", lambda angle: 0 <= angle <= 180)
        self.scaling = check_real("scaling", self.scaling, "a fraction, 0 <= scaling < 1", lambda part: 0 <= part < 1)
        self.image_shape = check_image_shape("image_shape", self.image_shape)
        self.n_classes = check_whole("n_classes", self.n_classes, 2, MOST_WIDTH)
        farthest = min(self.image_shape) // 2
        self.shift = check_real("shift", self.shift, f"pixels in 0..{farthest}", lambda shift: 0 <= shift <= farthest)
        if not isinstance(self.precision, str) or self.precision not in PRECISIONS:
            raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, found {self.precision!r}")
        if not isinstance(self.schedule, str) or self.schedule not in SCHEDULES:
            raise ValueError(f"schedule: expected one of {', '.join(SCHEDULES)}, found {self.schedule!r}")
        self.shuffle = check_bool("shuffle", self.shuffle)
        if not isinstance(self.architecture, str) or self.architecture not in ARCHITECTURES:
            names = ", ".join(ARCHITECTURES)
            raise ValueError(f"architecture: expected one of {names}, found {self.architecture!r}")
        sizes = (self.conv_1_output_channels, self.conv_2_output_channels, self.fc_3_output_units)
        if self.conv_2_output_channels * self.fc_3_output_units * math.prod(self.image_shape) > MOST_WEIGHTS:
            raise ValueError(
                "conv_2_output_channels, fc_3_output_units: expected fewer, for images of "
                f"{self.image_shape}, found {sizes[1]} and {sizes[2]}"
            )
        if not ARCHITECTURES[self.architecture].has_widths and sizes != (32, 64, 1024):
            raise ValueError(
                f"conv_1_output_channels, conv_2_output_channels, fc_3_output_units: expected their "
                f"defaults, since {self.architecture!r} has layers of fixed sizes, found {sizes}"
            )
        if min(self.image_shape) < ARCHITECTURES[self.architecture].smallest:
            fitting = [name for name, other in ARCHITECTURES.items() if min(self.image_shape) >= other.smallest]
            raise ValueError(
                f"image_shape: expected a height and width of at least {ARCHITECTURES[self.architecture].smallest} "
                f"for the architecture {self.architecture!r}, whose layers leave nothing of smaller images, found "
                f"{self.image_shape}; these take it: {', '.join(fitting)}"
            )
