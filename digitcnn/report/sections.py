"""The sections of the report, each as HTML; what comes from users or from files is escaped."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from .._text import printable
from .embedding import png_base64, themed_figures
from .figures import plot_calibration, plot_filters
from .intervals import accuracy_interval
from .measures import calibrate, most_confused, precision_and_recall, surest_mistakes
from .plots import plot_history

MAX_CLASSES_SHOWN = 64  # in the matrix: 4,096 cells, which a browser lays out at once
_MANY = 16  # classes, from which the matrix has smaller cells
N_MISTAKES = 24  # of the surest ones
_STRONGEST = 0.6  # opacity of the colour of the cell with the most mistakes: black and white text stay legible on it


def accuracy_section(confusion: np.ndarray, facts: Mapping[str, str]) -> str:
    """Accuracy, its interval, and facts about network and data."""
    n, n_correct = int(confusion.sum()), int(np.trace(confusion))
    low, high = accuracy_interval(n_correct, n)
    listed = "".join(
        f"<dt>{escape(printable(name))}</dt><dd>{escape(printable(value))}</dd>" for name, value in facts.items()
    )
    return (
        f'<section><h2>Test accuracy</h2><div class="columns"><div><p class="accuracy">{n_correct / n:.2%} '
        f"<small>{low:.2%} to {high:.2%}</small></p>"
        f'<p class="soft">{n_correct:,} of {n:,} test images are read right, {n - n_correct:,} are misread. '
        "The limits are Wilson's 95% interval of the accuracy on such images in general.</p></div>"
        f"<dl>{listed}</dl></div></section>"
    )


def matrix_section(confusion: np.ndarray) -> str:
    """The confusion matrix, its cells as buttons, and the panel that shows a cell's images."""
    mistakes, classes = _mistakes(confusion), _classes_shown(confusion)
    most = mistakes.max() or 1
    shown = (mistakes if mistakes.any() else confusion)[np.ix_(classes, classes)]
    row, column = divmod(int(shown.argmax()), len(classes))
    first = classes[row], classes[column]  # its images are shown when the page opens
    rows = []
    for truth in classes:
        cells = []
        for answer in classes:
            n = int(confusion[truth, answer])
            look = ' class="right"' if truth == answer else f' style="--share:{_STRONGEST * math.sqrt(n / most):.2f}"'
            mark = " data-first" if (truth, answer) == first else ""
            cells.append(f"<td>{_cell_button(truth, answer, n, look + mark) if n else ''}</td>")
        rows.append(f'<tr><th scope="row">{truth}</th>{"".join(cells)}</tr>')
    head = "".join(f'<th scope="col">{answer}</th>' for answer in classes)
    note = ""
    if len(classes) < len(confusion):
        note = f"Shown are the {len(classes)} of {len(confusion)} classes with the most mistakes. "
    many = " many" if len(classes) >= _MANY else ""
    return (
        f'<section class="matrix{many}"><h2>Confusion matrix</h2><p class="soft">{note}Each row is a true class, each '
        "column what its images are read as; mistakes are orange. Click a cell, or press Enter on it, to see its "
        'images; arrow keys go from cell to cell.</p><div class="columns"><div class="scroll"><table><thead><tr>'
        f'<th aria-label="true class">true</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        '<div id="panel"><h3 aria-live="polite">No cell is chosen</h3><p class="soft"></p>'
        '<div class="images"></div></div></div></section>'
    )


def _mistakes(confusion: np.ndarray) -> np.ndarray:
    """The matrix with zeros in its diagonal."""
    return confusion - np.diag(np.diag(confusion))


def _classes_shown(confusion: np.ndarray) -> list[int]:
    """The classes in the matrix, in order: all or, of too many, those with the most mistakes of either kind."""
    mistakes = _mistakes(confusion)
    by_mistakes = np.argsort(-(mistakes.sum(axis=0) + mistakes.sum(axis=1)), kind="stable")
    return np.sort(by_mistakes[:MAX_CLASSES_SHOWN]).tolist()


def cells_with_buttons(confusion: np.ndarray) -> np.ndarray:
    """Which cells' images can be asked for, in the matrix or in the list of pairs: bool [n_classes, n_classes]."""
    found = np.zeros(confusion.shape, bool)
    classes = _classes_shown(confusion)
    found[np.ix_(classes, classes)] = True
    for pair in most_confused(confusion):
        found[pair.low, pair.high] = found[pair.high, pair.low] = True
    return found


def _cell_button(truth: int, answer: int, n: int, attributes: str = "", text: str = "") -> str:
    """A button that shows a cell's images, with the text, else their number."""
    label = f"{truth} read as {answer}: {n:,} image{'' if n == 1 else 's'}"
    return (
        f'<button type="button" data-cell="{truth},{answer}" data-n="{n}" aria-pressed="false" '
        f'aria-label="{label}" title="{label}"{attributes}>{text or n}</button>'
    )


def classes_section(confusion: np.ndarray) -> str:
    """Precision and recall of each class."""
    precision, recall = precision_and_recall(confusion)
    rows = []
    for k, right in enumerate(np.diag(confusion)):
        n, n_read = int(confusion[k].sum()), int(confusion[:, k].sum())
        rows.append(
            f'<tr><th scope="row">{k}</th><td>{n:,}</td><td>{_percent(recall[k])}</td><td>{n - right:,}</td>'
            f"<td>{_percent(precision[k])}</td><td>{n_read - right:,}</td></tr>"
        )
    by_key = ' tabindex="0"' if len(confusion) > _MANY else ""  # so that keys scroll a long table
    head = "".join(f'<th scope="col">{name}</th>' for name in ("images", "recall", "missed", "precision", "false"))
    return (
        '<section><h2>Classes</h2><p class="soft">Recall: the share of the class\'s images that are read as it; the '
        "others are missed. Precision: the share of what is read as the class that belongs to it; the rest is false."
        f'</p><div class="scroll"{by_key}><table class="list"><thead><tr><th scope="col">class</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.2%}"


def pairs_section(confusion: np.ndarray) -> str:
    """The pairs of classes with the most mistakes between them."""
    rows = []
    for pair in most_confused(confusion):
        both = (pair.low, pair.high, pair.low_as_high), (pair.high, pair.low, pair.high_as_low)
        texts = (f"{truth} as {answer}: {n:,}" for truth, answer, n in both)
        cells = "".join(
            f"<td>{_cell_button(*cell, text=text) if cell[2] else text}</td>"
            for cell, text in zip(both, texts, strict=True)
        )
        rows.append(f'<tr><th scope="row">{pair.low} and {pair.high}</th><td>{pair.n:,}</td>{cells}</tr>')
    if not rows:
        return "<section><h2>Most confused pairs</h2><p>There are none: no image is misread.</p></section>"
    head = '<th scope="col">mistakes</th><th scope="colgroup" colspan="2">read as each other</th>'
    return (
        '<section><h2>Most confused pairs</h2><p class="soft">A button shows its images beside the matrix.</p>'
        f'<div class="scroll"><table class="list"><thead><tr><th scope="col">pair</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def mistakes_section(images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> str:
    """The misread images of the highest probabilities. images uint8 [n, height, width]."""
    figures = []
    for i in surest_mistakes(labels, probabilities, N_MISTAKES):
        answer, truth = int(probabilities[i].argmax()), int(labels[i])
        figures.append(
            f'<figure><img alt="test image {i}, a {truth} read as {answer}" '
            f'src="data:image/png;base64,{png_base64(images[i])}"><figcaption><b>{truth} as {answer}</b><br>'
            f"{probabilities[i].max():.1%}<br>#{i}</figcaption></figure>"
        )
    what = (
        '<p class="soft">The misread images whose wrong answer had the highest probability. Below each: true class and '
        f'answer, its probability, position in the test set.</p><div class="images">{"".join(figures)}</div>'
    )
    return f"<section><h2>Surest mistakes</h2>{what if figures else '<p>No image is misread.</p>'}</section>"


def calibration_section(labels: np.ndarray, probabilities: np.ndarray) -> str:
    """How often answers of about the same probability are right."""
    error = calibrate(labels, probabilities).expected_error
    return _figure_section(
        "Calibration",
        "On the dashed line, a probability means what it says; above it, the network is underconfident, below it "
        "overconfident. "
        f"The mean distance, the expected calibration error, is {error:.2%}.",
        lambda ax: plot_calibration(labels, probabilities, ax),
    )


def history_section(history: pd.DataFrame | None, training_accuracy: Mapping[float, float]) -> str:
    """Loss and accuracies by epoch; "" without any epoch."""
    if history is None or not len(history):
        return ""
    without = "" if history["Accuracy"].notna().any() else " There was no validation set."
    return _figure_section(
        "Learning curve",
        f"Of the training, over {len(history):,} epoch{'' if len(history) == 1 else 's'}.{without}",
        lambda ax: plot_history(history, ax, training_accuracy=training_accuracy),
    )


def filters_section(filters: np.ndarray | None) -> str:
    """The filters of the first convolution; "" without one."""
    if filters is None:
        return ""
    height, width, n_inputs, n = filters.shape
    mean = f", each the mean over {n_inputs} inputs" if n_inputs > 1 else ""
    return _figure_section(
        "Filters of the first convolution",
        f"{n:,} filters of {height}x{width} pixels{mean}: what they look for is orange, what they avoid purple.",
        lambda ax: plot_filters(filters, ax),
    )


def _figure_section(title: str, text: str, draw: Callable[[Axes], Any]) -> str:
    addresses = themed_figures(draw)
    return (
        f'<section><h2>{title}</h2><p class="soft">{text}</p><picture class="figure">'
        f'<source media="(prefers-color-scheme: dark)" srcset="{addresses["dark"]}">'
        f'<img alt="{title}. {text}" src="{addresses["light"]}"></picture></section>'
    )
