"""A folder of pictures as labelled images: one digit a picture, its label in the name of its folder or its file."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .._text import printable
from .._validation import describe_os_error, explain_os_errors
from ..exceptions import NoDigitError, PictureError, PictureFolderError
from .digit import load_digit
from .pictures import SUFFIXES

TEST_EVERY = 5  # one of so many pictures is for the test
MAX_SHOWN = 5  # bad pictures that an error names
LABELS = "a sub-folder named by its digit (7/a.png), or a file name that begins with the digit (7_a.png)"


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder and of its sub-folders, in the order of their names; hidden ones are left out."""
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = (Path(parent, name) for name in names if not name.startswith("."))
        found += [file for file in files if file.suffix.lower() in SUFFIXES and file.is_file()]
    return sorted(found)


def _raise(error: OSError) -> None:
    """Raise what os.walk would pass over: a folder that cannot be listed."""
    with explain_os_errors(error.filename, "a folder of pictures"):
        raise error


def label_of(file: Path, folder: Path) -> int | None:
    """The digit that a picture shows, by its sub-folder, else by its name; None if neither tells."""
    inside = file.relative_to(folder).parts
    by_folder = [part for part in inside[:-1] if re.fullmatch("[0-9]", part)]
    if by_folder:
        return int(by_folder[-1])
    if re.match("[0-9]", inside[-1]):
        return int(inside[-1][0])
    return None


def _load(file: Path) -> np.ndarray:
    """One digit, uint8 [28, 28]. Raises NoDigitError that names the file."""
    try:
        return load_digit(file)
    except NoDigitError as error:
        raise NoDigitError(f"{file}: {error}") from None


def _read_all(files: Sequence[Path], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, 28, 28] and labels uint8 [n]. Raises one PictureError or OSError for all bad files together."""
    images, labels, errors = [], [], []
    unlabelled = {file for file in files if label_of(file, folder) is None}
    for file in files:
        try:
            if file in unlabelled:
                raise PictureError(f"{file}: expected a label, found none")
            images.append(_load(file))
            labels.append(label_of(file, folder))
        except (PictureError, OSError) as error:
            errors.append(error)
    if len(errors) == 1:
        raise PictureError(f"{errors[0]}; a label is {LABELS}") if unlabelled else errors[0]
    if errors:
        rule = f"; a label is {LABELS}" if unlabelled else ""
        shown = [printable(describe_os_error(e) if isinstance(e, OSError) else e) for e in errors[:MAX_SHOWN]]
        more = [f"and {len(errors) - MAX_SHOWN} more"] if len(errors) > MAX_SHOWN else []
        raise PictureFolderError(
            f"{printable(folder)}: expected a digit and its label in each picture, found {len(errors)} of "
            f"{len(files)} without; mend them or move them elsewhere{rule}:\n" + "\n".join([*shown, *more])
        )
    return np.stack(images), np.array(labels, np.uint8)


def read_picture_folder(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read all pictures of a folder.

    Parameters
    ----------
    folder : Path
        Folder of pictures of one digit each. With sub-folders `train` and `test`, these parts; without, a fifth of
        the pictures, drawn by the digests of their images, is for the test.

    Returns
    -------
    images : ndarray of uint8, shape (n, 28, 28)
        In MNIST's form, in the order of their digests.
    labels : ndarray of uint8, shape (n,)
        Digits.
    is_test : ndarray of bool, shape (n,)
        Which of them are for the test.

    Raises
    ------
    PictureError
        If a picture has no label, is none, or shows no digit; of several, the message has a line for each of the
        first five.
    OSError
        If a file or a folder cannot be read.
    """
    files = pictures_in(folder)
    images, labels = _read_all(files, folder)
    parts = [file.relative_to(folder).parts[0] for file in files]
    if {"train", "test"} <= set(parts):
        is_test = np.array([part == "test" for part in parts])
    else:
        is_test = np.zeros(len(files), bool)
    # In an order that neither names nor labels decide, since the last training images are for validation: by digest.
    order = np.argsort([hashlib.sha256(image.tobytes()).hexdigest() for image in images], kind="stable")
    images, labels, is_test = images[order], labels[order], is_test[order]
    if not is_test.any():
        is_test[: len(files) // TEST_EVERY] = True
    return images, labels, is_test
