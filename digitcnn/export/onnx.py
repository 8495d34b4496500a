"""Converts a trained model to ONNX, with tf2onnx."""

from __future__ import annotations

from typing import Any

from .._quiet import quiet
from .converting import converted
from .inference_graph import InferenceGraph

OPSET = 17  # of 2022; ONNX Runtime reads it since 1.12, also in browsers


def onnx_bytes(inference: InferenceGraph) -> bytes:
    """Return the bytes of an .onnx file."""
    onnx, convert = import_converter()
    outputs = {"probabilities": inference.probabilities, "labels": inference.labels}
    renamed = {inference.input.name: inference.input.op.name} | {tensor.name: name for name, tensor in outputs.items()}

    def convert_graph():
        model, _ = convert.from_graph_def(
            inference.graph.as_graph_def(),
            name="digitcnn",
            input_names=[inference.input.name],
            output_names=[tensor.name for tensor in outputs.values()],
            opset=OPSET,
            tensors_to_rename=renamed,
        )
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = "n"
        onnx.checker.check_model(model, full_check=True)  # tf2onnx leaves unconverted operations in the model
        return model.SerializeToString()

    return converted("onnx", convert_graph)


def import_converter() -> tuple[Any, Any]:
    """Return the modules onnx and tf2onnx.convert. Raises ImportError."""
    try:
        with quiet():
            import onnx
            from tf2onnx import convert
    except (ImportError, AttributeError) as error:  # AttributeError: onnx 1.19 with an older ml_dtypes
        raise ImportError(f"ONNX needs tf2onnx and onnx: pip install 'digitcnn[onnx]' (found: {error})") from error
    return onnx, convert
