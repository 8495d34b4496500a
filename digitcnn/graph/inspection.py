"""Finds operations, variables and layers in a built graph."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from .architectures import TensorNames
from .layers import Layer

v1 = tf.compat.v1

# T1's name of the labels as one-hot rows, float32 [None, classes]. Soft labels are fed in place of them.
SOFT_LABELS = "input_y_onehot"


def find_operation(graph: tf.Graph, name: str) -> tf.Operation | None:
    """Return the operation of that name, or None."""
    try:
        return graph.get_operation_by_name(name)
    except KeyError:
        return None


def saved_variables(graph: tf.Graph) -> dict[str, tf.Variable]:
    """Return every variable by its name in a checkpoint: its own name, but `global_step` without the scope `train`."""
    variables = {variable.op.name: variable for variable in graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)}
    for name in [name for name in variables if name.endswith("train/global_step")]:
        known_as = name.removesuffix("train/global_step") + "global_step"
        if known_as not in variables:  # one that the user made
            variables[known_as] = variables.pop(name)
    return variables


def model_variables(graph: tf.Graph) -> list[tf.Variable]:
    """Return the network's variables in the order of creation: trained variables, then moving averages."""
    return [
        *graph.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES),
        *graph.get_collection(v1.GraphKeys.MODEL_VARIABLES),
    ]


def layers_with_variables(graph: tf.Graph, made: Iterable[Layer]) -> list[Layer]:
    """Return the layers of a finished graph in the order of creation, with the names of all variables in their scopes.

    A branch of a tf.cond is a graph of its own; layers made there are left out.
    """
    names, layers = [variable.op.name for variable in model_variables(graph)], []
    for layer in made:
        if layer.output.graph is not graph:
            continue
        own = tuple(name for name in names if name.startswith(layer.name + "/") or name in layer.variables)
        names = [name for name in names if name not in own]
        layers.append(dataclasses.replace(layer, variables=own))
    return layers


def count_parameters(graph: tf.Graph) -> int:
    """Return the number of values in `model_variables`."""
    return sum(map(variable_size, model_variables(graph)))


def variable_size(variable: tf.Variable) -> int:
    """Return the number of values of a variable; 0 if its shape is unknown until it has a value."""
    return math.prod(variable.shape) if variable.shape.is_fully_defined() else 0


def optimizer_rates(graph: tf.Graph) -> list[tf.Tensor]:
    """Return the learning rate of each update of a variable by one of TensorFlow's optimizers."""
    updates = [op for op in graph.get_operations() if op.type.startswith("ResourceApply")]
    return [
        tensor
        for op in updates
        for argument, tensor in zip(op.op_def.input_arg, op.inputs, strict=False)
        if argument.name in ("lr", "alpha")
    ]


def products_before(graph: tf.Graph, tensors: list[str]) -> list[str]:
    """Return the names of the convolutions and matrix products that these tensors depend on."""
    found: dict[str, bool] = {}
    waiting = [graph.get_tensor_by_name(name).op for name in tensors]
    while waiting:
        op = waiting.pop()
        if op.name not in found:
            found[op.name] = op.type in ("Conv2D", "MatMul")
            waiting += [tensor.op for tensor in op.inputs]
    return [name for name, is_product in found.items() if is_product]


def operations_before(targets: Iterable[tf.Operation], stop_at: tf.Operation | None = None) -> set[tf.Operation]:
    """Return `targets` and all operations that run before them, without `stop_at` and those behind it."""
    found: set[tf.Operation] = set()
    waiting = list(targets)
    while waiting:
        operation = waiting.pop()
        if operation not in found and operation is not stop_at:
            found.add(operation)
            waiting += [*operation.control_inputs, *(tensor.op for tensor in operation.inputs)]
    return found


def has_soft_labels(graph: tf.Graph, names: TensorNames) -> bool:
    """Return whether loss and training step depend on the labels through `SOFT_LABELS` alone, float32 [None, classes].

    Then soft labels can be fed there, and nothing else of the labels enters a step.
    """
    one_hot, labels = find_operation(graph, SOFT_LABELS), find_operation(graph, names.labels)
    if one_hot is None or len(one_hot.outputs) != 1:
        return False
    (rows,) = one_hot.outputs
    if rows.dtype != tf.float32 or rows.shape.rank != 2 or not graph.is_feedable(rows):
        return False
    targets = [graph.get_operation_by_name(name) for name in (names.loss, names.train_op)]
    found = operations_before(targets, stop_at=one_hot)
    return labels not in found and any(operation in found for operation in rows.consumers())


def graph_sha256(graph: tf.Graph) -> str:
    """Return the start of a SHA-256 of what a graph computes: its operations, their attributes and inputs.

    Two graphs that are built alike have the same one, although TensorFlow numbers the branches of tf.cond through all
    graphs of a process: their names are left out, and what is in them is sorted.
    """
    definition = graph.as_graph_def()
    branches = sorted(_nodes_sha256(function.node_def) for function in definition.library.function)
    return hashlib.sha256("".join([_nodes_sha256(definition.node), *branches]).encode()).hexdigest()[:12]


def _nodes_sha256(nodes: Iterable[Any]) -> str:
    """Return the SHA-256 of node definitions, without the names of functions that their attributes refer to."""
    digest = hashlib.sha256()
    for node in nodes:
        digest.update(f"{node.op if '_true_' not in node.op and '_false_' not in node.op else ''}{node.input}".encode())
        for name in sorted(node.attr):
            if node.attr[name].WhichOneof("value") != "func":
                digest.update(name.encode() + node.attr[name].SerializeToString(deterministic=True))
    return digest.hexdigest()
