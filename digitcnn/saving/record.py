"""The JSON record beside a saved model's variables: all that a model is besides them.

It carries the SHA-256 of the files that it stands beside, and of itself, so that what a disk or a
hand has changed is told before it is used.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import numbers
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import tensorflow as tf

from .._validation import MOST, check_names, check_real, check_whole
from ..data.standardization import Standardization
from ..engine.state import Progress
from ..exceptions import CheckpointError, DamagedError, ResumeError
from ..settings import Settings

FORMAT = "digitcnn model"


FORMAT_VERSION = 4


# What records before a version lack: what was not there to be set then.
ADDED_SETTINGS = {
    2: {
        "precision": "float32",
        "schedule": "constant",
        "label_smoothing": 0.0,
        "rotation": 0.0,
        "scaling": 0.0,
        "shift": 0.0,
    },
    4: {"image_shape": [28, 28], "n_classes": 10},
}


# What a graph's variables and their shapes depend on.
SHAPE_SETTINGS = (
    *("architecture", "schedule", "conv_1_output_channels", "conv_2_output_channels", "fc_3_output_units"),
    *("image_shape", "n_classes"),
)


HISTORY_COLUMNS = ("Epoch", "Loss", "Accuracy")


# TensorFlow's own files, of which a record knows the SHA-256.
VARIABLE_FILES = (".index", ".data-00000-of-00001")


def history_row(entry: Mapping[str, float] | Sequence[float]) -> dict[str, float]:
    """A row of the history, from numbers by name or in order. Raises TypeError or ValueError."""
    if not isinstance(entry, Mapping):
        if not isinstance(entry, Collection) or len(entry) != len(HISTORY_COLUMNS):
            raise TypeError(f"entry: expected {', '.join(HISTORY_COLUMNS)}, found {entry!r}")
        entry = dict(zip(HISTORY_COLUMNS, entry, strict=True))
    check_names("entry", entry, HISTORY_COLUMNS)
    for name, value in entry.items():
        if not isinstance(value, numbers.Real):
            raise TypeError(f"entry: expected a number for {name}, found {value!r}")
    return {name: entry[name] for name in HISTORY_COLUMNS}


@dataclass(frozen=True)
class Plan:
    """What a training that can be resumed was begun for, and with what; where it differs, so do the weights.

    initialize, epochs, steps: as `train` was called. last_step: the global step at which it ends.
    computes_in: 'float32' or 'bfloat16'. training_set, validation_set: the SHA-256 of each.
    machine: what rounding depends on (resuming.py).
    """

    initialize: bool
    epochs: int | None
    steps: int | None
    computes_in: str
    training_set: str
    validation_set: str | None
    machine: dict[str, Any]
    last_step: int = 0


@dataclass(frozen=True)
class Record:
    """What a saved model is besides its variables.

    class_name: the Python class that built its graph. settings: the constructor's arguments.
    history: rows of Epoch, Loss, Accuracy. standardization: None if training data came scaled.
    plan: of the training whose checkpoint this is, None for a model that was saved by hand.
    files: SHA-256 of TensorFlow's files, by the ends of their names; empty before version 3.
    """

    class_name: str
    settings: dict[str, Any]
    progress: Progress
    history: list[dict[str, float]]
    standardization: Standardization | None
    plan: Plan | None = None
    files: dict[str, str] = field(default_factory=dict)

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
            "plan": self.plan and asdict(self.plan),
            "files": self.files,
        }
        return json.dumps(content | {"sha256": record_sha256(content)}, indent=1, allow_nan=False)

    def check_fits(self, file: Path, class_name: str, settings: dict[str, Any] | None = None) -> None:
        """Raise CheckpointError unless a model of that class, and with those settings, can load it."""
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

    def check_goes_on(self, file: Path, class_name: str, settings: dict[str, Any], plan: Plan) -> None:
        """Raise ResumeError, naming what differs, unless this training is the one it was saved in."""
        began = {"class": self.class_name} | self.settings | vars(self.plan)
        found = {"class": class_name} | settings | vars(plan)
        for name in began:
            if name not in ("machine", "last_step") and began[name] != found[name]:
                is_data = name in ("training_set", "validation_set")
                was, now = (_short(began[name]), _short(found[name])) if is_data else (began[name], found[name])
                raise ResumeError(f"{file}: expected {name}={was!r}, with which this training began, found {now!r}")

    @classmethod
    def from_json(cls, text: str, file: Path) -> Record:
        """Raises CheckpointError, naming `file`, if the text is not a complete record."""
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DamagedError(f"{file}: expected JSON, found: {reason_of(error)}") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise DamagedError(f"{file}: expected a record with format {FORMAT!r}, found another file")
        version = content.get("format_version")
        if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
            raise CheckpointError(
                f"{file}: expected format version 1 to {FORMAT_VERSION}, found {version!r}: "
                "written by another version of digitcnn, which can read it"
            )
        sha256 = content.pop("sha256", None)
        try:
            if version >= 3 and sha256 != record_sha256(content):
                raise DamagedError(f"{file}: expected the record as it was written, found it changed: damaged")
            return cls._from_content(content, version)
        except DamagedError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise CheckpointError(f"{file}: expected a complete record, found: {error!r}") from error

    @classmethod
    def _from_content(cls, content: dict, version: int) -> Record:
        statistics, settings = content["standardization"], content["settings"]
        for later, added in ADDED_SETTINGS.items():
            if version < later:
                settings = {**added, **settings}
        check_names("settings", settings, [setting.name for setting in fields(Settings)])
        check_whole("random_seed", settings["random_seed"], 0)
        progress = {name: _from_json(value) for name, value in content["progress"].items()}
        if version < 4:
            progress = {"n_correct": None, **progress}
        check_names("progress", progress, [count.name for count in fields(Progress)])
        check_real("loss_sum", progress["loss_sum"], "a number", lambda _: True)
        for name in set(progress) - {"loss_sum"}:
            if name != "n_correct" or progress[name] is not None:
                check_whole(name, progress[name], 0)
        if statistics is not None:
            check_names("standardization", statistics, ["mean", "std"])
            statistics = Standardization(**statistics)
        history = [history_row({name: _from_json(value) for name, value in row.items()}) for row in content["history"]]
        plan, files = None, {}
        if version >= 3:
            files = content["files"]
            check_names("files", files, VARIABLE_FILES)
            if content["plan"] is not None:
                check_names("plan", content["plan"], [part.name for part in fields(Plan)])
                plan = Plan(**content["plan"])
                check_whole("last_step", plan.last_step, 1, 2 * MOST)
                for name in ("training_set", "validation_set"):
                    if not isinstance(getattr(plan, name), (str, type(None))):
                        raise TypeError(f"{name}: expected a SHA-256, found {getattr(plan, name)!r}")
                if not isinstance(plan.machine, dict):
                    raise TypeError(f"machine: expected names and values, found {plan.machine!r}")
        settings = vars(Settings(**settings))
        n_pixels = math.prod(settings["image_shape"])
        if statistics is not None and statistics.mean.size != n_pixels:
            raise ValueError(f"mean: expected {n_pixels} numbers, found {statistics.mean.size}")
        return cls(str(content["class_name"]), settings, Progress(**progress), history, statistics, plan, files)


def record_sha256(content: dict[str, Any]) -> str:
    """Of a record's content but for this very entry, in one order whatever that of the file."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def reason_of(error: Exception) -> str:
    """What went wrong; TensorFlow's messages go on with stacks of its own, or have it after them."""
    lines = str(getattr(error, "message", error)).strip().splitlines() or [""]
    after = [line for before, line in itertools.pairwise(lines) if before.startswith("Node: ")]
    return [*after, lines[0]][0]


def _short(sha256: str | None) -> str | None:
    return sha256 and f"sha256 {sha256[:12]}"


def _to_json(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else str(value)


def _from_json(value: float | str | None) -> float | None:
    return float(value) if isinstance(value, str) else value
