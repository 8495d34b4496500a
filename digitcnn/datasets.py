"""Data sets by name or folder, downloaded with a checksum when asked for."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .checks import IMAGE_SHAPE, N_CLASSES, check_path, check_whole
from .idx import IDXError, read_idx

PARTS = ("train", "t10k")
ENVIRONMENT_VARIABLE = "DIGITCNN_DATA"
TIMEOUT = 30  # seconds in which a mirror sends no byte


@dataclass(frozen=True)
class Source:
    """Where a data set may be had: mirrors in order, and the SHA-256 of each file."""

    mirrors: tuple[str, ...]
    sha256: dict[str, str]


SOURCES = {
    "mnist": Source(
        mirrors=(
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        sha256={
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    # https://github.com/zalandoresearch/fashion-mnist, MIT licence
    "fashion-mnist": Source(
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
        sha256={
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
    # https://github.com/rois-codh/kmnist, CC BY-SA 4.0
    "kmnist": Source(
        mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        sha256={
            "train-images-idx3-ubyte.gz": "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "train-labels-idx1-ubyte.gz": "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "t10k-images-idx3-ubyte.gz": "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "t10k-labels-idx1-ubyte.gz": "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        },
    ),
}
NAMES = ("bundled", *SOURCES)


class DownloadError(OSError):
    """No mirror gave a data set's file; says what each one answered and what to do."""


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
    package = Path(__file__).parent
    if name == "bundled":  # in an installed package, then in a source tree
        places += [package / "bundled", package.parent / "data" / "bundled"]
    elif name in SOURCES:
        places.append(_cache() / name)
    else:
        places.append(Path(name))
    if found := next((place for place in places if _is_complete(place)), None):
        return found
    # One that lacks files: a download adds them, elsewhere which ones is told when it is read.
    return None if name in SOURCES else next((place for place in places if place.is_dir()), None)


def _cache() -> Path:
    import pooch

    return Path(pooch.os_cache("digitcnn"))


def download(name: str, data_dir: str | os.PathLike | None = None) -> Path:
    """Download a data set's four files, each from the first mirror that gives the right bytes.

    name: 'mnist', 'fashion-mnist' or 'kmnist'. They go to `data_dir`/name; without data_dir to
    $DIGITCNN_DATA/name, or, if that is not set or cannot be written, to the user's cache. Files that
    are there and right are kept; a file appears whole or not at all, so several processes may do
    this at once.

    Returns the folder. Raises ValueError for another name, and DownloadError.
    """
    import pooch

    data_dir = None if data_dir is None else check_path("data_dir", data_dir)
    if not isinstance(name, str) or name not in SOURCES:
        raise ValueError(f"data set: expected one that is downloaded ({', '.join(SOURCES)}), found {name!r}")
    folder = _folder_to_write(name, data_dir)
    for file, sha256 in SOURCES[name].sha256.items():
        answers = []
        for mirror in SOURCES[name].mirrors:
            downloader = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
            try:
                pooch.retrieve(mirror + file, f"sha256:{sha256}", file, folder, downloader=downloader)
                break
            except (OSError, ValueError) as error:  # no connection or no space; the wrong bytes
                answers.append(f"  {mirror}{file}: {error}")
        else:
            raise DownloadError(
                f"could not get {file} of {name!r} into {folder}:\n" + "\n".join(answers) + "\n"
                f"Check the network, or put the four files there by hand, or point {ENVIRONMENT_VARIABLE} "
                f"(or --data-dir) at a folder that has {name}/. The data set 'bundled' needs no network."
            )
    return folder


def _folder_to_write(name: str, data_dir: str | os.PathLike | None) -> Path:
    """Make the folder that a download goes to."""
    parents = [data_dir] if data_dir else [os.environ.get(ENVIRONMENT_VARIABLE), _cache()]
    for parent in filter(None, parents):
        folder = Path(parent) / name
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
    raise DownloadError(f"{folder}: expected a folder that can be written, to download {name!r} to")
