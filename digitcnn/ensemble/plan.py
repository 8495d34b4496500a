"""What the training of an ensemble is asked for, and the trainings of its members that follow from it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from .._validation import MAX_COUNT, check_whole, did_you_mean
from ..data.datasets import Dataset
from ..graph.architectures import ARCHITECTURES
from ..search.jobs import Job
from ..search.plan import Plan, make_jobs
from ..settings import check_name, declarations
from .combining import MAX_MEMBERS, check_rule

FROM_DATA = ("image_shape", "n_classes")
_NAMED = {"random_seed": "random_seed", "architecture": "architectures", "epochs": "epochs"}  # settings with a field


@dataclass(frozen=True, kw_only=True)
class EnsemblePlan:
    """What the training of an ensemble is asked for.

    Parameters
    ----------
    n_members : int, default 5
        Number of members, at most 1000.
    random_seed : int, default 1
        Seed of the first member; the next one has the next seed, from which its initial weights, order of images,
        dropout and warps follow.
    rule : str, default 'mean'
        How the trained members are combined.
    recipe : str, optional
        Where the members' settings come from; default as for `digitcnn train`.
    architectures : sequence of str, default ()
        Architectures of the members, in turn; default the recipe's.
    epochs, steps : int, optional
        Length of each training; default the recipe's or the architecture's.
    n_validation : int, optional
        Training images, the last ones, that the members are validated on; default a sixth.
    settings : dict, default {}
        Other settings of DigitCNN, by name.
    """

    n_members: int = 5
    random_seed: int = 1
    rule: str = "mean"
    recipe: str | None = None
    architectures: tuple[str, ...] = ()
    epochs: int | None = None
    steps: int | None = None
    n_validation: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        # What the checks return is kept: numbers of NumPy become Python's, which JSON can hold.
        n_members = check_whole("n_members", self.n_members, 1, MAX_MEMBERS)
        if isinstance(self.architectures, str):
            raise TypeError(f"architectures: expected a list of names, found {self.architectures!r}")
        checked = {
            "n_members": n_members,
            "random_seed": check_whole("random_seed", self.random_seed, 0, MAX_COUNT - n_members),
            "rule": check_rule(self.rule),
            "architectures": tuple(
                check_name("architectures", name, tuple(ARCHITECTURES)) for name in self.architectures
            ),
            "settings": {name: declarations()[name].check(name, value) for name, value in self.settings.items()},
        }
        for name in ("epochs", "steps", "n_validation"):
            if (value := getattr(self, name)) is not None:
                checked[name] = check_whole(name, value, 1, MAX_COUNT)
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs, steps: expected one of them, found both")

    @classmethod
    def of(cls, options: dict[str, Any]) -> EnsemblePlan:
        """The plan of options by name: fields of this class, and settings of DigitCNN. Raises TypeError, ValueError."""
        fields = {known.name for known in dataclasses.fields(cls)} - {"settings"}
        settings = {name: value for name, value in options.items() if name not in fields}
        for name in settings:
            if name in _NAMED:
                raise TypeError(f"{name}: expected {_NAMED[name]}, which the members have in turn, found {name}")
            if name in FROM_DATA:
                raise TypeError(f"{name}: expected to be that of the data, found it given")
            if name not in declarations():
                names = sorted({*fields, *declarations()} - {*FROM_DATA, "architecture"})
                hint = did_you_mean(name, names) or f"; expected one of {', '.join(names)}"
                raise TypeError(f"Ensemble.train: unknown option {name!r}{hint}")
        return cls(**{name: value for name, value in options.items() if name in fields}, settings=settings)

    def declared(self) -> dict[str, Any]:
        """What must not change when the training is resumed, by name; it can be written as JSON."""
        return {**dataclasses.asdict(self), "architectures": list(self.architectures)}

    def jobs(self, dataset: Dataset, threads: int) -> list[Job]:
        """The training of each member, in their order. Raises ValueError if a setting is wrong.

        threads: TensorFlow's, on which rounding depends.
        """
        seeds = tuple(range(self.random_seed, self.random_seed + self.n_members))
        names = self.architectures or (None,)
        made = {name: make_jobs(self._search(name, seeds), dataset, threads) for name in dict.fromkeys(names)}
        return [made[names[number % len(names)]][number] for number in range(self.n_members)]

    def student_settings(self, dataset: Dataset) -> dict[str, Any]:
        """Settings of DigitCNN for a network that is distilled, but for those that follow from the data.

        A length in steps becomes epochs; labels are not smoothed unless that is asked for, as the targets are soft.
        Raises ValueError if a setting is wrong.
        """
        (job,) = self.jobs(dataset, 1)
        settings = job.settings | {"random_seed": job.seed}
        if "label_smoothing" not in self.settings:
            settings["label_smoothing"] = 0.0
        if job.steps is not None:
            n_training = len(dataset.train_images) - (job.n_validation or 0)
            settings["epochs"] = -(-job.steps // -(-n_training // settings["batchsize"]))
        return settings

    def _search(self, architecture: str | None, seeds: tuple[int, ...]) -> Plan:
        """The search of one combination that trains with all seeds."""
        return Plan(
            grid={name: (value,) for name, value in self.settings.items()},
            ranges={},
            n_random=None,
            draw_seed=0,
            seeds=seeds,
            n_folds=None,
            n_validation=self.n_validation,
            recipe=self.recipe,
            architecture=architecture,
            epochs=self.epochs,
            steps=self.steps,
        )
