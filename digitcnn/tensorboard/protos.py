"""TensorFlow's Summary messages for histograms, images and hyperparameters."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

v1 = tf.compat.v1

N_BUCKETS = 30  # of a histogram: TensorBoard's own number


def histogram(tag: str, values: np.ndarray) -> v1.Summary:
    """Count an array's finite numbers in buckets of equal width; without any, return an empty message."""
    # In float64: NumPy raises an error where float32 has no 30 distinct edges within a narrow range.
    values = values[np.isfinite(values)].astype(np.float64)
    if not values.size:
        return v1.Summary()
    counts, edges = np.histogram(values, N_BUCKETS)
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
    """Wrap a PNG file."""
    with Image.open(io.BytesIO(png)) as picture:
        width, height = picture.size
    content = v1.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
    return v1.Summary(value=[v1.Summary.Value(tag=tag, image=content)])


def start_of_session(settings: dict[str, Any]) -> v1.Summary:
    """Begin a trial with these hyperparameters.

    Written into the folder above the runs `train` and `validation`, so that TensorBoard counts both as this trial's.
    """
    from tensorboard.plugins.hparams import summary_v2

    height, width = settings["image_shape"]
    settings = settings | {"image_shape": f"{height}x{width}"}  # TensorBoard accepts numbers, strings and booleans
    return v1.Summary.FromString(summary_v2.hparams_pb(settings).SerializeToString())


def start_of_trial(settings: dict[str, Any], group: str) -> v1.Summary:
    """Begin a trial of a search: TensorBoard shows the mean over the trials of a group."""
    from tensorboard.plugins.hparams import summary_v2

    return v1.Summary.FromString(summary_v2.hparams_pb(settings, trial_id=group).SerializeToString())


def search_of_hyperparameters(
    values: dict[str, tuple[Any, ...]], ranges: set[str], metrics: dict[str, str]
) -> v1.Summary:
    """Declare a search: values of each hyperparameter, or the ends of its range, and metrics' names by their tags."""
    from tensorboard.plugins.hparams import summary_v2

    hparams = []
    for name, known in values.items():
        kind = summary_v2.IntInterval if isinstance(known[0], int) else summary_v2.RealInterval
        hparams.append(summary_v2.HParam(name, kind(*known) if name in ranges else summary_v2.Discrete(known)))
    shown = [summary_v2.Metric(tag, display_name=text) for tag, text in metrics.items()]
    return v1.Summary.FromString(summary_v2.hparams_config_pb(hparams, shown).SerializeToString())


def end_of_session() -> v1.Summary:
    """End a trial successfully."""
    from tensorboard.plugins.hparams import api_pb2, summary

    return v1.Summary.FromString(summary.session_end_pb(api_pb2.STATUS_SUCCESS).SerializeToString())
