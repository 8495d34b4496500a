"""The JSON record of a saved model: everything but its variables.

It has the SHA-256 of the variables' files, and its own, so that damage and edits are detected before anything is used.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import tensorflow as tf

from .._validation import MAX_COUNT, check_names, check_real, check_whole
from ..data.standardization import Standardization
from ..engine.state import Progress, history_row
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
                was, now = (_short(began[name]), _short(found[name])) if is_data else (began[name], found[name])
                raise ResumeError(f"{file}: expected {name}={was!r}, with which this training began, found {now!r}")

    @classmethod
    def from_json(cls, text: str, file: Path) -> Record:
        """Read a record from its text. Raises CheckpointError, naming `file`, if it is not a complete one."""
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DamagedError(f"{file}: expected JSON, found: {reason_of(error)}") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise DamagedError(f"{file}: expected a record with format {FORMAT!r}, found another file")
        version = content.get("format_version")
        if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
            raise CheckpointError(
                f"{file}: expected format version 1 to {FORMAT_VERSION}, found {version!r}; "
                "read it with the version of digitcnn that wrote it"
            )
        sha256 = content.pop("sha256", None)
        try:
            if version >= 3 and sha256 != record_sha256(content):
                raise DamagedError(f"{file}: expected the record as it was written, found damage")
            return cls._from_content(content, version)
        except DamagedError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise CheckpointError(f"{file}: expected a complete record, found: {error!r}") from error

    @classmethod
    def _from_content(cls, content: dict, version: int) -> Record:
        settings = older_settings(version) | content["settings"]
        check_names("settings", settings, list(declarations()))
        check_whole("random_seed", settings["random_seed"], 0)
        checked = Settings(**settings)
        check_known_names(checked)
        return cls(
            class_name=str(content["class_name"]),
            settings=settings_dict(checked),
            progress=_progress_from(content["progress"], version),
            history=[
                history_row({name: _from_json(value) for name, value in row.items()}) for row in content["history"]
            ],
            standardization=_standardization_from(content["standardization"], math.prod(checked.image_shape)),
            plan=_plan_from(content["plan"]) if version >= 3 else None,
            files=_files_from(content["files"]) if version >= 3 else {},
        )


def _progress_from(content: dict, version: int) -> Progress:
    progress = {name: _from_json(value) for name, value in content.items()}
    if version < 4:
        progress = {"n_correct": None, **progress}
    check_names("progress", progress, [count.name for count in fields(Progress)])
    check_real("loss_sum", progress["loss_sum"], "a number", lambda _: True)
    for name in set(progress) - {"loss_sum"}:
        if name != "n_correct" or progress[name] is not None:
            check_whole(name, progress[name], 0)
    return Progress(**progress)


def _standardization_from(content: dict | None, n_pixels: int) -> Standardization | None:
    if content is None:
        return None
    check_names("standardization", content, ["mean", "std"])
    statistics = Standardization(**content)
    if statistics.mean.size != n_pixels:
        raise ValueError(f"mean: expected {n_pixels} numbers, found {statistics.mean.size}")
    return statistics


def _plan_from(content: dict | None) -> Plan | None:
    if content is None:
        return None
    check_names("plan", content, [part.name for part in fields(Plan)])
    plan = Plan(**content)
    check_whole("last_step", plan.last_step, 1, 2 * MAX_COUNT)
    for name in ("training_set", "validation_set"):
        if not isinstance(getattr(plan, name), (str, type(None))):
            raise TypeError(f"{name}: expected a SHA-256, found {getattr(plan, name)!r}")
    if not isinstance(plan.machine, dict):
        raise TypeError(f"machine: expected names and values, found {plan.machine!r}")
    return plan


def _files_from(content: dict) -> dict[str, str]:
    check_names("files", content, VARIABLE_FILES)
    for suffix, sha256 in content.items():
        if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):  # it becomes part of a name
            raise ValueError(f"files: expected a SHA-256 for {suffix}, found {sha256!r}")
    return content


def record_sha256(content: dict[str, Any]) -> str:
    """SHA-256 of a record's content without this entry itself, in alphabetical order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _short(sha256: str | None) -> str | None:
    return sha256 and f"sha256 {sha256[:12]}"


def _to_json(value: float | None) -> float | str | None:
    """JSON has no NaN and infinity: they become text."""
    return value if value is None or math.isfinite(value) else str(value)


def _from_json(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value
