"""Matplotlib views; each draws into the Axes it is given and returns them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from ..data.arrays import infer_image_shape


def plot_history(history: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Training loss (left axis) and validation accuracy (right axis) over the epochs.

    history: columns Epoch, Loss, Accuracy, as in `DigitCNN.history`.
    Raises ValueError if it has no rows.
    """
    if len(history) == 0:
        raise ValueError("history: expected at least one epoch, found none: train first")
    ax = ax or _current_axes()
    lines = ax.plot(history["Epoch"], history["Loss"], "o-", markersize=3, color="tab:blue", label="training loss")
    ax.set_xlabel("epoch")
    ax.set_ylabel("mean training loss")
    ax.set_ylim(bottom=0)
    if history["Accuracy"].notna().any():
        right = ax.twinx()
        lines += right.plot(
            history["Epoch"], history["Accuracy"], "s-", markersize=3, color="tab:orange", label="validation accuracy"
        )
        right.set_ylabel("validation accuracy")
    ax.legend(lines, [line.get_label() for line in lines], loc="center right")
    return ax


def plot_predictions(
    X: np.ndarray,
    y: np.ndarray,
    predictions: np.ndarray,
    figure: Figure | SubFigure | None = None,
    n_rows: int = 4,
    n_columns: int = 11,
) -> np.ndarray:
    """Images with their predictions as titles, wrong ones as `predicted/true` in red.

    X: uint8 [n, height, width], or of square images [n, pixels]; y, predictions: [n]. Up to
    `n_rows` x `n_columns` are shown, the misread ones first. Returns the Axes, [n_rows, n_columns].
    """
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(n_columns, 1.3 * n_rows))
    X, y, predictions = np.asarray(X), np.asarray(y), np.asarray(predictions)
    X = X.reshape(len(X), *infer_image_shape(X))
    is_wrong = predictions != y
    shown = np.argsort(~is_wrong, kind="stable")[: n_rows * n_columns]
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, i in zip(axes.flat, shown, strict=False):
        ax.imshow(X[i], cmap="gray_r")
        if is_wrong[i]:
            ax.set_title(f"{predictions[i]}/{y[i]}", color="red")
        else:
            ax.set_title(str(predictions[i]))
    figure.suptitle(f"{is_wrong.sum()} of {len(y)} misread, shown first in red as predicted/true")
    return axes


def _current_axes() -> Axes:
    import matplotlib.pyplot as plt

    return plt.gca()
