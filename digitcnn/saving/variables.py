"""Reads a saved model's variables into a session, after checking that each is there in its shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from ..engine.engine import Engine
from ..exceptions import CheckpointError
from ..graph.inspection import saved_variables, variable_size
from .bundle import read_index, variable_from
from .checkpoint import SavedModel
from .record import VARIABLE_FILES

_SLACK = 1 << 20  # bytes that the data file may have besides the graph's variables
STEP = "global_step"
_MAX_STEP = 2**53  # training could go on from there without an overflow


def restore_variables(engine: Engine, saved: SavedModel) -> None:
    """Read the variables into the engine's session.

    Raises CheckpointError, and then leaves the session's variables as they were.
    """
    variables = saved_variables(engine.session.graph)
    n_bytes = sum(variable_size(variable) * variable.dtype.size for variable in variables.values())
    try:
        values = read_variables(saved, n_bytes + _SLACK)
    except MemoryError as error:
        raise CheckpointError(
            f"{saved.prefix}: expected variables that fit into memory, found {n_bytes:,} bytes"
        ) from error
    for name, variable in variables.items():
        _check_variable(saved.prefix, name, variable, values.get(name))
    engine.restore(values)


def read_variables(saved: SavedModel, max_bytes: int) -> dict[str, np.ndarray]:
    """Read the variables of a saved model, by their names in it. Raises CheckpointError.

    The files are read once, so that what was checked is what is used. Their SHA-256 is in the record; those of the
    first two format versions have TensorFlow's checksums only.
    """
    content, checks_crc = saved.read(max_bytes), not saved.record.files
    index, data = (content[suffix] for suffix in VARIABLE_FILES)
    try:
        entries = read_index(index, len(data), checks_crc=checks_crc)
        view = memoryview(data)
        return {
            name: variable_from(name, entry, view[entry.offset :][: entry.size], checks_crc=checks_crc)
            for name, entry in entries.items()
            if entry.dtype is not None
        }
    except ValueError as error:
        raise CheckpointError(f"{saved.prefix}: expected TensorFlow's checkpoint files, found: {error}") from error


def _check_variable(prefix: Path, name: str, variable: tf.Variable, value: np.ndarray | None) -> None:
    """Raise CheckpointError unless the value is one for that variable of the graph."""
    dtype = variable.dtype.base_dtype
    if value is None or not variable.shape.is_compatible_with(value.shape):
        found = "none" if value is None else list(value.shape)
        expected = f"a variable {name} of shape {variable.shape}"
        raise CheckpointError(f"{prefix}: expected {expected}, found {found}; it was saved from another graph")
    if value.dtype != dtype.as_numpy_dtype:
        raise CheckpointError(f"{prefix}: expected {name} of {dtype.name}, found {value.dtype}")
    if name == STEP:
        check_step(prefix, value)


def check_step(prefix: Path, value: np.ndarray) -> None:
    """Raise CheckpointError unless the value is a number of training steps from which training can go on."""
    if not 0 <= value <= _MAX_STEP:
        raise CheckpointError(f"{prefix}: expected a number of training steps as {STEP}, found {value}")
