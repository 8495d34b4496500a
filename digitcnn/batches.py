"""From arrays to batches: checks at the door, standardization, shuffles as a function of the seed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .checks import IMAGE_SHAPE, N_CLASSES, check_array, check_bool, check_real, check_whole

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


def shuffled_indices(n: int, random_seed: int, epoch: int) -> np.ndarray:
    """The order of `n` samples in one epoch: int64 [n], a pure function of (random_seed, epoch)."""
    return np.random.default_rng([random_seed, epoch]).permutation(n)


def batch_generator(
    X: np.ndarray,
    y: np.ndarray | None = None,
    batch_size: int = 100,
    shuffle: bool = False,
    random_seed: int | None = None,
    *,
    epoch: int = 0,
    start: int = 0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield `(X_batch, y_batch)` of `batch_size` samples, the last one with what is left.

    X: [n, ...] and y: [n] are indexed, never copied whole. With `shuffle`, the order is a pure
    function of (random_seed, epoch); without a seed it differs from call to call. `start` is the
    number of batches to pass over. Without `y`, yields `X_batch` alone.
    Raises TypeError or ValueError that names the argument, among them X and y of different lengths.
    """
    X = check_array("X", X, "an array")
    y = None if y is None else check_array("y", y, "an array")
    for name, value, lowest in (("batch_size", batch_size, 1), ("epoch", epoch, 0), ("start", start, 0)):
        check_whole(name, value, lowest)
    if random_seed is not None:
        check_whole("random_seed", random_seed, 0)
    shuffle = check_bool("shuffle", shuffle)
    if X.ndim == 0:
        raise ValueError(f"X: expected an array of samples, found {X!r}")
    if y is not None and (y.ndim == 0 or len(X) != len(y)):
        raise ValueError(f"y: expected one label for each of {len(X)} samples, found {len(y) if y.ndim else y!r}")
    return _batches(X, y, batch_size, shuffle, random_seed, epoch, start)


def _batches(X, y, batch_size, shuffle, random_seed, epoch, start):
    if shuffle and random_seed is None:
        random_seed = int(np.random.SeedSequence().generate_state(1)[0])
    order = shuffled_indices(len(X), random_seed, epoch) if shuffle else None
    for first in range(start * batch_size, len(X), batch_size):
        rows = slice(first, first + batch_size)
        if order is not None:
            rows = order[rows]
        yield X[rows] if y is None else (X[rows], y[rows])
