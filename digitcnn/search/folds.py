"""The parts of a training set that a job trains on and validates on."""

from __future__ import annotations

import numpy as np

from ..data.arrays import LabelledImages


def fold_of_each(labels: np.ndarray, n_folds: int) -> np.ndarray:
    """The fold in which each image is validated, int [n] in 0..n_folds-1: stratified, as even as can be.

    A fold has consecutive images of each class. Nothing is drawn, so that all settings and seeds are compared on the
    same folds, and images of one writer, which mostly lie together, are mostly in one fold.
    """
    order = np.argsort(labels, kind="stable")
    # How many images of a class each fold gets: dealt out over all classes, so that no fold gets every remainder.
    dealt = np.arange(len(labels)) % n_folds
    folds = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        is_label = labels[order] == label
        folds[order[is_label]] = np.sort(dealt[is_label])
    return folds


def check_folds(labels: np.ndarray, n_folds: int) -> None:
    """Raise ValueError unless each class has an image for each fold."""
    classes, counts = np.unique(labels, return_counts=True)
    if n_folds > counts.min():
        raise ValueError(
            f"--folds: expected at most {counts.min()}, the images of class {classes[counts.argmin()]}, found {n_folds}"
        )


def split_fold(
    images: np.ndarray, labels: np.ndarray, n_folds: int, fold: int
) -> tuple[LabelledImages, LabelledImages]:
    """What fold number `fold`, from 1, trains on and validates on.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, pixels)
        All training images.
    labels : ndarray, shape (n,)
        Their labels.
    n_folds : int
        Number of folds.
    fold : int
        Which one, in 1..n_folds.
    """
    is_validated = fold_of_each(labels, n_folds) == fold - 1
    training = LabelledImages(images[~is_validated], labels[~is_validated])
    return training, LabelledImages(images[is_validated], labels[is_validated])
