"""Where the parts of an ensemble are in its folder, and how they are written and read.

ensemble.json      the record: the rule, and where and which each member is; with it, there is an ensemble
members/NAME/      a member, as a model that DigitCNN.save wrote, or as the checkpoints of its training
training.json      what a training in this folder was asked for (training.py)

**One rename decides: that of the record.** Members are written into new folders first; old ones are removed last.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import _json
from .._content import describe_content
from .._files import sync_folder, write_whole
from .._validation import MAX_COUNT, check_text_path, explain_os_errors
from ..exceptions import CheckpointError, DamagedError
from ..model import DigitCNN
from ..saving.lock import LOCK, SAVING_LOCK, writers_lock
from ..saving.record import record_sha256
from .combining import MAX_MEMBERS, RULES, check_rule

RECORD, TRAINING, MEMBERS = "ensemble.json", "training.json", "members"
_FORMAT, _FORMAT_VERSION = "digitcnn ensemble", 1
_MAX_RECORD = 1 << 20  # bytes; a thousand members have a fifth
_MAX_LOOKS = 20  # at a folder that is replaced while it is read


@dataclass(frozen=True)
class SavedMember:
    """Where a member is, and which one it must be.

    Parameters
    ----------
    folder : str
        Name of its folder in members/.
    number : int
        The number that it is saved by there.
    weights_sha256 : str
        Of its trained variables.
    """

    folder: str
    number: int
    weights_sha256: str


def _member(name: str, value: Any) -> SavedMember:
    parts = {"folder": _folder_name, "number": _json.count(0, 2 * MAX_COUNT), "weights_sha256": _json.sha256}
    return SavedMember(**_json.fields(parts)(name, value))


def _folder_name(name: str, value: Any) -> str:
    """The name of a folder in members/, which leads nowhere else."""
    if not re.fullmatch("[0-9a-z]+(-[0-9a-z]+)?", _json.text(name, value)):
        raise ValueError(f"{name}: expected the name of a folder in {MEMBERS}, found {_json.shown(value)}")
    return value


_FIELDS = _json.fields(
    {
        "format": _json.one_of(_FORMAT),
        "format_version": _json.one_of(_FORMAT_VERSION),
        "rule": _json.one_of(*RULES),
        "members": _json.list_of(_member, 1, MAX_MEMBERS),
        "sha256": _json.sha256,
    }
)


def is_ensemble(folder: str | os.PathLike) -> bool:
    """Whether there is an ensemble in a folder, or one in training."""
    return any((Path(folder) / name).is_file() for name in (RECORD, TRAINING))


def save_members(members: Sequence[DigitCNN], rule: str, path: str | os.PathLike) -> str:
    """Save models and a rule in a folder, in place of the ensemble that may be there; returns the folder.

    Raises ValueError for a wrong rule, FileExistsError if it has other files, OSError if it cannot be written,
    RuntimeError if another thread changes a member meanwhile; what was there stays then.
    """
    folder = check_text_path("path", path)
    check_rule(rule)  # an attribute, which may have been set since: no record could be read that has a wrong one
    for member in members:
        _ = member.global_step  # raises if it is closed, before the folder is made
    with explain_os_errors(folder, "a folder that can be written"):
        _check_own(folder)
        (folder / MEMBERS).mkdir(parents=True, exist_ok=True)
        with writers_lock(folder):
            _remove_unnamed(folder)
            token, saved = secrets.token_hex(4), []
            try:
                for number, member in enumerate(members, 1):
                    own = folder / MEMBERS / f"{number:02}-{token}"
                    before = member.weights_sha256()
                    prefix = Path(member.save(path=own))
                    if member.weights_sha256() != before:
                        raise RuntimeError(
                            f"members[{number - 1}]: expected the same weights before and after they were saved, found "
                            "that another thread changed them; save the ensemble again once that thread is done"
                        )
                    saved.append(SavedMember(own.name, int(prefix.name.rpartition("-")[2]), before))
                write_record(folder, rule, saved)
            finally:  # the new members if there is no record of them, else the old ones
                with contextlib.suppress(OSError, CheckpointError):
                    _remove_unnamed(folder)
    return str(folder)


def write_record(folder: Path, rule: str, members: Sequence[SavedMember]) -> None:
    """Write the record, from which moment on there is this ensemble. Raises OSError."""
    sync_folder(folder / MEMBERS)
    content = {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "rule": rule,
        "members": [vars(member) for member in members],
    }
    text = json.dumps(content | {"sha256": record_sha256(content)}, indent=1)
    write_whole(folder / RECORD, text.encode(), is_durable=True)


def _check_own(folder: Path) -> None:
    """Raise FileExistsError unless a folder is new, empty, or has an ensemble that was saved there."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise FileExistsError(f"{folder}: expected a folder for the ensemble, found a file or a link to nothing")
    check_no_link(folder / MEMBERS)
    names = {file.name for file in folder.iterdir()}
    if TRAINING in names:
        raise FileExistsError(
            f"{folder}: expected a folder of its own for the ensemble, found one in which an ensemble is trained; name "
            "another folder"
        )
    known = {RECORD, MEMBERS, LOCK, SAVING_LOCK}
    others = sorted(name for name in names - known if not name.startswith(f".{RECORD}-"))
    if others or (RECORD not in names and any(_is_strange(file) for file in (folder / MEMBERS).glob("*"))):
        found = others[0] if others else f"{MEMBERS} of something else"
        raise FileExistsError(
            f"{folder}: expected a new or empty folder, or that of an ensemble, found {found} in it; name "
            "another folder"
        )


def check_no_link(file: Path) -> None:
    """Raise FileExistsError if a folder of the ensemble's own is a link: what is behind it is not to be changed."""
    # A junction of Windows is no symbolic link, but leads elsewhere as well.
    if file.is_symlink() or file.resolve() != file.parent.resolve() / file.name:
        raise FileExistsError(
            f"{file}: expected a folder of this ensemble alone, found a link; remove the link, or name another folder"
        )


def _is_strange(file: Path) -> bool:
    """Whether it is no folder that a killed call of `save_members` leaves."""
    return file.is_symlink() or not file.is_dir() or not re.fullmatch("[0-9]{2,}-[0-9a-f]{8}", file.name)


def _remove_unnamed(folder: Path) -> None:
    """Delete what no record names: members that were replaced, or whose writing was killed."""
    named = set()
    if os.path.lexists(folder / RECORD):
        named = {member.folder for member in read_record(folder)[1]}  # raises if it is damaged: nothing is deleted
    for file in (folder / MEMBERS).iterdir():
        if file.name not in named and not _is_strange(file):
            shutil.rmtree(file)
    for file in folder.glob(f".{RECORD}-*"):
        file.unlink()


def read_record(folder: Path) -> tuple[str, list[SavedMember]]:
    """The rule and the members that a folder's record names.

    Raises FileNotFoundError if there is none, CheckpointError if it is damaged.
    """
    return _parsed(folder / RECORD, _read_record(folder))


def _read_record(folder: Path) -> bytes:
    file = folder / RECORD
    with explain_os_errors(folder, "a folder with an ensemble"):
        if not file.is_file():
            raise FileNotFoundError(f"{folder}: expected a folder with an ensemble, found {_found_in(folder)}")
        if (size := file.stat().st_size) > _MAX_RECORD:
            raise DamagedError(f"{file}: expected at most {_MAX_RECORD} bytes, found {size}")
        return file.read_bytes()


def _found_in(folder: Path) -> str:
    """What a folder has in place of an ensemble's record, for an error."""
    if (folder / TRAINING).is_file():
        return "one whose training is not complete; the command that began it resumes it"
    if not folder.is_dir():
        return "a file" if folder.exists() else "nothing there"
    is_model = any(folder.glob("model.ckpt-*"))
    return "a single model, which DigitCNN.restore reads" if is_model else f"no {RECORD} in it"


def _parsed(file: Path, content: bytes) -> tuple[str, list[SavedMember]]:
    try:
        found = _FIELDS("", _json.parse_json(content.decode("utf-8")))
        names = [member.folder for member in found["members"]]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"members.folder: expected each folder once, found {twice} twice")
    except (TypeError, ValueError) as error:
        kind = describe_content(content)
        what = f" {kind}" if kind and ";" in kind else f": {error}"
        raise DamagedError(f"{file}: expected the record of an ensemble, found{what}") from error
    written = {name: value for name, value in found.items() if name not in ("members", "sha256")}
    written["members"] = [vars(member) for member in found["members"]]
    if record_sha256(written) != found["sha256"]:
        raise DamagedError(f"{file}: expected the record as it was written, found damage")
    return found["rule"], found["members"]


def restore_members(path: str | os.PathLike, member_class: type[DigitCNN]) -> tuple[list[DigitCNN], str]:
    """The models of a folder's ensemble and its rule, also while another process replaces it.

    Raises FileNotFoundError if there is none, CheckpointError if it is damaged.
    """
    folder = check_text_path("path", path)
    content = _read_record(folder)
    for _ in range(_MAX_LOOKS):
        rule, saved = _parsed(folder / RECORD, content)
        try:
            return _restored(folder, saved, member_class), rule
        except (OSError, CheckpointError) as error:
            before, content = content, _read_record(folder)
            if content == before:  # replaced by nobody: it is damaged
                if isinstance(error, CheckpointError):
                    raise
                raise DamagedError(f"{folder}: expected each of its {len(saved)} members, found: {error}") from error
    raise DamagedError(f"{folder}: expected an ensemble that stays, found one that is replaced again and again")


def _restored(folder: Path, saved: Sequence[SavedMember], member_class: type[DigitCNN]) -> list[DigitCNN]:
    members: list[DigitCNN] = []
    try:
        for one in saved:
            own = folder / MEMBERS / one.folder
            if own.resolve().parent != (folder / MEMBERS).resolve():
                raise CheckpointError(f"{own}: expected a folder in {MEMBERS}, found a link out of it")
            members.append(member_class.restore(own, one.number))
            if members[-1].weights_sha256() != one.weights_sha256:
                raise DamagedError(f"{own}: expected the weights that {RECORD} names, found others")
    except BaseException:
        for member in members:
            member.close()
        raise
    return members
