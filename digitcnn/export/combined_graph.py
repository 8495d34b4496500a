"""Combines the inference graphs of several models to one, with one input and the outputs of their ensemble."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from .inference_graph import InferenceGraph

v1 = tf.compat.v1


def combine_graphs(graphs: Sequence[InferenceGraph], rule: str) -> InferenceGraph:
    """Build one graph that gives the combined probabilities and labels of several.

    Parameters
    ----------
    graphs : sequence of InferenceGraph
        Of models of the same sizes that take the same kind of images.
    rule : str
        'mean', 'confident' or 'majority', as ensemble/combining.py defines them.

    Returns
    -------
    InferenceGraph
        `scaled` is None if the input is raw pixels, since each model scales them in its own way.
    """
    first = graphs[0]
    with tf.Graph().as_default() as graph:
        images = v1.placeholder(first.input.dtype, first.input.shape, name=first.input.op.name)
        members = []
        for number, member in enumerate(graphs, 1):
            (probabilities,) = tf.import_graph_def(
                member.graph.as_graph_def(),
                {member.input.name: images},
                [member.probabilities.name],
                name=f"member_{number}",
            )
            members.append(probabilities)
        with v1.name_scope("combining"):
            combined, scores = _combine(tf.stack(members), rule)
            labels = tf.argmax(scores, axis=1, output_type=tf.int32)
        probabilities = tf.identity(combined, name="probabilities")
        labels = tf.identity(labels, name="labels")
    scaled = images if first.scaled is first.input else None
    return InferenceGraph(graph, images, scaled, probabilities, labels)


def _combine(members: tf.Tensor, rule: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the combined probabilities, and scores of which the highest is the answer, float32 [n, classes].

    members: probabilities float32 [members, n, classes].
    """
    mean = tf.reduce_mean(members, axis=0)
    if rule == "mean":
        return mean, mean
    n_members, n_classes = members.shape[0], members.shape[2]
    if rule == "confident":
        surest = tf.argmax(tf.reduce_max(members, axis=2), axis=0, output_type=tf.int32)  # [n]
        is_surest = tf.transpose(tf.one_hot(surest, n_members))[:, :, tf.newaxis]
        combined = tf.reduce_sum(members * is_surest, axis=0)
        return combined, combined
    votes = tf.reduce_sum(tf.one_hot(tf.argmax(members, axis=2, output_type=tf.int32), n_classes), axis=0)
    is_ahead = tf.equal(votes, tf.reduce_max(votes, axis=1, keepdims=True))
    return votes / n_members, tf.where(is_ahead, mean, -tf.ones_like(mean))
