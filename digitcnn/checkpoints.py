"""Saved models on disk: TensorFlow's checkpoint beside a JSON record that says all the rest.

`model.ckpt-30` stands for four files: .index and .data-00000-of-00001 (weights, Adam's slots,
global_step), .meta (the graph, for TensorFlow's own tools) and .json (the record). The record is
written last: without it a model is not complete. `checkpoint` names the one saved last, as
TensorFlow has it. Nothing in them is executed.
"""

from __future__ import annotations

import json
import math
import numbers
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import tensorflow as tf

from .batches import Standardization
from .checks import check_names, check_real, check_whole
from .settings import Settings
from .training import Progress

v1 = tf.compat.v1

FORMAT = "digitcnn model"
FORMAT_VERSION = 2
# What the records of version 1 lack: what was not there to be set then.
ADDED_SETTINGS = {
    "precision": "float32",
    "schedule": "constant",
    "label_smoothing": 0.0,
    "rotation": 0.0,
    "scaling": 0.0,
    "shift": 0.0,
}
# What a graph's variables and their shapes depend on.
SHAPE_SETTINGS = ("architecture", "schedule", "conv_1_output_channels", "conv_2_output_channels", "fc_3_output_units")
_MAX_RECORD_BYTES = 64 << 20


HISTORY_COLUMNS = ("Epoch", "Loss", "Accuracy")


def history_row(entry: Mapping[str, float] | Sequence[float]) -> dict[str, float]:
    """A row of the history, from numbers by name or in order. Raises TypeError or ValueError."""
    if not isinstance(entry, Mapping):
        entry = dict(zip(HISTORY_COLUMNS, entry, strict=True))
    check_names("entry", entry, HISTORY_COLUMNS)
    for name, value in entry.items():
        if not isinstance(value, numbers.Real):
            raise TypeError(f"entry: expected a number for {name}, found {value!r}")
    return {name: entry[name] for name in HISTORY_COLUMNS}


class CheckpointError(ValueError):
    """A model folder that cannot be loaded: what was expected, what was found, and where."""


@dataclass(frozen=True)
class Record:
    """What a saved model is besides its variables.

    class_name: the Python class that built its graph. settings: the constructor's arguments.
    history: rows of Epoch, Loss, Accuracy. standardization: None if training data came scaled.
    """

    class_name: str
    settings: dict[str, Any]
    progress: Progress
    history: list[dict[str, float]]
    standardization: Standardization | None

    def to_json(self) -> str:
        """The record as it is written. JSON has no NaN and infinity: they become strings."""
        statistics = self.standardization
        content = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "tensorflow": tf.__version__,
            "class_name": self.class_name,
            "settings": self.settings,
            "progress": {name: _to_json(value) for name, value in asdict(self.progress).items()},
            "history": [{name: _to_json(value) for name, value in row.items()} for row in self.history],
            "standardization": statistics and {"mean": statistics.mean.tolist(), "std": statistics.std},
        }
        return json.dumps(content, indent=1, allow_nan=False)

    def check_fits(self, prefix: Path, class_name: str, settings: dict[str, Any] | None = None) -> None:
        """Raise CheckpointError unless a model of that class, and with those settings, can load it."""
        file = record_file(prefix)
        if self.class_name != class_name:
            raise CheckpointError(
                f"{file}: expected a model of the class {class_name}, found one of {self.class_name}: "
                "load it with that class"
            )
        for name in SHAPE_SETTINGS if settings else ():
            if self.settings.get(name) != settings[name]:
                raise CheckpointError(
                    f"{file}: expected {name}={settings[name]!r} as in this model, found "
                    f"{self.settings.get(name)!r}; {class_name}.restore(...) makes a model to fit"
                )

    @classmethod
    def from_json(cls, text: str, file: Path) -> Record:
        """Raises CheckpointError, naming `file`, if the text is not a complete record."""
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{file}: expected JSON, found: {_first_line(error)}") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise CheckpointError(f"{file}: expected a record with format {FORMAT!r}, found another file")
        version = content.get("format_version")
        if version not in (1, FORMAT_VERSION):
            raise CheckpointError(
                f"{file}: expected format version 1 or {FORMAT_VERSION}, found {version!r}: "
                "written by another version of digitcnn, which can read it"
            )
        try:
            statistics, settings = content["standardization"], content["settings"]
            if version == 1:
                settings = {**ADDED_SETTINGS, **settings}
            progress = {name: _from_json(value) for name, value in content["progress"].items()}
            check_names("settings", settings, [field.name for field in fields(Settings)])
            check_names("progress", progress, [field.name for field in fields(Progress)])
            check_whole("random_seed", settings["random_seed"], 0)
            check_real("loss_sum", progress["loss_sum"], "a number", lambda _: True)
            for name in set(progress) - {"loss_sum"}:
                check_whole(name, progress[name], 0)
            if statistics is not None:
                check_names("standardization", statistics, ["mean", "std"])
                statistics = Standardization(**statistics)
            history = [
                history_row({name: _from_json(value) for name, value in row.items()}) for row in content["history"]
            ]
            return cls(
                str(content["class_name"]), vars(Settings(**settings)), Progress(**progress), history, statistics
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CheckpointError(f"{file}: expected a complete record, found: {error!r}") from error


def _to_json(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _from_json(value: float | str) -> float:
    return float(value) if isinstance(value, str) else value


def checkpoint_prefix(folder: str | os.PathLike, epoch: int) -> Path:
    """The tutorial's name of a saved model: `folder`/model.ckpt-`epoch`."""
    return Path(folder) / f"model.ckpt-{epoch}"


def find_checkpoint(folder: str | os.PathLike, epoch: int | None = None) -> Path:
    """The prefix of the model saved as `epoch` in a folder; without it, of the one saved last.

    A prefix, as `DigitCNN.save` returns it, may be given in place of the folder.
    Raises FileNotFoundError, naming what is there, and TypeError or ValueError for a bad number.
    """
    folder = Path(folder)
    epoch = None if epoch is None else check_whole("epoch", epoch, 0)
    if not folder.is_dir():
        if epoch is None and record_file(folder).is_file():
            return folder
        raise FileNotFoundError(f"{folder}: expected a folder with a saved model, found no folder")
    numbers = sorted(
        int(match[1])
        for file in folder.iterdir()
        if (match := re.fullmatch(r"model\.ckpt-(0|[1-9]\d*)\.json", file.name))
    )
    if not numbers or (epoch is not None and epoch not in numbers):
        wanted = "a saved model" if epoch is None else f"model.ckpt-{epoch}.json"
        found = ", ".join(f"model.ckpt-{number}" for number in numbers) or "none"
        raise FileNotFoundError(f"{folder}: expected {wanted}, found {found}")
    if epoch is None:
        try:
            state = v1.train.get_checkpoint_state(str(folder))
        except ValueError:  # no text
            state = None
        last = Path(state.model_checkpoint_path).name.removeprefix("model.ckpt-") if state else ""
        epoch = int(last) if last.isdecimal() and int(last) in numbers else numbers[-1]
    return checkpoint_prefix(folder, epoch)


def record_file(prefix: Path) -> Path:
    """Where the record of a saved model is."""
    return prefix.with_name(f"{prefix.name}.json")


def write_checkpoint(session: v1.Session, saver: v1.train.Saver, prefix: Path, record: Record) -> None:
    """Write variables and record, in place of a model of that name only once they are all written.

    Raises OSError, and then leaves the model that was there. A kill in the moment in which files
    change their names may leave none of that name, but never halves of two.
    """
    content, folder = record.to_json(), prefix.parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{prefix.name}-") as temporary:
        new, old = Path(temporary) / "new", Path(temporary) / "old"
        new.mkdir()
        old.mkdir()
        try:
            saver.save(session, str(new / prefix.name))
        except (tf.errors.OpError, ValueError) as error:  # a full disk, a folder that may not be written
            raise OSError(f"could not save a model as {prefix}: {_first_line(error)}") from error
        record_file(new / prefix.name).write_text(content, encoding="utf-8")
        try:
            _move(reversed(_in_order(folder.glob(f"{prefix.name}.*"))), old)
            _move(_in_order(new.iterdir()), folder)
        except BaseException:
            _move(_in_order(old.iterdir()), folder)
            raise


def _in_order(files: Iterable[Path]) -> list[Path]:
    """As they come: variables, then the record that makes them a model, then what calls it the last."""
    return sorted(files, key=lambda file: (file.name == "checkpoint", file.suffix == ".json"))


def _move(files: Iterable[Path], folder: Path) -> None:
    for file in files:
        file.replace(folder / file.name)


def _first_line(error: Exception) -> str:
    """What went wrong; TensorFlow's messages go on with stacks of its own."""
    return str(getattr(error, "message", error)).strip().partition("\n")[0]


def read_record(prefix: Path) -> Record:
    """The record of a saved model. Raises CheckpointError if it is not one that we can read."""
    file = record_file(prefix)
    size = file.stat().st_size
    if size > _MAX_RECORD_BYTES:
        raise CheckpointError(f"{file}: expected at most {_MAX_RECORD_BYTES} bytes, found {size}")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{file}: expected UTF-8 text, found: {_first_line(error)}") from error
    return Record.from_json(text, file)


def restore_variables(session: v1.Session, saver: v1.train.Saver, prefix: Path) -> None:
    """Read the variables into `session`, after checking that each is there in its shape.

    Raises CheckpointError, and then leaves the session's variables as they were.
    """
    try:
        saved = tf.train.load_checkpoint(str(prefix)).get_variable_to_shape_map()
        for variable in session.graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES):
            name, shape = variable.op.name, variable.shape.as_list()
            if saved.get(name) != shape:
                raise CheckpointError(
                    f"{prefix}: expected a variable {name} of shape {shape}, found "
                    f"{saved.get(name, 'none')}: it was saved from another graph"
                )
        saver.restore(session, str(prefix))
    except (tf.errors.OpError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{prefix}: expected TensorFlow's checkpoint files, found: {_first_line(error)}"
        ) from error
