"""Parts of an input, for several machines: their limits, and where one is asked for."""

from __future__ import annotations

from typing import Any

from .._validation import check_whole
from ..engine.engine import BATCH_SIZE

WHOLE = (1, 1)  # the shard that is everything


def check_shard(shard: Any, n_images: int, name: str = "shard") -> tuple[int, int]:
    """(i, n) with i in 1..n, and no more shards than batches. Raises TypeError or ValueError."""
    if not isinstance(shard, (tuple, list)) or len(shard) != 2:
        raise TypeError(f"{name}: expected (i, n), found {shard!r}")
    n = check_whole(f"{name}, n", shard[1])
    i = check_whole(f"{name}, i", shard[0], 1, n)
    n_batches = -(-n_images // BATCH_SIZE)
    if n > n_batches:
        raise ValueError(
            f"{name}: expected at most {n_batches:,} parts of {n_images:,} images, which begin at multiples of "
            f"{BATCH_SIZE}, found {n:,}"
        )
    return i, n


def shard_limits(shard: tuple[int, int], n_images: int) -> tuple[int, int]:
    """The first image of a shard, and the first one after it. All batches are those of the whole input.

    So the answers do not depend on the number of shards: rounding depends on the size of a batch.
    """
    i, n = shard
    n_batches = -(-n_images // BATCH_SIZE)
    first, stop = (number * n_batches // n * BATCH_SIZE for number in (i - 1, i))
    return first, min(stop, n_images)
