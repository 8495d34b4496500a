"""Warps images outside of a training: copies that a network can be asked about."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from ..graph.augmentation import Augmentation, augment
from .session import NamedSession

v1 = tf.compat.v1

_BATCH_SIZE = 1_000
_NAME = "augmentation"
_STEP = f"{_NAME}/Identity:0"  # `augment` takes its draws from the seed and this number


def warped_copies(
    images: np.ndarray, augmentation: Augmentation, image_shape: tuple[int, int], *, n_copies: int, seed: int
) -> np.ndarray:
    """Copies of images, each warped by draws of its own.

    Parameters
    ----------
    images : ndarray of uint8 or float32, shape (n, pixels)
        Raw pixels, or floats.
    augmentation : Augmentation
        Ranges of the warps, and size of cut-outs.
    image_shape : tuple of int
        Height and width in pixels.
    n_copies : int
        Of each image.
    seed : int
        From which all draws follow.

    Returns
    -------
    ndarray of the images' dtype, shape (n_copies * n, pixels)
        One copy of all images after the other; raw pixels are rounded.
    """
    copies = np.empty((n_copies * len(images), images.shape[1]), images.dtype)
    with tf.Graph().as_default() as graph:
        v1.set_random_seed(seed)
        x = v1.placeholder(tf.float32, [None, *image_shape, 1], "images")
        warped = augment(x, augmentation, tf.constant(value=True), _NAME)
    with NamedSession(graph, v1.ConfigProto()) as session:
        for step, first in enumerate(range(0, len(copies), _BATCH_SIZE)):
            rows = np.arange(first, min(first + _BATCH_SIZE, len(copies))) % len(images)
            batch = images[rows].reshape(-1, *image_shape, 1)
            found = session.run(warped, {x: batch, _STEP: step}).reshape(len(rows), -1)
            copies[first : first + len(rows)] = np.rint(found) if copies.dtype == np.uint8 else found
    return copies
