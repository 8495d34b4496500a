"""Exported models in the runtimes that they are for: (path, images) -> (probabilities, labels)."""

from collections.abc import Callable


def run_saved_model(path, X):
    """TensorFlow 2's loader."""
    import tensorflow as tf

    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    _, inputs = signature.structured_input_signature
    found = signature(**{name: tf.constant(X) for name in inputs})
    return found["probabilities"].numpy(), found["labels"].numpy()


def run_tflite(path, X):
    """LiteRT, which is what phones have."""
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_path=str(path)).get_signature_runner("serving_default")
    found = run(**dict.fromkeys(run.get_input_details(), X))
    return found["probabilities"], found["labels"]


def run_onnx(path, X):
    """ONNX Runtime."""
    from onnxruntime import InferenceSession

    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return tuple(session.run(["probabilities", "labels"], {session.get_inputs()[0].name: X}))


RUNTIMES: dict[str, Callable] = {
    "savedmodel": run_saved_model,
    "tflite": run_tflite,
    "tflite-int8": run_tflite,
    "onnx": run_onnx,
}
# What is imported to export to a format and to run it, besides TensorFlow.
NEEDED = {
    "savedmodel": (),
    "tflite": ("ai_edge_litert",),
    "tflite-int8": ("ai_edge_litert",),
    "onnx": ("tf2onnx", "onnxruntime"),
}
