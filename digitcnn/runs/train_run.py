"""A training run: trains, tests, and writes all results into a run folder (description.py lists its files)."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from .._files import scratch_folder, write_whole
from .._text import printable
from .._validation import explain_os_errors
from ..cluster.hosts import Place
from ..data.datasets import Dataset
from ..model import DigitCNN
from ..report.drawing import for_files, png
from ..report.plots import plot_history, plot_predictions
from ..saving.lock import lock_folder
from ..tensorboard.events import read_scalars
from .description import SETTINGS_FILE, read_description
from .result import TestResult


def train_run(
    model: DigitCNN,
    dataset: Dataset,
    folder: Path,
    description: dict[str, Any],
    *,
    resume: bool = False,
    verbose: bool | str = True,
    place: Place = Place(),  # noqa: B008  frozen
) -> dict[str, Any]:
    """Train a model on a data set, test it, and write all results into the run's folder.

    Parameters
    ----------
    model : DigitCNN
        A model of the description's settings.
    dataset : Dataset
        What to train and test on.
    folder : Path
        The run folder, made by `new_run_folder` or to be resumed.
    description : dict
        From `describe` or, for a run to resume, from `read_description`.
    resume : bool, default False
        Whether the folder has a run that this call continues.
    verbose : bool or str, default True
        As in `DigitCNN.train`.
    place : Place, default Place()
        The workers and devices that train together, of which this is worker 0.

    Returns
    -------
    dict
        The description with `test` and `weights_sha256`.

    Raises
    ------
    FileExistsError
        If the folder has a run and `resume` is False; else as `DigitCNN.train`.
    """
    training_set, validation_set = dataset.split(description["n_validation"])
    with lock_folder(folder):
        if not resume:
            if (folder / SETTINGS_FILE).exists():
                raise FileExistsError(f"{folder}: expected a new folder for the run, found one that has a run")
            _write_settings(folder, description)
        elif description != read_description(folder):  # its data have moved
            _write_settings(folder, description)
        with explain_os_errors(folder, "a folder that can be written"):
            _remove_leftovers(folder)
            if (folder / "graph").is_symlink():  # training checks the other folders
                raise OSError(f"{folder / 'graph'}: expected a folder, found a link")
            if not (folder / "graph").exists():
                with scratch_folder(folder, "graph") as scratch:
                    model.export_logs(scratch / "graph")
                    (scratch / "graph").replace(folder / "graph")
        try:
            model.train(
                training_set,
                validation_set,
                initialize=description["start"] is None,
                steps=description["steps"],
                verbose=verbose,
                logdir=folder,
                summaries=description["summaries"],
                checkpoint_dir=folder,
                checkpoint_every=description["checkpoint_every"],
                max_to_keep=description["max_to_keep"],
                resume=True,  # starts a new training where there is nothing to resume
                cluster=place.cluster,
                devices=place.devices,
            )
        except BaseException:
            with contextlib.suppress(OSError):  # the first error is the one to report
                _write_history(folder, model)
            raise
        _write_history(folder, model)
        predictions = model.predict(dataset.test_images)
        _draw(folder, model, dataset, predictions, len(training_set[1]))
        result = TestResult(int(np.sum(predictions == dataset.test_labels)), len(predictions))
        test = {"accuracy": result.accuracy, "interval_95": result.interval, "n": result.n}
        description = description | {"test": test, "weights_sha256": model.weights_sha256()}
        _write_settings(folder, description)
    return description


def _remove_leftovers(folder: Path) -> None:
    """Delete what a killed process left half-written; the checkpoint folder deletes its own."""
    for name in ("graph", "projector", SETTINGS_FILE, "history.csv", "training_curve.png", "test_predictions.png"):
        for path in folder.glob(f".{name}-*"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _write_history(folder: Path, model: DigitCNN) -> None:
    if len(model.history):
        _write(folder / "history.csv", model.history.to_csv(index=False).encode())


def record_description(folder: Path, description: dict[str, Any]) -> None:
    """Write the description of a complete run anew, as its data have moved. Raises OSErrors."""
    with lock_folder(folder):
        _write_settings(folder, description)


def _write_settings(folder: Path, content: dict[str, Any]) -> None:
    _write(folder / SETTINGS_FILE, json.dumps(content, indent=1).encode())


def _write(file: Path, content: bytes) -> None:
    with explain_os_errors(file, "a file that can be written"):
        write_whole(file, content, is_durable=True)


def _draw(folder: Path, model: DigitCNN, dataset: Dataset, predictions: np.ndarray, n_training: int) -> None:
    """Draw training_curve.png and test_predictions.png."""
    with for_files():
        # Figures of their own, without pyplot: no display is needed and no backend is switched.
        figure = Figure(figsize=(7, 4), layout="constrained")
        training_accuracy = read_training_accuracy(folder, n_training, model.batchsize)
        ax = plot_history(model.history, figure.subplots(), training_accuracy=training_accuracy)
        title = printable(f"{model.architecture} on {Path(dataset.name).name}")
        ax.set_title(title, parse_math=False)  # a folder's "$" is no formula
        _write(folder / "training_curve.png", png(figure, 120))
        figure = Figure(figsize=(11, 6.2), layout=ConstrainedLayoutEngine(h_pad=0.07))
        images = dataset.test_images.reshape(-1, *dataset.image_shape)
        probabilities = model.predict(dataset.test_images, return_proba=True)
        plot_predictions(images, dataset.test_labels, predictions, figure, probabilities=probabilities)
        _write(folder / "test_predictions.png", png(figure, 100))


def read_training_accuracy(folder: Path, n_training: int, batchsize: int) -> dict[float, float]:
    """A run's accuracy on its training set by epoch, from its events; history.csv has the validation's only."""
    steps_per_epoch = -(-n_training // batchsize)
    accuracies = read_scalars(folder / "train", "accuracy")
    return {step / steps_per_epoch: accuracy for step, accuracy in accuracies.items()}
