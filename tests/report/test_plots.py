import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from digitcnn.report.plots import plot_history, plot_predictions


def test_history():
    history = pd.DataFrame({"Epoch": [1, 2, 3], "Loss": [0.5, 0.3, 0.2], "Accuracy": [0.9, 0.95, 0.97]})
    figure = Figure()
    ax = plot_history(history, figure.subplots())
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), history[["Epoch", "Loss"]])
    right = next(other for other in figure.axes if other is not ax)
    np.testing.assert_array_equal(right.lines[0].get_xydata(), history[["Epoch", "Accuracy"]])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training loss", "validation accuracy"]


def test_history_without_validation():
    figure = Figure()
    plot_history(pd.DataFrame({"Epoch": [1], "Loss": [0.5], "Accuracy": [np.nan]}), figure.subplots())
    assert len(figure.axes) == 1


def test_history_of_nothing():
    with pytest.raises(ValueError, match="train first"):
        plot_history(pd.DataFrame(columns=["Epoch", "Loss", "Accuracy"]), Figure().subplots())


def test_predictions_wrong_ones_first_in_red(digits):
    X, y = digits.test_images[:60], digits.test_labels[:60].astype(int)
    predictions = y.copy()
    predictions[[7, 50]] = (y[[7, 50]] + 1) % 10
    figure = Figure()
    axes = plot_predictions(X, y, predictions, figure)
    assert axes.shape == (4, 11)
    titles = [ax.title for ax in axes.flat]
    assert titles[0].get_text() == f"{predictions[7]}/{y[7]}" and titles[1].get_text() == f"{predictions[50]}/{y[50]}"
    assert titles[2].get_text() == str(y[0])
    assert [to_rgb(title.get_color()) == to_rgb("red") for title in titles] == [True] * 2 + [False] * 42
    np.testing.assert_array_equal(axes[0, 1].images[0].get_array(), X[50].reshape(28, 28))
    assert figure.get_suptitle().startswith("2 of 60 misread")


def test_fewer_images_than_places(digits):
    axes = plot_predictions(digits.test_images[:3], digits.test_labels[:3], digits.test_labels[:3], Figure())
    assert sum(bool(ax.images) for ax in axes.flat) == 3
