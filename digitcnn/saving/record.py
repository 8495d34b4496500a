"""The JSON record of a saved model: everything but its variables.

It has the SHA-256 of the variables' files, and its own, so that damage and edits are detected before anything is used.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from .. import _json
from .._content import N_START, describe_content
from .._validation import MAX_COUNT, check_names, check_whole
from ..data.standardization import Standardization
from ..engine.state import HISTORY_COLUMNS, Progress, history_row
from ..exceptions import CheckpointError, DamagedError, ResumeError, reason_of
from ..graph.architectures import check_known_names
from ..settings import Settings, declarations, older_settings, settings_dict, shaping_settings

FORMAT = "digitcnn model"
# Records have the plan and the SHA-256 of the files since version 3, the count of correct answers since 4.
FORMAT_VERSION = max(4, *(declaration.added_in for declaration in declarations().values()))
# Of a record's file, some 600,000 rows of history; a bound of memory for untrusted files that writers keep to as well.
MAX_RECORD_BYTES = 64 << 20
# TensorFlow's own files, of which a record knows the SHA-256.
VARIABLE_FILES = (".index", ".data-00000-of-00001")


@dataclass(frozen=True)
class Plan:
    """What determines the weights that a resumable training ends with, besides the settings.

    Parameters
    ----------
    initialize, epochs, steps : bool, int or None, int or None
        As `train` was called.
    computes_in : str
        'float32' or 'bfloat16'.
    training_set, validation_set : str, str or None
        SHA-256 of each.
    machine : dict
        What rounding depends on (engine/machine.py).
    last_step : int
        The global step at which the training ends.
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

    Parameters
    ----------
    class_name : str
        The Python class that built its graph.
    settings : dict
        The constructor's arguments.
    progress : Progress
        Where its training stands.
    history : list of dict
        Rows of Epoch, Loss, Accuracy.
    standardization : Standardization or None
        What raw pixels go through; None if the training data came scaled.
    plan : Plan or None
        Of the training whose checkpoint this is; None for a model that was saved by `save`.
    files : dict
        SHA-256 of TensorFlow's files, by the ends of their names; empty before version 3.
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
            "training_maximum": statistics and statistics.highest,
            "plan": self.plan and asdict(self.plan),
            "files": self.files,
        }
        return json.dumps(content | {"sha256": record_sha256(content)}, indent=1, allow_nan=False)

    def check_fits(self, file: Path, class_name: str, settings: dict[str, Any] | None = None) -> None:
        """Raise CheckpointError unless a model of that class, and with those settings, can load it."""
        if self.class_name != class_name:
            raise CheckpointError(
                f"{file}: expected a model of the class {class_name}, found one of {self.class_name}; "
                "load it with that class"
            )
        if settings is None:
            return
        # The architecture first: in another one, the widths of layers mean nothing.
        for name in ("architecture", *shaping_settings()):
            if self.settings.get(name) != settings[name]:
                raise CheckpointError(
                    f"{file}: expected {name}={settings[name]!r} as in this model, found "
                    f"{self.settings.get(name)!r}; {class_name}.restore(...) makes a model that fits"
                )

    def check_resumes(self, file: Path, class_name: str, settings: dict[str, Any], plan: Plan) -> None:
        """Raise ResumeError, naming what differs, unless it was saved in the same training.

        Parameters
        ----------
        file : Path
            The record's file, for the message.
        class_name : str
            Python class of the model to train.
        settings : dict
            Its settings.
        plan : Plan
            Its training's plan.
        """
        began = {"class": self.class_name} | self.settings | vars(self.plan)
        found = {"class": class_name} | settings | vars(plan)
        for name in began:
            if name not in ("machine", "last_step") and began[name] != found[name]:
                is_data = name in ("training_set", "validation_set")
                was, now = (
                    (_short_digest(began[name]), _short_digest(found[name])) if is_data else (began[name], found[name])
                )
                raise ResumeError(f"{file}: expected {name}={was!r}, with which this training began, found {now!r}")

    @classmethod
    def from_json(cls, text: str, file: Path) -> Record:
        """Read a record from its text. Raises CheckpointError, naming `file`, if it is not a complete one."""
        content, version = _checked_content(text, file)
        try:
            return cls._from_content(content, version)
        except (TypeError, ValueError, RecursionError) as error:
            raise CheckpointError(f"{file}: expected a complete record, found: {error}") from error

    @classmethod
    def _from_content(cls, content: dict, version: int) -> Record:
        missing = ("training_maximum",) if version >= 3 else ("training_maximum", "plan", "files")
        found = _json.fields(_FIELDS, missing)("", content)
        settings = older_settings(version) | found["settings"]
        check_names("settings", settings, list(declarations()))
        check_whole("random_seed", settings["random_seed"], 0)
        checked = Settings(**settings)
        check_known_names(checked)
        statistics, n_pixels = found["standardization"], math.prod(checked.image_shape)
        if statistics is not None and statistics.mean.size != n_pixels:
            raise ValueError(f"standardization.mean: expected {n_pixels} numbers, found {statistics.mean.size}")
        if statistics is not None:
            statistics = replace(statistics, highest=found.get("training_maximum"))
        return cls(
            class_name=found["class_name"],
            settings=settings_dict(checked),
            progress=found["progress"],
            history=found["history"],
            standardization=statistics,
            plan=found.get("plan"),
            files=found.get("files", {}),
        )


def files_of(text: str, file: Path) -> dict[str, str]:
    """The SHA-256 in a record by suffix, without the time of checking a long history. Raises CheckpointError."""
    content, version = _checked_content(text, file)
    try:
        return _FIELDS["files"]("files", content.get("files")) if version >= 3 else {}
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{file}: expected a complete record, found: {error}") from error


def _checked_content(text: str, file: Path) -> tuple[dict[str, Any], int]:
    """The fields of a record, unchecked but for its own SHA-256, and its format version. Raises CheckpointError."""
    try:
        content = _json.parse_json(text)
    except ValueError as error:
        found = describe_content(text[:N_START].encode())
        found = f"found {found}" if found and ";" in found else f"found: {reason_of(error)}"
        raise DamagedError(f"{file}: expected JSON, {found}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DamagedError(f"{file}: expected a record with format {FORMAT!r}, found another file")
    version = content.get("format_version")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise CheckpointError(
            f"{file}: expected format version 1 to {FORMAT_VERSION}, found {_json.shown(version)}; "
            "read it with the version of digitcnn that wrote it"
        )
    written = content.pop("sha256", None)
    try:
        if version >= 3 and written != record_sha256(content):
            raise DamagedError(f"{file}: expected the record as it was written, found damage")
    except (ValueError, RecursionError) as error:
        if isinstance(error, DamagedError):
            raise
        raise CheckpointError(f"{file}: expected a complete record, found: {error}") from error
    return content, version


_STEPS = _json.count(0, 2 * MAX_COUNT)


def _progress(name: str, value: Any) -> Progress:
    parts = {"epoch": _json.count(), "epoch_start": _STEPS, "n_images": _json.count(), "batchsize": _json.count(1)}
    parts |= {"loss_sum": _json.number_or_text, "n_samples": _json.count(), "n_correct": _json.optional(_json.count())}
    found = {"n_correct": None} | _json.fields(parts, ("n_correct",))(name, value)  # which versions 1 to 3 did not have
    progress = Progress(**found)
    if progress.n_samples > progress.n_images or (progress.n_correct or 0) > progress.n_samples:
        raise ValueError(f"{name}: expected n_correct <= n_samples <= n_images, found {value}")
    return progress


def _history_row(name: str, value: Any) -> dict[str, float]:
    return history_row(_json.fields(dict.fromkeys(HISTORY_COLUMNS, _json.number_or_text))(name, value))


def check_standardization(name: str, value: Any) -> Standardization:
    """What raw pixels go through, from JSON."""
    parts = {"mean": _json.list_of(_json.number(), 1), "std": _json.number()}
    return Standardization(**_json.fields(parts)(name, value))


def _plan(name: str, value: Any) -> Plan:
    parts = {
        "initialize": _json.truth,
        "epochs": _json.optional(_json.count(1)),
        "steps": _json.optional(_json.count(1)),
        "computes_in": _json.one_of("float32", "bfloat16"),
        "training_set": _json.sha256,
        "validation_set": _json.optional(_json.sha256),
        "machine": _json.facts,
        "last_step": _json.count(1, 2 * MAX_COUNT),
    }
    return Plan(**_json.fields(parts)(name, value))


_FIELDS: dict[str, _json.Check] = {
    "format": _json.one_of(FORMAT),
    "format_version": _json.count(1, FORMAT_VERSION),
    "tensorflow": _json.text,
    "class_name": _json.text,
    "settings": _json.table,
    "progress": _progress,
    "history": _json.list_of(_history_row),
    "standardization": _json.optional(check_standardization),
    "training_maximum": _json.optional(_json.number()),
    "plan": _json.optional(_plan),
    "files": _json.fields(dict.fromkeys(VARIABLE_FILES, _json.sha256)),
}


def record_sha256(content: dict[str, Any]) -> str:
    """SHA-256 of a record's content without this entry itself, in alphabetical order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _short_digest(sha256: str | None) -> str | None:
    return sha256 and f"sha256 {sha256[:12]}"


def _to_json(value: float | None) -> float | str | None:
    """JSON has no NaN and infinity: they become text."""
    return value if value is None or math.isfinite(value) else str(value)
