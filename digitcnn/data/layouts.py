"""The four files of a data set: their names, how their images lie, where their labels begin; reads them upright."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._validation import explain_os_errors
from ..exceptions import IDXError, warn_user
from .arrays import N_CLASSES
from .idx import read_idx

PARTS = ("train", "t10k")  # training and test images, as MNIST's file names call them
DATA_FOLDER = "a folder of IDX files or of pictures (mine/7/a.png)"
MAX_CLASSES = 256  # of a folder's own data: what uint8 labels can name


@dataclass(frozen=True)
class Layout:
    """How the files of a data set are named, and what is in them.

    Parameters
    ----------
    prefix : str, default ''
        What all names begin with.
    parts : tuple of str, default ('train', 't10k')
        What the training's and the test's names go on with.
    labels : str, default 'idx1-ubyte'
        How the names of labels end; 'idx2-int' has a row of numbers for each image, of which the first is its class.
    n_classes : int, optional
        Number of classes, if it is known.
    first_label : int, default 0
        The first class's number in the files.
    is_transposed : bool, default False
        Whether rows and columns of the images are exchanged in the files.
    counts : tuple of int, optional
        Number of training and test images, by which renamed files of such a kind are suspected.
    """

    prefix: str = ""
    parts: tuple[str, str] = PARTS
    labels: str = "idx1-ubyte"
    n_classes: int | None = None
    first_label: int = 0
    is_transposed: bool = False
    counts: tuple[int, int] | None = None


def _emnist(split: str, n_classes: int, counts: tuple[int, int], first_label: int = 0) -> Layout:
    return Layout(f"emnist-{split}-", ("train", "test"), "idx1-ubyte", n_classes, first_label, True, counts)


MNIST = Layout(n_classes=N_CLASSES)
ANY = Layout()  # in MNIST's names
# Data sets whose files have names of their own.
LAYOUTS = {
    "qmnist": Layout("qmnist-", ("train", "test"), "idx2-int", N_CLASSES),
    "emnist-digits": _emnist("digits", 10, (240_000, 40_000)),
    "emnist-letters": _emnist("letters", 26, (124_800, 20_800), first_label=1),
    "emnist-balanced": _emnist("balanced", 47, (112_800, 18_800)),
}


def layout_of(folder: Path) -> Layout:
    """The layout of a folder's files by their names; MNIST's where they have none.

    Raises IDXError if there are several data sets in it.
    """
    found = [name for name, layout in LAYOUTS.items() if is_complete(folder, layout)]
    if is_complete(folder, ANY) or not found:
        return ANY
    if len(found) > 1:
        raise IDXError(
            f"{folder}: expected the files of one data set, found those of {', '.join(found)}; "
            "move each into a folder of its own"
        )
    return LAYOUTS[found[0]]


def read_part(
    folder: Path, layout: Layout, part: str, image_shape: tuple[int | None, int | None], n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Read one part of a data set: images uint8 [n, height, width], upright, and labels uint8 [n] from 0.

    Parameters
    ----------
    folder : Path
        Where the files are.
    layout : Layout
        How they are named, and what is in them.
    part : {'train', 't10k'}
        The training or the test images.
    image_shape : tuple of int or None
        Height and width that the images must have; None accepts any.
    n_classes : int
        What the labels must stay below, where the layout does not say it.
    """
    images_file, labels_file = (_find(folder, layout, part, kind) for kind in ("images", "labels"))
    # The small file first: the images' header is then checked against it before their data are read.
    labels = _read_labels(labels_file, layout, layout.n_classes or n_classes)
    if layout.is_transposed:
        image_shape = image_shape[::-1]
    images = read_idx(images_file, expected_dtype=np.uint8, expected_shape=(len(labels), *image_shape))
    if layout.is_transposed:
        images = np.ascontiguousarray(images.transpose(0, 2, 1))
    return images, labels


def _read_labels(file: Path, layout: Layout, n_classes: int) -> np.ndarray:
    """Labels 0..n_classes-1, uint8 [n]."""
    if layout.labels == "idx2-int":
        labels = read_idx(file, expected_dtype=np.int32, expected_shape=(None, 8))[:, 0]
    else:
        labels = read_idx(file, expected_dtype=np.uint8, expected_shape=(None,))
    first = layout.first_label
    wrong = np.flatnonzero((labels < first) | (labels >= first + n_classes))
    if wrong.size:
        found = f"{labels[wrong[0]]} at index {wrong[0]}"
        raise IDXError(f"{file}: expected labels {first}..{first + n_classes - 1}, found {found}")
    return (labels - first).astype(np.uint8)


def warn_if_emnist(folder: Path, train_labels: np.ndarray, test_labels: np.ndarray) -> None:
    """Warn of files in MNIST's names that look like EMNIST's: their images lie on their side, letters count from 1."""
    counts = len(train_labels), len(test_labels)
    alike = [name for name, layout in LAYOUTS.items() if layout.counts == counts]
    if len(train_labels) and (train_labels.min(), train_labels.max()) == (1, 26):
        alike = ["emnist-letters"]
    if alike:
        names = _file_names(LAYOUTS[alike[0]], "train", "images")
        warn_user(
            f"{folder}: files of {alike[0]} under other names? Their images lie transposed there, and letters count "
            f"from 1; give the files their own names ({names[1]}), and they are read upright and from 0"
        )


def is_complete(folder: Path, layout: Layout) -> bool:
    """Whether all four files are there."""
    return all(_existing(folder, layout, part, kind) for part in PARTS for kind in ("images", "labels"))


def missing_files(folder: Path, layout: Layout) -> list[str]:
    """The names, as they are in EMNIST's archive, of those that are not there."""
    wanted = [(part, kind) for part in PARTS for kind in ("images", "labels")]
    return [_file_names(layout, *one)[1] for one in wanted if not _existing(folder, layout, *one)]


def _find(folder: Path, layout: Layout, part: str, kind: str) -> Path:
    """The file in either of MNIST's styles, plain or compressed. Raises FileNotFoundError."""
    if file := _existing(folder, layout, part, kind):
        return file
    plain, packed, *_ = _file_names(layout, part, kind)
    raise FileNotFoundError(f"{folder}: expected {packed}, or {plain}, found neither")


def _existing(folder: Path, layout: Layout, part: str, kind: str) -> Path | None:
    """The file, or None if there is none."""
    with explain_os_errors(folder, DATA_FOLDER):
        return next((folder / name for name in _file_names(layout, part, kind) if (folder / name).is_file()), None)


def _file_names(layout: Layout, part: str, kind: str) -> list[str]:
    """The names to look for, in order."""
    stem = f"{layout.prefix}{layout.parts[PARTS.index(part)]}-{kind}"
    suffix = "idx3-ubyte" if kind == "images" else layout.labels
    return [f"{stem}{joint}{suffix}{gz}" for joint in "-." for gz in ("", ".gz")]
