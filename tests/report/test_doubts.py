"""The rejection curve by hand, and the plots of doubt."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from digitcnn import plot_doubts, plot_rejection
from digitcnn.report import doubts
from digitcnn.report.measures import rejection_curve


def test_rejection_curve_by_hand():
    """Two equal doubts are rejected together."""
    is_right = np.array([True, False, True, True, False])
    rejected, accuracies = rejection_curve(is_right, np.array([0.1, 0.9, 0.5, 0.5, 0.7]))
    np.testing.assert_allclose(rejected, [0, 0.2, 0.4, 0.8])
    np.testing.assert_allclose(accuracies, [3 / 5, 3 / 4, 1, 1])
    rejected, accuracies = rejection_curve(is_right, np.zeros(5))
    assert rejected.tolist() == [0] and accuracies.tolist() == [3 / 5]


def test_plot_rejection_draws_the_curve():
    y = np.arange(10)
    predictions = y.copy()
    predictions[-2:] = 0
    ax = plot_rejection(y, predictions, y / 10, Figure().subplots())
    curve, whole = ax.lines
    assert curve.get_ydata()[0] == whole.get_ydata()[0] == 0.8 and curve.get_ydata().max() == 1
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["the most doubted rejected", "all: 80.00%"]


def test_plot_doubts_shows_the_most_doubted_first(digits):
    X, y = digits.test_images[:20], digits.test_labels[:20]
    predictions = y.copy()
    predictions[3] = (y[3] + 1) % 10
    doubt = np.zeros(20)
    doubt[[3, 8]] = 0.5, 0.25
    figure = Figure(figsize=(6, 4))
    axes = plot_doubts(X, y, predictions, doubt, figure, (2, 3))
    assert axes.shape == (2, 3) and axes[0, 0].get_title() == f"{predictions[3]}/{y[3]}"
    assert axes[0, 0].texts[0].get_text() == "0.5" and axes[0, 1].get_title() == str(y[8])
    np.testing.assert_array_equal(axes[0, 1].images[0].get_array(), X[8].reshape(28, 28))
    assert figure.get_suptitle().replace("\n", " ").startswith("the 6 of 20 that are doubted most, 1 misread, in red")


BAD = {
    "none": (([], [], []), ValueError, "y: expected at least one label"),
    "lengths": (([1, 2], [1], [0.0, 0.0]), ValueError, "predictions: expected one for each of 2 images"),
    "doubts": (([1, 2], [1, 2], [0.0]), ValueError, "doubt: expected one for each of 2 images"),
    "text": (([1], [1], ["much"]), TypeError, "doubt: expected numbers"),
    "NaN": (([1, 2], [1, 2], [0.0, np.nan]), ValueError, "doubt: expected numbers, found NaN at index 1"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_arguments_raise(kind):
    arguments, error, message = BAD[kind]
    with pytest.raises(error, match=message):
        plot_rejection(*arguments, Figure().subplots())
    with pytest.raises(error, match=message):
        plot_doubts(np.zeros((len(arguments[0]), 9)), *arguments, Figure())


def test_bad_images_and_shape_raise():
    with pytest.raises(ValueError, match="X: expected an image for each of 1 labels, found 2"):
        plot_doubts(np.zeros((2, 9)), [1], [1], [0.0], Figure())
    with pytest.raises(TypeError, match="shape: expected rows and columns, found 5"):
        plot_doubts(np.zeros((1, 9)), [1], [1], [0.0], Figure(), 5)


def test_files_are_drawn_without_the_latex_that_a_user_has_set(digits, monkeypatch):
    drawn = []

    def png(figure, dpi):
        drawn.append(figure)
        return b"a picture"

    monkeypatch.setattr(doubts, "png", png)
    y = digits.test_labels[:20]
    images = digits.test_images[:20].reshape(-1, 28, 28)
    with matplotlib.rc_context({"text.usetex": True}):
        files = doubts.write_doubts(Path("a [1]/b c"), images, y, y, np.arange(20.0))
    assert [file.read_bytes() for file in files] == [b"a picture"] * 2
    assert not any(text.get_usetex() for figure in drawn for text in figure.findobj(Text))
