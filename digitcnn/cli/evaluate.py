"""What `digitcnn evaluate --report` takes from a model, a data set and a run folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..data.datasets import Dataset
from ..graph.inspection import model_variables
from ..model import DigitCNN
from ..report.html import Evaluation
from ..runs.description import read_description
from ..runs.train_run import read_training_accuracy


def evaluation_of(
    model: DigitCNN, dataset: Dataset, folder: Path, measured: dict[str, float], shifts: int = 0
) -> Evaluation:
    """Gather what a report is made from.

    Parameters
    ----------
    model : DigitCNN
        The trained model.
    dataset : Dataset
        The data set whose test images it reads.
    folder : Path
        Where the model is saved: a run folder, or any other.
    measured : dict
        What `model.evaluate` returned for these images.
    shifts : int, default 0
        As `model.evaluate` was called with it.
    """
    n, (height, width) = len(dataset.test_images), model.image_shape
    data = Path(dataset.name).name
    facts = {
        "model": f"{folder}, {model.architecture}, {model.n_parameters:,} parameters",
        "trained": f"{measured['global_step']:,} steps",
        "test images": f"{n:,} of {height}x{width} pixels, {dataset.n_classes} classes, from {data}",
        "test loss": f"{measured['loss']:.4f}",
        "weights sha256": model.weights_sha256(),
    }
    if shifts:
        facts["shifts"] = shifts_in_words(shifts)
    return Evaluation(
        title=f"{model.architecture} on {data}",
        facts=facts,
        images=dataset.test_images.reshape(n, height, width),
        labels=dataset.test_labels,
        probabilities=model.predict(dataset.test_images, return_proba=True, shifts=shifts),
        history=model.history,
        training_accuracy=_training_accuracy(model, folder),
        filters=_first_filters(model),
    )


def with_all_pictures(
    dataset: Dataset, run: Path, read: Callable[[Path], Mapping[str, Any] | None] = read_description
) -> Dataset | None:
    """The data set with all of its images for the test; None unless it is of pictures that the run has not seen.

    read: returns the `data_folder` and `data_sha256` of a run's training.
    """
    if any(dataset.folder.glob("*ubyte*")):
        return None
    try:
        description = read(run)
    except (OSError, ValueError):  # a model that was saved by hand
        return None
    if description is None:  # an ensemble that was
        return None
    # By content too: a folder that has moved holds the training's pictures.
    if description["data_folder"] == str(dataset.folder) or description["data_sha256"] == dataset.sha256():
        return None
    images = np.concatenate([dataset.train_images, dataset.test_images])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    return dataclasses.replace(dataset, test_images=images, test_labels=labels)


def shifts_in_words(shifts: int) -> str:
    """What `shifts` of `predict` does, if it is above 0."""
    return f"each image is read as the mean of itself and four copies, shifted by {shifts} px"


def images_of(dataset: Dataset, everything: Dataset | None) -> str:
    """What is tested on, in words: the test images or, of pictures that the run has not seen, all."""
    return (
        f"all {len(everything.test_labels):,} pictures" if everything else f"{len(dataset.test_labels):,} test images"
    )


def _training_accuracy(model: DigitCNN, folder: Path) -> dict[float, float]:
    """By epoch; empty if the model is not in a run folder."""
    try:
        n_training = read_description(folder)["n_training"]
    except (OSError, ValueError):  # a model that was saved by hand
        return {}
    return read_training_accuracy(folder, n_training, model.batchsize)


def _first_filters(model: DigitCNN) -> np.ndarray | None:
    """The weights of the first convolution, float32 [height, width, inputs, outputs]; None if there is none."""
    names = [variable.op.name for variable in model_variables(model.g) if variable.shape.rank == 4]
    return model.sess.run(f"{names[0]}:0") if names else None
