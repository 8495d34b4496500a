"""Raw pixels to the numbers that a network takes, by the statistics of the training set."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._validation import check_array, check_real
from .arrays import (
    _CHUNK,
    IMAGE_SHAPE,
    as_images,
)


@dataclass(frozen=True, eq=False)  # arrays have no single truth
class Standardization:
    """`(pixel - mean) / std`, with the statistics of the TRAINING set.

    mean: float32 [pixels], in units of raw pixels; std: one number for all pixels, as in the tutorial.
    """

    mean: np.ndarray
    std: float

    def __post_init__(self):
        mean = check_array("mean", self.mean, "a number for each pixel")
        if mean.dtype.kind not in "uif" or mean.ndim != 1 or not mean.size:
            raise ValueError(
                f"mean: expected a number for each pixel, found shape {list(mean.shape)}, dtype {mean.dtype}"
            )
        with np.errstate(over="ignore"):
            mean = mean.astype(np.float32)
            std = np.float32(check_real("std", self.std, "a positive number", lambda _: True))
        if not np.isfinite(mean).all():
            raise ValueError("mean: expected finite numbers, found NaN, infinity, or more than float32 can hold")
        if not (np.isfinite(std) and std > 0):
            raise ValueError(f"std: expected a positive number, found {self.std} (are all images alike?)")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "std", float(std))

    @classmethod
    def fit(cls, X: np.ndarray, per_pixel: bool = True, image_shape: tuple[int, int] = IMAGE_SHAPE) -> Standardization:
        """The per-pixel mean and the one standard deviation of raw pixels, in any form that `as_images` takes.

        per_pixel=False: one mean for all pixels. Sums are whole numbers, so the result does not depend on
        the order of the images. Raises TypeError or ValueError, also for floats.
        """
        X = as_images(X, image_shape=image_shape)
        if X.dtype != np.uint8:
            raise ValueError(f"X: expected raw pixels (whole numbers 0..255), found dtype {X.dtype}")
        total = np.zeros(X.shape[1], np.int64)
        squares = 0
        for start in range(0, len(X), _CHUNK):
            chunk = X[start : start + _CHUNK].astype(np.int64)
            total += chunk.sum(axis=0)
            squares += int(np.square(chunk).sum())
        mean = total / len(X) if per_pixel else np.full(X.shape[1], total.sum() / X.size)
        variance = squares / X.size - (total.sum() / X.size) ** 2
        return cls(mean, float(np.sqrt(variance)))

    @classmethod
    def unit(cls, n_pixels: int = math.prod(IMAGE_SHAPE)) -> Standardization:
        """Pixels to 0..1, for the graphs whose tutorial divides by 255."""
        return cls(np.zeros(n_pixels), 255.0)

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Raw pixels [n, pixels] -> float32 [n, pixels]. Raises ValueError for another shape."""
        if np.shape(X)[-1:] != self.mean.shape:
            raise ValueError(f"X: expected shape [n, {self.mean.size}], found {list(np.shape(X))}")
        return (X - self.mean) / np.float32(self.std)


def check_scaling(X: np.ndarray, standardization: Standardization | None, name: str) -> None:
    """Raise ValueError unless images are of the kind that the model was trained on.

    Raw pixels, which it standardizes, or, where it has no `standardization`, floats.
    """
    if X.dtype == np.uint8 and standardization is None:
        raise ValueError(
            f"{name}: expected floats scaled as the training set was, found raw pixels. This model was "
            "trained on floats, so it does not know how; train it on raw pixels, and it will"
        )
    if X.dtype != np.uint8 and standardization is not None:
        raise ValueError(
            f"{name}: expected raw pixels (whole numbers 0..255), which this model was trained on and "
            "standardizes itself, found floats"
        )
