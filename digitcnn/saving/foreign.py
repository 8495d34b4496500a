"""Checkpoints of other programs, such as the tutorial in TensorFlow 1, which have no record beside them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from .._validation import check_path, explain_os_errors
from ..exceptions import CheckpointError, reason_of, warn_user
from ..graph.inspection import model_variables, saved_variables
from .bundle import MAX_INDEX_BYTES, Entry, read_index, variable_from
from .last_saved import named_last
from .layout import DATA, INDEX, without_suffix
from .model_parts import ModelParts
from .variables import STEP, check_step

MAX_SHOWN = 5  # names in an error
_LENGTH = "train/schedule/n_steps"


def find_foreign(path: str | os.PathLike) -> Path:
    """The prefix of a checkpoint, from the name of one of its files, or of its folder.

    In a folder, it is the one that the file `checkpoint` names, or the only one. Raises FileNotFoundError that says
    what is there, CheckpointError for TensorFlow's first format, other OSErrors.
    """
    prefix = check_path("path", path)
    with explain_os_errors(prefix, "a checkpoint of TensorFlow"):
        prefix = without_suffix(prefix)
        if not prefix.is_dir():
            if prefix.with_name(prefix.name + INDEX).is_file():
                return prefix
            if prefix.is_file():
                raise CheckpointError(
                    f"{prefix}: expected a checkpoint of files .index and .data, found one file, maybe of TensorFlow's "
                    "first format; save it with TensorFlow 1's tf.train.Saver again, which writes the newer one"
                )
            beside = [name for name in _names_in(prefix.parent) if name.startswith(f"{prefix.name}-")]
            hint = f"; give one of those beside it: {', '.join(beside[:MAX_SHOWN])}" if beside else ""
            raise FileNotFoundError(
                f"{prefix}: expected a checkpoint of TensorFlow, found no {prefix.name}{INDEX}{hint}"
            )
        names = _names_in(prefix)
        if (last := named_last(prefix)) in names:
            return prefix / last
        if len(names) != 1:
            found = ", ".join(names[:9]) or "none"
            raise FileNotFoundError(f"{prefix}: expected one checkpoint of TensorFlow, found {found}; give its name")
        return prefix / names[0]


def _names_in(folder: Path) -> list[str]:
    """The names of the checkpoints in a folder; none if it is not there."""
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(file.name.removesuffix(INDEX) for file in files if file.name.endswith(INDEX))


def import_variables(model: ModelParts, prefix: Path) -> None:
    """Read a checkpoint's variables into a new model, by their names.

    Those that predictions need must be there. Adam's are taken if all are there, the step if it is; without them they
    have their initial values. Raises CheckpointError, which lists what is missing.
    """
    graph = model.engine.session.graph
    averages = model.engine.averages.names  # a training begins them
    variables = {name: variable for name, variable in saved_variables(graph).items() if name not in averages}
    needed = {variable.op.name for variable in model_variables(graph)}
    try:
        values = _read(prefix, set(variables), needed, {name: tuple(v.shape) for name, v in variables.items()})
    except OSError as error:
        raise CheckpointError(f"{prefix}: expected files that can be read, found {reason_of(error)}") from error
    except ValueError as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{prefix}: expected TensorFlow's checkpoint files, found: {error}") from error
    of_adam = variables.keys() - needed - {STEP, _LENGTH}
    if absent := sorted(of_adam - values.keys()):
        if of_adam & values.keys():
            warn_user(f"{prefix}: expected all variables of the optimizer, found no {absent[0]}; it begins anew")
        values = {name: value for name, value in values.items() if name not in of_adam}
    model.engine.initialize()
    model.engine.assign(values)
    model.state.reset(None)
    model.state.origin = f"weights of {prefix.name}"


def _read(prefix: Path, names: set[str], needed: set[str], shapes: dict[str, tuple]) -> dict[str, np.ndarray]:
    """Read those of the variables that are there in their shapes; raise CheckpointError if one is needed."""
    data = prefix.with_name(prefix.name + DATA)
    if not data.is_file():
        raise CheckpointError(f"{data}: expected a checkpoint's only data file, found none of that name")
    with prefix.with_name(prefix.name + INDEX).open("rb") as stream:
        index = stream.read(MAX_INDEX_BYTES + 1)
    with data.open("rb") as stream:
        entries = read_index(index, os.fstat(stream.fileno()).st_size, checks_crc=True)
        found = {name: entries.get(name) or entries.get(name.removeprefix("train/")) for name in names}
        wrong = [
            f"{name} of shape {list(shapes[name])} (found {_shape_text(found[name])})"
            for name in sorted(needed)
            if not _fits(found[name], shapes[name])
        ]
        if wrong:
            raise CheckpointError(
                f"{prefix}: expected {'; '.join(wrong[:9])}{'; and more' if wrong[9:] else ''}; give the architecture "
                f"and the sizes that it was trained with{_without_place(entries, names)}"
            )
        values = {}
        for name, entry in found.items():
            if entry is not None and _fits(entry, shapes[name]):
                stream.seek(entry.offset)
                values[name] = variable_from(name, entry, stream.read(entry.size), checks_crc=True)
    if STEP in values:
        check_step(prefix, values[STEP])
    return values


def _without_place(entries: dict[str, Entry], names: set[str]) -> str:
    """The end of an error message: variables of a checkpoint that no variable of the graph is read from."""
    extra = sorted(entries.keys() - names - {name.removeprefix("train/") for name in names})
    more = f" and {len(extra) - MAX_SHOWN} more" if len(extra) > MAX_SHOWN else ""
    return f"; it has, without a place in this graph: {', '.join(extra[:MAX_SHOWN])}{more}" if extra else ""


def _fits(entry: Entry | None, shape: tuple) -> bool:
    """Whether the entry holds real numbers of that shape."""
    return entry is not None and _is_real(entry) and entry.shape == shape


def _is_real(entry: Entry) -> bool:
    return entry.dtype is not None and entry.dtype.kind not in "cO"


def _shape_text(entry: Entry | None) -> str:
    if entry is None:
        return "none"
    return f"{list(entry.shape)}{'' if _is_real(entry) else ' of another type'}"
