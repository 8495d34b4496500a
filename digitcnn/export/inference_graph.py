"""Builds a graph that only predicts: raw pixels in, probabilities and labels out, weights as constants.

It has no loss, optimizer, dropout, switches or device names. Its tensors have the tutorials' names, such as
`conv_1/_weights`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from .._quiet import quiet
from ..data.standardization import Standardization
from ..engine.constants import constants_for_variables
from ..engine.session import NamedSession
from ..graph.architectures import ARCHITECTURES, TensorNames
from ..graph.inspection import model_variables
from ..graph.layers import Layers
from ..settings import Settings

v1 = tf.compat.v1

PIXELS = "pixels"


@dataclass(frozen=True)
class InferenceGraph:
    """A graph without variables, and its inputs and outputs.

    Parameters
    ----------
    graph : Graph
        The graph.
    input : Tensor
        Raw pixels, uint8 [n, height, width]; equal to `scaled` if the model was trained on floats.
    scaled : Tensor or None
        Input of the network, float32 [n, pixels]; may be fed instead of raw pixels. None if there are several.
    probabilities : Tensor
        float32 [n, classes].
    labels : Tensor
        Predicted labels, int32 [n].
    """

    graph: tf.Graph
    input: tf.Tensor
    scaled: tf.Tensor | None
    probabilities: tf.Tensor
    labels: tf.Tensor


def rebuild(session: NamedSession, settings: Settings, standardization: Standardization | None) -> InferenceGraph:
    """Build the graph of an architecture again, with the values of a session's variables as constants."""
    architecture = ARCHITECTURES[settings.architecture]
    names = architecture.names
    values = session.read({variable.op.name: variable for variable in model_variables(session.graph)})

    def constant(name, **_):  # in place of a variable
        return tf.constant(values[name], name=name + "/")

    with tf.Graph().as_default() as graph:
        x = _network_input(names.images, settings.image_shape, standardization)
        with v1.variable_scope(v1.get_variable_scope(), custom_getter=constant):
            logits = architecture.network(Layers(for_inference=True), x, settings)
        tf.nn.softmax(logits, name=names.probabilities + "/")
        tf.argmax(logits, axis=1, output_type=tf.int32, name=names.predictions + "/")
    return _extract_outputs(graph, names, standardization)


def freeze(
    session: NamedSession, names: TensorNames, image_shape: tuple[int, int], standardization: Standardization | None
) -> InferenceGraph:
    """Copy the part of a session's graph, custom or not, that leads from images to probabilities and labels.

    Dropout is switched off, batch normalization uses the moving averages: only images are left to feed.

    Parameters
    ----------
    session : NamedSession
        Has the values of the variables.
    names : TensorNames
        Names in its graph.
    image_shape : tuple of int
        Height and width in pixels.
    standardization : Standardization or None
        Converts raw pixels to floats; None if the model was trained on floats.

    Raises
    ------
    ValueError
        If the outputs need more than the images.
    """
    outputs = [names.probabilities, names.predictions]
    frozen = constants_for_variables(session, outputs)
    fed = {names.images, names.keep_prob, names.is_training} & {node.name for node in frozen.node}
    kept = v1.GraphDef(library=frozen.library, versions=frozen.versions)
    kept.node.extend(node for node in frozen.node if node.name not in fed)
    for nodes in (kept.node, *(function.node_def for function in kept.library.function)):
        for node in nodes:
            node.device = ""
    with tf.Graph().as_default() as graph:
        known = {names.images: _network_input(names.images, image_shape, standardization)}
        with tf.name_scope("switches"):
            known |= {names.keep_prob: tf.constant(1.0), names.is_training: tf.constant(False)}
        tf.import_graph_def(kept, {f"{name}:0": known[name] for name in fed}, name="")
    return _extract_outputs(graph, names, standardization)


def _network_input(name: str, image_shape: tuple[int, int], standardization: Standardization | None) -> tf.Tensor:
    """Add the input float32 [n, pixels] under that name: a placeholder, or standardized raw pixels."""
    if standardization is None:
        return v1.placeholder(tf.float32, [None, math.prod(image_shape)], name=name)
    pixels = v1.placeholder(tf.uint8, [None, *image_shape], name=PIXELS)
    with tf.name_scope("standardization"):
        flat = tf.reshape(tf.cast(pixels, tf.float32), [-1, math.prod(image_shape)])
        scaled = (flat - standardization.mean) / np.float32(standardization.std)
    return tf.identity(scaled, name=name)


def _extract_outputs(graph: tf.Graph, names: TensorNames, standardization: Standardization | None) -> InferenceGraph:
    """Copy only the nodes that the outputs depend on, without collections."""
    with quiet():
        nodes = v1.graph_util.extract_sub_graph(graph.as_graph_def(), [names.probabilities, names.predictions])
    source = names.images if standardization is None else PIXELS
    fed = {node.name for node in nodes.node if node.op in ("Placeholder", "PlaceholderWithDefault")}
    if fed != {source}:
        others = "depend on " + ", ".join(sorted(fed - {source})) + " too" if fed - {source} else "do not depend on it"
        raise ValueError(
            f"build(): expected probabilities and labels that depend on {names.images} alone, found that they {others}"
        )
    with tf.Graph().as_default() as clean:
        tf.import_graph_def(nodes, name="")
    named = (source, names.images, names.probabilities, names.predictions)
    return InferenceGraph(clean, *(clean.get_tensor_by_name(f"{name}:0") for name in named))
