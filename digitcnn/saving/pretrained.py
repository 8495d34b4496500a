"""The network that ships with the package: weights in float16 (half the bytes, the same labels) beside a description.

data/make_pretrained.py trains and writes it into data/pretrained, which is `digitcnn/pretrained` once installed.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import _json
from ..data.standardization import Standardization
from ..exceptions import CheckpointError, reason_of
from ..settings import Settings, settings_dict
from .checkpoint import open_model
from .model_parts import ModelParts
from .record import check_standardization
from .variables import read_variables

WEIGHTS_FILE, DESCRIPTION_FILE = "weights.npz", "model.json"
_MAX_BYTES = 1 << 28  # of the variables of a network to ship
_POSITIVE = _json.number(1e-3, 1e3)
_FACTS = {
    "name": _json.text,
    "trained_on": _json.text,
    "seed": _json.count(),
    "calibration": _json.fields({"temperature": _POSITIVE, "threshold": _json.number(0, 1)}),
    "weights_sha256": _json.sha256,  # of the weights as they ship; then as they were trained
    "weights_sha256_float32": _json.sha256,
    **dict.fromkeys(("test_accuracy", "doubted_test_digits", "doubted_no_digits"), _json.number(0, 1)),
}
_FIELDS = {
    "settings": _json.table,
    "standardization": check_standardization,
    "weights_file_sha256": _json.sha256,
    "facts": _json.fields(
        _FACTS, _FACTS.keys() - {"name", "calibration"}
    ),  # the others are measured on what was written
}


@dataclass(frozen=True)
class Pretrained:
    """A network with its weights, as it ships.

    Parameters
    ----------
    settings : dict
        Arguments of DigitCNN that it was trained with, but for the seed.
    standardization : Standardization
        What raw pixels go through.
    facts : dict
        What else is known of it: 'name', 'test_accuracy', 'calibration' and more; JSON values.
    weights : dict of ndarray
        Values of the variables that predictions need, by name.
    """

    settings: dict[str, Any]
    standardization: Standardization
    facts: dict[str, Any]
    weights: dict[str, np.ndarray]


def pretrained_folder() -> Path:
    """The folder of the network that ships: in an installed package, else in a source tree."""
    package = Path(__file__).parents[1]
    installed = package / "pretrained"
    return installed if installed.is_dir() else package.parent / "data" / "pretrained"


def read_pretrained(folder: Path | None = None) -> Pretrained:
    """Read the network that ships. Raises CheckpointError if its files are missing or damaged."""
    folder = folder or pretrained_folder()
    try:
        text = (folder / DESCRIPTION_FILE).read_text(encoding="utf-8")
        content = _json.fields(_FIELDS)("", _json.parse_json(text))
        sha256 = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
        if sha256 != content["weights_file_sha256"]:
            raise ValueError(f"another {WEIGHTS_FILE} than {DESCRIPTION_FILE} describes")
        with np.load(folder / WEIGHTS_FILE, allow_pickle=False) as arrays:
            weights = {name: arrays[name] for name in arrays.files}
        settings = settings_dict(Settings(**content["settings"]))  # whose pairs were lists in JSON
        del settings["random_seed"]  # a training from these weights has one of its own
        return Pretrained(
            settings=settings, standardization=content["standardization"], facts=content["facts"], weights=weights
        )
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(
            f"{folder}: expected the network that ships with digitcnn, found: {reason_of(error)}; reinstall digitcnn"
        ) from error


def write_pretrained(folder: Path, saved: Path, names: Collection[str], facts: dict[str, Any]) -> None:
    """Write variables of a saved model as the network that ships.

    Parameters
    ----------
    folder : Path
        Where to write, made if need be.
    saved : Path
        What `DigitCNN.save` returned.
    names : collection of str
        The variables that predictions need.
    facts : dict
        What else is known of it, as JSON values.
    """
    with open_model(saved) as opened:
        record, values = opened.record, read_variables(opened, _MAX_BYTES)
    if record.standardization is None:
        raise ValueError(f"{saved}: expected a model that was trained on raw pixels, found none for scaled floats")
    weights = {name: values[name] for name in names}
    halved: dict[str, Any] = {
        name: value.astype(np.float16) for name, value in weights.items() if value.dtype == np.float32
    }
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / WEIGHTS_FILE, **(weights | halved))
    content = {
        "settings": record.settings,
        "standardization": {"mean": record.standardization.mean.tolist(), "std": record.standardization.std},
        "weights_file_sha256": hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest(),
        "facts": facts,
    }
    (folder / DESCRIPTION_FILE).write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")


def add_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Replace the facts about the network that ships by what was measured on it."""
    file = folder / DESCRIPTION_FILE
    content = json.loads(file.read_text(encoding="utf-8")) | {"facts": facts}
    file.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")


def load_pretrained(model: ModelParts, pretrained: Pretrained) -> None:
    """Load the network into a model of its architecture and sizes, at the beginning of a training of its own."""
    model.engine.check_open()
    model.engine.initialize()
    model.engine.assign(pretrained.weights)
    model.state.reset(pretrained.standardization)
    model.state.origin = pretrained.facts["name"]
