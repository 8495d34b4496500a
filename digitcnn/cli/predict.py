"""`digitcnn predict`: reads the digits in pictures, folders, patterns and standard input."""

from __future__ import annotations

import argparse
import csv
import glob
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import write_whole
from .._text import printable
from .._validation import check_path, describe_os_error, explain_os_errors
from ..exceptions import PictureError
from ..handwriting.picture_folder import pictures_in
from .output import remark, say

if TYPE_CHECKING:
    from ..reading.answers import Reading
    from ..reading.reader import Reader

STANDARD_INPUT = "-"
MAX_SHOWN = 24  # pictures in a drawing


def expand(names: list[str]) -> Iterator[str | OSError]:
    """Names of files: the pictures of a folder and its sub-folders, what a pattern matches, others as they are.

    In place of a folder without pictures, and of a pattern that matches nothing, comes the error.
    """
    for name in names:
        if name != STANDARD_INPUT and _is_folder(name):
            try:
                found = [str(file) for file in pictures_in(check_path("picture", name))]
            except OSError as error:
                yield error
                continue
            if not found:
                yield FileNotFoundError(f"{name}: expected a folder with pictures, found none in it")
            yield from found
        elif _is_pattern(name):
            path = check_path("picture", name)
            parent = str(path.parent)
            if Path(parent).is_dir():
                parent = glob.escape(parent)
            found = sorted(glob.glob(str(Path(parent) / path.name), recursive=True))  # noqa: PTH207
            if not found:
                yield FileNotFoundError(f"{name}: expected pictures, found none that match")
            yield from expand(found)
        else:
            yield name


def _is_folder(name: str) -> bool:
    try:
        return check_path("picture", name).is_dir()
    except OSError:  # such as a name that is too long: reading it says so
        return False


def _is_pattern(name: str) -> bool:
    """Whether a name is a pattern: no file has it, and it has a sign of one, brackets of a folder's name aside."""
    path = check_path("picture", name)
    signs = path.name if path.parent.is_dir() else name
    return any(sign in signs for sign in "*?[") and not path.exists()


def predict(arguments: argparse.Namespace, reader: Reader) -> int:
    """Read all pictures and print what they show; returns 1 if one of them could not be read."""
    status, is_named = 0, False
    readings: list[tuple[str, Any, Reading]] = []
    names = list(expand(arguments.pictures))
    if arguments.show:
        _check_target(arguments.show, names)
    if arguments.csv:
        _print_row(["file", "row", "not sure", "numbers"])
    for name in names:
        if isinstance(name, OSError):
            remark(f"digitcnn: error: {name}")
            status = 1
            continue
        try:
            picture = _standard_input() if name == STANDARD_INPUT else name
            reading = reader.read(picture)
        except (OSError, ValueError) as error:
            remark(f"digitcnn: error: {_sentence(name, error)}")
            status = 1
            continue
        if not is_named:  # on standard error, which no program parses
            remark(f"Read by {reader.name}")
            is_named = True
        if arguments.show and len(readings) < MAX_SHOWN:
            readings.append((name, picture, reading))
        if arguments.json:
            digits = [answer.to_json() for answer in reading.digits]
            found = {"file": name, "digits": reading.text, "numbers": reading.numbers} | {"found": digits}
            say(json.dumps(found).replace("\x7f", "\\u007f"))  # the one control sign that JSON leaves as it is
        elif arguments.csv:
            for number, row in enumerate(reading.rows or [()], 1):
                unsure = sum(not answer.is_sure for one in row for answer in one)
                texts = ["".join(str(answer.label) for answer in one) for one in row]
                _print_row([printable(name), number, unsure, *texts])
        else:
            say(*_lines(name, reading))
    if readings:
        _show(readings, arguments.show)
    return status


def _show(readings: list[tuple[str, Any, Reading]], path: str) -> None:
    """Draw the pictures with what was read into a PNG file."""
    from matplotlib.figure import Figure

    from ..reading.drawing import draw_readings
    from ..report.drawing import for_files, png

    with for_files():
        figure = Figure(layout="constrained")
        draw_readings(readings, figure)
        content = png(figure, 110)
    with explain_os_errors(path, "a file that can be written"):
        write_whole(Path(path), content)
    most = f", the first {MAX_SHOWN} of them" if len(readings) == MAX_SHOWN else ""
    remark(f"{path}: the pictures with their boxes{most}")


def _check_target(path: str, names: list[str | OSError]) -> None:
    """Raise ValueError or an OSError, before anything is read, if the drawing cannot be written there."""
    file = Path(path)
    if file.suffix.lower() != ".png":
        raise ValueError(f"{path}: expected a file name that ends in .png for the drawing, found another")
    with explain_os_errors(path, "a file that can be written"):
        pictures = [Path(name) for name in names if isinstance(name, str)]
        if file.exists() and any(picture.exists() and file.samefile(picture) for picture in pictures):
            raise ValueError(f"{path}: expected another file for the drawing than the pictures, found one of them")
        if not file.parent.is_dir():
            raise FileNotFoundError(f"{path}: expected a folder that exists for the drawing, found no {file.parent}")
        if file.is_dir():
            raise IsADirectoryError(f"{path}: expected a file for the drawing, found a folder")
        with tempfile.TemporaryFile(dir=file.parent):  # where it may not be written, this says so
            pass


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise ValueError("expected a picture, found it closed")
    return sys.stdin.buffer.read()


def _print_row(cells: list[object]) -> None:
    """Print one line of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    say(line.getvalue())


def _sentence(name: str, error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror is not None:
        return f"{name}: expected a picture file, found {describe_os_error(error)}"
    text = str(error)
    if name == STANDARD_INPUT:
        return f"standard input: {text.removeprefix('picture: ')}"
    return text if isinstance(error, PictureError) or text.startswith(printable(name)) else f"{name}: {text}"


def _lines(name: str, reading: Reading) -> list[str]:
    """What a terminal shows: a line for one digit, a line for each row of a page."""
    digits = reading.digits
    if not digits:
        return [f"{name}: no digit ({reading.why})" if reading.why else f"{name}: no digit"]
    if len(digits) == 1:
        return [f"{name}: {digits[0]}"]
    doubtful = sum(not answer.is_sure for answer in digits)
    about = f", {doubtful} not sure (?)" if doubtful else ""
    if disagreements := [answer.disagreement for answer in digits if answer.disagreement is not None]:
        about += f", disagreement up to {max(disagreements):.3f}"
    lines = [f"{name}: {len(digits)} digits{about}"]
    for row in reading.rows:
        numbers = ["".join(f"{answer.label}{'' if answer.is_sure else '?'}" for answer in number) for number in row]
        lines.append(f"  {'  '.join(numbers)}")
    return lines
