"""A training run as a folder that describes itself.

settings.json           data, settings, versions, and at the end the result
history.csv             Epoch, Loss, Accuracy
model.ckpt-N.*          the saved model
graph/ train/ validation/   for TensorBoard
training_curve.png      loss and validation accuracy
test_predictions.png    test digits, misread ones first
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import platform
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from . import __version__
from .datasets import Dataset
from .engine import UntrainedModelError
from .evaluation import accuracy_interval
from .model import DigitCNN
from .plots import plot_history, plot_predictions

SETTINGS_FILE = "settings.json"


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
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder}: expected a new or an empty folder for the run, found something in it")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):  # raises now, not after the training
        return folder


def newest_run(logs: str | os.PathLike = "logs") -> Path:
    """The run folder under `logs` whose model was saved last. Raises FileNotFoundError."""
    records = sorted(Path(logs).glob("*/model.ckpt-*.json"), key=lambda file: file.stat().st_mtime)
    if not records:
        raise FileNotFoundError(f"{logs}: expected a run with a saved model, found none; train one, or name its folder")
    return records[-1].parent


def data_of_run(folder: str | os.PathLike, by_name: bool = False) -> str:
    """The data set that a run was trained on: its folder or, if that is gone or `by_name`, its name.

    Raises FileNotFoundError or ValueError if the run does not say.
    """
    file = Path(folder) / SETTINGS_FILE
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        name, place = str(settings["data"]), str(settings["data_folder"])
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{folder}: expected a run folder, found no {SETTINGS_FILE} that says which data; give --data"
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{file}: expected data and data_folder in JSON, found: {error!r}; give --data") from error
    return place if Path(place).is_dir() and not by_name else name


def train_run(
    model: DigitCNN,
    dataset: Dataset,
    folder: Path,
    *,
    n_validation: int,
    steps: int | None = None,
    recipe: str | None = None,
    verbose: bool | str = True,
) -> TestResult:
    """Train `model` on `dataset`, test it, and write all that into the run's `folder`.

    The last `n_validation` training images are kept for validation. If training is broken off,
    what was learnt so far is saved before the exception goes on its way.
    """
    training_set, validation_set = dataset.split(n_validation)
    description = {
        "data": dataset.name,
        "data_folder": str(dataset.folder),
        "n_training": len(training_set[0]),
        "n_validation": n_validation,
        "recipe": recipe,
        "epochs": None if steps else model.epochs,
        "steps": steps,
        "settings": model.settings,
        "computes_in": model.computes_in,
        "versions": {
            "digitcnn": __version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    _write_settings(folder, description)
    model.export_logs(folder / "graph")
    try:
        model.train(training_set, validation_set, steps=steps, verbose=verbose, logdir=folder)
        _save(folder, model)
    except BaseException:  # Ctrl-C, also while saving; a reader of the output that has gone
        with contextlib.suppress(UntrainedModelError):  # before there were weights
            if model.global_step > 0:
                _save(folder, model)
        raise
    predictions = model.predict(dataset.test_images)
    result = TestResult(int(np.sum(predictions == dataset.test_labels)), len(predictions))
    _write_settings(
        folder, description | {"test": {"accuracy": result.accuracy, "interval_95": result.interval, "n": result.n}}
    )
    _draw(folder, model, dataset, predictions)
    return result


def _save(folder: Path, model: DigitCNN) -> None:
    model.save(path=folder)
    model.history.to_csv(folder / "history.csv", index=False)


def _write_settings(folder: Path, content: dict) -> None:
    temporary = folder / f".{SETTINGS_FILE}"
    temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    temporary.replace(folder / SETTINGS_FILE)


def _draw(folder: Path, model: DigitCNN, dataset: Dataset, predictions: np.ndarray) -> None:
    # Figures of their own, without pyplot: no display is needed and no backend is switched.
    figure = Figure(figsize=(7, 4), layout="constrained")
    ax = plot_history(model.history, figure.subplots())
    ax.set_title(f"{model.architecture} on {Path(dataset.name).name}")
    figure.savefig(folder / "training_curve.png", dpi=120)
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    plot_predictions(dataset.test_images, dataset.test_labels, predictions, figure)
    figure.savefig(folder / "test_predictions.png", dpi=100)
