"""plot_history and plot_predictions: what is drawn, where, and with which text."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from digitcnn import plot_history, plot_predictions


def history_of(epochs, losses, accuracies):
    return pd.DataFrame({"Epoch": epochs, "Loss": losses, "Accuracy": accuracies})


def right_of(ax):
    """The right axis that belongs to a left one."""
    (right,) = (other for other in ax.figure.axes if other is not ax)
    return right


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


HISTORY = history_of([1, 2, 3], [0.5, 0.3, 0.2], [0.9, 0.95, 0.97])


def test_plot_history_draws_loss_left_and_accuracy_right():
    ax = plot_history(HISTORY, Figure().subplots())
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), HISTORY[["Epoch", "Loss"]])
    np.testing.assert_array_equal(right_of(ax).lines[0].get_xydata(), HISTORY[["Epoch", "Accuracy"]])
    assert legend_of(ax) == ["training loss 0.200", "validation accuracy 0.970"]
    assert right_of(ax).get_ylabel() == "validation accuracy"


@pytest.mark.parametrize("container", [dict, pd.Series])
def test_plot_history_with_training_accuracy(container):
    accuracies = container({3: 0.98, 1: 0.8, 2: 0.9})
    ax = plot_history(HISTORY, Figure().subplots(), training_accuracy=accuracies)
    training, validation = right_of(ax).lines
    np.testing.assert_array_equal(training.get_xydata(), [[1, 0.8], [2, 0.9], [3, 0.98]])
    assert legend_of(ax) == ["training loss 0.200", "training accuracy 0.980", "validation accuracy 0.970"]
    assert right_of(ax).get_ylabel() == "accuracy"
    lines = ax.lines[0], training, validation
    assert len({line.get_color() for line in lines}) == len({line.get_marker() for line in lines}) == 3


def test_plot_history_without_validation_has_no_right_axis():
    without = history_of([1], [0.5], [np.nan])
    figure = Figure()
    assert legend_of(plot_history(without, figure.subplots(), training_accuracy={})) == ["training loss 0.500"]
    assert len(figure.axes) == 1
    ax = plot_history(without, Figure().subplots(), training_accuracy={1: 0.75})
    assert legend_of(ax) == ["training loss 0.500", "training accuracy 0.750"]
    assert right_of(ax).get_ylabel() == "training accuracy"


@pytest.mark.parametrize(
    "epochs, ticks",
    [
        ([1], [1]),
        ([0.4], [0, 1]),
        ([1, 1.2], [1, 2]),
        ([1, 2], [1, 2]),
        ([1, 2, 3, 3.4], [1, 2, 3]),
        (range(1, 61), range(0, 61, 10)),
    ],
)
def test_plot_history_ticks_are_whole_epochs(epochs, ticks):
    epochs = np.array(epochs)
    figure = Figure(figsize=(7, 4))
    ax = plot_history(history_of(epochs, 1 / epochs, 1 - 0.1 / epochs), figure.subplots())
    low, high = ax.get_xlim()
    assert [tick for tick in ax.get_xticks() if low <= tick <= high] == list(ticks)
    assert low < epochs[0] and epochs[-1] < high


def test_plot_history_accuracy_axis_ends_at_one_and_is_not_too_narrow():
    ax = plot_history(history_of([1, 2], [0.5, 0.1], [0.9, 1.0]), Figure().subplots())
    low, high = right_of(ax).get_ylim()
    assert low < 0.9 and 1 < high < 1.005
    ax = plot_history(history_of([1], [0.5], [0.9]), Figure().subplots(), training_accuracy={1: 0.9001})
    low, high = right_of(ax).get_ylim()
    assert high - low == pytest.approx(0.02) and low < 0.9 < 0.9001 < high


@pytest.mark.parametrize(
    "losses, accuracies",
    [
        ([1.2, 0.1, 0.05, 0.04], [0.6, 0.95, 0.97, 0.98]),  # room in the middle
        ([0.5, 0.4, 0.3, 0.21], [0.88, 0.9, 0.92, 0.94]),  # below
        ([1.0, 0.1, 0.1, 0.1], [0.99, 0.1, 0.1, 0.1]),  # above
    ],
)
def test_plot_history_legend_covers_no_curve(losses, accuracies):
    figure = Figure(figsize=(7, 4), layout="constrained")
    training_accuracy = dict(enumerate(np.array(accuracies) - 0.01, 1))
    ax = plot_history(
        history_of([1, 2, 3, 4], losses, accuracies), figure.subplots(), training_accuracy=training_accuracy
    )
    figure.draw_without_rendering()
    box = ax.get_legend().get_window_extent()
    places = np.linspace(1, 4, 200)
    for line in (*ax.lines, *right_of(ax).lines):
        curve = np.column_stack([places, np.interp(places, *line.get_xydata().T)])
        assert not box.count_contains(line.axes.transData.transform(curve))
    assert ax.get_window_extent().contains(*box.min) and ax.get_window_extent().contains(*box.max)


def test_plot_history_diverged_training():
    ax = plot_history(history_of([1, 2], [np.nan, np.inf], [0.1, 0.1]), Figure().subplots())
    assert legend_of(ax) == ["training loss inf", "validation accuracy 0.100"]
    ax.figure.draw_without_rendering()


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ((HISTORY[:0],), ValueError, "history: .*train first"),
        ((HISTORY[["Epoch", "Loss"]],), ValueError, "history: expected columns .*, found Epoch, Loss"),
        (([0.5, 0.3],), TypeError, "history: expected a DataFrame"),
        ((HISTORY, [0.9, 0.95]), TypeError, "training_accuracy: expected a mapping"),
    ],
)
def test_plot_history_bad_arguments_raise(arguments, error, message):
    history, *training_accuracy = arguments
    with pytest.raises(error, match=message):
        plot_history(
            history, Figure().subplots(), training_accuracy=training_accuracy[0] if training_accuracy else None
        )


@pytest.fixture
def read(digits):
    """60 images, their labels, and predictions of which 7 and 50 are wrong."""
    X, y = digits.test_images[:60], digits.test_labels[:60].astype(int)
    predictions = y.copy()
    predictions[[7, 50]] = (y[[7, 50]] + 1) % 10
    return X, y, predictions


def test_plot_predictions_shows_misread_first_in_red(read):
    X, y, predictions = read
    figure = Figure()
    axes = plot_predictions(X, y, predictions, figure)
    assert axes.shape == (4, 11)
    titles = [ax.title for ax in axes.flat]
    assert titles[0].get_text() == f"{predictions[7]}/{y[7]}" and titles[1].get_text() == f"{predictions[50]}/{y[50]}"
    assert titles[2].get_text() == str(y[0])
    assert [to_rgb(title.get_color()) == to_rgb("red") for title in titles] == [True] * 2 + [False] * 42
    np.testing.assert_array_equal(axes[0, 1].images[0].get_array(), X[50].reshape(28, 28))
    assert figure.get_suptitle() == "44 of 60 shown; 2 misread, first, in red as predicted/true"


def test_plot_predictions_probabilities_of_predicted_labels(read, rng):
    X, y, predictions = read
    probabilities = rng.dirichlet(np.ones(10), 60)
    of_each = probabilities[np.arange(60), predictions]
    expected = [f"{of_each[i]:.2f}" for i in [7, 50, *range(7), *range(8, 43)]]
    for given in (probabilities, of_each, of_each.tolist()):
        axes = plot_predictions(X, y, predictions, Figure(), probabilities=given)
        assert [text.get_text() for ax in axes.flat for text in ax.texts] == expected
    title = axes[0, 0].figure.get_suptitle().replace("\n", " ")
    assert title.endswith("2 misread, first, in red as predicted/true; the prediction's probability below")


def test_plot_predictions_texts_do_not_overlap(read, monkeypatch):
    """Neither in a figure of its own, narrow as it may be, nor in a wide one."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    X, y, predictions = read
    for n_rows, n_columns in ((1, 4), (2, 11)):
        axes = plot_predictions(X, y, predictions, n_rows=n_rows, n_columns=n_columns, probabilities=np.ones(60))
        figure = axes[0, 0].figure
        figure.draw_without_rendering()
        heading = figure._suptitle.get_window_extent()
        assert heading.x0 >= 0 and heading.x1 <= figure.bbox.width and heading.y1 <= figure.bbox.height
        tops = [ax.title.get_window_extent().y1 for ax in axes[0]]
        assert heading.y0 > max(tops)
        for ax in axes.flat:
            assert ax.texts[0].get_window_extent().y1 < ax.get_window_extent().y0
        for upper, lower in zip(axes[:-1].flat, axes[1:].flat, strict=True):
            assert upper.texts[0].get_window_extent().y0 > lower.title.get_window_extent().y1
        plt.close(figure)


def test_plot_predictions_fewer_images_than_places(digits):
    figure = Figure()
    axes = plot_predictions(digits.test_images[:3], digits.test_labels[:3], digits.test_labels[:3], figure)
    assert sum(bool(ax.images) for ax in axes.flat) == 3
    assert figure.get_suptitle() == "3 of 3 shown; none misread"


def test_plot_predictions_labels_are_no_formulas():
    labels = np.array(["$a", "b$c$", "$"])
    figure = Figure()
    axes = plot_predictions(np.zeros((3, 2, 2)), labels, labels[::-1], figure, 1, 3)
    assert axes[0, 0].get_title() == "$/$a" and not axes[0, 0].title.get_parse_math()
    figure.draw_without_rendering()


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"y": np.zeros(59)}, ValueError, "y: expected a label for each of 60 images, found shape \\[59\\]"),
        ({"predictions": np.zeros((60, 10))}, ValueError, "predictions: expected a label for each of 60 images"),
        ({"n_rows": 0}, ValueError, "n_rows: expected a whole number of at least 1"),
        ({"n_columns": 1.5}, TypeError, "n_columns: expected a whole number"),
        (
            {"probabilities": np.ones((59, 10))},
            ValueError,
            "probabilities: expected shape \\[60, n_classes\\] or \\[60\\]",
        ),
        ({"probabilities": 0.5}, ValueError, "probabilities: expected shape"),
        ({"probabilities": np.ones((60, 3))}, ValueError, "predictions: expected whole numbers 0..2, the columns"),
        ({"probabilities": ["0.5"] * 60}, TypeError, "probabilities: expected numbers 0..1, found dtype <U3"),
        ({"X": np.zeros((60, 50))}, ValueError, "X: expected images"),
        ({"X": 5}, ValueError, "X: expected images"),
        ({"X": [[1], [1, 2]]}, ValueError, "X: expected images of one size"),
    ],
)
def test_plot_predictions_bad_arguments_raise(read, changes, error, message):
    X, y, predictions = read
    figure = Figure()
    with pytest.raises(error, match=message):
        plot_predictions(**{"X": X, "y": y, "predictions": predictions, "figure": figure} | changes)
    assert not figure.axes
