import numpy as np
import pandas as pd
import pytest

from digitcnn import Standardization, batch_generator
from digitcnn.data.arrays import as_images, as_labels
from digitcnn.data.batches import shuffled_indices


def test_batches_in_order_with_the_rest_last():
    X, y = np.arange(14).reshape(7, 2), np.arange(7)
    batches = list(batch_generator(X, y, batch_size=3))
    assert [len(b) for b, _ in batches] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([b for b, _ in batches]), X)
    np.testing.assert_array_equal(np.concatenate([b for _, b in batches]), y)


def test_default_batch_size_is_the_tutorials():
    assert [len(b) for b in batch_generator(np.zeros((250, 3)))] == [100, 100, 50]


def test_shuffled_batches_keep_pairs_and_lose_nothing():
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


def test_start_passes_over_batches():
    X = np.arange(23)
    whole = list(batch_generator(X, None, 5, True, 1, epoch=2))
    rest = list(batch_generator(X, None, 5, True, 1, epoch=2, start=3))
    assert len(rest) == 2
    for a, b in zip(whole[3:], rest, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_bad_batch_size(batch_size):
    with pytest.raises(ValueError, match="batch_size: expected a whole number of at least 1"):
        batch_generator(np.zeros((3, 784)), batch_size=batch_size)


def test_lengths_that_differ():
    with pytest.raises(ValueError, match="one label for each of 3 samples, found 2"):
        batch_generator(np.zeros((3, 784)), np.zeros(2))


def test_standardization_is_numpys_on_the_training_set(rng):
    X = rng.integers(0, 256, (11_003, 784), dtype=np.uint8) // 3 * 2
    fitted = Standardization.fit(X)
    np.testing.assert_allclose(fitted.mean, X.mean(axis=0), rtol=1e-6)
    assert fitted.std == pytest.approx(X.std(), rel=1e-7)
    expected = (X[:50] - X.mean(axis=0)) / X.std()
    assert fitted(X[:50]).dtype == np.float32
    np.testing.assert_allclose(fitted(X[:50]), expected, atol=1e-5)


def test_unit_scaling():
    np.testing.assert_allclose(
        Standardization.unit()(np.full((1, 784), 51, np.uint8)), np.full((1, 784), 0.2), rtol=1e-6
    )


def test_images_all_alike_cannot_be_standardized():
    with pytest.raises(ValueError, match="std: expected a positive number"):
        Standardization.fit(np.full((3, 784), 7, np.uint8))


@pytest.mark.parametrize("shape", [(5, 784), (5, 28, 28), (5, 28, 28, 1)])
@pytest.mark.parametrize("convert", [np.asarray, list, np.ndarray.tolist], ids=["array", "list", "nested"])
def test_images_in_every_form(rng, shape, convert):
    X = rng.integers(0, 256, shape, dtype=np.uint8)
    images = as_images(convert(X))
    assert images.shape == (5, 784) and images.dtype == np.uint8
    np.testing.assert_array_equal(images, X.reshape(5, 784))


def test_frames_views_and_read_only_arrays(rng):
    X = rng.normal(size=(10, 784))
    X.setflags(write=False)
    for given in (pd.DataFrame(X), X, np.asfortranarray(X)):
        np.testing.assert_array_equal(as_images(given), X)
    np.testing.assert_array_equal(as_images(X[::2]), X[::2])


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.zeros((0, 784)), ValueError, "at least one image"),
        (np.zeros(784), ValueError, r"found \[784\] \(one image alone"),
        (np.zeros((28, 28)), ValueError, r"found \[28, 28\] \(one image alone"),
        (np.zeros((3, 785)), ValueError, r"found \[3, 785\]"),
        (np.zeros((3, 1, 28, 28)), ValueError, r"found \[3, 1, 28, 28\]"),
        (np.full((3, 784), np.nan), ValueError, "NaN or infinity in image 0"),
        (np.r_[np.zeros((2, 784)), np.full((1, 784), np.inf)], ValueError, "NaN or infinity in image 2"),
        (np.full((3, 784), 256), ValueError, "found 256..256"),
        (np.full((3, 784), -1), ValueError, "found -1..-1"),
        (np.full((3, 784), 200.0), ValueError, "look like raw pixels"),
        (np.zeros((3, 784), complex), TypeError, "found dtype complex128"),
        (np.zeros((3, 784), bool), TypeError, "found dtype bool"),
        ([["a"] * 784], TypeError, "found dtype <U1"),
        ([[0] * 784, [0] * 783], ValueError, "images of one size"),
        (None, TypeError, "found dtype object"),
    ],
)
def test_bad_images_are_told(X, error, message):
    with pytest.raises(error, match=f"pictures: expected.*{message}"):
        as_images(X, "pictures")


@pytest.mark.parametrize(
    "y", [[0, 9, 5], np.array([0, 9, 5], np.uint8), np.array([0.0, 9.0, 5.0]), pd.Series([0, 9, 5])]
)
def test_labels_in_every_form(y):
    labels = as_labels(y, 3)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, [0, 9, 5])


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ([0, 1, 10], ValueError, "found 10 at index 2"),
        ([0, -1, 1], ValueError, "found -1 at index 1"),
        ([0, 1, 2.5], ValueError, "found 2.5 at index 2"),
        ([0, 1, np.nan], ValueError, "found nan at index 2"),
        ([0, 1], ValueError, "one label for each of 3 images, found 2"),
        ([[0], [1], [2]], ValueError, r"shape \[n\], found \[3, 1\]; give y.ravel"),
        (np.eye(10)[:3], ValueError, r"found \[3, 10\]; for one-hot labels, give y.argmax"),
        (["a", "b", "c"], TypeError, "found dtype <U1"),
    ],
)
def test_bad_labels_are_told(y, error, message):
    with pytest.raises(error, match=message):
        as_labels(y, 3)
