"""From arrays to batches: checks at the door, standardization, shuffles as a function of the seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .checks import check_array, check_bool, check_real, check_whole

N_PIXELS = 784
N_CLASSES = 10
_CHUNK = 5_000  # images; statistics over any number of images use this much scratch memory


def as_images(X, name: str = "X") -> np.ndarray:
    """Check images and bring them to shape [n, 784] without copying where NumPy can.

    X: [n, 784], [n, 28, 28] or [n, 28, 28, 1], an array, list or DataFrame; either raw pixels
    (any integer dtype, 0..255, returned as uint8) or floats (returned as they are).
    Raises TypeError or ValueError that names the argument, what was expected and what was found.
    """
    X = check_array(name, X, "images of one size")
    if X.dtype.kind not in "uif":
        raise TypeError(f"{name}: expected uint8 pixels or floats, found dtype {X.dtype}")
    if X.ndim < 2 or X.shape[1:] not in ((N_PIXELS,), (28, 28), (28, 28, 1)):
        one = " (one image alone? give it as X[np.newaxis])" if X.shape in ((784,), (28, 28)) else ""
        raise ValueError(f"{name}: expected shape [n, 784], [n, 28, 28] or [n, 28, 28, 1], found {list(X.shape)}{one}")
    if len(X) == 0:
        raise ValueError(f"{name}: expected at least one image, found none")
    X = X.reshape(len(X), N_PIXELS)
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


def as_labels(y, n_images: int, name: str = "y") -> np.ndarray:
    """Check labels and bring them to int32 [n_images].

    y: [n] of whole numbers in 0..9, an array, list or Series.
    Raises TypeError or ValueError that names the argument, what was expected and what was found.
    """
    y = check_array(name, y, "labels as whole numbers 0..9")
    if y.dtype.kind not in "uif":
        raise TypeError(f"{name}: expected labels as whole numbers 0..9, found dtype {y.dtype}")
    if y.ndim != 1:
        hint = ""
        if y.shape[1:] in ((1,), (N_CLASSES,)):
            hint = "; give y.ravel()" if y.shape[1] == 1 else "; for one-hot labels, give y.argmax(axis=1)"
        raise ValueError(f"{name}: expected shape [n], found {list(y.shape)}{hint}")
    if len(y) != n_images:
        raise ValueError(f"{name}: expected one label for each of {n_images} images, found {len(y)}")
    wrong = np.flatnonzero(~((y >= 0) & (y < N_CLASSES) & (y == np.floor(y))))
    if wrong.size:
        raise ValueError(f"{name}: expected labels 0..9, found {y[wrong[0]]} at index {wrong[0]}")
    return y.astype(np.int32)


def as_labelled_images(pair: tuple, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Check a pair (X, y): `as_images` and `as_labels` of it. Raises TypeError or ValueError as they do."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"{name}: expected a pair (images, labels), found {type(pair).__name__}")
    X = as_images(pair[0], f"{name}[0], the images")
    return X, as_labels(pair[1], len(X), f"{name}[1], the labels")


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

    mean: float32 [784], in units of raw pixels; std: one number for all pixels, as in the tutorial.
    """

    mean: np.ndarray
    std: float

    def __post_init__(self):
        mean = check_array("mean", self.mean, f"{N_PIXELS} numbers")
        if mean.dtype.kind not in "uif" or mean.shape != (N_PIXELS,):
            raise ValueError(f"mean: expected {N_PIXELS} numbers, found shape {list(mean.shape)}, dtype {mean.dtype}")
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
    def fit(cls, X: np.ndarray, per_pixel: bool = True) -> Standardization:
        """The per-pixel mean and the one standard deviation of raw pixels, in any form that `as_images` takes.

        per_pixel=False: one mean for all pixels. Sums are whole numbers, so the result does not depend on
        the order of the images. Raises TypeError or ValueError, also for floats.
        """
        X = as_images(X)
        if X.dtype != np.uint8:
            raise ValueError(f"X: expected raw pixels (whole numbers 0..255), found dtype {X.dtype}")
        total = np.zeros(N_PIXELS, np.int64)
        squares = 0
        for start in range(0, len(X), _CHUNK):
            chunk = X[start : start + _CHUNK].astype(np.int64)
            total += chunk.sum(axis=0)
            squares += int(np.square(chunk).sum())
        mean = total / len(X) if per_pixel else np.full(N_PIXELS, total.sum() / X.size)
        variance = squares / X.size - (total.sum() / X.size) ** 2
        return cls(mean, float(np.sqrt(variance)))

    @classmethod
    def unit(cls) -> Standardization:
        """Pixels to 0..1, for the graphs whose tutorial divides by 255."""
        return cls(np.zeros(N_PIXELS), 255.0)

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Raw pixels [n, 784] -> float32 [n, 784]. Raises ValueError for another shape."""
        if np.shape(X)[-1:] != (N_PIXELS,):
            raise ValueError(f"X: expected shape [n, {N_PIXELS}], found {list(np.shape(X))}")
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
