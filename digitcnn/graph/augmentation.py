"""Random affine warps of images, and squares cut out of them, in the graph."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, fields

import tensorflow as tf

from ..settings import Settings
from .layers import global_step, stream_seed
from .shard import Shard

v1 = tf.compat.v1


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random warps, each drawn uniformly between plus and minus its value, and the size of cut-outs.

    Parameters
    ----------
    rotation : float, default 0.0
        Degrees.
    scaling : float, default 0.0
        Fraction; height and width are each divided by a number in 1 +- scaling.
    shift : float, default 0.0
        Pixels, along each axis.
    shear : float, default 0.0
        Degrees by which upright strokes lean.
    stretch : float, default 0.0
        Fraction; the width is multiplied by a power of 1 + stretch, with an exponent in -1..1, and the height divided
        by it.
    cutout : int, default 0
        Side in pixels of the square that becomes background, its centre anywhere in the image: DeVries & Taylor 2017.
    """

    rotation: float = 0.0
    scaling: float = 0.0
    shift: float = 0.0
    shear: float = 0.0
    stretch: float = 0.0
    cutout: int = 0

    @classmethod
    def of(cls, settings: Settings) -> Augmentation:
        """The warps that a model's settings ask for."""
        return cls(**{field.name: getattr(settings, field.name) for field in fields(cls)})

    def __bool__(self) -> bool:
        return any(astuple(self))

    @property
    def is_affine(self) -> bool:
        """Whether pixels move."""
        return bool(self.rotation or self.scaling or self.shift or self.has_form)

    @property
    def has_form(self) -> bool:
        """Whether the form changes, and not only size and place: two more numbers are drawn for that."""
        return bool(self.shear or self.stretch)


def affine_transforms(draws: tf.Tensor, augmentation: Augmentation, image_shape: tuple[int, int]) -> tf.Tensor:
    """Return transforms for ImageProjectiveTransformV3, float32 [n, 8], from output to input coordinates.

    draws: float32 [n, 5] in -1..1: rotation, scaling of x and y, shift of x and y; 0 is the identity. With shear or
    stretch, [n, 7]: these two at the end.
    image_shape: height and width of the images; only the shift moves their centre.
    """
    angle = draws[:, 0] * (augmentation.rotation * math.pi / 180)
    scale_x, scale_y = (1 + draws[:, i] * augmentation.scaling for i in (1, 2))
    shift_x, shift_y = (draws[:, i] * augmentation.shift for i in (3, 4))
    if augmentation.has_form:  # from output to input: the axes are scaled, then slanted, then turned
        factor = tf.pow(1 + augmentation.stretch, draws[:, 6])
        scale_x, scale_y = scale_x / factor, scale_y * factor
    a0, a1 = tf.cos(angle) * scale_x, -tf.sin(angle) * scale_y
    b0, b1 = tf.sin(angle) * scale_x, tf.cos(angle) * scale_y
    if augmentation.has_form:
        slant = tf.tan(draws[:, 5] * (augmentation.shear * math.pi / 180)) * scale_y
        a1, b1 = a1 + tf.cos(angle) * slant, b1 + tf.sin(angle) * slant
    centre_y, centre_x = ((size - 1) / 2 for size in image_shape)
    a2 = centre_x - (a0 * centre_x + a1 * centre_y) + shift_x
    b2 = centre_y - (b0 * centre_x + b1 * centre_y) + shift_y
    zeros = tf.zeros_like(angle)
    return tf.stack([a0, a1, a2, b0, b1, b2, zeros, zeros], axis=1)


def augment(
    images: tf.Tensor,
    augmentation: Augmentation,
    is_training: tf.Tensor,
    name: str,
    shard: Shard | None = None,
    step: tf.Tensor | None = None,
) -> tf.Tensor:
    """Warp images at random if `is_training`, else return them unchanged.

    Interpolation is bilinear; outside the image, the nearest edge pixel counts. The background of a square that is cut
    out is the image's lowest value, since digits are lighter. All of this derives from the graph's seed, the name and
    the step.

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
    step : Tensor, optional
        int64 []; default `global_step`.
    """
    with v1.name_scope(name):
        step = tf.identity(global_step() if step is None else step)

        def drawn(stream: str, n_numbers: int, lowest: float) -> tf.Tensor:
            """Numbers in lowest..1, float32 [n, n_numbers]: functions of the seed, the stream, the step and the row."""
            seed = tf.stack([tf.constant(stream_seed(stream), tf.int64), step])
            n_images = tf.shape(images)[0]
            n_rows = n_images if shard is None else shard.total
            draws = tf.random.stateless_uniform([n_rows, n_numbers], seed, lowest, 1.0)
            return draws if shard is None else shard.own_rows(draws, n_images)

        def warped() -> tf.Tensor:
            result = images
            if augmentation.is_affine:
                draws = drawn(name, 5, -1.0)
                if augmentation.has_form:  # a stream of its own, so that the other numbers stay as they are without it
                    draws = tf.concat([draws, drawn(f"{name}/form", 2, -1.0)], axis=1)
                image_shape = tuple(images.shape[1:3])
                result = tf.raw_ops.ImageProjectiveTransformV3(
                    images=images,
                    transforms=affine_transforms(draws, augmentation, image_shape),
                    output_shape=image_shape,
                    fill_value=0.0,
                    interpolation="BILINEAR",
                    fill_mode="NEAREST",
                )
            if augmentation.cutout:
                result = cut_out(result, drawn(f"{name}/cutout", 2, 0.0), augmentation.cutout)
            return result

        return tf.ensure_shape(tf.cond(is_training, warped, lambda: tf.identity(images)), images.shape)


def cut_out(images: tf.Tensor, places: tf.Tensor, side: int) -> tf.Tensor:
    """Set a square of each image, as far as it is within, to the lowest value of that image.

    images: float32 [n, height, width, channels]. places: float32 [n, 2] in 0..1, of the square's centre from top to
    bottom and from left to right. side: in pixels.
    """
    is_inside = []
    for axis in (1, 2):
        size = images.shape[axis]
        first = tf.cast(places[:, axis - 1] * size, tf.int32)[:, None] - side // 2
        offset = tf.range(size)[None] - first
        is_inside.append((offset >= 0) & (offset < side))
    rows, columns = is_inside
    background = tf.reduce_min(images, axis=(1, 2, 3), keepdims=True)
    return tf.where((rows[:, :, None] & columns[:, None])[..., None], background, images)
