"""What the settings.json of a run folder says: enough to resume the run.

settings.json           data, settings, versions, and at the end the result
history.csv             Epoch, Loss, Accuracy
model.ckpt-STEP.*       checkpoints; the newest is the trained model
best/model.ckpt-STEP.*  the one with the best validation accuracy
graph/ train/ validation/ projector/  for TensorBoard, and files of events beside them
training_curve.png      loss, training and validation accuracy
test_predictions.png    test digits, misread ones first
"""

from __future__ import annotations

import os
import platform
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _json
from .._content import describe_content
from .._validation import check_names, check_path, explain_os_errors
from ..data.datasets import DATASET_NAMES, Dataset
from ..exceptions import ResumeError
from ..graph.architectures import check_known_names
from ..settings import MAX_TO_KEEP, Settings, declarations, older_settings
from ..tensorboard.summaries import SUMMARIES
from ..version import __version__

if TYPE_CHECKING:
    from ..model import DigitCNN

SETTINGS_FILE = "settings.json"
_MAX_SETTINGS = 1 << 20  # bytes


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run is asked for besides model and data; it is recorded, so that the run can be resumed.

    Parameters
    ----------
    n_validation : int
        Training images that are kept for validation.
    steps : int, optional
        Training steps, instead of the model's epochs.
    recipe : str, optional
        Name of the recipe that the settings come from.
    start : str, optional
        'pretrained' if the training starts from the weights that ship; default from random ones.
    checkpoint_every : int, optional
        Steps between checkpoints, besides those after each epoch.
    max_to_keep : int, default 2
        Newest checkpoints that stay.
    summaries : collection of str, default ()
        What else to write for TensorBoard.
    """

    n_validation: int
    steps: int | None = None
    recipe: str | None = None
    start: str | None = None
    checkpoint_every: int | None = None
    max_to_keep: int = MAX_TO_KEEP
    summaries: Collection[str] = ()


def describe(model: DigitCNN, dataset: Dataset, options: RunOptions) -> dict[str, Any]:
    """The settings.json of a run that begins: all that is needed to resume it."""
    import tensorflow as tf  # here, as what is in a folder is read without it

    return {
        "data": dataset.name,
        "data_folder": str(dataset.folder),
        "data_sha256": dataset.sha256(),
        "n_training": len(dataset.train_images) - options.n_validation,
        "n_validation": options.n_validation,
        "recipe": options.recipe,
        "start": options.start,
        "epochs": None if options.steps else model.epochs,
        "steps": options.steps,
        "checkpoint_every": options.checkpoint_every,
        "max_to_keep": options.max_to_keep,
        "summaries": list(options.summaries),
        "settings": model.settings,
        "computes_in": model.computes_in,
        "versions": {
            "digitcnn": __version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


# The fields of settings.json; older versions lack the optional ones, and an incomplete run the last two.
_FIELDS: dict[str, _json.Check] = {
    "data": _json.text,
    "data_folder": _json.text,
    "data_sha256": _json.optional(_json.sha256),
    "n_training": _json.count(),
    "n_validation": _json.count(),
    "recipe": _json.optional(_json.text),
    "start": _json.optional(_json.one_of("pretrained")),
    "epochs": _json.optional(_json.count(1)),
    "steps": _json.optional(_json.count(1)),
    "checkpoint_every": _json.optional(_json.count(1)),
    "max_to_keep": _json.count(1),
    "summaries": _json.list_of(_json.one_of(*SUMMARIES)),
    "settings": _json.table,
    "computes_in": _json.text,
    "versions": _json.facts,
    "test": _json.fields(
        {
            "accuracy": _json.number(0, 1),
            "interval_95": _json.list_of(_json.number(0, 1), 2, 2),
            "n": _json.count(1),
        }
    ),
    "weights_sha256": _json.sha256,
}
_OPTIONAL = ("data_sha256", "recipe", "start", "summaries", "computes_in", "versions", "test", "weights_sha256")


def read_description(folder: str | os.PathLike) -> dict[str, Any]:
    """The settings.json of a run. Raises ValueError if it is incomplete, FileNotFoundError and other OSErrors."""
    file = check_path("run", folder) / SETTINGS_FILE
    with explain_os_errors(folder, "a run folder"):
        if not file.is_file():
            raise FileNotFoundError(f"{folder}: expected a run folder, found no {SETTINGS_FILE} in it")
        if (size := file.stat().st_size) > _MAX_SETTINGS:
            raise ValueError(f"{file}: expected at most {_MAX_SETTINGS} bytes, found {size}")
        content = file.read_bytes()
    try:
        found = _json.fields(_FIELDS, _OPTIONAL)("", _json.parse_json(content.decode("utf-8")))
        # Which older runs do not have.
        description = {"summaries": [], "start": None, "data_sha256": None} | found
        if "test" in found and "weights_sha256" not in found:
            raise ValueError("weights_sha256: expected beside test, found none")
        if (found["epochs"] is None) == (found["steps"] is None):
            raise ValueError("epochs, steps: expected one of them, found both or none")
        description["settings"] = older_settings(1) | found["settings"]
        check_names("settings", description["settings"], list(declarations()))
        check_known_names(Settings(**description["settings"]))
    except (ValueError, TypeError) as error:
        kind = describe_content(content)
        what = f" {kind}" if kind and ";" in kind else f": {error}"
        raise ValueError(f"{file}: expected the settings of a run as this version writes them, found{what}") from error
    return description


def data_of_run(folder: str | os.PathLike, *, by_name: bool = False) -> str:
    """The data set that a run was trained on: its folder or, if that is gone or `by_name`, its name.

    Raises as `read_description`, and FileNotFoundError if the folder is gone and has no known name.
    """
    try:
        description = read_description(folder)
    except (FileNotFoundError, ValueError) as error:
        if Path(folder).is_dir() and not any(Path(folder).glob("model.ckpt-*")):  # without a model, data do not help
            raise
        raise type(error)(f"{error}; give --data") from None
    name, place = str(description["data"]), str(description["data_folder"])
    with explain_os_errors(place, "the folder of the run's data"):
        if by_name:
            return Path(name).name  # in another folder than before
        if Path(place).is_dir():
            return place
        if name not in DATASET_NAMES and not Path(name).is_dir():
            raise FileNotFoundError(
                f"{place}: expected the folder of the run's data, found none; if it has moved, give --data FOLDER"
            )
        return name


def check_same_data(folder: Path, description: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    """The description of a run with the place that its data have now.

    Raises ResumeError if they are others than those with which the run began, or if that cannot be known.
    """
    known = description["data_sha256"]
    is_compared = "test" not in description and any(folder.glob("model.ckpt-*"))  # later, by the training
    if known is None and str(dataset.folder) != description["data_folder"] and not is_compared:
        raise ResumeError(
            f"{folder}: expected data={description['data']!r}, with which this run began, found {dataset.name!r}"
        )
    # A run of an earlier version has no SHA-256 here; the training compares those in its checkpoints.
    if known is not None and known != (found := dataset.sha256()):
        raise ResumeError(
            f"{folder}: expected the images and labels with which this run began, data={description['data']!r} (sha256 "
            f"{known[:12]}), found others in {dataset.folder} (sha256 {found[:12]})"
        )
    return description | {"data": dataset.name, "data_folder": str(dataset.folder)}
