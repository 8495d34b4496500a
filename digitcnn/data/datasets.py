"""Data sets by name or folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._validation import check_path, check_whole
from ..exceptions import IDXError
from .arrays import IMAGE_SHAPE, N_CLASSES
from .download import ENVIRONMENT_VARIABLE, SOURCES, download, user_cache
from .idx import read_idx

PARTS = ("train", "t10k")


NAMES = ("bundled", *SOURCES)


@dataclass(frozen=True, eq=False)  # arrays have no single truth
class Dataset:
    """Images uint8 [n, height * width] and labels uint8 [n] for training and for the final test.

    name: as it was asked for. folder: where the files are. image_shape: height and width.
    """

    name: str
    folder: Path
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    image_shape: tuple[int, int] = IMAGE_SHAPE

    @property
    def n_classes(self) -> int:
        """One more than the highest label; 10, as of digits, where that is less."""
        return max(N_CLASSES, *(int(labels.max(initial=0)) + 1 for labels in (self.train_labels, self.test_labels)))

    def split(self, n_validation: int) -> tuple[tuple, tuple | None]:
        """`((X, y), (X, y))` for training and validation: the last `n_validation` training images.

        The second is None when `n_validation` is 0. Raises TypeError or ValueError for a number that
        is not whole, or that would leave no image to train on.
        """
        n_validation = check_whole("n_validation", n_validation, 0, len(self.train_images) - 1)
        n_train = len(self.train_images) - n_validation
        training = self.train_images[:n_train], self.train_labels[:n_train]
        if n_validation == 0:
            return training, None
        return training, (self.train_images[n_train:], self.train_labels[n_train:])


def load_mnist(path: str | os.PathLike, dataset_type: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Read the images and labels of one part of MNIST, or of a data set in its form.

    path: the folder with the IDX files, plain or .gz, under either of MNIST's name styles
    (`train-images.idx3-ubyte` and `train-images-idx3-ubyte`). dataset_type: 'train' or 't10k'.

    Returns uint8 [n, 784] in 0..255 and uint8 [n] in 0..9.
    Raises FileNotFoundError, ValueError for another dataset_type, and digitcnn.IDXError for bad files.
    """
    if dataset_type not in PARTS:
        raise ValueError(f"dataset_type: expected 'train' or 't10k', found {dataset_type!r}")
    path = check_path("path", path)
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: expected a folder of IDX files, found {_what(path)}")
    images, labels = _read_part(path, dataset_type, IMAGE_SHAPE, N_CLASSES)
    return images.reshape(len(labels), -1), labels


def _read_part(folder: Path, part: str, image_shape: tuple, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, height, width], of any size for an `image_shape` of (None, None), and labels uint8 [n]."""
    images_file = _find(folder, f"{part}-images", "idx3-ubyte")
    labels_file = _find(folder, f"{part}-labels", "idx1-ubyte")
    # The small file first: the images' header is then checked against it before their data are read.
    labels = read_idx(labels_file, expected_dtype=np.uint8, expected_shape=(None,))
    images = read_idx(images_file, expected_dtype=np.uint8, expected_shape=(len(labels), *image_shape))
    if len(labels) and labels.max() >= n_classes:
        index = int(np.argmax(labels >= n_classes))
        raise IDXError(f"{labels_file}: expected labels 0..{n_classes - 1}, found {labels[index]} at index {index}")
    return images, labels


def _what(path: Path) -> str:
    return "a file" if path.exists() else "nothing there"


def _candidates(stem: str, suffix: str) -> list[str]:
    return [f"{stem}{joint}{suffix}{gz}" for joint in "-." for gz in ("", ".gz")]


def _find(folder: Path, stem: str, suffix: str) -> Path:
    for name in _candidates(stem, suffix):
        if (folder / name).is_file():
            return folder / name
    names = ", ".join(_candidates(stem, suffix))
    raise FileNotFoundError(f"{folder}: expected one of {names}; found none of them")


def _is_complete(folder: Path) -> bool:
    return all(
        any((folder / name).is_file() for name in _candidates(f"{part}-{kind}", suffix))
        for part in PARTS
        for kind, suffix in (("images", "idx3-ubyte"), ("labels", "idx1-ubyte"))
    )


def load_dataset(name: str = "bundled", data_dir: str | os.PathLike | None = None) -> Dataset:
    """Load a data set: 'bundled', 'mnist', 'fashion-mnist', 'kmnist', or any folder of IDX files.

    data_dir: a folder that holds data sets as sub-folders of their names, looked in first; then the
    one that the environment variable DIGITCNN_DATA names. What is found nowhere is downloaded.
    Images in a folder may have another size than 28x28, and labels go up to 255.

    Raises ValueError for an unknown name, DownloadError, FileNotFoundError, digitcnn.IDXError.
    """
    check_path("name", name)
    data_dir = None if data_dir is None else check_path("data_dir", data_dir)
    folder = _locate(name, data_dir)
    if folder is None:
        if name not in SOURCES:
            raise ValueError(f"data set: expected {', '.join(NAMES)}, or a folder of IDX files, found {str(name)!r}")
        folder = download(name, data_dir)
    is_known = name in NAMES
    images, labels = _read_part(folder, "train", *((IMAGE_SHAPE, N_CLASSES) if is_known else ((None, None), 256)))
    image_shape = images.shape[1:]
    test_images, test_labels = _read_part(folder, "t10k", image_shape, N_CLASSES if is_known else 256)
    if 0 in image_shape:
        raise IDXError(f"{folder}: expected images, found {image_shape[0]} x {image_shape[1]} pixels")
    arrays = images.reshape(len(labels), -1), labels, test_images.reshape(len(test_labels), -1), test_labels
    return Dataset(str(name), folder.resolve(), *arrays, image_shape)


def _locate(name: str | os.PathLike, data_dir: str | os.PathLike | None) -> Path | None:
    """The folder of a data set that need not be downloaded, or None."""
    is_path = isinstance(name, os.PathLike) or Path(name).name != name
    if is_path:  # not to be taken for a name
        return Path(name) if Path(name).is_dir() else None
    if data_dir and not Path(data_dir).is_dir() and name not in SOURCES:  # a download would make it
        raise FileNotFoundError(
            f"{data_dir}: expected a folder that has data sets in it, found {_what(Path(data_dir))}"
        )
    parents = [Path(parent) for parent in (data_dir, os.environ.get(ENVIRONMENT_VARIABLE)) if parent]
    places = [parent / name for parent in parents]
    package = Path(__file__).parents[1]
    if name == "bundled":  # in an installed package, then in a source tree
        places += [package / "bundled", package.parent / "data" / "bundled"]
    elif name in SOURCES:
        places.append(user_cache() / name)
    else:
        places.append(Path(name))
    if found := next((place for place in places if _is_complete(place)), None):
        return found
    # One that lacks files: a download adds them, elsewhere which ones is told when it is read.
    return None if name in SOURCES else next((place for place in places if place.is_dir()), None)
