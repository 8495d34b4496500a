"""Check images and labels as users give them, once, before anything else sees them."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._validation import check_array, check_whole, in_numpy
from .batches import rows_of

IMAGE_SHAPE = (28, 28)  # height and width in pixels: MNIST's, the default
N_CLASSES = 10  # the ten digits: the default
MAX_PIXELS = 1 << 16  # of an image, 256 x 256: bounds the memory that an untrusted model asks for
MAX_SUM_ERROR = 1e-3  # of a row of probabilities, some of which come from other programs
IMAGES_PER_CHUNK = 5_000  # statistics and digests read this many at a time: 31 MB as int64 of 28x28


def check_image_shape(name: str, value: Any) -> tuple[int, int]:
    """Height and width, at most `MAX_PIXELS` pixels in all. Raises TypeError or ValueError."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{name}: expected (height, width) in pixels, found {value!r}")
    height, width = (check_whole(name, side, 1, MAX_PIXELS) for side in value)
    if height * width > MAX_PIXELS:
        raise ValueError(f"{name}: expected at most {MAX_PIXELS} pixels in all, found {height} x {width}")
    return height, width


def as_images(X: Any, name: str = "X", image_shape: tuple[int, int] = IMAGE_SHAPE) -> np.ndarray:
    """Checked images [n, height * width], uint8 or the floats given, copied only where NumPy must.

    `X` is [n, pixels], [n, height, width] or [n, height, width, 1]. Raises TypeError or ValueError.
    """
    height, width = image_shape
    n_pixels = height * width
    X, given = check_array(name, X, "images of one size"), X
    if X.dtype.kind not in "uif":
        hint = _number_hint(X, in_numpy("X", given), "uint8")
        if isinstance(given, (str, bytes, os.PathLike)):
            hint = "; of a picture file, give digitcnn.load_digit(path)[numpy.newaxis], or let digitcnn.Reader read it"
        raise TypeError(f"{name}: expected uint8 pixels or floats, found dtype {X.dtype}{hint}")
    if X.ndim < 2 or X.shape[1:] not in ((n_pixels,), (height, width), (height, width, 1)):
        is_one = X.shape in ((n_pixels,), (height, width))
        hint = " (one image alone? give it as X[np.newaxis])" if is_one else ""
        if not is_one and X.ndim == 3:
            hint = f" (images of another size? make the model for them: image_shape={X.shape[1:]}, or resize them)"
        raise ValueError(
            f"{name}: expected shape [n, {n_pixels}], [n, {height}, {width}] or [n, {height}, {width}, 1], "
            f"found {list(X.shape)}{hint}"
        )
    if len(X) == 0:
        raise ValueError(f"{name}: expected at least one image, found none")
    X = X.reshape(len(X), n_pixels)
    low, high = X.min(), X.max()  # NaN and infinity propagate; no copy of X is made
    if X.dtype.kind == "f":
        if not (np.isfinite(low) and np.isfinite(high)):
            bad = next(i for i, image in enumerate(X) if not np.isfinite(image).all())
            raise ValueError(f"{name}: expected finite numbers, found NaN or infinity in image {bad}")
        if max(-low, high) > np.finfo(np.float32).max:
            raise ValueError(f"{name}: expected numbers that float32 can hold, found {low:g}..{high:g}")
        if low >= 0 and high > 25:  # standardized images go below 0, images scaled to 0..1 stay below 25
            raise ValueError(
                f"{name}: expected raw pixels as whole numbers or floats scaled as in training, found floats "
                f"{low:g}..{high:g} that look like raw pixels; give them as numpy.uint8"
            )
        return X
    if low < 0 or high > 255:
        raise ValueError(f"{name}: expected pixels in 0..255, found {low}..{high}")
    return X.astype(np.uint8, copy=False)


def _number_hint(values: np.ndarray, array: str, dtype: str) -> str:
    """The end of an error message if values of another type are whole numbers: how to convert `array`, else ''."""
    if values.ndim == 0 or values.dtype.kind not in "bUSO":
        return ""
    try:
        numbers = values.astype(np.float64)
        is_whole = bool(np.all((numbers >= 0) & (numbers <= 255) & (numbers % 1 == 0)))
    except (TypeError, ValueError, OverflowError):
        return ""
    return f"; give {array}.astype({dtype!r})" if is_whole and numbers.size else ""


def as_labels(y: Any, n_images: int, name: str = "y", n_classes: int = N_CLASSES) -> np.ndarray:
    """Checked labels, int32 [n].

    Parameters
    ----------
    y : array-like of shape (n,)
        Whole numbers 0..n_classes-1, of any real dtype.
    n_images : int
        The number of labels expected.
    name : str, default "y"
        The argument's name, for the errors.
    n_classes : int, default 10
        One more than the highest label.

    Raises
    ------
    TypeError
        If the labels are no real numbers.
    ValueError
        If their shape, number or values are wrong.
    """
    y, given = check_array(name, y, f"labels as whole numbers 0..{n_classes - 1}"), y
    array = in_numpy("y", given)
    if y.dtype.kind not in "uif":
        hint = _number_hint(y, array, "int")
        if not hint and y.ndim == 1 and y.dtype.kind in "UO" and len(y) and all(isinstance(label, str) for label in y):
            hint = "; digitcnn.DigitClassifier takes labels that are text"
        raise TypeError(f"{name}: expected labels as whole numbers 0..{n_classes - 1}, found dtype {y.dtype}{hint}")
    if y.ndim != 1:
        hint = ""
        if y.shape[1:] in ((1,), (n_classes,)):
            hint = (
                f"; give {array}.ravel()" if y.shape[1] == 1 else f"; for one-hot labels, give {array}.argmax(axis=1)"
            )
        raise ValueError(f"{name}: expected shape [n], found {list(y.shape)}{hint}")
    if len(y) != n_images:
        raise ValueError(f"{name}: expected one label for each of {n_images} images, found {len(y)}")
    wrong = np.flatnonzero(~((y >= 0) & (y < n_classes) & (y == np.floor(y))))
    if wrong.size:
        raise ValueError(f"{name}: expected labels 0..{n_classes - 1}, found {y[wrong[0]]} at index {wrong[0]}")
    return y.astype(np.int32)


def as_soft_labels(y: np.ndarray, n_images: int, name: str, n_classes: int) -> np.ndarray:
    """Checked probabilities of the classes, float32 [n, n_classes].

    Parameters
    ----------
    y : ndarray of float, two-dimensional
        Probabilities; rows sum to 1.
    n_images : int
        The number of rows expected.
    name : str
        The argument's name, for the errors.
    n_classes : int
        The number of columns expected.

    Raises
    ------
    ValueError
        If their shape or values are wrong.
    """
    if y.shape != (n_images, n_classes):
        raise ValueError(
            f"{name}: expected labels [{n_images}], or probabilities [{n_images}, {n_classes}], found {list(y.shape)}"
        )
    # Written so that NaN is wrong.
    wrong = np.flatnonzero(~((y >= 0) & (y <= 1 + MAX_SUM_ERROR)).all(axis=1))
    if wrong.size:
        raise ValueError(f"{name}: expected probabilities in 0..1, found {y[wrong[0]].tolist()} at index {wrong[0]}")
    sums = y.sum(axis=1, dtype=np.float64)
    wrong = np.flatnonzero(np.abs(sums - 1) > MAX_SUM_ERROR)
    if wrong.size:
        raise ValueError(
            f"{name}: expected probabilities that sum to 1 for each image, found a sum of {sums[wrong[0]]:g} at index "
            f"{wrong[0]}"
        )
    return y.astype(np.float32, copy=False)


@dataclass(frozen=True, eq=False)  # arrays have no single truth value
class LabelledImages:
    """Checked images, uint8 or float [n, pixels], and their labels, int32 [n].

    Labels to train on may be soft: the probabilities of the classes, float32 [n, classes].
    """

    images: np.ndarray
    labels: np.ndarray

    @classmethod
    def check(
        cls,
        pair: Any,
        name: str,
        image_shape: tuple[int, int] = IMAGE_SHAPE,
        n_classes: int = N_CLASSES,
        *,
        may_be_soft: bool = False,
    ) -> LabelledImages:
        """Check a pair (X, y) as users give it.

        Parameters
        ----------
        pair : tuple of (array-like, array-like)
            Images and labels as `as_images` and `as_labels` take them.
        name : str
            The argument's name, for the errors.
        image_shape : tuple of int, default (28, 28)
            Height and width in pixels.
        n_classes : int, default 10
            One more than the highest label.
        may_be_soft : bool, default False
            Whether labels may also be probabilities, floats [n, n_classes].

        Raises
        ------
        TypeError
            If it is no pair, or if images or labels are of a wrong type.
        ValueError
            If shapes, numbers or values are wrong.
        """
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"{name}: expected a pair (images, labels), found {type(pair).__name__}")
        images, labels = as_images(pair[0], f"{name}[0], the images", image_shape), f"{name}[1], the labels"
        if may_be_soft:
            y = check_array(labels, pair[1], f"labels as whole numbers 0..{n_classes - 1}")
            if y.dtype.kind == "f" and y.ndim == 2 and y.shape[1] > 1:
                return cls(images, as_soft_labels(y, len(images), labels, n_classes))
        return cls(images, as_labels(pair[1], len(images), labels, n_classes))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> np.ndarray:
        """The label of each image, int32 [n]; of soft labels, the most probable class."""
        return self.labels if self.labels.ndim == 1 else self.labels.argmax(axis=1).astype(np.int32)

    def part(self, number: int, n_parts: int) -> LabelledImages:
        """One of `n_parts` parts of consecutive images, as equal as can be; it may be empty."""
        first, n = rows_of(number, n_parts, len(self))
        return LabelledImages(self.images[first : first + n], self.labels[first : first + n])

    def sha256(self) -> str:
        """SHA-256, in hex, of the images' and labels' dtypes, shapes and values."""
        return arrays_sha256(self.images, self.labels)


def arrays_sha256(*arrays: np.ndarray) -> str:
    """SHA-256, in hex, of the dtypes, shapes and values of arrays, read in chunks."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for start in range(0, len(array), IMAGES_PER_CHUNK):
            digest.update(np.ascontiguousarray(array[start : start + IMAGES_PER_CHUNK]).data)
    return digest.hexdigest()


def infer_image_shape(X: np.ndarray) -> tuple[int, int]:
    """Height and width of images [n, height, width] or [n, height, width, 1], or of square ones [n, pixels]."""
    if X.ndim == 3 or (X.ndim == 4 and X.shape[3] == 1):
        return X.shape[1], X.shape[2]
    side = math.isqrt(X.shape[1]) if X.ndim == 2 else 0
    if not side or side * side != X.shape[1]:
        raise ValueError(
            "X: expected images [n, height, width], or square ones [n, pixels], so that their size is known, "
            f"found shape {list(X.shape)}"
        )
    return side, side
