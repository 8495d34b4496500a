"""Every setting of a model, declared once: default, check, help, and how a saved model needs it.

A setting is a field of `Settings`. `DigitCNN` is a child of this class, so its arguments are these fields; the
command line makes its options from them, and a saved model's record its names and the defaults of older records.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ._validation import MAX_COUNT, check_bool, check_real, check_whole, did_you_mean
from .data.arrays import IMAGE_SHAPE, N_CLASSES, check_image_shape

PRECISIONS = ("auto", "float32", "bfloat16")
MAX_TO_KEEP = 2  # checkpoints of a training: the newest, and one to fall back on
# Units of a layer, and weights of the widest layer: a stranger's saved model must not ask for all memory.
MAX_WIDTH = 4_096
MAX_WEIGHTS = MAX_WIDTH**2 * 784

Check = Callable[[str, Any], Any]


@dataclass(frozen=True)
class Declaration:
    """What there is to say of a setting besides its name, type and default.

    Parameters
    ----------
    check : callable
        ``check(name, value)`` returns the value as it is kept, or raises TypeError or ValueError.
    help : str
        What it means, with its unit: the text of the class's docstring and of the command line's help.
    flag : str or None
        Option of `digitcnn train`; None if the command line takes the value from the data or not at all.
    group : str, default 'training'
        Heading of the option in the command line's help: 'network', 'training' or 'augmentation'.
    metavar : str
        Placeholder of the value in the command line's help.
    parse : type or None
        Converts the option's text; None for a text that is taken as it is.
    is_settable : bool
        Whether it may be changed on a finished model; all others are built into its graph.
    shapes_variables : bool
        Whether the graph's variables and their shapes depend on it.
    added_in, before : int, any
        The format version of saved models that first had it, and its value in those before.
    """

    check: Check
    help: str
    flag: str | None = None
    group: str = "training"
    metavar: str = "X"
    parse: type | None = float
    is_settable: bool = False
    shapes_variables: bool = False
    added_in: int = 1
    before: Any = None


def setting(default: Any, help: str, check: Check, **rest: Any) -> Any:
    """A field of Settings; for `rest`, see Declaration."""
    return dataclasses.field(default=default, metadata={"setting": Declaration(check, help, **rest)})


def _whole(name: str, value: Any, lowest: int = 1, highest: int = MAX_COUNT) -> int:
    return check_whole(name, value, lowest, highest)


_width = partial(_whole, highest=MAX_WIDTH)


def _rate(name: str, value: Any) -> float:
    tiny, most = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
    return check_real(name, value, "a number above 0 that float32 can hold", lambda rate: tiny <= rate <= most)


def _probability(name: str, value: Any) -> float:
    return check_real(name, value, f"a probability of dropping, 0 <= {name} < 1", lambda p: 0 <= p < 1)


def _fraction(name: str, value: Any) -> float:
    return check_real(name, value, f"a fraction, 0 <= {name} < 1", lambda part: 0 <= part < 1)


def _degrees(name: str, value: Any) -> float:
    return check_real(name, value, "degrees in 0..180", lambda angle: 0 <= angle <= 180)


def _pixels(name: str, value: Any) -> float:
    return check_real(name, value, "a number of pixels, at least 0", lambda shift: shift >= 0)


def _seed(name: str, value: Any) -> int:
    if value is None:  # drawn once and kept, so that every run can be repeated
        value = int(np.random.SeedSequence().generate_state(1)[0]) >> 1
    return check_whole(name, value, 0, MAX_COUNT)


def check_name(name: str, value: Any, names: tuple[str, ...]) -> str:
    """One of `names`; raises ValueError that lists them and suggests the closest one."""
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"{name}: expected one of {', '.join(names)}, found {value!r}{did_you_mean(value, names)}")
    return value


def _text(name: str, value: Any) -> str:
    """A name of something that the graph's own files declare; graph/architectures.py checks it."""
    if not isinstance(value, str):
        raise ValueError(f"{name}: expected a name, found {value!r}")
    return value


@dataclass(eq=False)
class Settings:
    """What a model is made with, in the order and with the defaults of the tutorial's constructor (T1).

    Raises TypeError or ValueError that names the argument, what was expected and what was found.
    """

    batchsize: int = setting(
        100, "images in a training step", _whole, flag="--batch-size", metavar="N", parse=int, is_settable=True
    )
    epochs: int = setting(
        10,
        "passes over the training images",
        _whole,
        flag="--epochs",
        metavar="N",
        parse=int,
        is_settable=True,
    )
    learning_rate: float = setting(
        1e-4, "learning rate of Adam, per step; the peak of a schedule", _rate, flag="--learning-rate"
    )
    conv_1_output_channels: int = setting(
        32, "channels of the first convolution", _width, parse=int, shapes_variables=True
    )
    conv_2_output_channels: int = setting(
        64, "channels of the second convolution", _width, parse=int, shapes_variables=True
    )
    dropout: float = setting(
        0.5,
        "probability of DROPPING a unit of the dense layer, 0 <= dropout < 1",
        _probability,
        flag="--dropout",
        group="network",
        is_settable=True,
    )
    fc_3_output_units: int = setting(1024, "units of the dense layer", _width, parse=int, shapes_variables=True)
    shuffle: bool = setting(
        True, "whether each epoch has a new order of the training images", check_bool, is_settable=True
    )
    random_seed: int | None = setting(
        None,
        "seed of initial weights, shuffles, dropout and warps; None draws one, which `random_seed` then holds",
        _seed,
        flag="--seed",
        metavar="N",
        parse=int,
    )
    _: KW_ONLY
    architecture: str = setting(
        "cnn",
        "name of the network, one of digitcnn.ARCHITECTURES",
        _text,
        flag="--architecture",
        group="network",
        parse=None,
        shapes_variables=True,
    )
    precision: str = setting(
        "auto",
        "type in which products are computed: 'float32', 'bfloat16', or 'auto', which is bfloat16 where the CPU "
        "multiplies it in hardware, else float32",
        partial(check_name, names=PRECISIONS),
        flag="--precision",
        group="network",
        parse=None,
        added_in=2,
        before="float32",
    )
    schedule: str = setting(
        "constant",
        "course of the learning rate: 'constant', or 'one_cycle', up to the rate and down again",
        _text,
        flag="--schedule",
        parse=None,
        shapes_variables=True,
        added_in=2,
        before="constant",
    )
    label_smoothing: float = setting(
        0.0,
        "share of a label that is spread over all classes, 0 <= label_smoothing < 1",
        _fraction,
        flag="--label-smoothing",
        added_in=2,
        before=0.0,
    )
    rotation: float = setting(
        0.0,
        "degrees by which training images are turned at random, up to +-rotation",
        _degrees,
        flag="--rotation",
        group="augmentation",
        added_in=2,
        before=0.0,
    )
    scaling: float = setting(
        0.0,
        "fraction by which height and width of training images vary at random, each divided by up to 1 +- scaling",
        _fraction,
        flag="--scaling",
        group="augmentation",
        added_in=2,
        before=0.0,
    )
    shift: float = setting(
        0.0,
        "pixels by which training images are shifted at random in both directions, up to +-shift",
        _pixels,
        flag="--shift",
        group="augmentation",
        added_in=2,
        before=0.0,
    )
    image_shape: tuple[int, int] = setting(
        IMAGE_SHAPE,
        "height and width of the images, in pixels; they are grey",
        check_image_shape,
        shapes_variables=True,
        added_in=4,
        before=[28, 28],
    )
    n_classes: int = setting(
        N_CLASSES,
        "number of classes; labels are 0..n_classes-1",
        partial(_whole, lowest=2, highest=MAX_WIDTH),
        shapes_variables=True,
        added_in=4,
        before=10,
    )

    # The constructor's arguments that the layers of fixed sizes do not take.
    WIDTHS: ClassVar = ("conv_1_output_channels", "conv_2_output_channels", "fc_3_output_units")

    def __post_init__(self):
        for name, declaration in declarations().items():
            setattr(self, name, declaration.check(name, getattr(self, name)))
        farthest = min(self.image_shape) // 2
        check_real("shift", self.shift, f"pixels in 0..{farthest}", lambda shift: shift <= farthest)
        if self.conv_2_output_channels * self.fc_3_output_units * math.prod(self.image_shape) > MAX_WEIGHTS:
            raise ValueError(
                "conv_2_output_channels, fc_3_output_units: expected fewer, for images of "
                f"{self.image_shape}, found {self.conv_2_output_channels} and {self.fc_3_output_units}"
            )

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments as they are now, by name."""
        return {name: getattr(self, name) for name in declarations()}


def declarations() -> dict[str, Declaration]:
    """The declaration of each setting, by name, in the constructor's order."""
    return {field.name: field.metadata["setting"] for field in dataclasses.fields(Settings)}


def shaping_settings() -> list[str]:
    """The settings that a graph's variables and their shapes depend on."""
    return [name for name, declaration in declarations().items() if declaration.shapes_variables]


def older_settings(version: int) -> dict[str, Any]:
    """The settings that saved models of a format version lack, with the values that they were trained with."""
    return {name: known.before for name, known in declarations().items() if version < known.added_in}


def parameters_text(indent: str = "    ") -> str:
    """The settings as entries of a NumPy-style Parameters section."""
    lines = []
    for field in dataclasses.fields(Settings):
        lines.append(f"{field.name} : {field.type}, default {field.default!r}")
        sentence = field.metadata["setting"].help
        lines.append(f"    {sentence[0].upper()}{sentence[1:]}.")
    return f"\n{indent}".join(lines)
