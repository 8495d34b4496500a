"""Opens exported models in their runtimes: path -> (images -> (probabilities, labels))."""


def open_saved_model(path):
    """Open a SavedModel with TensorFlow 2's loader."""
    import tensorflow as tf

    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    _, inputs = signature.structured_input_signature

    def run(X):
        found = signature(**{name: tf.constant(X) for name in inputs})
        return found["probabilities"].numpy(), found["labels"].numpy()

    return run


def open_tflite(path):
    """Open a TFLite file in LiteRT, the runtime of phones."""
    from ai_edge_litert.interpreter import Interpreter

    signature = Interpreter(model_path=str(path)).get_signature_runner("serving_default")

    def run(X):
        found = signature(**dict.fromkeys(signature.get_input_details(), X))
        return found["probabilities"], found["labels"]

    return run


def open_onnx(path):
    """Open an ONNX file in ONNX Runtime."""
    from onnxruntime import InferenceSession

    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda X: tuple(session.run(["probabilities", "labels"], {session.get_inputs()[0].name: X}))


RUNTIMES = {
    "savedmodel": open_saved_model,
    "tflite": open_tflite,
    "tflite-int8": open_tflite,
    "onnx": open_onnx,
}
# Modules that exporting to a format and running it need, besides TensorFlow.
NEEDED = {
    "savedmodel": (),
    "tflite": ("ai_edge_litert",),
    "tflite-int8": ("ai_edge_litert",),
    "onnx": ("tf2onnx", "onnxruntime"),
}
