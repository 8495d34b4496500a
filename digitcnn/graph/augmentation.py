"""Random affine warps of images, in the graph."""

from __future__ import annotations

import math
from dataclasses import dataclass

import tensorflow as tf

from ..settings import Settings
from .layers import global_step, stream_seed
from .shard import Shard

v1 = tf.compat.v1


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random warps; each is drawn uniformly between plus and minus its value.

    Parameters
    ----------
    rotation : float, default 0.0
        Degrees.
    scaling : float, default 0.0
        Fraction; height and width are each divided by a number in 1 +- scaling.
    shift : float, default 0.0
        Pixels, along each axis.
    """

    rotation: float = 0.0
    scaling: float = 0.0
    shift: float = 0.0

    @classmethod
    def of(cls, settings: Settings) -> Augmentation:
        """The warps that a model's settings ask for."""
        return cls(settings.rotation, settings.scaling, settings.shift)

    def __bool__(self) -> bool:
        return bool(self.rotation or self.scaling or self.shift)


def affine_transforms(draws: tf.Tensor, augmentation: Augmentation, image_shape: tuple[int, int]) -> tf.Tensor:
    """Return transforms for ImageProjectiveTransformV3, float32 [n, 8], from output to input coordinates.

    draws: float32 [n, 5] in -1..1: rotation, scaling of x and y, shift of x and y; 0 is the identity.
    image_shape: height and width of the images; only the shift moves their centre.
    """
    angle = draws[:, 0] * (augmentation.rotation * math.pi / 180)
    scale_x, scale_y = (1 + draws[:, i] * augmentation.scaling for i in (1, 2))
    shift_x, shift_y = (draws[:, i] * augmentation.shift for i in (3, 4))
    a0, a1 = tf.cos(angle) * scale_x, -tf.sin(angle) * scale_y
    b0, b1 = tf.sin(angle) * scale_x, tf.cos(angle) * scale_y
    centre_y, centre_x = ((size - 1) / 2 for size in image_shape)
    a2 = centre_x - (a0 * centre_x + a1 * centre_y) + shift_x
    b2 = centre_y - (b0 * centre_x + b1 * centre_y) + shift_y
    zeros = tf.zeros_like(angle)
    return tf.stack([a0, a1, a2, b0, b1, b2, zeros, zeros], axis=1)


def augment(
    images: tf.Tensor, augmentation: Augmentation, is_training: tf.Tensor, name: str, shard: Shard | None = None
) -> tf.Tensor:
    """Warp images at random if `is_training`, else return them unchanged.

    Interpolation is bilinear; outside the image, the nearest edge pixel counts. The warps derive from the graph's
    seed, the name and `global_step`.

    Parameters
    ----------
    images : Tensor
        float32 [n, height, width, channels].
    augmentation : Augmentation
        Ranges of the warps.
    is_training : Tensor
        Whether to warp, bool [].
    name : str
        Name of the box of the operations and of the random stream.
    shard : Shard, optional
        The images' rows in a batch that is shared among workers or devices.
    """
    with v1.name_scope(name):
        step = tf.identity(global_step())

        def warped():
            seed = tf.stack([tf.constant(stream_seed(name), tf.int64), step])
            n_images = tf.shape(images)[0]
            draws = tf.random.stateless_uniform([n_images if shard is None else shard.total, 5], seed, -1.0, 1.0)
            if shard is not None:
                draws = shard.own_rows(draws, n_images)
            image_shape = tuple(images.shape[1:3])
            return tf.raw_ops.ImageProjectiveTransformV3(
                images=images,
                transforms=affine_transforms(draws, augmentation, image_shape),
                output_shape=image_shape,
                fill_value=0.0,
                interpolation="BILINEAR",
                fill_mode="NEAREST",
            )

        return tf.ensure_shape(tf.cond(is_training, warped, lambda: tf.identity(images)), images.shape)
