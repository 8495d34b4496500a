"""Random affine and elastic warps of images, in the graph."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from .layers import stream_seed

v1 = tf.compat.v1

CONTROL_SPACING = 7  # pixels


@dataclass(frozen=True)
class Augmentation:
    """How far images are warped, each of these uniformly in +- what is given.

    rotation: degrees. scaling: fraction by which height and width, each for itself, grow or shrink.
    shift: pixels, in both directions. elastic: pixels, the standard deviation of the smooth random
    displacement of each pixel.
    """

    rotation: float = 0.0
    scaling: float = 0.0
    shift: float = 0.0
    elastic: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.rotation or self.scaling or self.shift or self.elastic)


def affine_transforms(draws: tf.Tensor, augmentation: Augmentation, size: int) -> tf.Tensor:
    """Transforms for ImageProjectiveTransformV3: float32 [n, 8], from output to input coordinates.

    draws: float32 [n, 5] in -1..1: rotation, scaling of x and y, shift of x and y; 0 is the identity.
    size: height and width of the images, whose centre stays where it is but for the shift.
    """
    angle = draws[:, 0] * (augmentation.rotation * math.pi / 180)
    scale_x, scale_y = (1 + draws[:, i] * augmentation.scaling for i in (1, 2))
    shift_x, shift_y = (draws[:, i] * augmentation.shift for i in (3, 4))
    a0, a1 = tf.cos(angle) * scale_x, -tf.sin(angle) * scale_y
    b0, b1 = tf.sin(angle) * scale_x, tf.cos(angle) * scale_y
    centre = (size - 1) / 2
    a2 = centre - (a0 + a1) * centre + shift_x
    b2 = centre - (b0 + b1) * centre + shift_y
    zeros = tf.zeros_like(angle)
    return tf.stack([a0, a1, a2, b0, b1, b2, zeros, zeros], axis=1)


def spline_basis(size: int) -> np.ndarray:
    """Smooth fields from random numbers: float32 [control points, size * size].

    Standard-normal numbers at the control points of a uniform cubic B-spline, times this, are a field
    whose every pixel has a standard deviation of 1. The control points lie 7 pixels apart, at which the
    field is as smooth as that of Simard, Steinkraus & Platt 2003, a Gaussian with a sigma of 4 pixels.
    """
    position = np.arange(size)[:, None] / CONTROL_SPACING
    distance = np.abs(position - np.arange(-1, math.ceil(size / CONTROL_SPACING) + 2))
    near, far = 2 / 3 - distance**2 + distance**3 / 2, (2 - distance) ** 3 / 6
    along = np.where(distance < 1, near, np.where(distance < 2, far, 0))  # [size, control points]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    return np.kron(along, along).T.astype(np.float32)


def sample(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Images [n, size, size, 1] at fractional places, float32 [n, size * size], bilinearly.

    What lies outside is the nearest pixel of the edge.
    """
    size = images.shape[1]
    rows, columns = (tf.clip_by_value(place, 0.0, size - 1.0) for place in (rows, columns))
    top, left = (tf.minimum(tf.floor(place), size - 2.0) for place in (rows, columns))
    down, right = rows - top, columns - left
    first = tf.range(tf.shape(images)[0])[:, None] * (size * size)
    corner = first + tf.cast(top * size + left, tf.int32)
    pixels = tf.reshape(images, [-1])
    upper = tf.gather(pixels, corner) * (1 - right) + tf.gather(pixels, corner + 1) * right
    lower = tf.gather(pixels, corner + size) * (1 - right) + tf.gather(pixels, corner + size + 1) * right
    return tf.reshape(upper * (1 - down) + lower * down, tf.shape(images))


def warp(images: tf.Tensor, augmentation: Augmentation, draws: tf.Tensor, control: tf.Tensor) -> tf.Tensor:
    """Warp images, float32 [n, size, size, 1], bilinearly; outside is the nearest pixel of the edge.

    draws: as for affine_transforms. control: float32 [2, n, control points], standard-normal.
    """
    size = images.shape[1]
    transforms = affine_transforms(draws, augmentation, size)
    if not augmentation.elastic:
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=transforms,
            output_shape=[size, size],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="NEAREST",
        )
    y, x = (grid.reshape(-1).astype(np.float32) for grid in np.mgrid[:size, :size])
    a0, a1, a2, b0, b1, b2 = (transforms[:, i, None] for i in range(6))
    # In float64, which the rewrite to bfloat16 leaves alone: places need more than its 8 bits.
    basis = tf.constant(augmentation.elastic * spline_basis(size), tf.float64)
    field = tf.cast(tf.linalg.matmul(tf.cast(control, tf.float64), basis), tf.float32)  # [2, n, size * size]
    rows = b0 * x + b1 * y + b2 + field[0]
    columns = a0 * x + a1 * y + a2 + field[1]
    return sample(images, rows, columns)


def augment(images: tf.Tensor, augmentation: Augmentation, is_training: tf.Tensor, name: str) -> tf.Tensor:
    """Warp images, float32 [n, size, size, 1], while `is_training`; else give them back as they are.

    The warps are a function of the graph's seed, the name and `global_step`.
    """
    with v1.name_scope(name):
        step = tf.identity(v1.train.get_or_create_global_step())
        n_control = len(spline_basis(images.shape[1]))

        def warped():
            n = tf.shape(images)[0]
            seeds = [
                tf.stack([tf.constant(stream_seed(f"{name}/{kind}"), tf.int64), step]) for kind in ("affine", "elastic")
            ]
            draws = tf.random.stateless_uniform([n, 5], seeds[0], -1.0, 1.0)
            control = tf.random.stateless_normal([2, n, n_control], seeds[1])
            return warp(images, augmentation, draws, control)

        return tf.ensure_shape(tf.cond(is_training, warped, lambda: tf.identity(images)), images.shape)
