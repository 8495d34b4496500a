"""A run folder: where it is, and what its settings.json says, from which a run can be gone on with.

settings.json           data, settings, versions, and at the end the result
history.csv             Epoch, Loss, Accuracy
model.ckpt-STEP.*       checkpoints; the newest is the trained model
best/model.ckpt-STEP.*  the one with the best validation accuracy
graph/ train/ validation/ projector/  for TensorBoard, and files of events beside them
training_curve.png      loss and validation accuracy
test_predictions.png    test digits, misread ones first
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import platform
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from . import __version__
from .checks import check_names, check_path
from .datasets import Dataset
from .evaluation import accuracy_interval
from .model import DigitCNN
from .records import ADDED_SETTINGS
from .resuming import LOCK
from .settings import Settings
from .training import MAX_TO_KEEP

SETTINGS_FILE = "settings.json"
_MOST_SETTINGS = 1 << 20  # bytes


@dataclass(frozen=True)
class TestResult:
    """n_correct of n test images, as an accuracy with its 95% interval."""

    __test__ = False  # pytest: not a test class

    n_correct: int
    n: int

    @property
    def accuracy(self) -> float:
        """Share of correct predictions."""
        return self.n_correct / self.n

    @classmethod
    def of(cls, description: dict[str, Any]) -> TestResult:
        """That of a complete run."""
        n = description["test"]["n"]
        return cls(round(description["test"]["accuracy"] * n), n)

    @property
    def interval(self) -> tuple[float, float]:
        """Of 95% confidence."""
        return accuracy_interval(self.n_correct, self.n)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.accuracy:.2%} (95% interval {low:.2%} to {high:.2%}; {self.n_correct:,} of {self.n:,})"


def new_run_folder(folder: str | os.PathLike | None, data: str, what: str) -> Path:
    """Make the folder of a new run; without a name, logs/DATE-TIME-DATA-WHAT.

    what: the recipe, or the architecture. Raises FileExistsError if there is something in it, other
    OSErrors if it cannot be made.
    """
    if folder is None:
        name = f"{datetime.now():%Y%m%d-%H%M%S}-{Path(data).name}-{what}"
        for number in itertools.count(1):  # another run may have begun in the same second
            folder = Path("logs") / (name if number == 1 else f"{name}-{number}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir(parents=True)
                return folder
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or not all(map(_is_of_a_start, folder.iterdir()))):
        to_resume = "; --resume goes on with the run that it has" if (folder / SETTINGS_FILE).exists() else ""
        raise FileExistsError(
            f"{folder}: expected a new or an empty folder for the run, found something in it{to_resume}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):  # raises now, not after the training
        return folder


def _is_of_a_start(file: Path) -> bool:
    """Whether it is what a run leaves that was killed before its settings were written."""
    return file.name == LOCK or file.name.startswith(f".{SETTINGS_FILE}")


def newest_run(logs: str | os.PathLike = "logs") -> Path:
    """The run folder under `logs` whose model was saved last. Raises FileNotFoundError."""
    records = sorted(Path(logs).glob("*/model.ckpt-*.json"), key=lambda file: file.stat().st_mtime)
    if not records:
        raise FileNotFoundError(f"{logs}: expected a run with a saved model, found none; train one, or name its folder")
    return records[-1].parent


def describe(
    model: DigitCNN,
    dataset: Dataset,
    *,
    n_validation: int,
    steps: int | None = None,
    recipe: str | None = None,
    checkpoint_every: int | None = None,
    max_to_keep: int = MAX_TO_KEEP,
    summaries: Collection[str] = (),
) -> dict[str, Any]:
    """What a run's settings.json says from its beginning: all that is needed to go on with it."""
    return {
        "data": dataset.name,
        "data_folder": str(dataset.folder),
        "n_training": len(dataset.train_images) - n_validation,
        "n_validation": n_validation,
        "recipe": recipe,
        "epochs": None if steps else model.epochs,
        "steps": steps,
        "checkpoint_every": checkpoint_every,
        "max_to_keep": max_to_keep,
        "summaries": list(summaries),
        "settings": model.settings,
        "computes_in": model.computes_in,
        "versions": {
            "digitcnn": __version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


# The parts of settings.json that a run is gone on with by, and what they are.
_NUMBER_OR_NONE = (int, type(None))
_PARTS = {
    "data": str,
    "data_folder": str,
    "n_training": int,
    "n_validation": int,
    "epochs": _NUMBER_OR_NONE,
    "steps": _NUMBER_OR_NONE,
    "checkpoint_every": _NUMBER_OR_NONE,
    "max_to_keep": int,
    "summaries": list,
    "settings": dict,
}
_PARTS_OF_THE_END = {"test": dict, "weights_sha256": str}


def read_description(folder: str | os.PathLike) -> dict[str, Any]:
    """What a run's settings.json says. Raises FileNotFoundError or ValueError if it does not say enough."""
    file = check_path("run", folder) / SETTINGS_FILE
    if not file.is_file():
        raise FileNotFoundError(
            f"{folder}: expected a run folder, found no {SETTINGS_FILE} that says which data and settings"
        )
    if (size := file.stat().st_size) > _MOST_SETTINGS:
        raise ValueError(f"{file}: expected at most {_MOST_SETTINGS} bytes, found {size}")
    try:
        description = {"summaries": []} | json.loads(file.read_text(encoding="utf-8"))  # which older runs had none of
        parts = _PARTS | (_PARTS_OF_THE_END if "test" in description else {})
        for name, kind in parts.items():
            if not isinstance(description[name], kind):
                raise TypeError(f"{name}: {description[name]!r}")
        description["settings"] = ADDED_SETTINGS[4] | description["settings"]
        check_names("settings", description["settings"], [field.name for field in dataclasses.fields(Settings)])
        if "test" in description:
            TestResult.of(description)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(
            f"{file}: expected the settings of a run as this version writes them, found: {error!r}"
        ) from error
    return description


def data_of_run(folder: str | os.PathLike, by_name: bool = False) -> str:
    """The data set that a run was trained on: its folder or, if that is gone or `by_name`, its name.

    Raises FileNotFoundError or ValueError if the run does not say.
    """
    try:
        description = read_description(folder)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"{error}; give --data") from None
    name, place = str(description["data"]), str(description["data_folder"])
    return place if Path(place).is_dir() and not by_name else name
