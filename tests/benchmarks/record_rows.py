"""The rows of the record: what is trained, and how it is tested. The settings were chosen on 50,000/10,000."""

from __future__ import annotations

import inspect
import math
import shlex
from dataclasses import dataclass, field
from typing import Any

from digitcnn import RECIPES, DigitCNN


@dataclass(frozen=True)
class Row:
    """A network of the record.

    Parameters
    ----------
    name : str
        Its name in the table, and that of its folder.
    recipe : str
        A recipe of digitcnn.
    settings : dict
        Settings that differ from the recipe's.
    prediction : dict
        Arguments of `predict` besides the images.
    """

    name: str
    recipe: str
    settings: dict[str, Any] = field(default_factory=dict)
    prediction: dict[str, Any] = field(default_factory=dict)

    def model(self, seed: int) -> DigitCNN:
        """An untrained network."""
        return DigitCNN.from_recipe(self.recipe, random_seed=seed, **self.settings)


ROWS = {row.name: row for row in (Row("fast", "fast"), Row("accurate", "accurate"))}
PREDICTION = frozenset(inspect.signature(DigitCNN.predict).parameters) - {"self", "X", "return_proba"}


def read_row(text: str) -> Row:
    """The row of that name, or a candidate: a recipe and settings, such as 'accurate epochs=20 dropout=0.4'."""
    if text in ROWS:
        return ROWS[text]
    recipe, *given = shlex.split(text)
    if recipe not in RECIPES:
        raise ValueError(f"--rows: expected one of {', '.join((*ROWS, *RECIPES))}, found {recipe!r}")
    settings, prediction = {}, {}
    for part in given:
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"--rows: expected NAME=VALUE after the recipe, found {part!r}")
        (prediction if name in PREDICTION else settings)[name] = number(value)
    return Row("_".join([recipe, *given]), recipe, settings, prediction)


def number(text: str) -> int | float | str:
    """A whole number, another number, or the text itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def flop_per_image(model: DigitCNN) -> int:
    """Multiplications and additions of convolutions and products for the prediction of one image.

    A step of training takes three times as many: the gradients of inputs and of filters cost as much again.
    """
    total = 0
    for operation in model.g.get_operations():
        if "gradients" in operation.name or operation.type not in ("Conv2D", "MatMul"):
            continue
        images, weights = operation.inputs[0].shape, operation.inputs[1].shape
        if images[0] is not None or not weights.is_fully_defined():
            continue  # no layer: something between weights
        outputs = operation.outputs[0].shape.as_list()[1:]
        # Each output is a sum over all weights of its filter, or over a column of the matrix.
        total += 2 * math.prod(outputs) * weights.num_elements() // weights.as_list()[-1]
    return total


def tflop(model: DigitCNN, n_images: int) -> float:
    """Of a whole training, in 10^12 multiplications and additions."""
    return 3 * flop_per_image(model) * n_images * model.epochs / 1e12
