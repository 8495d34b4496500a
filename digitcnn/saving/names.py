"""Names of a saved model's files, and what is said of files that are no saved model."""

from __future__ import annotations

from pathlib import Path

INDEX = ".index"
_SUFFIXES = (INDEX, ".meta", ".json", ".data-00000-of-00001")


def without_suffix(path: Path) -> Path:
    """A saved model's prefix from the name of one of its files; the folder of a file `checkpoint`; else the path."""
    if not path.is_file():
        return path
    if path.name == "checkpoint":
        return path.parent
    for suffix in _SUFFIXES:
        prefix = path.with_name(path.name.removesuffix(suffix)) if len(path.name) > len(suffix) else path
        if prefix != path and any(prefix.with_name(prefix.name + other).is_file() for other in (INDEX, ".json")):
            return prefix
    return path


def foreign_advice(path: Path) -> str:
    """The end of an error message: that there is a checkpoint without a record, and how to read it; '' if not."""
    if path.is_dir():
        names = {file.name for file in path.iterdir()}
        without = [name for name in names if name.endswith(INDEX) and f"{name.removesuffix(INDEX)}.json" not in names]
        found = path / min(without).removesuffix(INDEX) if without else None
    else:
        found = path if path.with_name(path.name + INDEX).is_file() else None
    if found is None:
        return ""
    return (
        f"; {found.name}{INDEX} is a checkpoint of TensorFlow without digitcnn's record: "
        f"DigitCNN.import_checkpoint({str(found)!r}) reads its weights"
    )
