"""Gives all workers the state of worker 0 before the first step: what a checkpoint has, by wire."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from ..cluster.workers import Workers
from ..exceptions import ClusterError
from ..graph.inspection import saved_variables
from ..saving.model_parts import ModelParts
from ..saving.record import VARIABLE_FILES, Plan, Record


def take_state_of_chief(model: ModelParts, plan: Plan, workers: Workers) -> int:
    """Make variables, progress, history and standardization those of worker 0; returns the step at which it ends.

    plan: of worker 0, with the last step; the others' plan has none. Raises WorkerLostError, ClusterError.
    """
    if workers.is_chief:
        content = _to_bytes(model.engine.variables())
        files = dict.fromkeys(VARIABLE_FILES, hashlib.sha256(content).hexdigest())  # there are none: of what follows
        workers.broadcast(dataclasses.replace(model.record(plan), files=files).to_json().encode())
        workers.broadcast(content)
        return plan.last_step
    record = Record.from_json(workers.broadcast(None).decode(), Path("worker 0"))
    content = workers.broadcast(None)
    if record.plan is None or hashlib.sha256(content).hexdigest() not in record.files.values():
        raise ClusterError(
            "worker 0: expected the plan of a training and its variables as they were sent, found others"
        )
    model.engine.restore(_from_bytes(content, model))
    model.take(record)
    return record.plan.last_step


def _to_bytes(values: dict[str, np.ndarray]) -> bytes:
    return b"".join(values[name].astype(values[name].dtype.newbyteorder("<")).tobytes() for name in sorted(values))


def _from_bytes(content: bytes, model: ModelParts) -> dict[str, np.ndarray]:
    """The values of the model's variables by name. Raises ClusterError if they are others than worker 0's."""
    variables = saved_variables(model.engine.session.graph)
    shapes = {name: variable.shape.as_list() for name, variable in sorted(variables.items())}
    types = {name: np.dtype(variable.dtype.as_numpy_dtype) for name, variable in variables.items()}
    n_bytes = {name: types[name].itemsize * int(np.prod(shape)) for name, shape in shapes.items()}
    if sum(n_bytes.values()) != len(content):
        raise ClusterError(
            f"worker 0: expected {sum(n_bytes.values()):,} bytes of variables, as here, found {len(content):,}"
        )
    values, start = {}, 0
    for name, shape in shapes.items():
        little = np.frombuffer(content, types[name].newbyteorder("<"), int(np.prod(shape)), start)
        values[name] = little.astype(types[name]).reshape(shape)
        start += n_bytes[name]
    return values
