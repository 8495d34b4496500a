"""Warps images outside of a training: copies that a network can be asked about."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from ..graph.augmentation import Augmentation, augment
from .session import NamedSession

v1 = tf.compat.v1

_PIXELS_AT_ONCE = 784_000


def write_warped(
    copies: np.ndarray, images: np.ndarray, augmentation: Augmentation, image_shape: tuple[int, int], *, seed: int
) -> None:
    """Write copies of images, each warped by draws of its own; on the CPU, whatever else the machine has.

    Parameters
    ----------
    copies : ndarray of the images' dtype, shape (n_copies * n, pixels)
        Where to: one copy of all images after the other. Raw pixels are rounded.
    images : ndarray of uint8 or float, shape (n, pixels)
        Raw pixels, or floats.
    augmentation : Augmentation
        Ranges of the warps, and size of cut-outs.
    image_shape : tuple of int
        Height and width in pixels.
    seed : int
        From which all draws follow.
    """
    with tf.Graph().as_default() as graph:
        v1.set_random_seed(seed)
        x = v1.placeholder(tf.float32, [None, *image_shape, 1], "images")
        number = v1.placeholder(tf.int64, [], "step")
        warped = augment(x, augmentation, tf.constant(value=True), "augmentation", step=number)
    n_at_once = max(1, _PIXELS_AT_ONCE // images.shape[1])
    with NamedSession(graph, v1.ConfigProto(device_count={"GPU": 0})) as session:
        for step, first in enumerate(range(0, len(copies), n_at_once)):
            rows = np.arange(first, min(first + n_at_once, len(copies))) % len(images)
            fed = {x: images[rows].reshape(-1, *image_shape, 1), number: step}
            found = session.run(warped, fed).reshape(len(rows), -1)
            copies[first : first + len(rows)] = np.rint(found) if copies.dtype == np.uint8 else found
