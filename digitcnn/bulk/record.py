"""What a file of answers is made from, and how far it is: a JSON file beside it, by which it is resumed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import _json
from .._files import write_whole
from .._text import printable
from .._validation import explain_os_errors
from ..graph.inspection import model_variables
from ..model import DigitCNN

FORMAT_VERSION = 1
MAX_IMAGES = 2**53  # of a folder of files of 2**32 - 1 images: what JSON's numbers hold exactly
MAX_RECORD_BYTES = 1 << 20


@dataclass(frozen=True)
class Task:
    """What the answers depend on; all of it must be the same for a file to be resumed.

    Parameters
    ----------
    model : str
        SHA-256 of what predicts: architecture, weights, moving averages, standardization.
    computes_in : str
        'float32' or 'bfloat16'.
    n_images : int
        Number of images in the whole input.
    shard : str
        Which part of the input, such as '2/4'.
    batch_size : int
        Images in the graph at once.
    """

    model: str
    computes_in: str
    n_images: int
    shard: str
    batch_size: int


@dataclass(frozen=True)
class Progress:
    """How far a file of answers is.

    Parameters
    ----------
    n_done : int
        Images that have a row in it.
    images_sha256 : str
        SHA-256 of the SHA-256 of each of their batches' pixels.
    n_bytes : int
        Length of the file up to the last of these rows.
    rows_sha256 : str
        SHA-256 of these bytes.
    """

    n_done: int
    images_sha256: str
    n_bytes: int
    rows_sha256: str


@dataclass(frozen=True)
class Record:
    """All that is known of a file of answers.

    Parameters
    ----------
    task : Task
        What the answers depend on.
    progress : Progress
        How far the file is.
    data : str
        Path of the images, as it was given: for the reader alone.
    weights : str
        Which weights answered: for the reader alone.
    machine : dict
        What rounding depends on (engine/machine.py).
    """

    task: Task
    progress: Progress
    data: str
    weights: str
    machine: dict[str, Any]


_COUNT = _json.count(0, MAX_IMAGES)
_FIELDS = {
    "format_version": _json.one_of(FORMAT_VERSION),
    "task": _json.fields(
        {
            "model": _json.sha256,
            "computes_in": _json.text,
            "n_images": _COUNT,
            "shard": _json.text,
            "batch_size": _COUNT,
        }
    ),
    "progress": _json.fields(
        {"n_done": _COUNT, "images_sha256": _json.sha256, "n_bytes": _COUNT, "rows_sha256": _json.sha256}
    ),
    "data": _json.text,
    "weights": _json.text,
    "machine": _json.facts,
}


def read_record(file: Path) -> Record | None:
    """The record in a file; None if there is none. Raises ValueError if it is none, OSError if it cannot be read."""
    with explain_os_errors(file, "a record of predictions"):
        try:
            with file.open("rb") as stream:
                content = stream.read(MAX_RECORD_BYTES + 1)
        except FileNotFoundError:
            return None
    try:
        if len(content) > MAX_RECORD_BYTES:
            raise ValueError(f"more than {MAX_RECORD_BYTES} bytes")
        found = _json.fields(_FIELDS)("", _json.parse_json(content.decode()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{printable(file)}: expected a record of predictions, found: {printable(error)}") from error
    del found["format_version"]
    return Record(**(found | {"task": Task(**found["task"]), "progress": Progress(**found["progress"])}))


def write_record(file: Path, record: Record) -> None:
    """Write a record, whole, to the disk. Raises OSError."""
    content = {"format_version": FORMAT_VERSION} | dataclasses.asdict(record)
    text = json.dumps(content, indent=1, allow_nan=False)
    with explain_os_errors(file, "a file that can be written"):
        write_whole(file, text.encode(), is_durable=True)


def difference(began: Task, now: Task) -> tuple[str, Any, Any] | None:
    """The first difference of two tasks, (name, before, now); None if there is none."""
    for field in dataclasses.fields(Task):
        before, after = getattr(began, field.name), getattr(now, field.name)
        if before != after:
            return field.name, before, after
    return None


def model_sha256(model: DigitCNN) -> str:
    """SHA-256, in hex, of what decides a model's predictions."""
    digest = hashlib.sha256(f"{type(model).__name__} {model.architecture} {model.image_shape}".encode())
    variables = model_variables(model.g)
    arrays = dict(zip((variable.op.name for variable in variables), model.sess.run(variables), strict=True))
    if model.standardization is not None:
        arrays |= {"standardization": np.append(model.standardization.mean, np.float32(model.standardization.std))}
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.name} {array.shape}".encode())
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()
