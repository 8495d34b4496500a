"""Shares a training step among devices and workers: each computes its rows, and all of them add up the gradients.

A built graph is changed in place, whoever built it: between the gradients and the optimizer's updates comes the
weighted mean over all replicas, and likewise before the updates of batch normalization's moving averages. All gradients
of a worker, with the loss, travel in one collective operation of TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import tensorflow as tf

from .architectures import TensorNames
from .inspection import SOFT_LABELS, find_operation, has_soft_labels, operations_before
from .shard import STOP, Shard

v1 = tf.compat.v1

GROUP_KEY = 1  # of all collectives: the workers are one group
KEYS_OF_A_STEP = 8  # numbers for a training step's collectives: one for each number type of its gradients


@dataclass(frozen=True)
class Replicas:
    """Among how many replicas a training step is shared.

    Parameters
    ----------
    n_workers : int, default 1
        Processes.
    devices : tuple of str, default ()
        Names of the devices in each process, "/GPU:0" and so on; empty for TensorFlow's own choice.
    timeout : float, default 120.0
        Seconds to wait for the other workers in a step.
    first_key : int, default 1
        The first of `KEYS_OF_A_STEP` numbers that no other graph of these processes has: TensorFlow takes collectives
        of the same number for the same one.
    """

    n_workers: int = 1
    devices: tuple[str, ...] = ()
    timeout: float = 120.0
    first_key: int = 1


@dataclass(frozen=True)
class SharedStep:
    """Results of a training step over all replicas, float32 []: mean loss, correct predictions, workers that stop."""

    loss: tf.Tensor
    correct: tf.Tensor
    stopping: tf.Tensor


def share_step(
    graph: tf.Graph, names: TensorNames, train_op: tf.Operation, statistics: Iterable[tf.Operation], replicas: Replicas
) -> SharedStep:
    """Share the training step of the default graph, which was built with `Shard.placeholder`.

    Raises ValueError if a trained variable is not updated by one of TensorFlow's optimizers from a dense gradient.

    Parameters
    ----------
    graph : tf.Graph
        The default graph.
    names : TensorNames
        Names of its tensors.
    train_op : Operation
        Takes the step.
    statistics : iterable of Operation
        Update the moving averages of batch normalization, each by a value that is linear in the batch's statistics.
    replicas : Replicas
        Among whom.
    """
    slots = [*_gradient_slots(graph, train_op), *((update, 1) for update in statistics)]
    values = [operation.inputs[index] for operation, index in slots]
    if unknown := [value.name for value in values if not value.shape.is_fully_defined()]:
        raise ValueError(f"build(): expected gradients of known shapes, found {', '.join(unknown)} without one")
    loss, correct = (graph.get_tensor_by_name(f"{name}:0") for name in (names.loss, names.correct))
    whole = _shard_of(graph)
    if len(replicas.devices) > 1:
        computed = _on_devices(graph, names, [*values, loss, correct], whole, replicas.devices)
    else:
        computed = [(whole, [*values, loss, correct])]
    with v1.name_scope("shared_step"):
        sums = []
        for position in range(len(values) + 1):  # the loss is the last
            parts = [shard.share(row[position].dtype) * row[position] for shard, row in computed]
            sums.append(parts[0] if len(parts) == 1 else tf.add_n(parts))
        counts = [tf.reduce_sum(tf.cast(row[-1][: shard.counted], tf.float32)) for shard, row in computed]
        results = [
            tf.cast(sums.pop(), tf.float32),
            tf.add_n(counts),
            tf.identity(graph.get_tensor_by_name(f"{STOP}:0")),
        ]
        if replicas.n_workers > 1:
            sums, results = _all_reduce(sums, results, replicas)
    for (operation, index), value in zip(slots, sums, strict=True):
        operation._update_input(index, value)
    return SharedStep(*results)


def _gradient_slots(graph: tf.Graph, train_op: tf.Operation) -> list[tuple[tf.Operation, int]]:
    """Return the optimizer's operations before `train_op`, and the number of each one's gradient among its inputs."""
    found = operations_before([train_op])
    slots, updated = [], set()
    for operation in graph.get_operations():  # in the order of creation, which is that of all workers
        arguments = [argument.name for argument in operation.op_def.input_arg]
        if operation in found and "Apply" in operation.type and "grad" in arguments and "indices" not in arguments:
            slots.append((operation, arguments.index("grad")))
            updated.add(operation.inputs[0].op.name)
    trained = [variable.op.name for variable in graph.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES)]
    if missing := [name for name in trained if name not in updated]:
        raise ValueError(
            f"build(): expected {train_op.name} to update {', '.join(missing)} by an optimizer of tf.compat.v1.train "
            "from a dense gradient, as a training on several workers or devices needs, found another way"
        )
    return slots


def _shard_of(graph: tf.Graph) -> Shard:
    return Shard(*(graph.get_tensor_by_name(f"shard/{name}:0") for name in ("first", "total", "counted")))


def _on_devices(
    graph: tf.Graph, names: TensorNames, targets: Sequence[tf.Tensor], whole: Shard, devices: tuple[str, ...]
) -> list[tuple[Shard, list[tf.Tensor]]]:
    """Return, for each device, its shard and its copies of `targets`, computed from its rows of the images."""
    images, labels = (graph.get_tensor_by_name(f"{name}:0") for name in (names.images, names.labels))
    switches = [name for name in (names.keep_prob, names.is_training) if find_operation(graph, name)]
    needed = _before(targets)
    # Variables stay where they are, and so do the operations that read them.
    stay = [operation for operation in needed if operation.type in ("VarHandleOp", "ReadVariableOp")]
    shared = {tensor for operation in stay for tensor in operation.outputs}
    shared |= {graph.get_tensor_by_name(f"{name}:0") for name in switches} | {whole.total}
    # Soft labels are fed in place of the one-hot rows, so that these are shared as they are.
    rows = [images, labels]
    if has_soft_labels(graph, names):
        rows.append(graph.get_tensor_by_name(f"{SOFT_LABELS}:0"))
    inputs = {*rows, whole.first, whole.counted}
    copied = _before(targets, stop_at=shared | inputs)
    used = {tensor for operation in copied for tensor in operation.inputs}
    kept = _definition(graph, {operation.name for operation in copied})
    computed = []
    for number, device in enumerate(devices):
        with v1.name_scope(f"shard/device_{number}"):
            shard, start, size = whole.part(number, len(devices), images)
            fed = {tensor: tensor[start : start + size] for tensor in rows}
            fed |= {whole.first: shard.first, whole.counted: shard.counted}
        mapped = {tensor.name: fed.get(tensor, tensor) for tensor in used & (shared | inputs)}
        with tf.device(device):
            outputs = tf.graph_util.import_graph_def(
                kept, input_map=mapped, return_elements=[tensor.name for tensor in targets], name=f"replica_{number}"
            )
        computed.append((shard, list(outputs)))
    return computed


def _definition(graph: tf.Graph, names: set[str]) -> v1.GraphDef:
    """Return the definition of these operations alone, free to be placed anywhere."""
    whole = graph.as_graph_def()
    kept = v1.GraphDef(versions=whole.versions, library=whole.library)
    for node in whole.node:
        if node.name in names:
            copy = kept.node.add()
            copy.CopyFrom(node)
            copy.attr.pop("_class", None)  # would place it beside what stays
            for name in [name for name in copy.input if name.startswith("^") and name[1:] not in names]:
                copy.input.remove(name)
    return kept


def _before(targets: Iterable[tf.Tensor], stop_at: frozenset | set = frozenset()) -> set[tf.Operation]:
    """Return the operations that `targets` depend on, without those behind the tensors of `stop_at`."""
    found: set[tf.Operation] = set()
    waiting = [tensor.op for tensor in targets]
    while waiting:
        operation = waiting.pop()
        if operation in found:
            continue
        found.add(operation)
        waiting += [tensor.op for tensor in operation.inputs if tensor not in stop_at]
    return found


def _all_reduce(
    values: list[tf.Tensor], results: list[tf.Tensor], replicas: Replicas
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Add up values of each shape, and float32 [] `results`, over all workers: one collective for each number type."""
    # The results go with gradients of float32 or float64; half precision could not count them.
    wide = next((value.dtype for value in values if value.dtype in (tf.float32, tf.float64)), tf.float32)
    values = [*values, *(tf.cast(result, wide) for result in results)]
    reduced: list[tf.Tensor] = list(values)
    # On the CPU, whose memory the network reads.
    with v1.name_scope("all_reduce"), tf.device("/CPU:0"):
        for key, number_type in enumerate(dict.fromkeys(value.dtype for value in values), replicas.first_key):
            places = [place for place, value in enumerate(values) if value.dtype == number_type]
            flat = tf.concat([tf.reshape(values[place], [-1]) for place in places], axis=0)
            total = all_reduce(flat, tf.constant(key), replicas.n_workers, replicas.timeout)
            sizes = [values[place].shape.num_elements() for place in places]
            for place, part in zip(places, tf.split(total, sizes), strict=True):
                reduced[place] = tf.reshape(part, values[place].shape)
    n = len(results)
    return reduced[:-n], [tf.cast(result, tf.float32) for result in reduced[-n:]]


def all_reduce(flat: tf.Tensor, instance_key: tf.Tensor, n_workers: int, timeout: float) -> tf.Tensor:
    """Return the sum of a tensor over all workers.

    Parameters
    ----------
    flat : Tensor
        Numbers [n], as many on all workers.
    instance_key : Tensor
        The collective's own number, int32 [].
    n_workers : int
        Number of workers.
    timeout : float
        Seconds to wait for them.
    """
    return tf.raw_ops.CollectiveReduceV2(
        input=flat,
        group_size=n_workers,
        group_key=GROUP_KEY,
        instance_key=instance_key,
        ordering_token=[],
        merge_op="Add",
        final_op="Id",
        communication_hint="ring",
        timeout_seconds=timeout,
    )
