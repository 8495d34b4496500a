"""The plots of an evaluation: what is drawn, that it is legible at a notebook's size, and what is rejected."""

import itertools

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from digitcnn import plot_calibration, plot_confusion, plot_filters

NOTEBOOK = {"figsize": (6, 4), "layout": "constrained"}  # inches


def test_plot_confusion_writes_counts_and_colours_mistakes():
    ax = plot_confusion([0, 1, 1, 2], [0, 1, 2, 2], Figure(**NOTEBOOK).subplots(), n_classes=3)
    assert isinstance(ax, Axes) and ax.get_title() == "1 of 4 misread"
    assert {(*text.get_position(), text.get_text()) for text in ax.texts} == {
        (0, 0, "1"),
        (1, 1, "1"),
        (2, 1, "1"),
        (2, 2, "1"),
    }
    np.testing.assert_allclose(ax.images[0].get_array(), [[0, 0, 0], [0, 0, 0.5], [0, 0, 0]])
    assert ax.get_xlabel() == "read as" and ax.get_ylabel() == "true class"


@pytest.mark.parametrize("n_classes", [2, 10, 12, 13, 20, 47, 256])
def test_plot_confusion_texts_do_not_overlap(n_classes, rng):
    labels = rng.integers(0, n_classes, 9_000)
    figure = Figure(**NOTEBOOK)
    ax = plot_confusion(labels, rng.permutation(labels), figure.subplots(), n_classes=n_classes)
    assert_texts_do_not_overlap(figure, ax.texts)
    for axis in (ax.xaxis, ax.yaxis):
        ticks = [tick for tick in axis.get_major_ticks() if 0 <= tick.get_loc() < n_classes]  # others are not drawn
        assert_texts_do_not_overlap(figure, [label for tick in ticks for label in (tick.label1, tick.label2)])


def assert_texts_do_not_overlap(figure, texts):
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    for box in boxes:
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0 and box.y1 <= figure.bbox.height


def test_plot_calibration_draws_accuracy_with_interval():
    probabilities = [[0.95, 0.05], [0.95, 0.05], [0.35, 0.65]]
    ax = plot_calibration([0, 1, 1], probabilities, Figure(**NOTEBOOK).subplots())
    np.testing.assert_allclose(ax.lines[1].get_xydata(), [[0.65, 1], [0.95, 0.5]])
    [[low, high], [low_of_2, high_of_2]] = [segment[:, 1] for segment in ax.collections[0].get_segments()]
    assert low == pytest.approx(0.2065, abs=1e-4) and high == 1  # Wilson's of 1 in 1, by hand: 1 / (1 + 1.96^2)
    assert (low_of_2, high_of_2) == pytest.approx((0.0945, 0.9055), abs=1e-4)
    assert [text.get_text() for text in ax.texts] == ["1", "2"]
    assert ax.get_title() == f"expected calibration error {(0.35 + 2 * 0.45) / 3:.1%}"


@pytest.mark.parametrize("power", [0.3, 1, 3])  # underconfident, calibrated, overconfident
def test_plot_calibration_legend_covers_no_point(power, rng):
    probabilities = rng.dirichlet(np.full(10, 0.3), 99_000)
    labels = (rng.random((99_000, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(0, 9)
    probabilities = probabilities**power / (probabilities**power).sum(axis=1, keepdims=True)
    figure = Figure(**NOTEBOOK)
    ax = plot_calibration(labels, probabilities, figure.subplots())
    assert_texts_do_not_overlap(figure, ax.texts)
    box = ax.get_legend().get_window_extent()
    assert not box.count_contains(ax.transData.transform(ax.lines[1].get_xydata()))
    assert not any(box.overlaps(text.get_window_extent()) for text in ax.texts)


def test_plot_filters_shows_the_weights_in_rows(rng):
    filters = rng.normal(size=(3, 2, 1, 5))
    ax = plot_filters(filters, Figure(**NOTEBOOK).subplots())
    sheet = ax.images[0].get_array()
    np.testing.assert_array_equal(sheet[:3, 3:5], filters[:, :, 0, 1])
    assert ax.get_title() == "5 filters of 3x2"
    low, high = ax.images[0].get_clim()
    assert -low == high == np.abs(filters).max()  # so that 0 is white


def test_plot_filters_of_many_inputs_and_outputs(rng):
    filters = rng.normal(size=(3, 3, 4, 100))
    ax = plot_filters(filters, Figure(**NOTEBOOK).subplots())
    np.testing.assert_allclose(ax.images[0].get_array()[:3, :3], filters[:, :, :, 0].mean(axis=2))
    assert ax.get_title() == "64 of 100 filters of 3x3"


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_plot_filters_without_information(value):
    figure = Figure(**NOTEBOOK)
    plot_filters(np.full((1, 1, 1, 1), value), figure.subplots())
    figure.draw_without_rendering()


@pytest.mark.parametrize("plot", [plot_confusion, plot_calibration, plot_filters])
def test_plots_draw_on_the_current_axes_by_default(plot, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    arguments = {
        plot_confusion: ([0, 1], [0, 1]),
        plot_calibration: ([0], [[0.9, 0.1]]),
        plot_filters: (np.ones((3, 3, 1, 2)),),
    }
    figure = plt.figure(figsize=(6, 4))
    assert plot(*arguments[plot]) is figure.axes[0]
    plt.close(figure)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: plot_confusion([0, 1], [0, 1, 1]), ValueError, "predictions: expected one label for each of 2"),
        (lambda: plot_confusion([0, 10], [0, 1]), ValueError, "y: expected labels 0..9, found 10"),
        (lambda: plot_confusion([], []), ValueError, "y: expected at least one label"),
        (lambda: plot_confusion(5, 5), ValueError, "y: expected shape"),
        (lambda: plot_confusion(["a"], ["a"]), TypeError, "y: expected labels"),
        (lambda: plot_confusion([0], [0], n_classes=257), ValueError, "n_classes: expected a whole number in 2..256"),
        (lambda: plot_calibration([0], [0.5]), ValueError, "probabilities: expected shape \\[n, n_classes\\]"),
        (lambda: plot_calibration([0], [[0.5, np.nan]]), ValueError, "numbers 0..1, found NaN; did"),
        (lambda: plot_calibration([0], [[0.5, 1.5]]), ValueError, "probabilities: expected numbers 0..1"),
        (lambda: plot_calibration([0], [["a", "b"]]), TypeError, "probabilities: expected numbers"),
        (lambda: plot_calibration([0, 1], [[0.5, 0.5]]), ValueError, "y: expected one label for each of 1"),
        (lambda: plot_filters(np.ones((3, 3))), ValueError, "filters: expected shape .*, found \\[3, 3\\]"),
        (lambda: plot_filters(np.ones((3, 3, 1, 0))), ValueError, "filters: expected shape"),
        (lambda: plot_filters([["a"]]), TypeError, "filters: expected numbers"),
    ],
)
def test_plots_bad_arguments_raise(call, error, message):
    with pytest.raises(error, match=message):
        call()
