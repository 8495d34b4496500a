"""Copies the example scripts, manifests, the notebook and their README, which come with the package, into a folder."""

from __future__ import annotations

import os
from pathlib import Path

from .._validation import check_path, explain_os_errors

SUFFIXES = (".py", ".ipynb", ".md", ".yaml", ".sh")


def copy_examples(folder: str | os.PathLike) -> list[Path]:
    """Copy the examples into `folder`, which is made if need be; returns the files written, sorted by name.

    Raises FileExistsError, before anything is written, if a file of one of their names is there.
    """
    folder = check_path("folder", folder)
    sources = _find_examples()
    with explain_os_errors(folder, "a folder to copy the examples to"):
        is_usable = folder.is_dir() or not folder.exists()
    existing = [source.name for source in sources if os.path.lexists(folder / source.name)]
    if existing:
        raise FileExistsError(
            f"{folder}: expected none of the examples' files, found {', '.join(existing)}; name another folder"
        )
    if not is_usable:
        raise NotADirectoryError(f"{folder}: expected a folder to copy the examples to, found a file")
    targets = [folder / source.name for source in sources]
    with explain_os_errors(folder, "a folder to copy the examples to"):
        folder.mkdir(parents=True, exist_ok=True)
        for source, target in zip(sources, targets, strict=True):
            with target.open("xb") as file:  # "x": a file that appeared since is not overwritten
                file.write(source.read_bytes())
    return targets


def _find_examples() -> list[Path]:
    """The files of an installed package, or else of a source tree."""
    package = Path(__file__).parents[1]
    for place in (package / "examples", package.parent / "examples"):
        if files := sorted(file for file in place.glob("*") if file.suffix in SUFFIXES):
            return files
    raise FileNotFoundError(f"{package / 'examples'}: expected the examples, found none; install digitcnn again")
