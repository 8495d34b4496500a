"""The graph that only predicts: raw pixels in, probabilities and labels out, the weights as constants in it.

Nothing of the training is in it: no loss, no Adam, no dropout, no switches, no device names. Tensors have the
tutorials' names, `conv_1/_weights` among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from .architectures import Architecture, TensorNames, Widths
from .batches import Standardization
from .layers import INFERENCE

v1 = tf.compat.v1

PIXELS = "pixels"


@dataclass(frozen=True)
class InferenceGraph:
    """A graph without variables, and the names of its tensors.

    input: the raw pixels, uint8 [n, 28, 28], or, of a model that was trained on floats, `scaled`.
    scaled: what the network itself takes, float32 [n, 784]; it may be fed instead of raw pixels.
    probabilities: float32 [n, 10]; labels: int32 [n].
    """

    graph: tf.Graph
    input: str
    scaled: str
    probabilities: str
    labels: str


def rebuild(
    architecture: Architecture, widths: Widths, standardization: Standardization | None, values: Mapping[str, np.ndarray]
) -> InferenceGraph:
    """The graph of an architecture, with the `values` of its variables by their names."""
    names = architecture.names

    def constant(name, **_):  # in place of what would make a variable
        return tf.constant(values[name], name=name + "/")

    with tf.Graph().as_default() as graph:
        v1.add_to_collection(INFERENCE, True)
        x = _input(names.images, standardization)
        with v1.variable_scope(v1.get_variable_scope(), custom_getter=constant):
            logits = architecture.network(x, None, None, widths)
        tf.nn.softmax(logits, name=names.probabilities + "/")
        tf.argmax(logits, axis=1, output_type=tf.int32, name=names.predictions + "/")
    return _finish(graph.as_graph_def(), names, standardization)


def freeze(session: v1.Session, names: TensorNames, standardization: Standardization | None) -> InferenceGraph:
    """What leads from images to probabilities and labels in a session's graph, whatever it was built by.

    Raises ValueError if they follow from more than images.
    """
    outputs = [names.probabilities, names.predictions]
    frozen = v1.graph_util.convert_variables_to_constants(session, session.graph.as_graph_def(), outputs)
    fed = {names.images, names.keep_prob, names.is_training} & {node.name for node in frozen.node}
    kept = tf.compat.v1.GraphDef(library=frozen.library, versions=frozen.versions)
    kept.node.extend(node for node in frozen.node if node.name not in fed)
    for node in [*kept.node, *(node for function in kept.library.function for node in function.node_def)]:
        node.device = ""
    with tf.Graph().as_default() as graph:
        known = {names.images: _input(names.images, standardization)}
        with tf.name_scope("switches"):
            known |= {names.keep_prob: tf.constant(1.0), names.is_training: tf.constant(False)}
        tf.import_graph_def(kept, {f"{name}:0": known[name] for name in fed}, name="")
    return _finish(graph.as_graph_def(), names, standardization)


def _input(name: str, standardization: Standardization | None) -> tf.Tensor:
    """float32 [n, 784] under that name: a placeholder or, of raw pixels, what they are standardized to."""
    if standardization is None:
        return v1.placeholder(tf.float32, [None, 784], name=name)
    pixels = v1.placeholder(tf.uint8, [None, 28, 28], name=PIXELS)
    with tf.name_scope("standardization"):
        flat = tf.reshape(tf.cast(pixels, tf.float32), [-1, 784])
        scaled = (flat - standardization.mean) / np.float32(standardization.std)
    return tf.identity(scaled, name=name)


def _finish(graph_def, names: TensorNames, standardization: Standardization | None) -> InferenceGraph:
    """Nothing but what the outputs follow from, in a graph without collections."""
    graph_def = v1.graph_util.extract_sub_graph(graph_def, [names.probabilities, names.predictions])
    source = names.images if standardization is None else PIXELS
    others = [node.name for node in graph_def.node if node.op == "Placeholder" and node.name != source]
    if others:
        raise ValueError(f"build(): expected probabilities and labels of images alone, found them fed by {', '.join(others)}")
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    return InferenceGraph(graph, source, names.images, names.probabilities, names.predictions)
