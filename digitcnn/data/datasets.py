"""Load data sets by name or folder."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._content import N_START, describe_content
from .._validation import check_path, check_whole, did_you_mean, explain_os_errors
from ..exceptions import IDXError, PictureError
from .arrays import IMAGE_SHAPE, N_CLASSES, arrays_sha256
from .download import chosen_folder, download, user_cache
from .layouts import (
    ANY,
    DATA_FOLDER,
    LAYOUTS,
    MAX_CLASSES,
    MNIST,
    PARTS,
    Layout,
    is_complete,
    layout_of,
    read_part,
    warn_if_emnist,
)
from .sources import SOURCES

# Whose hands the test images of a data set are by; the command line says it beside their accuracy.
HANDS = {
    "bundled": "360 digits, mostly by people who wrote few of the training images or none",
    "mnist": "10,000 digits by people who wrote none of the training images",
}
DATASET_NAMES = ("bundled", *SOURCES)
_VALIDATION_PART = 6  # one image of so many, as the tutorial has it: 10,000 of MNIST's 60,000


def default_validation(n_images: int) -> int:
    """How many of so many training images, the last ones, are validated on if no number is given: a sixth."""
    return n_images // _VALIDATION_PART


@dataclass(frozen=True, eq=False, repr=False)  # arrays have no single truth value
class Dataset:
    """Images and labels for training and for the final test.

    Parameters
    ----------
    name : str
        The name or folder that was asked for.
    folder : pathlib.Path
        The folder with the files.
    train_images : ndarray of uint8, shape (n_train, height * width)
        Raw pixels 0..255 of the training images.
    train_labels : ndarray of uint8, shape (n_train,)
        Their classes, counted from 0.
    test_images : ndarray of uint8, shape (n_test, height * width)
        Raw pixels 0..255 of the test images.
    test_labels : ndarray of uint8, shape (n_test,)
        Their classes.
    image_shape : tuple of int, default (28, 28)
        Height and width in pixels.

    Examples
    --------
    >>> from digitcnn import load_dataset
    >>> load_dataset("bundled")
    <Dataset 'bundled': 1,437 training and 360 test images of 28x28, 10 classes>
    """

    name: str
    folder: Path
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    image_shape: tuple[int, int] = IMAGE_SHAPE

    def __repr__(self) -> str:
        height, width = self.image_shape
        return (
            f"<Dataset {self.name!r}: {len(self.train_images):,} training and {len(self.test_images):,} test images "
            f"of {height}x{width}, {self.n_classes} classes>"
        )

    @property
    def n_classes(self) -> int:
        """Number of classes: one more than the highest label, and at least the 10 of digits."""
        return max(N_CLASSES, *(int(labels.max(initial=0)) + 1 for labels in (self.train_labels, self.test_labels)))

    def sha256(self) -> str:
        """Return the SHA-256 of all images and labels, whatever the folder's name.

        Returns
        -------
        str
            64 hexadecimal digits.
        """
        return arrays_sha256(self.train_images, self.train_labels, self.test_images, self.test_labels)

    def split(self, n_validation: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray] | None]:
        """Split the training images: the last ones are for validation.

        Parameters
        ----------
        n_validation : int
            Number of images for validation, from 0 to one less than there are.

        Returns
        -------
        training : tuple of (ndarray, ndarray)
            Images and labels to train on, views of the data set's arrays.
        validation : tuple of (ndarray, ndarray) or None
            Images and labels to validate on; None if `n_validation` is 0.

        Raises
        ------
        TypeError
            If `n_validation` is no whole number.
        ValueError
            If it is negative, or leaves no image to train on.

        Examples
        --------
        >>> from digitcnn import load_dataset
        >>> (X, y), (X_validation, y_validation) = load_dataset("bundled").split(237)
        >>> X.shape, X_validation.shape
        ((1200, 784), (237, 784))
        """
        n_validation = check_whole("n_validation", n_validation, 0, len(self.train_images) - 1)
        n_train = len(self.train_images) - n_validation
        training = self.train_images[:n_train], self.train_labels[:n_train]
        if n_validation == 0:
            return training, None
        return training, (self.train_images[n_train:], self.train_labels[n_train:])


def load_mnist(path: str | os.PathLike, dataset_type: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Read the images and labels of one part of MNIST, or of a data set with the same file names.

    Parameters
    ----------
    path : str or path-like
        The folder with the IDX files, plain or .gz, in either of MNIST's name styles
        (`train-images.idx3-ubyte` or `train-images-idx3-ubyte`).
    dataset_type : {'train', 't10k'}, default 'train'
        The training images, or the 10,000 test images.

    Returns
    -------
    images : ndarray of uint8, shape (n, 784)
        Raw pixels 0..255.
    labels : ndarray of uint8, shape (n,)
        Digits 0..9.

    Raises
    ------
    ValueError
        If `dataset_type` is another one.
    IDXError
        If a file is damaged, or the files do not belong together.
    OSError
        If the folder or a file is missing (FileNotFoundError) or cannot be read.

    Examples
    --------
    >>> from digitcnn import load_dataset
    >>> images, labels = load_mnist(load_dataset("bundled").folder, dataset_type="t10k")
    >>> images.shape, labels.shape
    ((360, 784), (360,))
    """
    if dataset_type not in PARTS:
        hint = (
            "; did you mean 't10k', the test images?" if dataset_type == "test" else did_you_mean(dataset_type, PARTS)
        )
        raise ValueError(f"dataset_type: expected 'train' or 't10k', found {dataset_type!r}{hint}")
    path = check_path("path", path)
    _check_folder(path, "a folder of IDX files")
    images, labels = read_part(path, layout_of(path), dataset_type, IMAGE_SHAPE, N_CLASSES)
    return images.reshape(len(labels), -1), labels


def load_dataset(name: str | os.PathLike = "bundled", data_dir: str | os.PathLike | None = None) -> Dataset:
    """Load a data set by its name, or from a folder of IDX files or of pictures.

    A named data set that is found nowhere is downloaded, see `download`.

    Parameters
    ----------
    name : str or path-like, default 'bundled'
        'bundled', 'mnist', 'fashion-mnist', 'kmnist', 'qmnist', 'emnist-digits', 'emnist-letters',
        'emnist-balanced', a folder of IDX files in MNIST's, QMNIST's or EMNIST's names, or a folder of pictures of
        one digit each. The images of IDX files may have any one size, and their labels go up to 255. EMNIST's are
        turned upright, and its letters counted from 0, by their names; by others they get a warning at best.
        A picture's label is the name of its sub-folder (7/a.png), or the first character of its own (7_a.png);
        `load_digit` brings it into MNIST's form. A fifth of the pictures is for the test, unless the folder has
        sub-folders train and test.
    data_dir : str or path-like, optional
        A folder that exists and holds data sets as sub-folders of their names. It is searched first,
        then the folder that the environment variable DIGITCNN_DATA names.

    Returns
    -------
    Dataset
        Images and labels for training and test.

    Raises
    ------
    ValueError
        If the name is unknown and no folder.
    IDXError
        If a file is damaged, or the files do not belong together.
    PictureError
        If a picture has no label, cannot be read, or shows no digit.
    DownloadError
        If a download fails.
    OSError
        If `data_dir` or a file is missing (FileNotFoundError) or cannot be read.

    Examples
    --------
    >>> digits = load_dataset("bundled")
    >>> digits.train_images.shape, digits.train_images.dtype.name, digits.train_labels[:5].tolist()
    ((1437, 784), 'uint8', [0, 1, 2, 3, 4])
    """
    check_path("name", name)
    if data_dir is not None:
        data_dir = check_path("data_dir", data_dir)
        advice = "; make it first, or leave out data_dir (--data-dir)"
        _check_folder(data_dir, "a folder that has data sets in it", advice)
    folder = _locate(name, data_dir)
    if folder is None:
        if not isinstance(name, str) or name not in SOURCES:
            hint = _hint_of_file(check_path("name", name)) or did_you_mean(name, DATASET_NAMES)
            hint = hint or ", but no folder of that name"
            names = ", ".join(DATASET_NAMES)
            raise ValueError(f"data set: expected {names}, or {DATA_FOLDER}, found {str(name)!r}{hint}")
        folder = download(name, data_dir)
    layout = _layout_of(name, folder)
    if layout is ANY and not any(folder.glob("*ubyte*")):
        return _dataset_of_pictures(str(name), folder)
    images, labels = read_part(folder, layout, "train", IMAGE_SHAPE if layout.n_classes else (None, None), MAX_CLASSES)
    n, height, width = images.shape
    test_images, test_labels = read_part(folder, layout, "t10k", (height, width), MAX_CLASSES)
    if 0 in (height, width):
        raise IDXError(f"{folder}: expected images, found {height} x {width} pixels")
    if layout is ANY:
        warn_if_emnist(folder, labels, test_labels)
    return Dataset(
        name=str(name),
        folder=folder.resolve(),
        train_images=images.reshape(n, -1),
        train_labels=labels,
        test_images=test_images.reshape(len(test_labels), -1),
        test_labels=test_labels,
        image_shape=(height, width),
    )


def _dataset_of_pictures(name: str, folder: Path) -> Dataset:
    """The data set of a folder's pictures. Raises FileNotFoundError if it has none."""
    # Here, as files of arrays need neither SciPy nor Pillow.
    from ..handwriting.picture_folder import pictures_in, read_picture_folder

    if not pictures_in(folder):
        raise FileNotFoundError(f"{folder}: expected {DATA_FOLDER}, found neither in it")
    images, labels, is_test = read_picture_folder(folder)
    if is_test.all() or not is_test.any():
        raise PictureError(
            f"{folder}: expected at least five pictures, of which one is for the test, or sub-folders train and test; "
            f"found {len(labels)} pictures"
        )
    images = images.reshape(len(images), -1)
    return Dataset(
        name, folder.resolve(), images[~is_test], labels[~is_test], images[is_test], labels[is_test], IMAGE_SHAPE
    )


def _layout_of(name: str | os.PathLike, folder: Path) -> Layout:
    """How a data set's files are named and what is in them, by its name, else by theirs."""
    layout = LAYOUTS.get(name) if isinstance(name, str) else None
    if layout is not None:
        return layout if is_complete(folder, layout) else ANY
    return MNIST if name in DATASET_NAMES else layout_of(folder)


def _locate(name: str | os.PathLike, data_dir: Path | None) -> Path | None:
    """The folder of a data set that need not be downloaded, or None."""
    path = check_path("name", name)
    if not isinstance(name, str) or path.name != name:  # a path, even where its last part is a known name
        with explain_os_errors(path, DATA_FOLDER):
            return path if path.is_dir() else None
    places = [parent / name for parent in (data_dir, chosen_folder()) if parent]
    package = Path(__file__).parents[1]
    if name == "bundled":  # in an installed package, then in a source tree
        places += [package / "bundled", package.parent / "data" / "bundled"]
    elif name not in SOURCES:
        places.append(path)
    if found := next((place for place in places if _has_files(place, name)), None):
        return found
    if name not in SOURCES:  # an incomplete folder: reading it names what it lacks
        return next((place for place in places if place.is_dir()), None)
    cache = user_cache()  # only now, as it needs a home folder
    return cache / name if cache and _has_files(cache / name, name) else None


def _has_files(folder: Path, name: str) -> bool:
    """Whether all four files of a data set are there, in MNIST's names or in its own."""
    own = [LAYOUTS[name]] if name in LAYOUTS else [] if name in DATASET_NAMES else list(LAYOUTS.values())
    return any(is_complete(folder, layout) for layout in (ANY, *own))


def _hint_of_file(path: Path) -> str:
    """The end of an error message about a file in place of a folder; "" where there is none."""
    with contextlib.suppress(OSError):
        if path.is_file():
            with path.open("rb") as stream:
                content = describe_content(stream.read(N_START))
            return f", a file: {content}" if content else ", a file"
    return ""


def _check_folder(path: Path, expected: str, advice: str = "") -> None:
    """Raise an OSError, FileNotFoundError where nothing or a file is there, unless `path` is a folder."""
    with explain_os_errors(path, expected, advice):
        if not stat.S_ISDIR(path.stat().st_mode):
            raise FileNotFoundError(f"{path}: expected {expected}, found a file{advice}")
