"""Checks of images and labels, which accept every usual form and name what is wrong."""

import numpy as np
import pandas as pd
import pytest

from digitcnn.data.arrays import LabelledImages, as_images, as_labels


@pytest.mark.parametrize("shape", [(5, 784), (5, 28, 28), (5, 28, 28, 1)])
@pytest.mark.parametrize("convert", [np.asarray, list, np.ndarray.tolist], ids=["array", "list", "nested"])
def test_as_images_accepts_all_shapes_and_types(rng, shape, convert):
    X = rng.integers(0, 256, shape, dtype=np.uint8)
    images = as_images(convert(X))
    assert images.shape == (5, 784) and images.dtype == np.uint8
    np.testing.assert_array_equal(images, X.reshape(5, 784))


def test_as_images_accepts_frames_views_and_read_only_arrays(rng):
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
def test_as_images_bad_images_raise(X, error, message):
    with pytest.raises(error, match=f"pictures: expected.*{message}"):
        as_images(X, "pictures")


@pytest.mark.parametrize(
    "y", [[0, 9, 5], np.array([0, 9, 5], np.uint8), np.array([0.0, 9.0, 5.0]), pd.Series([0, 9, 5])]
)
def test_as_labels_accepts_all_types(y):
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
        ([[0], [1], [2]], ValueError, r"shape \[n\], found \[3, 1\]; give numpy.asarray\(y\).ravel"),
        (np.eye(10)[:3], ValueError, r"found \[3, 10\]; for one-hot labels, give y.argmax"),
        (["a", "b", "c"], TypeError, "found dtype <U1"),
    ],
)
def test_as_labels_bad_labels_raise(y, error, message):
    with pytest.raises(error, match=message):
        as_labels(y, 3)


@pytest.mark.parametrize("pair", [None, 5, [1], np.zeros((2, 784)), (1, 2, 3)])
def test_labelled_images_needs_a_pair(pair):
    with pytest.raises(TypeError, match=r"training_set: expected a pair \(images, labels\), found"):
        LabelledImages.check(pair, "training_set")


def test_labelled_images_are_checked_and_counted(few):
    checked = LabelledImages.check([few[0].reshape(-1, 28, 28), few[1].tolist()], "training_set")
    assert len(checked) == 130 and checked.images.shape == (130, 784)
    assert checked.images.dtype == np.uint8 and checked.labels.dtype == np.int32
    with pytest.raises(ValueError, match=r"training_set\[0\], the images: expected shape"):
        LabelledImages.check(few, "training_set", image_shape=(14, 14))
    with pytest.raises(ValueError, match=r"training_set\[1\], the labels: expected labels 0..4, found"):
        LabelledImages.check(few, "training_set", n_classes=5)


def test_sha256_of_labelled_images_is_stable():
    """Checkpoints record it: another digest for the same data would keep them from resuming."""
    X = (np.arange(3 * 784) % 251).astype(np.uint8).reshape(3, 784)
    sha256 = LabelledImages.check((X, [1, 2, 3]), "training_set").sha256()
    assert sha256 == "bcf49116386b7a3646386368008a21e08cc7d6942305ab9121aac1132e385daa"
    assert LabelledImages.check((X.reshape(3, 28, 28), [1.0, 2.0, 3.0]), "training_set").sha256() == sha256
    assert LabelledImages.check((X, [1, 2, 4]), "training_set").sha256() != sha256
    X[2, 783] += 1
    assert LabelledImages.check((X, [1, 2, 3]), "training_set").sha256() != sha256


def test_sha256_does_not_depend_on_strides_or_chunks(rng):
    X, y = rng.integers(0, 256, (5_001, 784), dtype=np.uint8), np.zeros(5_001, int)
    whole = LabelledImages.check((X, y), "a").sha256()
    assert LabelledImages.check((np.asfortranarray(X), y), "a").sha256() == whole
    assert LabelledImages.check((np.repeat(X, 2, axis=0)[::2], y), "a").sha256() == whole
