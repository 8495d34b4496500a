"""Batches of a data set, in an order that is a pure function of the seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._validation import check_array, check_bool, check_whole


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
