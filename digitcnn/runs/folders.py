"""Finds and makes the folders of runs."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import tempfile
from datetime import datetime
from pathlib import Path

from .._validation import check_text_path, did_you_mean, explain_os_errors
from ..saving.lock import LOCK
from .description import SETTINGS_FILE

MAX_SHOWN = 5  # runs that an error names
LATEST = "latest"  # in place of a run's folder: the newest one in logs/


def new_run_folder(folder: str | os.PathLike | None, data: str, what: str) -> Path:
    """Make the folder of a new run; without a name, logs/DATE-TIME-DATA-WHAT.

    what: the recipe, or the architecture. Raises FileExistsError if the folder is not empty, other OSErrors if it
    cannot be made.
    """
    if folder is None:
        name = f"{datetime.now():%Y%m%d-%H%M%S}-{_fit_for_a_name(data)}-{what}"
        logs = Path("logs")
        with explain_os_errors(logs, "a folder that can be written"):
            logs.mkdir(exist_ok=True)
            for number in itertools.count(1):  # another run may have begun in the same second
                named = logs / (name if number == 1 else f"{name}-{number}")
                with contextlib.suppress(FileExistsError):
                    named.mkdir()
                    return named
    chosen = check_text_path("run", folder)
    with explain_os_errors(chosen, "a folder that can be written"):
        if os.path.lexists(chosen) and (not chosen.is_dir() or not all(map(_is_of_a_start, chosen.iterdir()))):
            found = "files in it" if chosen.is_dir() else "a file"
            advice = "; --resume continues the run in it" if (chosen / SETTINGS_FILE).exists() else ""
            raise FileExistsError(f"{chosen}: expected a new or empty folder for the run, found {found}{advice}")
        chosen.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=chosen):  # raises now, not after the training
            return chosen


def _fit_for_a_name(data: str) -> str:
    """A data set's name, or the last part of its path, without signs that terminals and TensorFlow's patterns obey."""
    return re.sub(r"[^\w.+ -]", "_", Path(data).name)


def _is_of_a_start(file: Path) -> bool:
    """Whether it is a file that a run leaves if it is killed before its settings are written."""
    return file.name == LOCK or file.name.startswith(f".{SETTINGS_FILE}")


def run_folder(name: str | os.PathLike) -> Path:
    """The folder of a run by its name, 'latest' for the newest one in logs/. Raises FileNotFoundError if none is there.

    A folder of that name is given as ./latest. In place of a folder, `name` may be the prefix of a saved model.
    """
    if name == LATEST:
        return newest_run()
    path = check_text_path("run", name)
    with explain_os_errors(path, "a run folder"):
        if not path.exists():
            _check_prefix(path)
        elif path.is_dir() and not is_run_or_model(path) and (runs := list(filter(is_run_or_model, path.iterdir()))):
            names = ", ".join(map(str, sorted(runs)[-MAX_SHOWN:]))
            latest = f"{LATEST} or " if path.resolve() == Path("logs").resolve() else ""
            raise FileNotFoundError(
                f"{path}: expected a run folder, found a folder of runs; give {latest}one of them: {names}"
            )
    return path


def is_run_or_model(folder: Path) -> bool:
    """Whether there is a run, or a saved model."""
    return folder.is_dir() and ((folder / SETTINGS_FILE).exists() or any(folder.glob("model.ckpt-*")))


def _check_prefix(path: Path) -> None:
    """Raise FileNotFoundError, with the closest name, unless a file's name begins with this one."""
    beside = list(path.parent.iterdir()) if path.parent.is_dir() else []
    if not any(file.name.lstrip(".").startswith(f"{path.name}.") for file in beside):
        names = [str(file) for file in beside if is_run_or_model(file)]
        hint = did_you_mean(str(path), [LATEST, *names] if path.parent == Path() else names)
        raise FileNotFoundError(f"{path}: expected a run folder, found nothing there{hint}")


def _saved_at(record: Path) -> float:
    with contextlib.suppress(FileNotFoundError):  # a training has removed the checkpoint since
        return record.stat().st_mtime
    return 0.0


def newest_run(logs: str | os.PathLike = "logs") -> Path:
    """The run folder under `logs` whose model was saved last. Raises FileNotFoundError."""
    with explain_os_errors(logs, "a folder of runs"):
        records = sorted(Path(logs).glob("*/model.ckpt-*.json"), key=_saved_at)
    if not records:
        raise FileNotFoundError(f"{logs}: expected a run with a saved model, found none; train one, or give its folder")
    return records[-1].parent
