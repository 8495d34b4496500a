"""Recipes: named settings of DigitCNN that go well together, without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .settings import check_name


@dataclass(frozen=True)
class Recipe:
    """Settings of DigitCNN that go well together.

    Parameters
    ----------
    description : str
        What it is for.
    settings : dict
        Arguments of DigitCNN; the others keep their defaults.
    """

    description: str
    settings: dict[str, Any] = field(default_factory=dict)


SMALL_TRAINING_SET = (
    10_000  # training sets that are smaller are trained by the recipe `small` unless another is asked for
)

# The settings of `fast` and `accurate` were chosen by training on MNIST's first 50,000 training images and validating
# on the last 10,000; README.md has the test accuracies.
RECIPES = {
    "tutorial": Recipe(
        description="T1 as its tutorial trains it",
        settings={
            "architecture": "cnn",
            "epochs": 30,
            "batchsize": 100,
            "learning_rate": 1e-4,
            "dropout": 0.5,
        },
    ),
    "small": Recipe(
        description=f"T1's graph with warps and a schedule, for fewer than {SMALL_TRAINING_SET:,} training images",
        settings={
            "architecture": "cnn",
            "epochs": 80,
            "batchsize": 100,
            "learning_rate": 2e-3,
            "schedule": "one_cycle",
            "label_smoothing": 0.1,
            "rotation": 15.0,
            "scaling": 0.15,
            "shift": 2.0,
        },
    ),
    "fast": Recipe(
        description="99.5% on MNIST as soon as possible",
        settings={
            "architecture": "slim",
            "epochs": 2,
            "batchsize": 256,
            "learning_rate": 3e-2,
            "schedule": "one_cycle",
            "label_smoothing": 0.1,
            "rotation": 5.0,
            "scaling": 0.05,
            "shift": 1.0,
        },
    ),
    "accurate": Recipe(
        description="a deeper network and stronger warps: 99.7% on MNIST",
        settings={
            "architecture": "tapered",
            "dropout": 0.3,
            "epochs": 16,
            "batchsize": 128,
            "learning_rate": 4e-3,
            "schedule": "one_cycle",
            "label_smoothing": 0.1,
            "rotation": 10.0,
            "scaling": 0.1,
            "shift": 2.0,
        },
    ),
}


# For a training that starts from the weights that ship, on few pictures; warps are those that they were trained with.
# Chosen on a made hand (tests/benchmarks/fine_tuning.py): a rate of 1e-3 forgets more of MNIST, 3e-4 learns too little.
FINE_TUNING: dict[str, Any] = {
    "schedule": "constant",
    "learning_rate": 5e-4,
    "epochs": 20,
    "batchsize": 20,
}


def recipe_settings(name: str) -> dict[str, Any]:
    """A recipe's arguments of DigitCNN. Raises ValueError for a name that is not in RECIPES."""
    check_name("recipe", name, tuple(RECIPES))
    return dict(RECIPES[name].settings)
