"""Matplotlib plots of a training history and of predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from .._validation import check_array, check_whole
from ..data.arrays import infer_image_shape
from .drawing import BLUE, GREEN, VERMILION, current_axes, draw_labelled_images, new_figure, set_title

_LOSS_STYLE: dict[str, Any] = {"color": BLUE, "marker": "o", "linestyle": "-"}
_VALIDATION_STYLE: dict[str, Any] = {"color": VERMILION, "marker": "s", "linestyle": "-"}
_TRAINING_STYLE: dict[str, Any] = {"color": GREEN, "marker": "^", "linestyle": "--"}


def plot_history(
    history: pd.DataFrame,
    ax: Axes | None = None,
    *,
    training_accuracy: Mapping[float, float] | pd.Series | None = None,
) -> Axes:
    """Plot training loss (left axis) and accuracies (right axis) over the epochs.

    The legend names the last value of each curve. Without any accuracy there is no right axis.

    Parameters
    ----------
    history : DataFrame
        Columns Epoch, Loss and Accuracy (of the validation set, 0..1, NaN where unknown), as `DigitCNN.history`
        has them. A last epoch may be a fraction.
    ax : Axes, optional
        Where to draw; default is pyplot's current axes.
    training_accuracy : mapping or Series, optional
        Epoch -> accuracy on the training set, 0..1. A run folder's TensorBoard events have it.

    Returns
    -------
    Axes
        The left axis, `ax`.

    Raises
    ------
    TypeError
        If `history` is no DataFrame or `training_accuracy` is no mapping.
    ValueError
        If `history` has no rows or lacks a column.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> from digitcnn import plot_history
    >>> history = pd.DataFrame({"Epoch": [1, 2], "Loss": [0.61, 0.32], "Accuracy": [0.914, 0.958]})
    >>> ax = plot_history(history, Figure().subplots(), training_accuracy={1: 0.872, 2: 0.941})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['training loss 0.320', 'training accuracy 0.941', 'validation accuracy 0.958']
    """
    _check_history(history)
    curves = _accuracy_curves(history, training_accuracy)
    ax = ax or current_axes()
    lines = ax.plot(history["Epoch"], history["Loss"], markersize=4, **_LOSS_STYLE)
    lines[0].set_label(f"training loss {history['Loss'].iloc[-1]:.3f}")
    ax.set_xlabel("epoch")
    ax.set_ylabel("mean training loss")
    ax.set_ylim(bottom=0)
    both = [ax]
    if curves:
        right = ax.twinx()
        both.append(right)
        for name, curve, style in curves:
            lines += right.plot(curve.index, curve, markersize=4, label=f"{name} {curve.iloc[-1]:.3f}", **style)
        right.set_ylabel("accuracy" if len(curves) > 1 else curves[0][0])
        _limit_accuracies(right)
        # The left axes, with the legend, in front of the right one's curves; their background behind both.
        right.patch.set(visible=ax.patch.get_visible(), facecolor=ax.get_facecolor())
        ax.patch.set_visible(False)
        ax.set_zorder(right.get_zorder() + 1)
    _mark_whole_epochs(ax, history["Epoch"])
    ax.legend(handles=lines, loc="center right", bbox_to_anchor=(1, _emptiest_height(both)), framealpha=0.9)
    return ax


def plot_predictions(
    X: np.ndarray,
    y: np.ndarray,
    predictions: np.ndarray,
    figure: Figure | SubFigure | None = None,
    n_rows: int = 4,
    n_columns: int = 11,
    *,
    probabilities: np.ndarray | None = None,
) -> np.ndarray:
    """Plot images with their predicted labels, the misread ones first.

    A misread image has the title `predicted/true` in red, any other its label alone. The figure's title says
    how many of the images are shown and how many of all are misread.

    Parameters
    ----------
    X : array of shape (n, height, width), (n, height, width, 1) or, for square images, (n, pixels)
        The images, dark where pixels are high.
    y : array of shape (n,)
        True labels.
    predictions : array of shape (n,)
        Predicted labels.
    figure : Figure or SubFigure, optional
        Where to draw; default is a new figure of pyplot, an inch a column.
    n_rows, n_columns : int, default 4 and 11
        Rows and columns of images, at most `n_rows * n_columns` of which are shown.
    probabilities : array of shape (n, n_classes) or (n,), optional
        As `DigitCNN.predict(X, return_proba=True)` returns them, or of each prediction alone; 0..1. That of the
        predicted label is written below each image.

    Returns
    -------
    ndarray of Axes, shape (n_rows, n_columns)
        Places without an image are blank.

    Raises
    ------
    TypeError
        If `n_rows` or `n_columns` is no whole number, or `probabilities` are no numbers.
    ValueError
        If the images' shape is unknown, lengths differ, or `probabilities` has another shape.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from digitcnn import load_dataset, plot_predictions
    >>> digits = load_dataset("bundled")
    >>> X, y = digits.test_images[:50], digits.test_labels[:50]
    >>> predictions = y.copy()
    >>> predictions[7] = (y[7] + 1) % 10
    >>> figure = Figure(figsize=(11, 5.5), layout="constrained")
    >>> axes = plot_predictions(X, y, predictions, figure)
    >>> figure.get_suptitle()
    '44 of 50 shown; 1 misread, first, in red as predicted/true'
    """
    n_rows, n_columns = check_whole("n_rows", n_rows), check_whole("n_columns", n_columns)
    X, y = check_array("X", X, "images of one size"), check_array("y", y, "shape [n]")
    predictions = check_array("predictions", predictions, "shape [n]")
    image_shape = infer_image_shape(X)
    X = X.reshape(len(X), *image_shape)
    for name, labels in (("y", y), ("predictions", predictions)):
        if labels.shape != (len(X),):
            raise ValueError(f"{name}: expected a label for each of {len(X)} images, found shape {list(labels.shape)}")
    certainties = None if probabilities is None else _probability_of_each(predictions, probabilities)
    if figure is None:
        figure = new_figure(n_columns, 0.5 + (1.3 if certainties is None else 1.45) * n_rows)
    is_wrong = predictions != y
    shown = np.argsort(~is_wrong, kind="stable")[: n_rows * n_columns]
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    below = None if certainties is None else [f"{certainty:.2f}" for certainty in certainties[shown]]
    draw_labelled_images(axes, X[shown], y[shown], predictions[shown], below)
    n_wrong = is_wrong.sum()
    title = f"{len(shown)} of {len(y)} shown; "
    title += f"{n_wrong} misread, first, in red as predicted/true" if n_wrong else "none misread"
    if certainties is not None:
        title += "; the prediction's probability below"
    set_title(figure, title)
    return axes


def _check_history(history: Any) -> None:
    """Check that it is a DataFrame with the columns to plot, and rows. Raises TypeError or ValueError."""
    if not isinstance(history, pd.DataFrame):
        raise TypeError(f"history: expected a DataFrame like DigitCNN.history, found {type(history).__name__}")
    if not {"Epoch", "Loss", "Accuracy"} <= set(history.columns):
        found = ", ".join(map(str, history.columns)) or "none"
        raise ValueError(f"history: expected columns Epoch, Loss, Accuracy, found {found}")
    if len(history) == 0:
        raise ValueError("history: expected at least one epoch, found none: train first")


def _accuracy_curves(history: pd.DataFrame, training_accuracy: Any) -> list[tuple[str, pd.Series, dict[str, Any]]]:
    """Name, accuracies by epoch, and style of each curve that has a value. Raises TypeError."""
    if training_accuracy is None:
        training_accuracy = {}
    if not isinstance(training_accuracy, (Mapping, pd.Series)):
        found = type(training_accuracy).__name__
        raise TypeError(f"training_accuracy: expected a mapping or Series, epoch -> accuracy, found {found}")
    training = pd.Series(training_accuracy, dtype=float).sort_index().dropna()
    validation = history.set_index("Epoch")["Accuracy"].dropna()
    curves = ("training accuracy", training, _TRAINING_STYLE), ("validation accuracy", validation, _VALIDATION_STYLE)
    return [curve for curve in curves if len(curve[1])]


def _mark_whole_epochs(ax: Axes, epochs: pd.Series) -> None:
    """Put ticks at whole epochs only, of which at least one is in view."""
    ax.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    if epochs.max() - epochs.min() < 1:
        ax.set_xlim(math.floor(epochs.min()) - 0.5, math.ceil(epochs.max()) + 0.5)


def _limit_accuracies(ax: Axes) -> None:
    """Show a range of at least 0.02, with no tick above 1."""
    low, high = ax.get_ylim()
    margin = max(0.0, 0.02 - (high - low)) / 2
    low, high = low - margin, high + margin
    if high > 1:
        high = 1 + 0.02 * (1 - low)  # room for the upper half of a marker at 1
    ax.set_ylim(low, high)


def _emptiest_height(both: list[Axes]) -> float:
    """Middle of the largest gap between the curves in the right half, as a fraction of the axes' height.

    Matplotlib's "best" place for a legend considers the curves of one axis only.
    """
    heights = [np.array([0.0, 1.0])]
    for ax in both:
        (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
        for line in ax.lines:
            points = np.asarray(line.get_xydata())
            x, y = points[np.isfinite(points).all(axis=1)].T
            places = np.linspace((left + right) / 2, right)
            places = places[(places >= x.min(initial=right)) & (places <= x.max(initial=left))]
            heights.append((np.interp(places, x, y) - low) / (high - low) if len(places) else places)
    sorted_heights = np.sort(np.concatenate(heights))
    widest = np.argmax(np.diff(sorted_heights))
    middle = (sorted_heights[widest] + sorted_heights[widest + 1]) / 2
    return float(np.clip(middle, 0.13, 0.87))  # a legend of three lines is about a fifth as high as the axes


def _probability_of_each(predictions: np.ndarray, probabilities: Any) -> np.ndarray:
    """Each predicted label's probability, float [n], from [n, n_classes] or [n]. Raises TypeError or ValueError."""
    probabilities = check_array("probabilities", probabilities, "shape [n, n_classes] or [n]")
    if probabilities.dtype.kind not in "iuf":
        raise TypeError(f"probabilities: expected numbers 0..1, found dtype {probabilities.dtype}")
    n = len(predictions)
    if probabilities.ndim not in (1, 2) or len(probabilities) != n:
        found = list(probabilities.shape)
        raise ValueError(f"probabilities: expected shape [{n}, n_classes] or [{n}], found {found}")
    if probabilities.ndim == 1:
        return probabilities
    n_classes = probabilities.shape[1]
    is_class = predictions.dtype.kind in "iu" and bool(np.all((predictions >= 0) & (predictions < n_classes)))
    if not is_class:
        raise ValueError(
            f"predictions: expected whole numbers 0..{n_classes - 1}, the columns of probabilities, "
            "found others; give the probability of each prediction alone"
        )
    return probabilities[np.arange(n), predictions]
