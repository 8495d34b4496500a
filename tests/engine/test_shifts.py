"""Predictions by the mean over shifted copies, against copies made by hand."""

import numpy as np
import pytest

from digitcnn import DigitCNN
from digitcnn.engine.shifts import Shifts

NARROW = (7, 5)  # height and width
SMALL = {"architecture": "softmax", "image_shape": NARROW, "random_seed": 3, "precision": "float32"}


@pytest.fixture(scope="module")
def model(few):
    """A trained model of narrow images, whose pixels have a mean each."""
    images = few[0].reshape(-1, 28, 28)[:, 10:17, 12:17]
    with DigitCNN(**SMALL, learning_rate=0.05) as model:
        model.train((images, few[1]), epochs=5, verbose=False)
        yield model


@pytest.fixture(scope="module")
def images(few):
    return few[0].reshape(-1, 28, 28)[:, 9:16, 13:18].copy()


def by_hand(images, pixels):
    """The images, and shifted up, down, left, right, row by row."""
    up = np.concatenate([images[:, pixels:], *[images[:, -1:]] * pixels], axis=1)
    down = np.concatenate([*[images[:, :1]] * pixels, images[:, :-pixels]], axis=1)
    left = np.concatenate([images[:, :, pixels:], *[images[:, :, -1:]] * pixels], axis=2)
    right = np.concatenate([*[images[:, :, :1]] * pixels, images[:, :, :-pixels]], axis=2)
    return [images, up, down, left, right]


@pytest.mark.parametrize("pixels", [1, 3])
def test_copies(images, pixels):
    copies = Shifts.check(pixels, NARROW).copies(images.reshape(-1, 35))
    assert all(copy.dtype == np.uint8 for copy in copies)
    np.testing.assert_array_equal(np.reshape(copies, (5, -1, *NARROW)), by_hand(images, pixels))


@pytest.mark.parametrize("pixels", [1, 2])
def test_prediction_is_the_mean_over_copies(model, images, few, pixels):
    each = [model.predict(copy, True) for copy in by_hand(images, pixels)]
    expected = np.mean(each, axis=0)
    found = model.predict(images, True, shifts=pixels)
    assert found.dtype == np.float32 and np.abs(found - each[0]).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(model.predict(images, True, shifts=pixels, batch_size=37), expected, atol=1e-6)
    labels = model.predict(images, shifts=pixels)
    assert labels.dtype == np.int32 and (labels == found.argmax(axis=1)).all()
    assert (labels != model.predict(images)).any()
    measured = model.evaluate(images, few[1], shifts=pixels)
    assert measured["accuracy"] == np.mean(labels == few[1]) and measured["global_step"] == model.global_step
    assert measured["loss"] == pytest.approx(-np.log(expected[np.arange(130), few[1]]).mean(), rel=1e-5)


def test_no_shifts_change_no_bit(model, images, few):
    np.testing.assert_array_equal(model.predict(images, True, shifts=0), model.predict(images, True))
    assert model.evaluate(images, few[1], shifts=0) == model.evaluate(images, few[1])


def test_one_image_and_scaled_floats(model, images):
    one = model.predict(images[:1], True, shifts=1)
    np.testing.assert_allclose(one, model.predict(images, True, shifts=1)[:1], atol=1e-6)
    with DigitCNN(**SMALL) as floats:
        scaled = (images / 255).astype(np.float32)
        floats.train((scaled, np.arange(130) % 10), steps=2, verbose=False)
        expected = np.mean([floats.predict(copy, True) for copy in by_hand(scaled, 1)], axis=0)
        np.testing.assert_allclose(floats.predict(scaled, True, shifts=1), expected, atol=1e-6)


def test_impossible_class_has_a_finite_loss(model, images, few, monkeypatch):
    monkeypatch.setattr(
        model._engine, "predict", lambda X, *_, **__: np.eye(10, dtype=np.float32)[np.zeros(len(X), int)]
    )
    measured = model.evaluate(images, few[1], shifts=1)
    assert 0 < measured["loss"] < 88 and measured["accuracy"] == np.mean(few[1] == 0)
