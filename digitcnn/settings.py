"""Every setting of a model, declared once: default, check, help text, and its place in saved models.

A setting is a field of `Settings`. `DigitCNN` inherits from this class, so its arguments are these fields. The
command line makes its options from them, and a saved model stores them under these names.
"""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Callable, Collection
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ._validation import MAX_COUNT, check_bool, check_real, check_whole, did_you_mean
from .data.arrays import IMAGE_SHAPE, N_CLASSES, check_image_shape

PRECISIONS = ("auto", "float32", "bfloat16")
MAX_TO_KEEP = 2  # checkpoints of a training: the newest, and one to fall back on
# Units of a layer, and weights of the widest layer: bounds memory for untrusted files.
MAX_WIDTH = 4_096
MAX_WEIGHTS = MAX_WIDTH**2 * 784

Check = Callable[[str, Any], Any]


@dataclass(frozen=True)
class Declaration:
    """All that is declared of a setting besides its name, type and default.

    Parameters
    ----------
    check : callable
        ``check(name, value)`` returns the value to store, or raises TypeError or ValueError.
    help : str
        Meaning and unit, in lower case without a full stop; docstrings and the command line's help show it.
    note : str, default ''
        What only the docstring adds.
    flag : str or None, default None
        Option of `digitcnn train`; None if the command line reads the value from the data or has no option for it.
    group : str, default 'training'
        Heading of the option in the command line's help: 'network', 'training' or 'augmentation'.
    metavar : str, default 'X'
        Placeholder of the value in the command line's help.
    parse : type or None, default float
        Converts the option's text; None keeps the text.
    is_settable : bool, default False
        Whether it can be changed on a finished model; all other settings are built into the graph.
    shapes_variables : bool, default False
        Whether the graph's variables or their shapes depend on it.
    added_in : int, default 1
        First format version of saved models that has the setting.
    before : any, default None
        Value of the setting in saved models of earlier format versions.
    """

    check: Check
    help: str
    note: str = ""
    flag: str | None = None
    group: str = "training"
    metavar: str = "X"
    parse: type | None = float
    is_settable: bool = False
    shapes_variables: bool = False
    added_in: int = 1
    before: Any = None


def setting(default: Any, help: str, check: Check, **rest: Any) -> Any:
    """A field of `Settings`.

    Parameters
    ----------
    default : any
        Default of the setting.
    help : str
        As in Declaration.
    check : callable
        As in Declaration.
    **rest
        Any other field of Declaration.
    """
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


def _slant(name: str, value: Any) -> float:
    return check_real(name, value, f"degrees, 0 <= {name} < 90", lambda angle: 0 <= angle < 90)


def _pixels(name: str, value: Any) -> float:
    return check_real(name, value, "a number of pixels, at least 0", lambda shift: shift >= 0)


def _seed(name: str, value: Any) -> int:
    if value is None:  # drawn once and stored, so that every run can be repeated
        value = int(np.random.SeedSequence().generate_state(1)[0]) >> 1
    return check_whole(name, value, 0, MAX_COUNT)


def unknown_name(value: Any, names: Collection[str]) -> str:
    """What to say of a value that is none of these names: it lists them and suggests the closest."""
    return f"expected one of {', '.join(names)}, found {value!r}{did_you_mean(value, names)}"


def check_name(name: str, value: Any, names: Collection[str]) -> str:
    """Return `value` if it is one of `names`; else raise ValueError."""
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"{name}: {unknown_name(value, names)}")
    return value


def _any(_: str, value: Any) -> Any:
    """Anything: graph/architectures.py checks that this architecture or schedule exists."""
    return value


@dataclass(eq=False)
class Settings:
    """The constructor arguments of a model: first T1's, in its order and with its defaults, then ours by keyword.

    Raises TypeError or ValueError that names the argument, what was expected and what was found.
    """

    batchsize: int = setting(
        100, "images per training step", _whole, flag="--batch-size", metavar="N", parse=int, is_settable=True
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
        1e-4, "learning rate of Adam; with a schedule, its peak", _rate, flag="--learning-rate"
    )
    conv_1_output_channels: int = setting(
        32,
        "output channels of the first convolution",
        _width,
        flag="--conv-1-output-channels",
        group="network",
        metavar="N",
        parse=int,
        shapes_variables=True,
    )
    conv_2_output_channels: int = setting(
        64,
        "output channels of the second convolution",
        _width,
        flag="--conv-2-output-channels",
        group="network",
        metavar="N",
        parse=int,
        shapes_variables=True,
    )
    dropout: float = setting(
        0.5,
        "probability of DROPPING a unit of the last hidden layer in training, 0 <= dropout < 1",
        _probability,
        flag="--dropout",
        group="network",
        is_settable=True,
    )
    fc_3_output_units: int = setting(
        1024,
        "units of the dense layer",
        _width,
        flag="--fc-3-output-units",
        group="network",
        metavar="N",
        parse=int,
        shapes_variables=True,
    )
    shuffle: bool = setting(
        True, "whether to shuffle the training images anew in each epoch", check_bool, is_settable=True
    )
    random_seed: int | None = setting(
        None,
        "seed of initial weights, shuffling, dropout and augmentation",
        _seed,
        note="None draws one, which the attribute then holds.",
        flag="--seed",
        metavar="N",
        parse=int,
    )
    _: KW_ONLY
    architecture: str = setting(
        "cnn",
        "name of the network, a key of digitcnn.ARCHITECTURES",
        _any,
        flag="--architecture",
        group="network",
        parse=None,
        shapes_variables=True,
    )
    precision: str = setting(
        "auto",
        "number type of convolutions and matrix products: 'float32', 'bfloat16', or 'auto', which is bfloat16 if "
        "the CPU has it in hardware, else float32",
        partial(check_name, names=PRECISIONS),
        flag="--precision",
        group="network",
        parse=None,
        added_in=2,
        before="float32",
    )
    schedule: str = setting(
        "constant",
        "course of the learning rate: 'constant', or 'one_cycle', a linear rise to the peak and a linear fall",
        _any,
        flag="--schedule",
        parse=None,
        shapes_variables=True,
        added_in=2,
        before="constant",
    )
    label_smoothing: float = setting(
        0.0,
        "share of each label to spread evenly over all classes, 0 <= label_smoothing < 1",
        _fraction,
        flag="--label-smoothing",
        added_in=2,
        before=0.0,
    )
    average_decay: float = setting(
        0.0,
        "highest decay of the moving averages of weights, which validation uses and which become the weights at the "
        "end of the training, 0 <= average_decay < 1; 0 for none",
        _fraction,
        flag="--average-decay",
        shapes_variables=True,
        added_in=5,
        before=0.0,
    )
    rotation: float = setting(
        0.0,
        "largest random rotation of training images, in degrees, either way",
        _degrees,
        flag="--rotation",
        group="augmentation",
        added_in=2,
        before=0.0,
    )
    scaling: float = setting(
        0.0,
        "largest random scaling of training images, as a fraction: height and width are each divided by a number in "
        "1 +- scaling",
        _fraction,
        flag="--scaling",
        group="augmentation",
        added_in=2,
        before=0.0,
    )
    shift: float = setting(
        0.0,
        "largest random shift of training images, in pixels, along each axis",
        _pixels,
        flag="--shift",
        group="augmentation",
        added_in=2,
        before=0.0,
    )
    shear: float = setting(
        0.0,
        "largest random slant of training images, in degrees, either way: upright strokes lean by so much",
        _slant,
        flag="--shear",
        group="augmentation",
        added_in=5,
        before=0.0,
    )
    stretch: float = setting(
        0.0,
        "largest random stretch of training images, as a fraction: width or height is multiplied by a number in "
        "1..1 + stretch, and the other one divided by it",
        _fraction,
        flag="--stretch",
        group="augmentation",
        added_in=5,
        before=0.0,
    )
    cutout: int = setting(
        0,
        "side of a square at a random place of each training image that becomes background, in pixels; 0 for none",
        partial(_whole, lowest=0),
        flag="--cutout",
        group="augmentation",
        metavar="N",
        parse=int,
        added_in=5,
        before=0,
    )
    image_shape: tuple[int, int] = setting(
        IMAGE_SHAPE,
        "height and width of the grey images, in pixels",
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

    # The constructor's arguments that architectures with fixed layer sizes do not use.
    WIDTHS: ClassVar = ("conv_1_output_channels", "conv_2_output_channels", "fc_3_output_units")

    def __post_init__(self):
        for name, declaration in declarations().items():
            setattr(self, name, declaration.check(name, getattr(self, name)))
        farthest = min(self.image_shape) // 2
        check_real("shift", self.shift, f"pixels in 0..{farthest}", lambda shift: shift <= farthest)
        check_whole("cutout", self.cutout, 0, min(self.image_shape))
        if self.conv_2_output_channels * self.fc_3_output_units * math.prod(self.image_shape) > MAX_WEIGHTS:
            raise ValueError(
                "conv_2_output_channels, fc_3_output_units: expected fewer, for images of "
                f"{self.image_shape}, found {self.conv_2_output_channels} and {self.fc_3_output_units}"
            )


def declarations() -> dict[str, Declaration]:
    """The declaration of each setting, by name, in the constructor's order."""
    return {field.name: field.metadata["setting"] for field in dataclasses.fields(Settings)}


def settings_dict(settings: Settings) -> dict[str, Any]:
    """The current values of all settings, by name."""
    return {name: getattr(settings, name) for name in declarations()}


def shaping_settings() -> list[str]:
    """Names of the settings that a graph's variables or their shapes depend on."""
    return [name for name, declaration in declarations().items() if declaration.shapes_variables]


def older_settings(version: int) -> dict[str, Any]:
    """Settings that saved models of this format version lack, with the values they were trained with."""
    return {name: known.before for name, known in declarations().items() if version < known.added_in}


def parameters_text(indent: str = "    ") -> str:
    """Every setting as an entry of a NumPy-style Parameters section."""
    return f"\n{indent}".join(_parameter_entries(indent).values())


def fill_parameters(docstring: str | None) -> str:
    """A docstring with each `{setting}` replaced by that setting's entry of a Parameters section."""
    filled = docstring or ""  # None under python -OO
    for name, entry in _parameter_entries("    ").items():
        filled = filled.replace(f"{{{name}}}", entry)
    return filled


def _parameter_entries(indent: str) -> dict[str, str]:
    """NumPy-style entries by setting, with all lines but the first indented."""
    entries = {}
    for field in dataclasses.fields(Settings):
        declaration = field.metadata["setting"]
        sentence = f"{declaration.help[0].upper()}{declaration.help[1:]}. {declaration.note}".strip()
        lines = textwrap.wrap(sentence, 110 - len(indent))
        kind = str(field.type).replace(" | ", " or ")
        entries[field.name] = f"\n{indent}    ".join([f"{field.name} : {kind}, default {field.default!r}", *lines])
    return entries
