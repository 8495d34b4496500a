"""Where runs are."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from datetime import datetime
from pathlib import Path

from ..saving.lock import LOCK
from .description import (
    SETTINGS_FILE,
)


def new_run_folder(folder: str | os.PathLike | None, data: str, what: str) -> Path:
    """Make the folder of a new run; without a name, logs/DATE-TIME-DATA-WHAT.

    what: the recipe, or the architecture. Raises FileExistsError if there is something in it, other
    OSErrors if it cannot be made.
    """
    if folder is None:
        name = f"{datetime.now():%Y%m%d-%H%M%S}-{Path(data).name}-{what}"
        for number in itertools.count(1):  # another run may have begun in the same second
            folder = Path("logs") / (name if number == 1 else f"{name}-{number}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir(parents=True)
                return folder
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or not all(map(_is_of_a_start, folder.iterdir()))):
        to_resume = "; --resume goes on with the run that it has" if (folder / SETTINGS_FILE).exists() else ""
        raise FileExistsError(
            f"{folder}: expected a new or an empty folder for the run, found something in it{to_resume}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):  # raises now, not after the training
        return folder


def _is_of_a_start(file: Path) -> bool:
    """Whether it is what a run leaves that was killed before its settings were written."""
    return file.name == LOCK or file.name.startswith(f".{SETTINGS_FILE}")


def newest_run(logs: str | os.PathLike = "logs") -> Path:
    """The run folder under `logs` whose model was saved last. Raises FileNotFoundError."""
    records = sorted(Path(logs).glob("*/model.ckpt-*.json"), key=lambda file: file.stat().st_mtime)
    if not records:
        raise FileNotFoundError(f"{logs}: expected a run with a saved model, found none; train one, or name its folder")
    return records[-1].parent
