"""The report of an evaluation: one HTML file that opens from disk and asks for nothing from outside.

report.html beside this file is the page; {{name}} in it is a place that `report_html` fills.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from .._files import write_whole
from .._text import printable
from .._validation import check_array, check_path, explain_os_errors
from ..data.arrays import as_labels
from ..version import __version__
from .embedding import MAX_PIXELS, choose_images, png_base64, shown_size
from .figures import checked_probabilities
from .measures import confusion_matrix
from .sections import (
    accuracy_section,
    calibration_section,
    cells_with_buttons,
    classes_section,
    filters_section,
    history_section,
    matrix_section,
    mistakes_section,
    pairs_section,
)

REPORT_FILE = "report.html"
_MARK = b'<meta name="generator" content="digitcnn report">'  # in the first lines of every report
_MARK_WITHIN = 1024  # bytes


@dataclass(frozen=True, eq=False, kw_only=True)  # arrays have no single truth value
class Evaluation:
    """What a report is made from.

    Parameters
    ----------
    title : str
        The heading: which network on which data.
    images : array of uint8, shape (n, height, width)
        The test images, high where there is ink.
    labels : array of shape (n,)
        Their classes, 0..n_classes-1.
    probabilities : array of float, shape (n, n_classes)
        The network's answers, of 2 to 256 classes.
    facts : mapping of str to str, default {}
        More to say below the accuracy, in order.
    history : DataFrame, optional
        As `plot_history` takes it; without it, or without rows, there is no learning curve.
    training_accuracy : mapping of float to float, default {}
        Epoch -> accuracy on the training set.
    filters : array of shape (height, width, inputs, outputs), optional
        Of the first convolution; without them that section is left out.

    Raises
    ------
    TypeError
        If an array holds no numbers.
    ValueError
        If an array has another shape, or values that are out of range.
    """

    title: str
    images: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    facts: Mapping[str, str] = field(default_factory=dict)
    history: pd.DataFrame | None = None
    training_accuracy: Mapping[float, float] = field(default_factory=dict)
    filters: np.ndarray | None = None

    def __post_init__(self) -> None:
        probabilities = checked_probabilities(self.probabilities)
        n, n_classes = probabilities.shape
        images = check_array("images", self.images, "uint8 [n, height, width]")
        if images.dtype != np.uint8 or images.ndim != 3 or len(images) != n or not images.size:
            found = f"{images.dtype} {list(images.shape)}"
            raise ValueError(f"images: expected uint8 [{n}, height, width], found {found}")
        labels = as_labels(self.labels, n, "labels", n_classes)
        for name, value in (("images", images), ("labels", labels), ("probabilities", probabilities)):
            object.__setattr__(self, name, value)


def check_report_folder(folder: str | os.PathLike) -> Path:
    """A folder that a report can be written into: it may not exist yet, or hold other files.

    Raises NotADirectoryError if it is a file, FileExistsError if its report.html is no report, which this would
    overwrite; other OSErrors if it cannot be read.
    """
    folder = check_path("report", folder)
    file = folder / REPORT_FILE
    with explain_os_errors(folder, "a folder for the report"):
        if os.path.lexists(folder) and not folder.is_dir():
            raise NotADirectoryError(f"{folder}: expected a folder for the report, found a file; name another folder")
        if not os.path.lexists(file):
            return folder
        is_own = False
        if file.is_file() and not file.is_symlink():  # opening a pipe would wait for a writer
            with file.open("rb") as stream:
                is_own = _MARK in stream.read(_MARK_WITHIN)
        if not is_own:
            raise FileExistsError(
                f"{file}: expected nothing, or an earlier report to replace, found something else; name another folder"
            )
    return folder


def write_report(evaluation: Evaluation, folder: str | os.PathLike) -> Path:
    """Write report.html into a folder, which is made if need be; an earlier report is replaced, whole or not at all.

    Returns the file. Raises as `check_report_folder`, and OSError if it cannot be written.
    """
    folder = check_report_folder(folder)
    content = report_html(evaluation).encode()
    with explain_os_errors(folder, "a folder that can be written"):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / REPORT_FILE, content)
    return folder / REPORT_FILE


def report_html(evaluation: Evaluation) -> str:
    """The report as the text of an HTML file; the same evaluation gives the same text."""
    images, labels, probabilities = evaluation.images, evaluation.labels, evaluation.probabilities
    confusion = confusion_matrix(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    height, width = shown_size(*images.shape[1:])
    cells = choose_images(labels, probabilities, cells_with_buttons(confusion), MAX_PIXELS // (height * width))
    embedded = {
        f"{truth},{answer}": [[i, f"{probabilities[i].max():.1%}", png_base64(images[i])] for i in positions]
        for (truth, answer), positions in cells.items()
    }
    sections = [
        accuracy_section(confusion, evaluation.facts),
        matrix_section(confusion),
        _side_by_side(classes_section(confusion), pairs_section(confusion)),
        mistakes_section(images, labels, probabilities),
        _side_by_side(
            calibration_section(labels, probabilities),
            history_section(evaluation.history, evaluation.training_accuracy),
        ),
        filters_section(evaluation.filters),
    ]
    template = importlib.resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    parts = {
        "policy": _policy(template),
        "title": escape(printable(evaluation.title)),
        "sections": "\n".join(filter(None, sections)),
        "images": json.dumps(embedded, separators=(",", ":")),  # digits, commas and base64: nothing to escape
        "version": escape(__version__),
    }
    # In one pass, so that a place's name in untrusted text stays text.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], template)


def _policy(template: str) -> str:
    """A Content-Security-Policy that allows the page's own script, by its digest, and nothing from outside."""
    [script] = re.findall(r"<script>(.*?)</script>", template, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"{allowed}; base-uri 'none'; form-action 'none'"


def _side_by_side(left: str, right: str) -> str:
    return f'<div class="columns">{left}{right}</div>' if left and right else left + right
