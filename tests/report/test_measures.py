"""Confusion matrix, precision and recall, mistakes and calibration against numbers computed by hand."""

import numpy as np
import pytest

from digitcnn.report.measures import (
    ConfusedPair,
    calibrate,
    confusion_matrix,
    most_confused,
    precision_and_recall,
    surest_mistakes,
)

LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2], np.uint8)
PREDICTIONS = np.array([0, 1, 1, 1, 0, 2, 2, 2, 1])
CONFUSION = [[1, 2, 0, 0], [1, 1, 0, 0], [0, 1, 3, 0], [0, 0, 0, 0]]  # class 3 has no image and is never read


def test_confusion_matrix_has_true_classes_in_rows():
    np.testing.assert_array_equal(confusion_matrix(LABELS, PREDICTIONS, 4), CONFUSION)


def test_confusion_matrix_of_256_classes():
    """The labels are uint8, which must not overflow."""
    confusion = confusion_matrix(np.array([255, 255], np.uint8), np.array([255, 254], np.uint8), 256)
    assert confusion[255, 255] == confusion[255, 254] == 1 and confusion.sum() == 2


def test_precision_and_recall():
    precision, recall = precision_and_recall(np.array(CONFUSION))
    np.testing.assert_allclose(precision, [1 / 2, 1 / 4, 1, np.nan])
    np.testing.assert_allclose(recall, [1 / 3, 1 / 2, 3 / 4, np.nan])


def test_most_confused_adds_both_directions():
    pairs = most_confused(np.array(CONFUSION))
    assert pairs == [ConfusedPair(0, 1, 2, 1), ConfusedPair(1, 2, 0, 1)]
    assert [pair.n for pair in pairs] == [3, 1]
    assert most_confused(np.array(CONFUSION), n_pairs=1) == pairs[:1]
    assert most_confused(np.diag([5, 6, 7])) == []


def test_surest_mistakes_are_sorted_and_few():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.05, 0.95], [0.3, 0.7], [0.2, 0.8]])
    labels = np.array([0, 0, 0, 1, 0])  # wrong: 1 at 0.6, 2 at 0.95, 4 at 0.8
    assert surest_mistakes(labels, probabilities, 10).tolist() == [2, 4, 1]
    assert surest_mistakes(labels, probabilities, 2).tolist() == [2, 4]


def test_calibrate_sorts_answers_into_bins():
    """Quarters; 0.75 belongs to the third, as limits belong to the bin below."""
    probabilities = np.array([[1.0, 0.0], [0.875, 0.125], [0.25, 0.75], [0.625, 0.375]])
    found = calibrate(np.array([0, 1, 1, 0]), probabilities, n_bins=4)  # right, wrong, right, right
    assert found.counts.tolist() == [0, 0, 2, 2] and found.n_correct.tolist() == [0, 0, 2, 1]
    np.testing.assert_allclose(found.confidences, [np.nan, np.nan, (0.75 + 0.625) / 2, (1 + 0.875) / 2])
    np.testing.assert_allclose(found.accuracies, [np.nan, np.nan, 1, 1 / 2])
    # (2 * |1 - 0.6875| + 2 * |0.5 - 0.9375|) / 4
    assert found.expected_error == pytest.approx((2 * 0.3125 + 2 * 0.4375) / 4)


def test_calibration_of_honest_probabilities_has_a_small_error(rng):
    """Labels drawn by the probabilities themselves: the error of 20,000 answers is near 0."""
    probabilities = rng.dirichlet(np.ones(4), 20_000)
    labels = (rng.random((20_000, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    assert calibrate(labels, probabilities).expected_error < 0.02
    assert calibrate((labels + 1) % 4, probabilities).expected_error > 0.2
