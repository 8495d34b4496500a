"""The images of a file, or of all files of a folder, as one sequence that is read piece by piece."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import zlib
from io import FileIO
from pathlib import Path
from types import TracebackType

import numpy as np

from .._text import printable
from .._validation import check_path, did_you_mean, explain_os_errors
from .datasets import DATASET_NAMES
from .idx import GZIP_MAGIC
from .image_file import EXPECTED, NPY_MAGIC, ImageFile, inspect_image_file

_IDX_OF_ARRAYS = re.compile(rb"\0\0[\x08\x09\x0b-\x0e][\x02-\x20]")
# What such a name has must be one: an empty file is a copy that failed. Of other names, the content decides.
_NAMED = re.compile(r".*(\.npy|\.idx|[-.]idx\d-\w+)")
_LABELS = re.compile(r".*-labels[-.]idx\d-\w+")  # QMNIST's have a row of numbers for each image
_MAGIC_BYTES = 6
# A sample of the whole: some pieces, since a disk finds each of them anew.
_N_PIECES, _PIECE = 32, 32


class ImageSequence:
    """Images of one or more files, one after the other.

    Parameters
    ----------
    source : Path
        The file or the folder that was asked for.
    files : list of ImageFile
        At least one; in their order.
    """

    def __init__(self, source: Path, files: list[ImageFile]):
        self.source, self.files = source, files
        first = files[0]
        for file in files:
            if file.dtype.newbyteorder("=") != first.dtype.newbyteorder("="):
                raise ValueError(
                    f"{printable(source)}: expected files of one type of pixels, found {first.dtype.name} in "
                    f"{printable(first.path.name)} and {file.dtype.name} in {printable(file.path.name)}"
                )
        self._ends = np.cumsum([file.shape[0] for file in files])
        self._open: tuple[int, FileIO] | None = None  # the file that was read last

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __enter__(self) -> ImageSequence:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file that is open."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def check_size(self, image_shape: tuple[int, int]) -> None:
        """Raise ValueError, with the file's name, unless all images have this height and width."""
        for file in self.files:
            file.check_size(image_shape)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Images start to stop - 1, [n, pixels], whole numbers or floats. Raises OSError.

        Files of other sizes than each other's are for `check_size`.
        """
        parts = []
        while start < stop:
            number = int(np.searchsorted(self._ends, start, side="right"))
            before = int(self._ends[number]) - self.files[number].shape[0]
            end = min(stop, int(self._ends[number]))
            parts.append(self.files[number].read(self._stream(number), start - before, end - before))
            start = end
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def sample(self) -> list[tuple[int, int]]:
        """Limits of pieces from all over the sequence, about a thousand images; of all images if there are no more."""
        n = len(self)
        if n <= _N_PIECES * _PIECE:
            return [(0, n)]
        return [(start, start + _PIECE) for start in np.linspace(0, n - _PIECE, _N_PIECES).astype(int).tolist()]

    def where(self, start: int, stop: int) -> str:
        """The name, for errors, of images start to stop - 1: the file and its slice, or the folder's."""
        number = int(np.searchsorted(self._ends, start, side="right"))
        before = int(self._ends[number]) - self.files[number].shape[0]
        if stop > self._ends[number]:
            return f"{printable(self.source)}, images {start} to {stop - 1} of all files"
        return f"{printable(self.files[number].path)}[{start - before}:{stop - before}]"

    def _stream(self, number: int) -> FileIO:
        if self._open is None or self._open[0] != number:
            self.close()
            path = self.files[number].path
            with explain_os_errors(path, "a file that can be read"):
                self._open = number, path.open("rb", buffering=0)
        return self._open[1]


def open_images(path: str | os.PathLike, name: str = "data") -> ImageSequence:
    """The images of an IDX or NPY file, or of all of those in a folder, in the order of their names.

    A folder's labels, hidden files, sub-folders and files of other kinds are left out. Only headers are read.

    Parameters
    ----------
    path : path
        The file or folder.
    name : str, default 'data'
        The argument's name, for errors.

    Returns
    -------
    ImageSequence
        At least one image.

    Raises
    ------
    ValueError
        If a file is damaged, compressed, or of something else; it names the file.
    OSError
        If something is not there, or cannot be read.
    """
    source = check_path(name, path)
    expected = f"{EXPECTED}, or a folder of them"
    with explain_os_errors(source, expected):
        try:
            source.stat()
        except FileNotFoundError:
            found = "a link that leads nowhere" if source.is_symlink() else f"nothing there{_hint(path)}"
            raise FileNotFoundError(f"{printable(source)}: expected {expected}, found {found}") from None
        if source.is_dir():
            return ImageSequence(source, _in_folder(source))
    file = inspect_image_file(source)
    if file is None:
        raise ValueError(
            f"{printable(source)}: expected {EXPECTED}, found one number or record a row, such as labels or answers"
        )
    return ImageSequence(source, [file])


def _hint(path: str | os.PathLike) -> str:
    """The end of an error about a path that is not there: what it may stand for."""
    if path in DATASET_NAMES:
        return f"; `digitcnn evaluate --data {path}` tests a model on that data set"
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = [entry.name for entry in Path().iterdir()]
    return did_you_mean(os.fspath(path), names)


def _in_folder(folder: Path) -> list[ImageFile]:
    """The files of images in a folder, by name. Raises FileNotFoundError if there is none."""
    paths = sorted(path for path in folder.iterdir() if path.name[0] != "." and path.is_file())
    names = {path.name for path in paths}
    found = []
    for path in paths:
        if path.suffix == ".gz" and path.stem not in names and _has_packed_images(path):
            inspect_image_file(path)  # raises
        if path.suffix != ".gz" and _is_candidate(path) and (file := inspect_image_file(path)) is not None:
            found.append(file)
    if not found:
        raise FileNotFoundError(
            f"{printable(folder)}: expected a folder with IDX or NPY files of images, found none in it; pictures are "
            "read without --data: digitcnn predict FOLDER"
        )
    return found


def _is_candidate(path: Path) -> bool:
    """Whether a file is taken for one of images or, unless its name says so, of labels."""
    if _LABELS.fullmatch(path.name):
        return False
    with explain_os_errors(path, EXPECTED), path.open("rb") as stream:
        start = stream.read(_MAGIC_BYTES)
    return bool(_NAMED.fullmatch(path.name) or start.startswith(NPY_MAGIC) or _IDX_OF_ARRAYS.match(start))


def _has_packed_images(path: Path) -> bool:
    """Whether a compressed file holds an IDX or NPY array of two or more dimensions, as images are."""
    if _LABELS.fullmatch(path.stem):
        return False
    with explain_os_errors(path, EXPECTED), path.open("rb") as raw:
        if raw.read(2) != GZIP_MAGIC:
            return False
        raw.seek(0)
        try:
            with gzip.GzipFile(fileobj=raw) as stream:
                start = stream.read(_MAGIC_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return bool(_NAMED.fullmatch(path.stem))
    return bool(start.startswith(NPY_MAGIC) or _IDX_OF_ARRAYS.match(start))
