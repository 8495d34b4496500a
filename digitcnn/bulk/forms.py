"""The forms of a file of answers: a header, then one row for each image."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from .._text import printable
from .._validation import check_path, explain_os_errors


class _Header(Protocol):
    def __call__(self, n_rows: int, n_classes: int) -> bytes: ...


class _Rows(Protocol):
    def __call__(self, first: int, labels: np.ndarray, probabilities: np.ndarray) -> bytes: ...


class Form(NamedTuple):
    """How a file of answers is written.

    header: takes the number of rows and of classes. rows: takes the number of the first image, its batch's labels
    int32 [n], and probabilities float32 [n, classes].
    """

    header: _Header
    rows: _Rows


def row_dtype(n_classes: int) -> np.dtype:
    """The type of a row of an NPY file: `label`, int32, and `probabilities`, float32 [classes]; little-endian."""
    return np.dtype([("label", "<i4"), ("probabilities", "<f4", (n_classes,))])


def _npy_header(n_rows: int, n_classes: int) -> bytes:
    content = io.BytesIO()
    described = np.lib.format.dtype_to_descr(row_dtype(n_classes))
    np.lib.format.write_array_header_1_0(content, {"descr": described, "fortran_order": False, "shape": (n_rows,)})
    return content.getvalue()


def _npy_rows(first: int, labels: np.ndarray, probabilities: np.ndarray) -> bytes:
    rows = np.empty(len(labels), row_dtype(probabilities.shape[1]))
    rows["label"], rows["probabilities"] = labels, probabilities
    return rows.tobytes()


def _csv_header(n_rows: int, n_classes: int) -> bytes:
    return ",".join(["image", "label", *(f"probability_{label}" for label in range(n_classes))]).encode() + b"\n"


def _csv_rows(first: int, labels: np.ndarray, probabilities: np.ndarray) -> bytes:
    template = "%d,%d" + ",%.9g" * probabilities.shape[1] + "\n"  # nine digits give every float32 back
    numbered = enumerate(zip(labels.tolist(), probabilities.tolist(), strict=True), first)
    return "".join(template % (image, label, *row) for image, (label, row) in numbered).encode()


FORMS = {".npy": Form(_npy_header, _npy_rows), ".csv": Form(_csv_header, _csv_rows)}


def check_out(out: str | os.PathLike) -> tuple[Path, Form]:
    """The file to write, in a folder that exists, and its form by its name. Raises ValueError or OSError."""
    file = check_path("out", out)
    form = FORMS.get(file.suffix.lower())
    if form is None:
        raise ValueError(f"{printable(file)}: expected a name that ends in {' or '.join(FORMS)}, found another")
    with explain_os_errors(file, "a file that can be written"):
        if file.is_dir():
            raise IsADirectoryError(f"{printable(file)}: expected a name of a file to write, found a folder")
        if not file.parent.is_dir():
            raise FileNotFoundError(f"{printable(file)}: expected a folder that exists, found no {file.parent}")
    return file, form
