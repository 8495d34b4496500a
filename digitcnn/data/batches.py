"""Batches of a data set, in an order that is a pure function of the seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._validation import check_array, check_bool, check_whole


def shuffled_indices(n: int, random_seed: int, epoch: int) -> np.ndarray:
    """The order of `n` samples in one epoch, int64 [n]: a pure function of (random_seed, epoch)."""
    return np.random.default_rng([random_seed, epoch]).permutation(n)


def rows_of(part: int, n_parts: int, n_rows: int) -> tuple[int, int]:
    """The first row of a part of a batch, and the number of its rows: 0 if there are more parts than rows."""
    first, end = (n_rows * number // n_parts for number in (part, part + 1))
    return first, end - first


def batch_generator(
    X: np.ndarray,
    y: np.ndarray | None = None,
    batch_size: int = 100,
    shuffle: bool = False,
    random_seed: int | None = None,
    *,
    epoch: int = 0,
    start: int = 0,
    part: tuple[int, int] = (0, 1),
) -> Iterator[tuple[np.ndarray, np.ndarray]] | Iterator[np.ndarray]:
    """Yield batches of samples and their labels.

    Parameters
    ----------
    X : array of shape (n, ...)
        The samples, indexed batch by batch, never copied whole.
    y : array of shape (n,), optional
        Their labels.
    batch_size : int, default 100
        Samples in a batch; the last batch holds what is left.
    shuffle : bool, default False
        Yield the samples in a random order, a pure function of `random_seed` and `epoch`.
    random_seed : int, optional
        Seed of the order; without it, the order differs from call to call.
    epoch : int, default 0
        Number of the epoch: each has its own order under the same seed.
    start : int, default 0
        Number of batches to skip, to resume within an epoch.
    part : tuple of int, default (0, 1)
        Number of a worker and number of workers: yield that worker's consecutive rows of each batch, or one row of it
        that belongs to another worker where there are more workers than rows.

    Returns
    -------
    iterator
        Of pairs `(X_batch, y_batch)`; of `X_batch` alone without `y`.

    Raises
    ------
    TypeError
        If an argument is of a wrong type.
    ValueError
        If a number is out of range, or `X` and `y` differ in length.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.arange(10).reshape(5, 2), np.arange(5)
    >>> for X_batch, y_batch in batch_generator(X, y, batch_size=2):
    ...     print(X_batch.tolist(), y_batch.tolist())
    [[0, 1], [2, 3]] [0, 1]
    [[4, 5], [6, 7]] [2, 3]
    [[8, 9]] [4]
    """
    X = check_array("X", X, "an array")
    y = None if y is None else check_array("y", y, "an array")
    for name, value, lowest in (("batch_size", batch_size, 1), ("epoch", epoch, 0), ("start", start, 0)):
        check_whole(name, value, lowest)
    if random_seed is not None:
        check_whole("random_seed", random_seed, 0)
    shuffle = check_bool("shuffle", shuffle)
    if not isinstance(part, tuple) or len(part) != 2:
        raise TypeError(f"part: expected (number of a worker, number of workers), found {part!r}")
    check_whole("part[1]", part[1], 1)
    check_whole("part[0]", part[0], 0, part[1] - 1)
    if X.ndim == 0:
        raise ValueError(f"X: expected an array of samples, found {X!r}")
    if y is not None and (y.ndim == 0 or len(X) != len(y)):
        raise ValueError(f"y: expected one label for each of {len(X)} samples, found {len(y) if y.ndim else y!r}")
    order = None
    if shuffle:
        seed = int(np.random.SeedSequence().generate_state(1)[0]) if random_seed is None else random_seed
        order = shuffled_indices(len(X), seed, epoch)
    return _batches(X, y, batch_size, order, start, part)


def _batches(
    X: np.ndarray,
    y: np.ndarray | None,
    batch_size: int,
    order: np.ndarray | None,
    start: int,
    part: tuple[int, int],
) -> Iterator[Any]:
    """Yield the batches from number `start` on; `order` is int64 [n], or None for the order of `X`."""
    for begin in range(start * batch_size, len(X), batch_size):
        n_rows = min(batch_size, len(X) - begin)
        first, counted = rows_of(*part, n_rows)
        first = begin + min(first, n_rows - 1)
        end = first + max(counted, 1)
        rows = slice(first, end) if order is None else order[first:end]
        yield X[rows] if y is None else (X[rows], y[rows])
