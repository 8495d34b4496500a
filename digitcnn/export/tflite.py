"""Converts a trained model to TFLite, with TensorFlow's converter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from .converting import converted
from .inference_graph import InferenceGraph
from .saved_model import SIGNATURE

_CALIBRATION_BATCH = 100  # images


def check_converter() -> None:
    """Raise ImportError if TensorFlow has no converter to TFLite."""
    if not hasattr(tf.lite, "TFLiteConverter"):
        raise ImportError(f"expected a TensorFlow with a TFLite converter, as 2.16 to 2.21 are, found {tf.__version__}")


def tflite_bytes(inference: InferenceGraph, saved_model: Path, representative: np.ndarray | None) -> bytes:
    """Return the bytes of a .tflite file; in int8 if there is a representative set, images [n, pixels]."""
    calibration = np.empty(0) if representative is None else representative

    def batches() -> Iterator[dict[str, np.ndarray]]:
        shape, dtype = inference.input.shape[1:], inference.input.dtype.as_numpy_dtype
        for first in range(0, len(calibration), _CALIBRATION_BATCH):
            images = calibration[first : first + _CALIBRATION_BATCH]
            yield {inference.input.op.name: images.reshape(-1, *shape).astype(dtype)}

    def convert():
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=[SIGNATURE])
        if representative is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = batches
        return converter.convert()

    return converted("tflite", convert)
