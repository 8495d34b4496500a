"""What is in a built graph: operations, variables, layers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import tensorflow as tf

from .layers import LAYERS

v1 = tf.compat.v1


def find_operation(graph: tf.Graph, name: str) -> tf.Operation | None:
    """The operation of that name, or None."""
    try:
        return graph.get_operation_by_name(name)
    except KeyError:
        return None


def saved_variables(graph: tf.Graph) -> dict[str, tf.Variable]:
    """Every variable by its name in a checkpoint: its own, but the global step's is without the box `train`."""
    variables = {variable.op.name: variable for variable in graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)}
    for name in [name for name in variables if name.endswith("train/global_step")]:
        known_as = name.removesuffix("train/global_step") + "global_step"
        if known_as not in variables:  # one of the user's own
            variables[known_as] = variables.pop(name)
    return variables


def model_variables(graph: tf.Graph) -> list[tf.Variable]:
    """What the network consists of, in the order of their making: trained, then moving averages."""
    return [
        *graph.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES),
        *graph.get_collection(v1.GraphKeys.MODEL_VARIABLES),
    ]


@dataclass(frozen=True)
class Layer:
    """A layer that the wrappers of layers.py made: its output, and the names of its own variables."""

    name: str
    output: tf.Tensor
    variables: tuple[str, ...]


def graph_layers(graph: tf.Graph) -> list[Layer]:
    """The layers in their order; of a graph that was built without the wrappers, none."""
    names, layers = [variable.op.name for variable in model_variables(graph)], []
    for entry in graph.get_collection(LAYERS):
        layer, tensor, *outside = entry.split("=")
        if find_operation(graph, tensor.partition(":")[0]) is None:
            continue  # it was made in a branch of a tf.cond, which is a graph of its own
        outside = outside[0].split(",") if outside else []
        own = tuple(name for name in names if name.startswith(layer + "/") or name in outside)
        names = [name for name in names if name not in own]
        layers.append(Layer(layer, graph.get_tensor_by_name(tensor), own))
    return layers


def count_parameters(graph: tf.Graph) -> int:
    """How many numbers `model_variables` holds."""
    return sum(map(variable_size, model_variables(graph)))


def variable_size(variable: tf.Variable) -> int:
    """How many numbers it holds; 0 where its shape is not known before it has a value."""
    return math.prod(variable.shape) if variable.shape.is_fully_defined() else 0


def optimizer_rates(graph: tf.Graph) -> list[tf.Tensor]:
    """What TensorFlow's optimizers take for their learning rate, of each variable that one updates."""
    updates = [op for op in graph.get_operations() if op.type.startswith("ResourceApply")]
    return [
        tensor
        for op in updates
        for argument, tensor in zip(op.op_def.input_arg, op.inputs, strict=False)
        if argument.name in ("lr", "alpha")
    ]


def products_before(graph: tf.Graph, tensors: list[str]) -> list[str]:
    """Names of the convolutions and matrix products that these tensors are computed from."""
    found, waiting = {}, [graph.get_tensor_by_name(name).op for name in tensors]
    while waiting:
        op = waiting.pop()
        if op.name not in found:
            found[op.name] = op.type in ("Conv2D", "MatMul")
            waiting += [tensor.op for tensor in op.inputs]
    return [name for name, is_product in found.items() if is_product]
