"""Download data sets: each file bounded in bytes and time, and checked by SHA-256."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .._validation import check_path, describe_os_error, did_you_mean
from ..exceptions import DownloadError
from .fetching import LIMITS, Limits, fetch, has_content, own_scratch, unpack
from .layouts import LAYOUTS, is_complete
from .sources import SOURCES

ENVIRONMENT_VARIABLE = "DIGITCNN_DATA"  # names a folder that holds data sets


def chosen_folder() -> Path | None:
    """The folder of data sets that the user's environment names, there or not."""
    folder = os.environ.get(ENVIRONMENT_VARIABLE)
    return check_path(ENVIRONMENT_VARIABLE, folder) if folder else None


def user_cache() -> Path | None:
    """The user's cache folder for data sets, made or not; None for a user without a home folder."""
    import platformdirs

    try:
        folder = platformdirs.user_cache_path("digitcnn")
    except (RuntimeError, OSError):
        return None
    return folder if folder.is_absolute() else None


def download(name: str, data_dir: str | os.PathLike | None = None) -> Path:
    """Download a data set's files, checked by SHA-256; of EMNIST, the archive is checked.

    Each file comes from the first mirror that sends the right bytes; one that sends more than the file has, or
    hardly anything for half a minute, is left. Files that are there and right are kept. A file appears whole or not
    at all, so several processes can download at once; what a killed download left is removed.

    Parameters
    ----------
    name : {'mnist', 'fashion-mnist', 'kmnist', 'qmnist', 'emnist-digits', 'emnist-letters', 'emnist-balanced'}
        The data set. The three of EMNIST come in one archive of 536 MB: any of them downloads it and unpacks all
        three, each into its folder.
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
    data_dir = None if data_dir is None else check_path("data_dir", data_dir)
    if not isinstance(name, str) or name not in SOURCES:
        raise ValueError(
            f"data set: expected one that is downloaded ({', '.join(SOURCES)}), found {name!r}"
            + did_you_mean(name, SOURCES)
        )
    return download_set(name, data_dir, LIMITS)


def download_set(name: str, data_dir: Path | None, limits: Limits) -> Path:
    """As `download`, for a known name, with other limits than the usual ones."""
    source, folder = SOURCES[name], _folder_to_write(name, data_dir)
    if source.is_archive and is_complete(folder, LAYOUTS[name]):
        return folder
    for file, expected in source.files.items():
        if has_content(folder / file, expected):
            continue
        answers = []
        for mirror in source.mirrors:
            try:
                with own_scratch(folder) as scratch:
                    fetch(mirror + file, scratch / file, expected, limits)
                    if source.is_archive:
                        alike = [other for other in SOURCES if SOURCES[other] is source]
                        unpack(scratch / file, {folder.with_name(one): LAYOUTS[one] for one in alike})
                    else:
                        (scratch / file).replace(folder / file)
                break
            except OSError as error:  # no connection, no space, or not the right bytes
                answers.append(f"{mirror}{file}: {describe_os_error(error)}")
        else:
            what = "the files of its archive" if source.is_archive else "the four files"
            raise DownloadError(
                f"could not get {file} of {name!r} into {folder}:\n" + "\n".join(answers) + "\n"
                f"Check the network, or put {what} there by hand, or point {ENVIRONMENT_VARIABLE} "
                f"(or --data-dir) at a folder that has {name}/. The data set 'bundled' needs no network."
            )
    return folder


def _folder_to_write(name: str, data_dir: Path | None) -> Path:
    """Make the folder that a download goes to. Raises DownloadError if it cannot be written."""
    faults = []
    for find in [lambda: data_dir] if data_dir else [chosen_folder, user_cache]:
        parent = find()  # the cache only if it is needed
        if parent is None:
            if find is user_cache:
                faults.append(
                    f"{name}: expected a home folder whose cache takes the download, found none; give a folder by "
                    f"data_dir (--data-dir) or {ENVIRONMENT_VARIABLE}"
                )
            continue
        folder = parent / name
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
