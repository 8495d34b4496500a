"""batch_generator: batches, their order, and how they resume."""

import numpy as np
import pytest

from digitcnn import batch_generator
from digitcnn.data.batches import shuffled_indices


def test_batches_keep_order_and_end_with_the_remainder():
    X, y = np.arange(14).reshape(7, 2), np.arange(7)
    batches = list(batch_generator(X, y, batch_size=3))
    assert [len(b) for b, _ in batches] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([b for b, _ in batches]), X)
    np.testing.assert_array_equal(np.concatenate([b for _, b in batches]), y)


def test_default_batch_size_is_100():
    assert [len(b) for b in batch_generator(np.zeros((250, 3)))] == [100, 100, 50]


def test_shuffled_batches_keep_pairs_and_cover_all_samples():
    X = np.arange(97)[:, None] * np.ones((1, 784))
    seen = list(batch_generator(X, np.arange(97), 10, shuffle=True, random_seed=3))
    labels = np.concatenate([y for _, y in seen])
    assert sorted(labels) == list(range(97)) and list(labels) != list(range(97))
    for X_batch, y_batch in seen:
        np.testing.assert_array_equal(X_batch[:, 0], y_batch)


def test_order_is_a_function_of_seed_and_epoch():
    first = shuffled_indices(500, 27, 0)
    np.testing.assert_array_equal(first, shuffled_indices(500, 27, 0))
    assert (first != shuffled_indices(500, 27, 1)).mean() > 0.9
    assert (first != shuffled_indices(500, 28, 0)).mean() > 0.9


def test_start_skips_batches():
    """A training that resumes within an epoch sees the rest of that epoch's batches."""
    X = np.arange(23)
    whole = list(batch_generator(X, None, 5, True, 1, epoch=2))
    rest = list(batch_generator(X, None, 5, True, 1, epoch=2, start=3))
    assert len(rest) == 2
    for a, b in zip(whole[3:], rest, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batch_size_below_one_raises(batch_size):
    with pytest.raises(ValueError, match="batch_size: expected a whole number of at least 1"):
        batch_generator(np.zeros((3, 784)), batch_size=batch_size)


def test_different_lengths_raise():
    with pytest.raises(ValueError, match="one label for each of 3 samples, found 2"):
        batch_generator(np.zeros((3, 784)), np.zeros(2))


def test_shuffling_without_a_seed_differs_from_call_to_call():
    X = np.arange(500)
    first, second = (np.concatenate(list(batch_generator(X, shuffle=True))) for _ in range(2))
    assert (first != second).mean() > 0.9
