"""Where the files of a saved model are, by their names in its folder.

model.ckpt-30.json                    the record: with it, there is a model 30
model.ckpt-30.index, .data-..., .meta TensorFlow's files
.model.ckpt-30.index-DIGEST           the same, if a kill came after the record and before they got those names
.model.ckpt-30.removed-DIGEST         the record of a model that is being removed
.model.ckpt-30-RANDOM/                where a model is written; earlier versions left whole models in it
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path

from .record import VARIABLE_FILES

INDEX, DATA = VARIABLE_FILES
RECORD = ".json"
GRAPH, STATE = ".meta", ".state"  # the graph, for TensorFlow's tools; `checkpoint`, which names the model saved last
PENDING = (*reversed(VARIABLE_FILES), GRAPH, STATE)  # in the order in which they get their visible names
_N_HEX = 16  # of a digest, in names
# Of earlier versions: folders in a scratch folder, and the marker that the model in `new` is all on the disk.
NEW, OLD, READY, REMOVED = "new", "old", "ready", "removed"


def checkpoint_prefix(folder: str | os.PathLike, number: int) -> Path:
    """The tutorial's name of a saved model: `folder`/model.ckpt-`number`."""
    return Path(folder) / f"model.ckpt-{number}"


def record_file(prefix: Path) -> Path:
    """Where the record of a saved model is."""
    return prefix.with_name(f"{prefix.name}{RECORD}")


def visible_file(prefix: Path, suffix: str) -> Path:
    """Where a file of a saved model is once its writer has finished."""
    return prefix.with_name("checkpoint" if suffix == STATE else f"{prefix.name}{suffix}")


def pending_files(prefix: Path, files: dict[str, str], text: bytes) -> dict[str, Path]:
    """Where the files that belong to a record are until they get their visible names, in the order of that.

    files: the SHA-256 in the record by suffix; those of the first two format versions have none. text: the record.
    """
    if not files:
        return {}
    of_record = hashlib.sha256(text).hexdigest()  # the graph and the state have no digest in the record
    digests = {suffix: files.get(suffix, of_record)[:_N_HEX] for suffix in PENDING}
    return {suffix: prefix.with_name(f".{prefix.name}{suffix}-{digests[suffix]}") for suffix in PENDING}


def removed_file(prefix: Path, text: bytes) -> Path:
    """The name that the record of a model gets when the model is to be removed."""
    return prefix.with_name(f".{prefix.name}.removed-{hashlib.sha256(text).hexdigest()[:_N_HEX]}")


def is_pending(name: str) -> re.Match[str] | None:
    """Match the name of a file that waits for its visible name; group 1 is the model's, group 2 the suffix."""
    suffixes = "|".join(re.escape(suffix) for suffix in PENDING)
    return re.fullmatch(rf"\.(model\.ckpt-[0-9]+)({suffixes})-[0-9a-f]{{{_N_HEX}}}", name)


def is_removed(name: str) -> re.Match[str] | None:
    """Match the name of the record of a model that is being removed; group 1 is the model's."""
    return re.fullmatch(rf"\.(model\.ckpt-[0-9]+)\.removed-[0-9a-f]{{{_N_HEX}}}", name)


def is_scratch(name: str) -> re.Match[str] | None:
    """Match the name of a folder that a model is written in; group 1 is the model's."""
    return re.fullmatch(r"\.(model\.ckpt-[0-9]+)-\w+", name)


def state_after(state: bytes, before: str) -> bytes:
    """A file `checkpoint` that says which one it comes after, by the digest of that, in a comment.

    So the order of models whose writers were killed is known, which no clock tells: clocks are set back.
    """
    return state.rstrip(b"\n") + f"\n# after {before}\n".encode()


def comes_after(state: bytes) -> str | None:
    """The digest of the file `checkpoint` that a file `checkpoint` comes after; None if it does not say."""
    match = re.search(rb"^# after (\w+)$", state, re.M)
    return match[1].decode("ascii") if match else None


def saved_numbers(folder: Path) -> list[int]:
    """The numbers of the complete models in a folder, ascending."""
    names = [path.name for path in folder.iterdir()]
    matches = [re.fullmatch(r"model\.ckpt-(0|[1-9][0-9]*)\.json", name) for name in names]
    numbers = {int(match[1]) for match in matches if match and (folder / match[0]).exists()}  # no dangling link
    for name in names:
        if (scratch := is_scratch(name)) and leftover_in(folder / name, scratch[1]):
            numbers.add(int(scratch[1].rpartition("-")[2]))
    return sorted(numbers)


def leftover_in(scratch: Path, name: str) -> Path | None:
    """The folder in a scratch folder that has the record of a model, whole but for files that have moved already.

    Earlier versions moved the old model away before the new one got its name, so that a kill left neither there.
    """
    if scratch.is_symlink():
        return None  # not made here: whatever a link points to stays
    for folder in (scratch / NEW, scratch / OLD):
        if folder.name == NEW and not (scratch / READY).exists():
            continue  # was not all on the disk
        if not folder.is_symlink() and (folder / f"{name}.json").is_file():
            return folder
    return None


def place_of(prefix: Path) -> Path:
    """The prefix of the files of a model: its own or, without a record there, that in an earlier version's leftover."""
    with contextlib.suppress(OSError):  # of a path that cannot be: opening it says so
        if not record_file(prefix).exists():
            for scratch in sorted(prefix.parent.iterdir()):
                match = is_scratch(scratch.name)
                if match and match[1] == prefix.name and (found := leftover_in(scratch, prefix.name)):
                    return found / prefix.name
    return prefix


def without_suffix(path: Path) -> Path:
    """A saved model's prefix from the name of one of its files; the folder of a file `checkpoint`; else the path."""
    if not path.is_file():
        return path
    if path.name == "checkpoint":
        return path.parent
    for suffix in (INDEX, GRAPH, RECORD, DATA):
        prefix = path.with_name(path.name.removesuffix(suffix)) if len(path.name) > len(suffix) else path
        if prefix != path and any(prefix.with_name(prefix.name + other).is_file() for other in (INDEX, RECORD)):
            return prefix
    return path


def foreign_advice(path: Path) -> str:
    """The end of an error message: that there is a checkpoint without a record, and how to read it; '' if not."""
    if path.is_dir():
        names = {file.name for file in path.iterdir()}
        without = [
            name for name in names if name.endswith(INDEX) and f"{name.removesuffix(INDEX)}{RECORD}" not in names
        ]
        found = path / min(without).removesuffix(INDEX) if without else None
    else:
        found = path if path.with_name(path.name + INDEX).is_file() else None
    if found is None:
        return ""
    return (
        f"; {found.name}{INDEX} is a checkpoint of TensorFlow without digitcnn's record: "
        f"DigitCNN.import_checkpoint({str(found)!r}) reads its weights"
    )
