"""Images and labels as users give them: checked once, at the door."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np

from .._validation import check_array, check_whole

IMAGE_SHAPE = (28, 28)  # MNIST's height and width, where nothing else is said


N_CLASSES = 10


MOST_PIXELS = 1 << 16  # of an image


def check_image_shape(name: str, value: Any) -> tuple[int, int]:
    """Height and width, at most 65,536 pixels in all. Raises TypeError or ValueError."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{name}: expected (height, width) in pixels, found {value!r}")
    height, width = (check_whole(name, side, 1, MOST_PIXELS) for side in value)
    if height * width > MOST_PIXELS:
        raise ValueError(f"{name}: expected at most {MOST_PIXELS} pixels in all, found {height} x {width}")
    return height, width


_CHUNK = 5_000  # images; statistics over any number of images use this much scratch memory


def as_images(X, name: str = "X", image_shape: tuple[int, int] = IMAGE_SHAPE) -> np.ndarray:
    """Check images and bring them to shape [n, height * width] without copying where NumPy can.

    image_shape: height and width. X: [n, height * width], [n, height, width] or [n, height, width, 1], an
    array, list or DataFrame; either raw pixels (any integer dtype, 0..255, returned as uint8) or floats
    (returned as they are).
    Raises TypeError or ValueError that names the argument, what was expected and what was found.
    """
    height, width = image_shape
    n_pixels = height * width
    X = check_array(name, X, "images of one size")
    if X.dtype.kind not in "uif":
        raise TypeError(f"{name}: expected uint8 pixels or floats, found dtype {X.dtype}")
    if X.ndim < 2 or X.shape[1:] not in ((n_pixels,), (height, width), (height, width, 1)):
        is_one = X.shape in ((n_pixels,), (height, width))
        hint = " (one image alone? give it as X[np.newaxis])" if is_one else ""
        if not is_one and X.ndim == 3:
            hint = f" (images of another size? make the model for them: image_shape={X.shape[1:]})"
        raise ValueError(
            f"{name}: expected shape [n, {n_pixels}], [n, {height}, {width}] or [n, {height}, {width}, 1], "
            f"found {list(X.shape)}{hint}"
        )
    if len(X) == 0:
        raise ValueError(f"{name}: expected at least one image, found none")
    X = X.reshape(len(X), n_pixels)
    low, high = X.min(), X.max()  # NaN and infinity come through, and no copy is made
    if X.dtype.kind == "f":
        if not (np.isfinite(low) and np.isfinite(high)):
            bad = next(i for i, image in enumerate(X) if not np.isfinite(image).all())
            raise ValueError(f"{name}: expected finite numbers, found NaN or infinity in image {bad}")
        if max(-low, high) > np.finfo(np.float32).max:
            raise ValueError(f"{name}: expected numbers that float32 can hold, found {low:g}..{high:g}")
        if low >= 0 and high > 25:  # no scaling leaves such numbers without negative ones
            raise ValueError(
                f"{name}: expected raw pixels as whole numbers or floats scaled as in training, found floats "
                f"{low:g}..{high:g} that look like raw pixels; give them as numpy.uint8"
            )
        return X
    if low < 0 or high > 255:
        raise ValueError(f"{name}: expected pixels in 0..255, found {low}..{high}")
    return X.astype(np.uint8, copy=False)


def as_labels(y, n_images: int, name: str = "y", n_classes: int = N_CLASSES) -> np.ndarray:
    """Check labels and bring them to int32 [n_images].

    y: [n] of whole numbers in 0..n_classes-1, an array, list or Series.
    Raises TypeError or ValueError that names the argument, what was expected and what was found.
    """
    y = check_array(name, y, f"labels as whole numbers 0..{n_classes - 1}")
    if y.dtype.kind not in "uif":
        raise TypeError(f"{name}: expected labels as whole numbers 0..{n_classes - 1}, found dtype {y.dtype}")
    if y.ndim != 1:
        hint = ""
        if y.shape[1:] in ((1,), (n_classes,)):
            hint = "; give y.ravel()" if y.shape[1] == 1 else "; for one-hot labels, give y.argmax(axis=1)"
        raise ValueError(f"{name}: expected shape [n], found {list(y.shape)}{hint}")
    if len(y) != n_images:
        raise ValueError(f"{name}: expected one label for each of {n_images} images, found {len(y)}")
    wrong = np.flatnonzero(~((y >= 0) & (y < n_classes) & (y == np.floor(y))))
    if wrong.size:
        raise ValueError(f"{name}: expected labels 0..{n_classes - 1}, found {y[wrong[0]]} at index {wrong[0]}")
    return y.astype(np.int32)


def as_labelled_images(
    pair: tuple, name: str, image_shape: tuple[int, int] = IMAGE_SHAPE, n_classes: int = N_CLASSES
) -> tuple[np.ndarray, np.ndarray]:
    """Check a pair (X, y): `as_images` and `as_labels` of it. Raises TypeError or ValueError as they do."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"{name}: expected a pair (images, labels), found {type(pair).__name__}")
    X = as_images(pair[0], f"{name}[0], the images", image_shape)
    return X, as_labels(pair[1], len(X), f"{name}[1], the labels", n_classes)


def infer_image_shape(X: np.ndarray) -> tuple[int, int]:
    """Height and width of images [n, height, width] or [n, height, width, 1], or of square ones [n, pixels].

    Raises ValueError where they cannot be told.
    """
    if X.ndim == 3 or (X.ndim == 4 and X.shape[3] == 1):
        return X.shape[1:3]
    side = math.isqrt(X.shape[1]) if X.ndim == 2 else 0
    if not side or side * side != X.shape[1]:
        raise ValueError(
            "X: expected images [n, height, width], or [n, pixels] of square ones, whose size can be told, "
            f"found shape {list(X.shape)}"
        )
    return side, side


def sha256_of(*arrays: np.ndarray) -> str:
    """SHA-256, in hex, of arrays: their types, shapes and values. Scratch memory is a chunk's."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for start in range(0, len(array), _CHUNK):
            digest.update(np.ascontiguousarray(array[start : start + _CHUNK]))
    return digest.hexdigest()
