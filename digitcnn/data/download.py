"""Download data sets, each file checked by SHA-256."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .._validation import check_path, describe_os_error, did_you_mean
from ..exceptions import DownloadError
from .sources import SOURCES

ENVIRONMENT_VARIABLE = "DIGITCNN_DATA"  # names a folder that holds data sets
TIMEOUT = 30  # seconds without a byte from a mirror, after which the next one is tried


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
