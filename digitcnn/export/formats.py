"""Export formats of a trained model, without TensorFlow."""

from __future__ import annotations

FORMATS = {
    "savedmodel": "a folder for TensorFlow and TensorFlow Serving",
    "tflite": "a file for LiteRT (TensorFlow Lite)",
    "tflite-int8": "the same, quantized to 8-bit whole numbers: a quarter of the size",
    "onnx": "a file for ONNX Runtime; needs digitcnn[onnx]",
}
