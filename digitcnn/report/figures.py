"""Matplotlib plots of an evaluation: confusion matrix, calibration curve, filters of a convolution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, PercentFormatter

from .._validation import check_array, check_whole
from ..data.arrays import as_labels
from .drawing import BLUE, current_axes
from .intervals import accuracy_interval
from .measures import calibrate, confusion_matrix

_MAX_CLASSES = 256  # what uint8 labels can name
_MAX_COUNTED = 20  # classes whose cells have room for their counts at 6 x 4 inches
_MAX_NAMED = 12  # classes that the axes name one by one
_MAX_FILTERS = 64  # filters that stay distinct at 6 x 4 inches


def plot_confusion(y: np.ndarray, predictions: np.ndarray, ax: Axes | None = None, *, n_classes: int = 10) -> Axes:
    """Plot how many images of each class are read as which.

    The colour of a mistake is its share of all images of its true class; the right answers on the diagonal are left
    white, since they would drown the mistakes.

    Parameters
    ----------
    y : array of shape (n,)
        True labels, 0..n_classes-1.
    predictions : array of shape (n,)
        Predicted labels.
    ax : Axes, optional
        Where to draw; default is pyplot's current axes.
    n_classes : int, default 10
        Number of classes, at most 256. Cells have their counts written in them up to 20 classes.

    Returns
    -------
    Axes
        Where it is drawn.

    Raises
    ------
    TypeError
        If labels are no numbers, or `n_classes` is no whole number.
    ValueError
        If there are no labels, the lengths differ, or a label is out of range.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from digitcnn import plot_confusion
    >>> ax = plot_confusion([0, 1, 1, 2], [0, 1, 2, 2], Figure().subplots(), n_classes=3)
    >>> ax.get_title()
    '1 of 4 misread'
    """
    n_classes = check_whole("n_classes", n_classes, 2, _MAX_CLASSES)
    y = _checked_labels(y, n_classes)
    confusion = confusion_matrix(y, as_labels(predictions, len(y), "predictions", n_classes), n_classes)
    mistakes = confusion * (1.0 - np.eye(n_classes))
    shares = mistakes / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    ax = ax or current_axes()
    image = ax.imshow(shares, cmap="Oranges", vmin=0, vmax=shares.max() or 1)
    ax.set(xlabel="read as", ylabel="true class")
    for axis in (ax.xaxis, ax.yaxis):
        every = FixedLocator(range(n_classes))
        axis.set_major_locator(every if n_classes <= _MAX_NAMED else MaxNLocator(10, integer=True))
    if n_classes <= _MAX_COUNTED:
        for row, column in np.argwhere(confusion):
            is_dark = shares[row, column] > 0.6 * image.get_clim()[1]
            style: dict[str, Any] = {"color": "white" if is_dark else "black", "fontsize": 8 if n_classes <= 10 else 6}
            ax.text(column, row, str(confusion[row, column]), ha="center", va="center", **style)
    bar = ax.figure.colorbar(image, ax=ax, format=PercentFormatter(1, decimals=None))
    bar.set_label("share of the true class")
    n_wrong = int(mistakes.sum())
    ax.set_title(f"{n_wrong:,} of {len(y):,} misread")
    return ax


def plot_calibration(y: np.ndarray, probabilities: np.ndarray, ax: Axes | None = None) -> Axes:
    """Plot how often answers are right, by their probability: on the dashed line, probabilities mean what they say.

    A point is a tenth of the range of probabilities, with the 95% interval of its accuracy; the number of answers in
    it is written below.

    Parameters
    ----------
    y : array of shape (n,)
        True labels.
    probabilities : array of shape (n, n_classes)
        As `DigitCNN.predict(X, return_proba=True)` returns them.
    ax : Axes, optional
        Where to draw; default is pyplot's current axes.

    Returns
    -------
    Axes
        Where it is drawn.

    Raises
    ------
    TypeError
        If labels or probabilities are no numbers.
    ValueError
        If there are none, their shapes do not agree, or a value is out of range.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from digitcnn import plot_calibration
    >>> ax = plot_calibration([0, 0], [[0.95, 0.05], [0.35, 0.65]], Figure().subplots())
    >>> ax.get_title()
    'expected calibration error 35.0%'
    """
    probabilities = checked_probabilities(probabilities)
    calibration = calibrate(_checked_labels(y, probabilities.shape[1], len(probabilities)), probabilities)
    ax = ax or current_axes()
    ax.plot([0, 1], [0, 1], color="0.5", linestyle="--", linewidth=1, label="probability = accuracy")
    filled = np.flatnonzero(calibration.counts)
    x, accuracies = calibration.confidences[filled], calibration.accuracies[filled]
    counts, n_correct = calibration.counts[filled], calibration.n_correct[filled]
    limits = np.array([accuracy_interval(int(k), int(n)) for k, n in zip(n_correct, counts, strict=True)])
    lengths = np.maximum(0, [accuracies - limits[:, 0], limits[:, 1] - accuracies])
    ax.errorbar(x, accuracies, lengths, color=BLUE, marker="o", markersize=5, capsize=3, label="with 95% interval")
    for bin_, n in zip(filled, counts, strict=True):
        text = f"{n:,}" if n < 100_000 else f"{n / 1e3:,.0f}k"  # as much as a bin has room for
        ax.text((bin_ + 0.5) / len(calibration.counts), -0.09, text, fontsize=8, ha="center", va="center")
    ax.axhline(-0.03, color="0.5", linewidth=0.5)
    ax.set(xlim=(0, 1.01), ylim=(-0.15, 1.03), xlabel="probability of the answer (below the line: how many answers)")
    ax.set(ylabel="share of right answers", yticks=np.linspace(0, 1, 6))
    ax.set_title(f"expected calibration error {calibration.expected_error:.1%}")
    is_above = np.mean(accuracies - x) >= 0
    ax.legend(loc="lower right" if is_above else "upper left", bbox_to_anchor=(1, 0.12) if is_above else (0, 1))
    return ax


def plot_filters(filters: np.ndarray, ax: Axes | None = None) -> Axes:
    """Plot the filters of a convolution side by side, in one range of colours around 0.

    Parameters
    ----------
    filters : array of shape (height, width, inputs, outputs)
        The weights, as `cnn.sess.run("conv_1/_weights:0")` returns them. Of several inputs, the mean is shown; of
        more than 64 outputs, the first 64.
    ax : Axes, optional
        Where to draw; default is pyplot's current axes.

    Returns
    -------
    Axes
        Where it is drawn.

    Raises
    ------
    TypeError
        If `filters` are no numbers.
    ValueError
        If they have another shape, or none is there.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from digitcnn import plot_filters
    >>> ax = plot_filters(np.ones((5, 5, 1, 32)), Figure().subplots())
    >>> ax.get_title()
    '32 filters of 5x5'
    """
    filters = check_array("filters", filters, "shape [height, width, inputs, outputs]")
    if filters.dtype.kind not in "iuf":
        raise TypeError(f"filters: expected numbers, found dtype {filters.dtype}")
    if filters.ndim != 4 or not filters.size:
        raise ValueError(f"filters: expected shape [height, width, inputs, outputs], found {list(filters.shape)}")
    height, width, _, n = filters.shape
    tiles = filters[..., :_MAX_FILTERS].astype(np.float64).mean(axis=2).transpose(2, 0, 1)  # [outputs, height, width]
    # About one and a half times as wide as high, as figures are.
    n_columns = min(len(tiles), max(1, round(math.sqrt(1.5 * len(tiles) * height / width))))
    ax = ax or current_axes()
    finite = np.abs(tiles[np.isfinite(tiles)])
    highest = finite.max(initial=0) or 1
    # Orange and purple: colour-blind readers tell them apart.
    image = ax.imshow(_sheet(tiles, n_columns), cmap="PuOr_r", vmin=-highest, vmax=highest)
    ax.axis("off")
    ax.figure.colorbar(image, ax=ax, label="weight")
    shown = f"{n:,}" if n == len(tiles) else f"{len(tiles)} of {n:,}"
    ax.set_title(f"{shown} filters of {height}x{width}")
    return ax


def _sheet(tiles: np.ndarray, n_columns: int) -> np.ndarray:
    """Arrange tiles [n, height, width] in rows, a pixel of NaN, which is not drawn, between them."""
    n, height, width = tiles.shape
    n_rows = -(-n // n_columns)
    tiles = np.pad(tiles, ((0, n_rows * n_columns - n), (0, 1), (0, 1)), constant_values=np.nan)
    tiles = tiles.reshape(n_rows, n_columns, height + 1, width + 1)
    return tiles.transpose(0, 2, 1, 3).reshape(n_rows * (height + 1), n_columns * (width + 1))[:-1, :-1]


def checked_probabilities(probabilities: Any) -> np.ndarray:
    """Probabilities of at least two classes, float [n, n_classes]. Raises TypeError or ValueError."""
    probabilities = check_array("probabilities", probabilities, "shape [n, n_classes]")
    if probabilities.dtype.kind not in "iuf":
        raise TypeError(f"probabilities: expected numbers 0..1, found dtype {probabilities.dtype}")
    if probabilities.ndim != 2 or not len(probabilities) or not 2 <= probabilities.shape[1] <= _MAX_CLASSES:
        found = list(probabilities.shape)
        raise ValueError(f"probabilities: expected shape [n, n_classes] with 2..{_MAX_CLASSES} classes, found {found}")
    if not np.all((probabilities >= 0) & (probabilities <= 1 + 1e-5)):  # the rounding of a softmax
        others = "NaN; did the training diverge?" if np.isnan(probabilities).any() else "others"
        raise ValueError(f"probabilities: expected numbers 0..1, found {others}")
    return probabilities


def _checked_labels(y: Any, n_classes: int, n: int | None = None) -> np.ndarray:
    """Labels, int32 [n], at least one; by default as many as there are. Raises TypeError or ValueError."""
    y = check_array("y", y, "shape [n]")
    if y.ndim == 1 and not len(y):
        raise ValueError("y: expected at least one label, found none")
    return as_labels(y, len(y) if n is None and y.ndim else n or 0, "y", n_classes)
