"""TensorFlow's Summary messages: histograms, pictures, hyperparameters."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

v1 = tf.compat.v1


BUCKETS = 30


def histogram(tag: str, values: np.ndarray) -> v1.Summary:
    """Of all the numbers in an array, but for those that are not finite."""
    values = values[np.isfinite(values)].astype(np.float64)  # in float32, NumPy has no 30 buckets in a narrow range
    if not values.size:
        return v1.Summary()
    counts, edges = np.histogram(values, BUCKETS)
    proto = v1.HistogramProto(
        min=edges[0],
        max=edges[-1],
        num=values.size,
        sum=values.sum(),
        sum_squares=np.square(values).sum(),
        bucket_limit=edges[1:],
        bucket=counts,
    )
    return v1.Summary(value=[v1.Summary.Value(tag=tag, histo=proto)])


def image(tag: str, png: bytes) -> v1.Summary:
    """A picture's file."""
    with Image.open(io.BytesIO(png)) as picture:
        width, height = picture.size
    content = v1.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
    return v1.Summary(value=[v1.Summary.Value(tag=tag, image=content)])


def start_of_session(settings: dict[str, Any]) -> v1.Summary:
    """That a trial has begun, with these hyperparameters.

    It stands above the runs `train` and `validation`, which TensorBoard so takes for this trial's.
    """
    from tensorboard.plugins.hparams import summary_v2

    height, width = settings["image_shape"]
    settings = settings | {"image_shape": f"{height}x{width}"}  # numbers, texts and truth values are all it takes
    return v1.Summary.FromString(summary_v2.hparams_pb(settings).SerializeToString())


def end_of_session() -> v1.Summary:
    """That a trial has come to its end."""
    from tensorboard.plugins.hparams import api_pb2, summary

    return v1.Summary.FromString(summary.session_end_pb(api_pb2.STATUS_SUCCESS).SerializeToString())
