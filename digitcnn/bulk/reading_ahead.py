"""Batches of images, read, checked and digested in a thread while the batch before is predicted."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..data.arrays import as_images
from ..data.image_sequence import ImageSequence
from ..engine.engine import BATCH_SIZE


@dataclass(frozen=True, eq=False)  # arrays have no single truth value
class Batch:
    """One batch of an input.

    Parameters
    ----------
    start, stop : int
        Its images are start to stop - 1 of the input.
    images : array
        Checked images [n, pixels], uint8 or floats.
    sha256 : bytes
        Digest of the pixels as the file has them.
    """

    start: int
    stop: int
    images: np.ndarray
    sha256: bytes


def read_batches(
    images: ImageSequence, first: int, stop: int, image_shape: tuple[int, int]
) -> Generator[Batch, None, None]:
    """Yield the batches of images first to stop - 1; a batch that cannot be read or used raises in its turn.

    Parameters
    ----------
    images : ImageSequence
        The input; only the thread reads it meanwhile.
    first, stop : int
        Limits; `first` is a multiple of the batch size.
    image_shape : tuple of int
        Height and width in pixels.
    """

    def read(start: int) -> Batch:
        return _read(images, start, min(start + BATCH_SIZE, stop), image_shape)

    with ThreadPoolExecutor(1, "digitcnn-reading") as thread:
        following = thread.submit(read, first) if first < stop else None
        while following is not None:
            batch = following.result()
            following = thread.submit(read, batch.stop) if batch.stop < stop else None
            yield batch


def read_sample(images: ImageSequence, image_shape: tuple[int, int]) -> np.ndarray:
    """Some images from all over an input, checked, [n, pixels]; all of them if there are few. Raises as `as_images`."""
    return np.concatenate([_read(images, start, stop, image_shape).images for start, stop in images.sample()])


def _read(images: ImageSequence, start: int, stop: int, image_shape: tuple[int, int]) -> Batch:
    X = images.read(start, stop)
    digest = hashlib.sha256(X.data).digest()
    return Batch(start, stop, as_images(X, images.where(start, stop), image_shape), digest)
