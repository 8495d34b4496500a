"""Writes a SavedModel of a trained model, with the signatures 'serving_default' and 'scaled'."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from .._quiet import quiet
from .inference_graph import InferenceGraph

v1 = tf.compat.v1

SIGNATURE = "serving_default"
SCALED_SIGNATURE = "scaled"


def write_saved_model(inference: InferenceGraph, folder: Path) -> None:
    """Write a SavedModel with the tag `serve` and the signatures that DigitCNN.export documents."""
    outputs = {"probabilities": inference.probabilities, "labels": inference.labels}
    # Under the names that the tutorials fetch: T2's myOutput, T4's probabilities without their scope.
    in_the_graph = {tensor.op.name.rpartition("/")[2]: tensor for tensor in outputs.values()}
    with quiet(), inference.graph.as_default():
        signatures = {SIGNATURE: _signature({inference.input.op.name: inference.input}, outputs)}
        if inference.scaled is not None:
            scaled = {inference.scaled.op.name: inference.scaled}
            signatures[SCALED_SIGNATURE] = _signature(scaled, in_the_graph)
        builder = v1.saved_model.Builder(str(folder))
        with v1.Session(graph=inference.graph, config=v1.ConfigProto(device_count={"GPU": 0})) as session:
            builder.add_meta_graph_and_variables(session, ["serve"], signatures, strip_default_attrs=True)
        builder.save()


def _signature(inputs: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor]):
    """Return TensorFlow's SignatureDef of tensors by name."""
    infos = [
        {name: v1.saved_model.build_tensor_info(tensor) for name, tensor in tensors.items()}
        for tensors in (inputs, outputs)
    ]
    return v1.saved_model.build_signature_def(*infos, v1.saved_model.signature_constants.PREDICT_METHOD_NAME)
