"""Raw pixels to the numbers that a network takes, by the statistics of the training set."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._validation import check_array, check_real
from ..exceptions import warn_user
from .arrays import IMAGE_SHAPE, IMAGES_PER_CHUNK, as_images

# Images of another range, such as 0..1 or 0..16, are detected by their highest number, if it is at most the first of
# these and differs from that of the training by more than the second. A single image may be dark or blank.
_MAX_OF_ANOTHER_RANGE, _FACTOR, _MIN_IMAGES = 16, 4, 10
# Far beyond the statistics of pixels 0..255, and near enough that no network of float32 overflows on scaled pixels.
MAX_STATISTIC, MIN_STD = 1e6, 1e-6


@dataclass(frozen=True, eq=False)  # arrays have no single truth value
class Standardization:
    """Scale raw pixels as `(pixel - mean) / std`, with the statistics of the training set.

    Parameters
    ----------
    mean : array of shape (pixels,)
        What to subtract from each pixel, in units of raw pixels 0..255; kept as float32.
    std : float
        What to divide by: one positive number for all pixels, as in the tutorial.
    highest : float or None, default None
        Highest number of the training set, by which images of another range are detected; None if unknown.

    Raises
    ------
    TypeError
        If `std` or `highest` is no number.
    ValueError
        If a number is not finite, or far from those of pixels, or `std` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> standardize = Standardization(mean=np.array([100.0, 50.0]), std=50.0)
    >>> standardize(np.array([[100, 100], [0, 75]], np.uint8)).tolist()
    [[0.0, 1.0], [-2.0, 0.5]]
    """

    mean: np.ndarray
    std: float
    highest: float | None = None

    def __post_init__(self) -> None:
        mean = check_array("mean", self.mean, "a number for each pixel")
        if mean.dtype.kind not in "uif" or mean.ndim != 1 or not mean.size:
            raise ValueError(
                f"mean: expected a number for each pixel, found shape {list(mean.shape)}, dtype {mean.dtype}"
            )
        with np.errstate(over="ignore"):
            mean = mean.astype(np.float32)
            std = np.float32(check_real("std", self.std, "a positive number", lambda _: True))
        most = f"{MAX_STATISTIC:.0e}"
        if not (np.abs(mean) <= MAX_STATISTIC).all():
            raise ValueError(f"mean: expected numbers in -{most}..{most}, found NaN or others; pixels are 0..255")
        if not MIN_STD <= std <= MAX_STATISTIC:
            raise ValueError(
                f"std: expected a positive number in {MIN_STD}..{most}, found {self.std} (are all images alike?)"
            )
        if self.highest is not None:
            object.__setattr__(self, "highest", check_real("highest", self.highest, "a number", math.isfinite))
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "std", float(std))

    @classmethod
    def fit(cls, X: np.ndarray, per_pixel: bool = True, image_shape: tuple[int, int] = IMAGE_SHAPE) -> Standardization:
        """Compute the statistics of a training set.

        Sums are whole numbers, so the result does not depend on the order of the images.

        Parameters
        ----------
        X : array of shape (n, pixels), (n, height, width) or (n, height, width, 1)
            Raw pixels: whole numbers 0..255.
        per_pixel : bool, default True
            A mean for each pixel; False computes one mean for all pixels.
        image_shape : tuple of int, default (28, 28)
            Height and width in pixels.

        Returns
        -------
        Standardization
            The mean, and one standard deviation for all pixels.

        Raises
        ------
        TypeError
            If `X` holds no numbers.
        ValueError
            If `X` has another shape, holds floats, or all its pixels are alike.

        Examples
        --------
        >>> from digitcnn import load_dataset
        >>> standardize = Standardization.fit(load_dataset("bundled").train_images)
        >>> standardize.mean.shape
        (784,)
        >>> round(standardize.std, 1)
        74.7
        """
        X = as_images(X, image_shape=image_shape)
        if X.dtype != np.uint8:
            raise ValueError(f"X: expected raw pixels (whole numbers 0..255), found dtype {X.dtype}")
        total = np.zeros(X.shape[1], np.int64)
        squares = 0
        for start in range(0, len(X), IMAGES_PER_CHUNK):
            chunk = X[start : start + IMAGES_PER_CHUNK].astype(np.int64)
            total += chunk.sum(axis=0)
            squares += int(np.square(chunk).sum())
        mean = total / len(X) if per_pixel else np.full(X.shape[1], total.sum() / X.size)
        variance = squares / X.size - (total.sum() / X.size) ** 2
        return cls(mean, float(np.sqrt(variance)), int(X.max()))

    @classmethod
    def unit(cls, n_pixels: int = math.prod(IMAGE_SHAPE)) -> Standardization:
        """Scale 0..255 to 0..1, for the graphs whose tutorial divides by 255.

        Parameters
        ----------
        n_pixels : int, default 784
            Number of pixels of an image.

        Returns
        -------
        Standardization
            With a mean of 0 and a standard deviation of 255.

        Examples
        --------
        >>> import numpy as np
        >>> Standardization.unit(2)(np.array([[0, 255]], np.uint8)).tolist()
        [[0.0, 1.0]]
        """
        return cls(np.zeros(n_pixels), 255.0)

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Scale images.

        Parameters
        ----------
        X : array of shape (n, pixels)
            Raw pixels 0..255.

        Returns
        -------
        ndarray of float32, shape (n, pixels)
            The scaled images.

        Raises
        ------
        ValueError
            If the images have another number of pixels than `mean`.
        """
        if np.shape(X)[-1:] != self.mean.shape:
            raise ValueError(f"X: expected shape [n, {self.mean.size}], found {list(np.shape(X))}")
        return (X - self.mean) / np.float32(self.std)


def check_scaling(X: np.ndarray, standardization: Standardization | None, name: str) -> None:
    """Raise ValueError unless images are what the model takes: raw pixels, or floats if it has no standardization.

    Warn if they are raw pixels of another range than those of the training.
    """
    if X.dtype == np.uint8 and standardization is None:
        raise ValueError(
            f"{name}: expected floats scaled as the training set was, found raw pixels; this model was trained "
            "on floats and cannot scale raw pixels itself. Scale them, or train the model on raw pixels"
        )
    if X.dtype != np.uint8 and standardization is not None:
        raise ValueError(
            f"{name}: expected raw pixels (whole numbers 0..255), found floats; this model was trained on raw "
            "pixels and standardizes them itself; give (X * 255).round().astype('uint8') if they are 0..1"
        )
    if standardization is not None:
        warn_of_another_range(X, standardization, name)


def warn_of_another_range(X: np.ndarray, standardization: Standardization, name: str) -> None:
    """Warn if images have another range than the training set: 0..16 or 0..1 where it had 0..255, or the reverse.

    That is so if the highest number of one is at most 16, and less than a quarter of the other's. Of fewer than ten
    images, a dim or blank one may be among them, only a range beyond the training's is reported.
    """
    trained = standardization.highest
    if trained is None and standardization.mean.any():  # of an earlier version: numbers in 0..h have a std below h/2
        trained = max(2 * standardization.std, float(standardization.mean.max()))
    if trained is None or (trained > _FACTOR * _MAX_OF_ANOTHER_RANGE and len(X) < _MIN_IMAGES):
        return
    low, high = float(X.min()), float(X.max())
    is_lower = len(X) >= _MIN_IMAGES and 0 < high <= _MAX_OF_ANOTHER_RANGE and _FACTOR * high < trained
    is_higher = (
        standardization.highest is not None and 0 < trained <= _MAX_OF_ANOTHER_RANGE and _FACTOR * trained < high
    )
    if (is_lower or is_higher) and low >= 0 and standardization.mean.min() >= 0:
        warn_user(
            f"{name}: expected pixels in about 0..{trained:.3g}, as in training, found 0..{high:.3g}; bring them to "
            "the training's range, or the answers mean little"
        )
