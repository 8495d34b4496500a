"""Predictions as the mean over an image and its copies that are shifted by some pixels, up, down, left and right.

What a network makes of a digit depends a little on its place; the mean over five places depends on it less. It is made
of the probabilities, outside of the graph, and takes five times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._progress import progress_bar
from .._validation import check_whole
from ..data.arrays import LabelledImages
from ..data.batches import batch_generator
from ..data.standardization import Standardization
from .engine import BATCH_SIZE, Engine

DIRECTIONS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))  # rows down, columns to the right


@dataclass(frozen=True)
class Shifts:
    """By how many pixels images are shifted.

    Parameters
    ----------
    pixels : int
        Along each axis; 0 for the images alone.
    image_shape : tuple of int
        Height and width of the images.
    """

    pixels: int
    image_shape: tuple[int, int]

    @classmethod
    def check(cls, pixels: Any, image_shape: tuple[int, int]) -> Shifts:
        """Return the shifts; raise TypeError or ValueError unless `shifts` is a number of pixels within an image."""
        return cls(check_whole("shifts", pixels, 0, min(image_shape) - 1), image_shape)

    def copies(self, X: np.ndarray) -> list[np.ndarray]:
        """Return five arrays [n, pixels] of images [n, pixels]: as they are, and shifted up, down, left, right.

        What comes in from outside of an image is its nearest edge pixel, as in the warps of training.
        """
        n, (height, width) = self.pixels, self.image_shape
        padded = np.pad(X.reshape(-1, height, width), ((0, 0), (n, n), (n, n)), mode="edge")
        starts = [(n - n * down, n - n * right) for down, right in DIRECTIONS]
        return [padded[:, top : top + height, left : left + width].reshape(X.shape) for top, left in starts]


def predict_shifted(
    engine: Engine,
    X: np.ndarray,
    standardization: Standardization | None,
    shifts: Shifts,
    *,
    return_proba: bool = False,
    batch_size: int = BATCH_SIZE,
    show_bar: bool = False,
) -> np.ndarray:
    """Return labels, int32 [n], or the mean of the probabilities of all copies, float32 [n, classes].

    Parameters
    ----------
    engine : Engine
        Computes them, batch by batch.
    X : array
        Images [n, pixels]: raw pixels uint8, or scaled floats.
    standardization : Standardization or None
        Converts raw pixels to floats.
    shifts : Shifts
        How far; by 0 pixels, the result is that of Engine.predict.
    return_proba : bool, default False
        Whether to return probabilities.
    batch_size : int, default 1000
        Images per batch.
    show_bar : bool, default False
        Whether to show a progress bar if it takes longer than a second.
    """
    if not shifts.pixels or not len(X):
        return engine.predict(X, standardization, return_proba=return_proba, batch_size=batch_size, show_bar=show_bar)
    engine.check_batch(min(len(X), batch_size), "batch_size")
    means = []
    batches = batch_generator(X, batch_size=batch_size)
    for batch in progress_bar(batches, len(X), batch_size, "predicting", show=show_bar):
        copies = shifts.copies(batch)
        found = [engine.predict(copy, standardization, return_proba=True, batch_size=batch_size) for copy in copies]
        means.append(np.mean(found, axis=0, dtype=np.float64).astype(np.float32))
    probabilities = np.concatenate(means)
    return probabilities if return_proba else probabilities.argmax(axis=1).astype(np.int32)


def evaluate_shifted(
    engine: Engine,
    examples: LabelledImages,
    standardization: Standardization | None,
    shifts: Shifts,
    *,
    show_bar: bool = False,
) -> dict[str, Any]:
    """Return accuracy, loss and global_step as Engine.evaluate does, of the mean probabilities of all copies.

    Parameters
    ----------
    engine : Engine
        Computes them.
    examples : LabelledImages
        Images and labels.
    standardization : Standardization or None
        Converts raw pixels to floats.
    shifts : Shifts
        How far; by 0 pixels, the result is that of Engine.evaluate.
    show_bar : bool, default False
        Whether to show a progress bar if it takes longer than a second.
    """
    if not shifts.pixels:
        return engine.evaluate(examples, standardization, show_bar=show_bar)
    probabilities = predict_shifted(
        engine, examples.images, standardization, shifts, return_proba=True, show_bar=show_bar
    )
    true = probabilities[np.arange(len(examples)), examples.labels].astype(np.float64)
    return {
        "accuracy": float(np.mean(probabilities.argmax(axis=1) == examples.labels)),
        # float32 rounds what is less probable to 0.
        "loss": float(-np.log(np.maximum(true, np.finfo(np.float32).tiny)).mean()),
        "global_step": engine.global_step(),
    }
