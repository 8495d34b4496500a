"""A training run from the command line: train, test, and write all that into a run folder (run_folders.py)."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..data.datasets import Dataset
from ..model import DigitCNN
from ..report.plots import plot_history, plot_predictions
from ..saving.lock import lock_folder
from .description import SETTINGS_FILE
from .result import TestResult


def train_run(
    model: DigitCNN,
    dataset: Dataset,
    folder: Path,
    description: dict[str, Any],
    *,
    resume: bool = False,
    verbose: bool | str = True,
) -> dict[str, Any]:
    """Train `model` on `dataset`, test it, and write all that into the run's `folder`.

    description: as `describe` gives it or, for a run to `resume`, `read_description`. Gives it completed by
    what is then known: `test` and `weights_sha256`. Raises as `DigitCNN.train` does, and FileExistsError.
    """
    training_set, validation_set = dataset.split(description["n_validation"])
    with lock_folder(folder):
        if not resume:
            if (folder / SETTINGS_FILE).exists():
                raise FileExistsError(f"{folder}: expected a new folder for the run, found one that another has begun")
            _write_settings(folder, description)
        _remove_leftovers(folder)
        if (folder / "graph").is_symlink():  # training looks at the others
            raise OSError(f"{folder / 'graph'}: expected a folder, found a link")
        if not (folder / "graph").exists():
            with tempfile.TemporaryDirectory(dir=folder, prefix=".graph-", ignore_cleanup_errors=True) as scratch:
                model.export_logs(Path(scratch) / "graph")
                (Path(scratch) / "graph").replace(folder / "graph")  # whole, or not at all
        try:
            model.train(
                training_set,
                validation_set,
                steps=description["steps"],
                verbose=verbose,
                logdir=folder,
                summaries=description["summaries"],
                checkpoint_dir=folder,
                checkpoint_every=description["checkpoint_every"],
                max_to_keep=description["max_to_keep"],
                resume=True,  # where there is nothing to go on from, it begins anew
            )
        except BaseException:
            with contextlib.suppress(OSError):  # of which the first is the one to be told
                _write_history(folder, model)
            raise
        _write_history(folder, model)
        predictions = model.predict(dataset.test_images)
        _draw(folder, model, dataset, predictions)
        result = TestResult(int(np.sum(predictions == dataset.test_labels)), len(predictions))
        test = {"accuracy": result.accuracy, "interval_95": result.interval, "n": result.n}
        description = description | {"test": test, "weights_sha256": model.weights_sha256()}
        _write_settings(folder, description)
    return description


def _remove_leftovers(folder: Path) -> None:
    """Delete what a kill has left half-written; checkpoints see to theirs."""
    for name in ("graph", "projector", SETTINGS_FILE, "history.csv", "training_curve.png", "test_predictions.png"):
        for path in folder.glob(f".{name}-*"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _write_history(folder: Path, model: DigitCNN) -> None:
    if len(model.history):
        _replace(folder / "history.csv", model.history.to_csv(index=False).encode())


def _write_settings(folder: Path, content: dict[str, Any]) -> None:
    _replace(folder / SETTINGS_FILE, json.dumps(content, indent=1).encode())


def _replace(file: Path, content: bytes) -> None:
    """Write a file that is there whole or as it was; where there is a link, it gives way."""
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink()
        raise


def _draw(folder: Path, model: DigitCNN, dataset: Dataset, predictions: np.ndarray) -> None:
    # Figures of their own, without pyplot: no display is needed and no backend is switched.
    figure = Figure(figsize=(7, 4), layout="constrained")
    ax = plot_history(model.history, figure.subplots())
    ax.set_title(f"{model.architecture} on {Path(dataset.name).name}")
    _replace(folder / "training_curve.png", _png(figure, 120))
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    images = dataset.test_images.reshape(-1, *dataset.image_shape)
    plot_predictions(images, dataset.test_labels, predictions, figure)
    _replace(folder / "test_predictions.png", _png(figure, 100))


def _png(figure: Figure, dpi: int) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, dpi=dpi, format="png")
    return content.getvalue()
