"""The two pictures in a run folder: what `train_run` draws into them."""

import dataclasses

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from digitcnn import DigitCNN
from digitcnn.report.embedding import themed_figures
from digitcnn.runs import train_run as module
from digitcnn.runs.description import RunOptions, describe


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    """A run of one epoch and a half: its folder, model and data, the figures, and how to draw them again."""
    folder = tmp_path_factory.mktemp("run")
    dataset = dataclasses.replace(
        digits,
        name="data/$\\frac{1$ \udcff 漢字",  # half a formula, not UTF-8, not in Matplotlib's font
        train_images=digits.train_images[:250],
        train_labels=digits.train_labels[:250],
        test_images=digits.test_images[:60],
        test_labels=digits.test_labels[:60],
    )
    figures = []

    def draw(figure, dpi, png=module.png):
        figures.append(figure)
        return png(figure, dpi)

    with (
        pytest.MonkeyPatch.context() as patch,
        DigitCNN(fc_3_output_units=8, batchsize=60, random_seed=3) as model,
    ):
        patch.setattr(module, "png", draw)
        description = describe(model, dataset, RunOptions(n_validation=50, steps=6))  # 4 steps an epoch
        module.train_run(model, dataset, folder, description, verbose=False)
        yield folder, model, dataset, figures


def test_training_curve_has_both_accuracies(run):
    folder, model, _, figures = run
    left, right = figures[0].axes
    training, validation = right.lines
    assert training.get_xdata().tolist() == validation.get_xdata().tolist() == [1, 1.5]
    assert all(0 < accuracy < 1 for accuracy in training.get_ydata())
    np.testing.assert_array_equal(validation.get_ydata(), model.history["Accuracy"])
    assert left.get_title() == "cnn on $\\frac{1$ \\xff 漢字" and not left.title.get_parse_math()
    with Image.open(folder / "training_curve.png") as picture:
        assert picture.size == (840, 480)


def test_test_predictions_have_probabilities(run):
    folder, model, dataset, figures = run
    misread = np.flatnonzero(model.predict(dataset.test_images) != dataset.test_labels)
    probabilities = model.predict(dataset.test_images, return_proba=True)
    assert figures[1].get_suptitle().startswith(f"44 of 60 shown; {len(misread)} misread")
    assert figures[1].axes[0].texts[0].get_text() == f"{probabilities[misread[0]].max():.2f}"
    with Image.open(folder / "test_predictions.png") as picture:
        assert picture.size == (1100, 620)


def test_latex_that_a_user_has_set_reads_no_names(run):
    folder, model, dataset, figures = run
    n_before = len(figures)
    with matplotlib.rc_context({"text.usetex": True}):
        module._draw(folder, model, dataset, model.predict(dataset.test_images), n_training=200)
        themed_figures(lambda ax: ax.set_title("50% of $"))
    assert not any(text.get_usetex() for figure in figures[n_before:] for text in figure.findobj(Text))
    del figures[n_before:]


def test_unreadable_events_cost_training_accuracy_only(run):
    folder, model, dataset, figures = run
    for file in folder.glob("train/events.*"):
        file.write_bytes(b"damaged")
    module._draw(folder, model, dataset, model.predict(dataset.test_images), n_training=200)
    assert [line.get_label()[:-6] for line in figures[2].axes[1].lines] == ["validation accuracy"]
