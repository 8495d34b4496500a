"""Matplotlib plots of doubt: the images that are doubted most, and accuracy against the part that is rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import PercentFormatter

from .._files import write_whole
from .._validation import check_array, check_whole, explain_os_errors
from ..data.arrays import infer_image_shape
from .drawing import (
    BLUE,
    VERMILION,
    current_axes,
    draw_labelled_images,
    for_files,
    new_figure,
    png,
    set_title,
)
from .measures import rejection_curve

DOUBTS, REJECTION = "doubts.png", "rejection.png"


def plot_rejection(y: np.ndarray, predictions: np.ndarray, doubt: np.ndarray, ax: Axes | None = None) -> Axes:
    """Plot the accuracy on the images that are left if the most doubted ones are rejected.

    The dashed line is what rejecting at random would give: the accuracy on all of them.

    Parameters
    ----------
    y : array of shape (n,)
        True labels.
    predictions : array of shape (n,)
        Predicted labels.
    doubt : array of shape (n,)
        Numbers, the higher the more doubtful, such as those of `Ensemble.doubt`. Images that are doubted equally are
        rejected together.
    ax : Axes, optional
        Where to draw; default is pyplot's current axes.

    Returns
    -------
    Axes
        Where it is drawn.

    Raises
    ------
    TypeError
        If `doubt` has no numbers.
    ValueError
        If there are no images, lengths differ, or a doubt is NaN.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from digitcnn import plot_rejection
    >>> ax = plot_rejection([3, 7, 1, 0], [3, 1, 1, 0], [0.0, 0.5, 0.1, 0.2], Figure().subplots())
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['the most doubted rejected', 'all: 75.00%']
    """
    y, predictions, doubt = _checked(y, predictions, doubt)
    rejected, accuracies = rejection_curve(y == predictions, doubt)
    ax = ax or current_axes()
    ax.step(rejected, accuracies, where="post", color=BLUE, label="the most doubted rejected")
    ax.axhline(accuracies[0], color=VERMILION, linestyle="--", label=f"all: {accuracies[0]:.2%}")
    ax.set(xlabel="rejected part", ylabel="accuracy on what is left", xlim=(0, 1))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=None))
    ax.legend(loc="center right")
    return ax


def plot_doubts(
    X: np.ndarray,
    y: np.ndarray,
    predictions: np.ndarray,
    doubt: np.ndarray,
    figure: Figure | SubFigure | None = None,
    shape: tuple[int, int] = (4, 11),
) -> np.ndarray:
    """Plot the images that are doubted most, the most doubted first.

    A misread image has the title `predicted/true` in red, any other its label alone; its doubt is written below.

    Parameters
    ----------
    X : array of shape (n, height, width), (n, height, width, 1) or, for square images, (n, pixels)
        The images, dark where pixels are high.
    y : array of shape (n,)
        True labels.
    predictions : array of shape (n,)
        Predicted labels.
    doubt : array of shape (n,)
        Numbers, the higher the more doubtful, such as those of `Ensemble.doubt`.
    figure : Figure or SubFigure, optional
        Where to draw; default is a new figure of pyplot, an inch a column.
    shape : tuple of int, default (4, 11)
        Rows and columns of images.

    Returns
    -------
    ndarray of Axes, of that shape
        Places without an image are blank.

    Raises
    ------
    TypeError
        If `doubt` has no numbers, or `shape` no whole ones.
    ValueError
        If the images' shape is unknown, there are none, lengths differ, or a doubt is NaN.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from digitcnn import load_dataset, plot_doubts
    >>> digits = load_dataset("bundled")
    >>> X, y = digits.test_images[:50], digits.test_labels[:50]
    >>> figure = Figure(figsize=(11, 5.5), layout="constrained")
    >>> axes = plot_doubts(X, y, y, range(50), figure)
    >>> figure.get_suptitle()
    'the 44 of 50 that are doubted most, none of them misread; doubt below'
    """
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        raise TypeError(f"shape: expected rows and columns, found {shape!r}")
    n_rows, n_columns = (check_whole("shape", number) for number in shape)
    X = check_array("X", X, "images of one size")
    y, predictions, doubt = _checked(y, predictions, doubt)
    images = X.reshape(len(X), *infer_image_shape(X))
    if len(images) != len(y):
        raise ValueError(f"X: expected an image for each of {len(y)} labels, found {len(images)}")
    shown = np.argsort(-doubt, kind="stable")[: n_rows * n_columns]
    if figure is None:
        figure = new_figure(n_columns, 0.5 + 1.45 * n_rows)
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    draw_labelled_images(axes, images[shown], y[shown], predictions[shown], [f"{each:.2g}" for each in doubt[shown]])
    n_wrong = int((predictions[shown] != y[shown]).sum())
    misread = f"{n_wrong} misread, in red as predicted/true" if n_wrong else "none of them misread"
    set_title(figure, f"the {len(shown)} of {len(y)} that are doubted most, {misread}; doubt below")
    return axes


def write_doubts(folder: Path, X: np.ndarray, y: np.ndarray, predictions: np.ndarray, doubt: np.ndarray) -> list[Path]:
    """Write doubts.png and rejection.png.

    Parameters
    ----------
    folder : Path
        Where to, made if need be.
    X : ndarray of shape (n, height, width)
        The images.
    y, predictions : ndarray of int, shape (n,)
        True and predicted labels.
    doubt : ndarray of float, shape (n,)
        The higher, the more doubtful.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    with for_files():
        # Figures of their own, without pyplot: no display is needed and no backend is switched.
        shown, curve = Figure(figsize=(11, 6.2), layout="constrained"), Figure(figsize=(7, 4), layout="constrained")
        plot_doubts(X, y, predictions, doubt, shown)
        plot_rejection(y, predictions, doubt, curve.subplots())
        files = {folder / DOUBTS: png(shown, 110), folder / REJECTION: png(curve, 110)}
    with explain_os_errors(folder, "a folder that can be written"):
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            write_whole(file, content)
    return list(files)


def _checked(y: Any, predictions: Any, doubt: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions and doubt as arrays [n]. Raises TypeError or ValueError."""
    y, predictions = check_array("y", y, "shape [n]"), check_array("predictions", predictions, "shape [n]")
    doubt = check_array("doubt", doubt, "numbers [n]")
    if y.ndim != 1 or len(y) == 0:
        raise ValueError(f"y: expected at least one label, shape [n], found shape {list(y.shape)}")
    if doubt.dtype.kind not in "iuf":
        raise TypeError(f"doubt: expected numbers, found dtype {doubt.dtype}")
    for name, values in (("predictions", predictions), ("doubt", doubt)):
        if values.shape != y.shape:
            raise ValueError(f"{name}: expected one for each of {len(y)} images, found shape {list(values.shape)}")
    if np.isnan(doubt).any():
        raise ValueError(f"doubt: expected numbers, found NaN at index {int(np.flatnonzero(np.isnan(doubt))[0])}")
    return y, predictions, doubt.astype(np.float64)
