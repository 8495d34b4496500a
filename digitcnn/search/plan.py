"""What a search is asked for, and the jobs that follow from it. No TensorFlow here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..data.datasets import Dataset, default_validation
from ..graph.architectures import ARCHITECTURES, check_known_names, check_sizes
from ..recipes import SMALL_TRAINING_SET, recipe_settings
from ..settings import Settings, settings_dict
from .folds import check_folds
from .jobs import Job
from .space import Range, drawn_combinations, grid_combinations

MAX_JOBS = 100_000
MAX_EPOCHS = 30  # that a tutorial's number of steps may take, as in `digitcnn train`
_OF_EACH_JOB = ("random_seed", "image_shape", "n_classes")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a search is asked for.

    Parameters
    ----------
    grid : dict
        Values by setting.
    ranges : dict
        Ranges by setting, for a random search.
    n_random : int or None
        Number of combinations to draw; None takes all of the grid.
    draw_seed : int
        Seed of these draws.
    seeds : tuple of int
        Seeds of the trainings; each combination is trained with each.
    n_folds : int or None
        Number of folds; None validates on the last images.
    n_validation : int or None
        Number of these; None for a sixth of the training images.
    recipe, architecture : str or None
        Where the other settings come from, as in `digitcnn train`.
    epochs, steps : int or None
        Length of each training; None for the recipe's or the architecture's.
    """

    grid: dict[str, tuple[Any, ...]]
    ranges: dict[str, Range]
    n_random: int | None
    draw_seed: int
    seeds: tuple[int, ...]
    n_folds: int | None
    n_validation: int | None
    recipe: str | None
    architecture: str | None
    epochs: int | None
    steps: int | None

    @property
    def searched(self) -> list[str]:
        """Names of the settings that are searched."""
        return [*self.grid, *self.ranges]

    def combinations(self) -> list[dict[str, Any]]:
        """The searched settings of each combination. Raises ValueError."""
        if twice := set(self.grid) & set(self.ranges):
            raise ValueError(f"{min(twice)}: expected values or a range, found both")
        if self.ranges and self.n_random is None:
            raise ValueError("--range: expected --random N beside it, the number of combinations to draw, found none")
        for name, given in (("architecture", self.architecture), ("epochs", self.epochs or self.steps)):
            if name in self.searched and given is not None:
                raise ValueError(f"{name}: expected to be searched or to be given once, found both")
        if self.n_random is None:
            return grid_combinations(self.grid)
        return drawn_combinations(self.grid, self.ranges, self.n_random, self.draw_seed)

    def declared(self) -> dict[str, Any]:
        """What must not change when the search is resumed, by name; it can be written as JSON."""
        return {
            "grid": {name: list(values) for name, values in self.grid.items()},
            "range": {name: str(numbers) for name, numbers in self.ranges.items()},
            "random": self.n_random,
            "draw_seed": self.draw_seed if self.n_random else None,
            "seeds": list(self.seeds),
            "folds": self.n_folds,
            "validation": self.n_validation,
            "recipe": self.recipe,
            "architecture": self.architecture,
            "epochs": self.epochs,
            "steps": self.steps,
        }


def make_jobs(plan: Plan, dataset: Dataset, threads: int) -> list[Job]:
    """The jobs of a search: each combination with each seed and each fold, in this order.

    Settings are checked, so that a mistake is found before anything is trained. Raises ValueError.
    """
    n_validation = None
    if plan.n_folds is not None:
        check_folds(dataset.train_labels, plan.n_folds)
    else:
        n_validation = plan.n_validation or default_validation(len(dataset.train_images))
        if n_validation == 0:
            raise ValueError(
                f"validation: expected a number of training images to validate on, found none given, and a sixth of "
                f"{len(dataset.train_images)} is none"
            )
        dataset.split(n_validation)  # raises if nothing is left to train on
    combinations, folds = plan.combinations(), range(1, plan.n_folds + 1) if plan.n_folds else (None,)
    if (n := len(combinations) * len(plan.seeds) * len(folds)) > MAX_JOBS:
        raise ValueError(f"search: expected at most {MAX_JOBS:,} jobs, found {n:,}; --random N tries fewer settings")
    sha256 = dataset.sha256()
    return [
        Job(
            data_sha256=sha256,
            settings=settings,
            steps=steps,
            seed=seed,
            fold=fold,
            n_folds=plan.n_folds,
            n_validation=n_validation,
            threads=threads,
        )
        for settings, steps in [_settings_of(plan, combination, dataset, n_validation) for combination in combinations]
        for seed in plan.seeds
        for fold in folds
    ]


def recipe_of(plan: Plan, dataset: Dataset) -> str | None:
    """The recipe of the other settings: the one that is asked for, or that of `digitcnn train` for few images."""
    is_small = len(dataset.train_images) < SMALL_TRAINING_SET
    has_architecture = plan.architecture is not None or "architecture" in plan.searched
    return plan.recipe or ("small" if is_small and not has_architecture else None)


def _settings_of(
    plan: Plan, combination: dict[str, Any], dataset: Dataset, n_validation: int | None
) -> tuple[dict[str, Any], int | None]:
    """All settings of a combination, and the training steps if these are its length."""
    named = combination.get("architecture", plan.architecture)
    recipe = recipe_of(plan, dataset)
    settings = recipe_settings(recipe) if recipe else dict(ARCHITECTURES[named or "cnn"].settings)
    if named is not None:
        settings["architecture"] = named
    steps: Any = settings.pop("steps", None)
    if plan.epochs is not None or "epochs" in combination:
        steps = None
    if plan.epochs is not None:
        settings["epochs"] = plan.epochs
    settings |= combination
    try:
        checked = Settings(**settings, random_seed=0, image_shape=dataset.image_shape, n_classes=dataset.n_classes)
        check_known_names(checked)
        check_sizes(checked)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text_of(combination)}: {error}") from None
    if steps:  # the tutorial's, for MNIST
        n = len(dataset.train_images)
        n_training = n - (n // plan.n_folds if plan.n_folds else n_validation or 0)
        steps = min(int(steps), MAX_EPOCHS * -(-n_training // checked.batchsize))
    complete = {name: value for name, value in settings_dict(checked).items() if name not in _OF_EACH_JOB}
    return complete, plan.steps or steps


def text_of(settings: dict[str, Any]) -> str:
    """Settings as they are typed: 'dropout=0.5 learning_rate=0.001'."""
    return " ".join(f"{name}={value_text(value)}" for name, value in settings.items()) or "the recipe's settings"


def value_text(value: Any) -> str:
    """A setting's value as it is typed."""
    return str(value).lower() if isinstance(value, bool) else format(value, "g") if value == 0 else str(value)
