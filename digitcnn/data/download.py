"""Download data sets, each file checked by SHA-256."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .._validation import check_path, describe_os_error, did_you_mean
from ..exceptions import DownloadError

ENVIRONMENT_VARIABLE = "DIGITCNN_DATA"  # names a folder that holds data sets
TIMEOUT = 30  # seconds without a byte from a mirror, after which the next one is tried


@dataclass(frozen=True)
class Source:
    """Where a data set is downloaded from: mirrors in the order of trying, and the SHA-256 of each file."""

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


def user_cache() -> Path:
    """The user's cache folder for data sets, made or not."""
    import pooch

    return Path(pooch.os_cache("digitcnn"))


def download(name: str, data_dir: str | os.PathLike | None = None) -> Path:
    """Download a data set's four files, each checked by SHA-256.

    Each file comes from the first mirror that sends the right bytes. Files that are there and right
    are kept. A file appears whole or not at all, so several processes can download at once.

    Parameters
    ----------
    name : {'mnist', 'fashion-mnist', 'kmnist'}
        The data set.
    data_dir : str or path-like, optional
        The folder to download to, as a sub-folder `name`; made if missing. Without it, the files go to
        the folder that the environment variable DIGITCNN_DATA names, made if missing; without that, or
        where it cannot be written, to the user's cache.

    Returns
    -------
    pathlib.Path
        The folder with the files.

    Raises
    ------
    ValueError
        If no data set of that name can be downloaded.
    DownloadError
        If no mirror sends the right bytes, or the folder cannot be written; it is an OSError.
    """
    import pooch

    data_dir = None if data_dir is None else check_path("data_dir", data_dir)
    if not isinstance(name, str) or name not in SOURCES:
        raise ValueError(
            f"data set: expected one that is downloaded ({', '.join(SOURCES)}), found {name!r}"
            + did_you_mean(name, SOURCES)
        )
    folder = _folder_to_write(name, data_dir)
    for file, sha256 in SOURCES[name].sha256.items():
        answers = []
        for mirror in SOURCES[name].mirrors:
            downloader = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
            try:
                pooch.retrieve(mirror + file, f"sha256:{sha256}", file, folder, downloader=downloader)
                break
            except OSError as error:  # no connection, or no space
                answers.append(f"  {mirror}{file}: {describe_os_error(error)}")
            except ValueError as error:  # the wrong bytes
                answers.append(f"  {mirror}{file}: {error}")
        else:
            raise DownloadError(
                f"could not get {file} of {name!r} into {folder}:\n" + "\n".join(answers) + "\n"
                f"Check the network, or put the four files there by hand, or point {ENVIRONMENT_VARIABLE} "
                f"(or --data-dir) at a folder that has {name}/. The data set 'bundled' needs no network."
            )
    return folder


def _folder_to_write(name: str, data_dir: Path | None) -> Path:
    """Make the folder that a download goes to. Raises DownloadError if it cannot be written."""
    parents = [data_dir] if data_dir else [os.environ.get(ENVIRONMENT_VARIABLE), user_cache()]
    faults = []
    for folder in [Path(parent) / name for parent in parents if parent]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError as error:
            faults.append(
                f"{folder}: expected a folder that can be written, to download {name!r} to, "
                f"found {describe_os_error(error)}"
            )
    raise DownloadError("\n".join(faults))
