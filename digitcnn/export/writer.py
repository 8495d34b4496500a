"""Exports a trained model: checks the target first, then writes all of it or nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from .._files import scratch_folder, sync_folder, sync_tree
from .._validation import check_text_path
from ..exceptions import reason_of
from ..settings import check_name
from .formats import FORMATS
from .inference_graph import InferenceGraph
from .onnx import import_converter, onnx_bytes
from .saved_model import write_saved_model
from .tflite import check_converter, tflite_bytes


def check_target(path: str | os.PathLike, format: str, representative: Any) -> Path:
    """Return the path to write to, after all checks that are possible before the conversion.

    Raises ValueError for an unknown format, or a `representative` set that the format lacks or does not take;
    FileExistsError if `path` exists, NotADirectoryError if its parent is a file; ImportError if the format needs a
    package that is not installed.
    """
    target = check_text_path("path", path)
    check_name("format", format, tuple(FORMATS))
    if format == "tflite-int8" and representative is None:
        raise ValueError("representative: expected a few hundred training images for 'tflite-int8', found none")
    if format != "tflite-int8" and representative is not None:
        raise ValueError(f"representative: expected images for 'tflite-int8' only, found some for {format!r}")
    for suffix, kinds in ((".tflite", ("tflite", "tflite-int8")), (".onnx", ("onnx",))):
        if target.suffix == suffix and format not in kinds:
            raise ValueError(f"format: expected {' or '.join(map(repr, kinds))} for {target.name}, found {format!r}")
    _check_free(target)
    above = next(folder for folder in target.absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        raise NotADirectoryError(f"{target}: expected a folder to write into, found a file: {above}")
    if format == "onnx":
        import_converter()
    if format.startswith("tflite"):
        check_converter()
    return target


def _check_free(target: Path) -> None:
    """Raise FileExistsError if there is anything at the path."""
    if os.path.lexists(target):
        raise FileExistsError(
            f"{target}: expected nothing there, found a file or folder; remove it, or choose another name"
        )


def write_export(inference: InferenceGraph, target: Path, format: str, representative: np.ndarray | None = None) -> str:
    """Write an exported model, and return its path.

    Parameters
    ----------
    inference : InferenceGraph
        The graph that only predicts.
    target : Path
        New folder ('savedmodel') or file.
    format : str
        One of FORMATS.
    representative : array, optional
        Images [n, pixels] of the kind that `inference.input` takes, for 'tflite-int8'.

    Raises
    ------
    OSError
        If it cannot be written; FileExistsError if something is there.
    ValueError
        If the format cannot express the graph.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(target.parent, "export") as scratch:
            new = scratch / "new"
            if format == "savedmodel":
                write_saved_model(inference, new)
            elif format == "onnx":
                new.write_bytes(onnx_bytes(inference))
            else:
                write_saved_model(inference, scratch / "saved_model")
                new.write_bytes(tflite_bytes(inference, scratch / "saved_model", representative))
            sync_tree(new)
            _check_free(target)
            new.rename(target)
        sync_folder(target.parent)
    except FileExistsError:
        raise
    except (OSError, tf.errors.OpError) as error:  # a full disk, a read-only folder
        raise OSError(f"could not export to {target}: {reason_of(error)}") from error
    return str(target)
