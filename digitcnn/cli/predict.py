"""`digitcnn predict`: reads the digits in pictures, folders, patterns and standard input."""

from __future__ import annotations

import argparse
import csv
import glob
import io
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import write_whole
from .._validation import describe_os_error, explain_os_errors
from ..exceptions import PictureError

if TYPE_CHECKING:
    from ..reading.answers import Reading
    from ..reading.reader import Reader

STANDARD_INPUT = "-"
# File names that a folder is searched for.
SUFFIXES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".heic", ".heif"}


def expand(names: list[str]) -> Iterator[str]:
    """Names of files: the pictures of a folder, what a pattern matches that no shell has expanded, others as they are.

    Raises FileNotFoundError for a folder without pictures and for a pattern that matches nothing.
    """
    for name in names:
        if name != STANDARD_INPUT and _is_folder(name):
            found = sorted(str(file) for file in Path(name).iterdir() if file.suffix.lower() in SUFFIXES)
            if not found:
                raise FileNotFoundError(f"{name}: expected a folder with pictures, found none in it")
            yield from found
        elif _is_pattern(name):
            parent = str(Path(name).parent)
            if Path(parent).is_dir():
                parent = glob.escape(parent)
            found = sorted(glob.glob(str(Path(parent) / Path(name).name), recursive=True))  # noqa: PTH207
            if not found:
                raise FileNotFoundError(f"{name}: expected pictures, found none that match")
            yield from expand(found)
        else:
            yield name


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except OSError:  # such as a name that is too long: reading it says so
        return False


def _is_pattern(name: str) -> bool:
    """Whether a name is a pattern: no file has it, and it has a sign of one, brackets of a folder's name aside."""
    path = Path(name)
    signs = path.name if path.parent.is_dir() else name
    return any(sign in signs for sign in "*?[") and not path.exists()


def predict(arguments: argparse.Namespace, reader: Reader) -> int:
    """Read all pictures and print what they show; returns 1 if one of them could not be read."""
    status, is_named = 0, False
    readings: list[tuple[str, Any, Reading]] = []
    writer = csv.writer(sys.stdout)
    for name in _names(arguments.pictures):
        if isinstance(name, Exception):
            print(f"digitcnn: error: {name}", file=sys.stderr)
            status = 1
            continue
        try:
            picture = sys.stdin.buffer.read() if name == STANDARD_INPUT else name
            reading = reader.read(picture)
        except (OSError, ValueError) as error:
            print(f"digitcnn: error: {_sentence(name, error)}", file=sys.stderr)
            status = 1
            continue
        if not is_named:  # on standard error, which no program parses
            print(f"Read by {reader.name}", file=sys.stderr)
            is_named = True
        if arguments.show:
            readings.append((name, picture, reading))
        if arguments.json:
            digits = [answer.to_json() for answer in reading.digits]
            found = {"file": name, "digits": reading.text, "numbers": reading.numbers} | {"found": digits}
            print(json.dumps(found), flush=True)
        elif arguments.csv:
            for number, row in enumerate(reading.numbers or [[]], 1):
                writer.writerow([name, number, *row])
        else:
            print(_lines(name, reading), flush=True)
    if readings:
        _show(readings, arguments.show)
    return status


def _show(readings: list[tuple[str, Any, Reading]], path: str) -> None:
    """Draw the pictures with what was read into a PNG file."""
    from matplotlib.figure import Figure

    from ..reading.drawing import MAX_PICTURES, draw_readings

    figure = Figure(layout="constrained")
    draw_readings(readings, figure)
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a name may show boxes instead of letters
        figure.savefig(content, dpi=110, format="png")
    with explain_os_errors(path, "a file that can be written"):
        write_whole(Path(path), content.getvalue())
    left_out = len(readings) - MAX_PICTURES
    print(
        f"{path}: the pictures with their boxes" + (f", without the last {left_out}" if left_out > 0 else ""),
        file=sys.stderr,
    )


def _names(names: list[str]) -> Iterator[str | Exception]:
    for name in names:
        try:
            yield from expand([name])
        except OSError as error:
            yield error


def _sentence(name: str, error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror is not None:
        return f"{name}: expected a picture file, found {describe_os_error(error)}"
    text = str(error)
    return text if isinstance(error, PictureError) or text.startswith(name) else f"{name}: {text}"


def _lines(name: str, reading: Reading) -> str:
    """What a terminal shows: a line for one digit, a line for each row of a page."""
    digits = reading.digits
    if not digits:
        return f"{name}: no digit ({reading.why})" if reading.why else f"{name}: no digit"
    if len(digits) == 1:
        return f"{name}: {digits[0]}"
    doubtful = sum(not answer.is_sure for answer in digits)
    lines = [f"{name}: {len(digits)} digits{f', {doubtful} not sure (?)' if doubtful else ''}"]
    for row in reading.rows:
        numbers = ["".join(f"{answer.label}{'' if answer.is_sure else '?'}" for answer in number) for number in row]
        lines.append(f"  {'  '.join(numbers)}")
    return "\n".join(lines)
