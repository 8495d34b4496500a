"""Pixels of another range than the training's, such as 0..16 for 0..255, are reported in a warning."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from digitcnn import DigitClassifier, DigitCNN, Standardization
from digitcnn.data.standardization import warn_of_another_range
from digitcnn.exceptions import DigitCNNWarning
from digitcnn.saving.record import record_sha256


@pytest.fixture(scope="module")
def eight():
    """scikit-learn's digits, whole numbers 0..16 of 8x8 pixels, as uint8; and their labels."""
    X, y = load_digits(return_X_y=True)
    return X[:130].astype(np.uint8), y[:130]


def brought_to(X, highest):
    return (X.astype(int) * highest // 16).astype(np.uint8)


@pytest.fixture(scope="module", params=["softmax", "strided"])  # which standardize, and scale by 1/255
def model(request, eight):
    """A model trained on 0..255."""
    with DigitCNN(architecture=request.param, image_shape=(28, 28), random_seed=1) as cnn:
        cnn.train((enlarged(brought_to(eight[0], 255)), eight[1]), steps=1, verbose=False)
        yield cnn


def enlarged(X):
    """8x8 pixels in the middle of 28x28."""
    return np.pad(X.reshape(-1, 8, 8), ((0, 0), (10, 10), (10, 10)))


CALLS = {
    "predict": lambda cnn, X, y: cnn.predict(X),
    "evaluate": lambda cnn, X, y: cnn.evaluate(X, y),
    "train on": lambda cnn, X, y: cnn.train((X, y), initialize=False, steps=1, verbose=False),
    "validate": lambda cnn, X, y: cnn.train(((X > 0) * np.uint8(255), y), (X, y), steps=1, verbose=False),
}


@pytest.mark.parametrize("highest", [1, 16])
@pytest.mark.parametrize("call", CALLS)
def test_dim_images_for_a_model_of_bright_ones_warn(model, eight, call, highest):
    X = enlarged(brought_to(eight[0], highest))
    with pytest.warns(
        DigitCNNWarning, match=rf": expected pixels in about 0..255, as in training, found 0..{highest};"
    ) as caught:
        CALLS[call](model, X, eight[1])
    assert caught[0].filename == __file__, "the line that called the package"


@pytest.mark.parametrize("n", [1, 130])
def test_bright_images_for_a_model_of_dim_ones_warn(eight, n):
    with DigitCNN(architecture="softmax", image_shape=(8, 8), random_seed=1) as cnn:
        cnn.train(eight, steps=1, verbose=False)
        with pytest.warns(DigitCNNWarning, match=r"X: expected pixels in about 0..16, .* found 0..255"):
            cnn.predict((eight[0][:n] > 0) * np.uint8(255))


QUIET = {
    "the same range": lambda X: brought_to(X, 255),
    "a dimmer half": lambda X: brought_to(X, 64),
    "nine dark images": lambda X: X[:9],
    "one blank image": lambda X: X[:1] * 0,
    "blank images": lambda X: X * 0,
}


@pytest.mark.parametrize("kind", QUIET)
def test_dark_images_do_not_warn(model, eight, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(enlarged(QUIET[kind](eight[0])))


def test_range_is_saved(model, eight):
    model.save(path="m")
    with DigitCNN.restore("m") as again:
        assert again.standardization.highest == 255
        with pytest.warns(DigitCNNWarning, match=r"expected pixels in about 0..255"):
            again.predict(enlarged(eight[0]))


def test_record_without_the_range_is_restored(model, eight):
    """Of an earlier version: the statistics tell a range, but for a scale of 1/255."""
    file = Path(model.save(1, "m") + ".json")
    content = json.loads(file.read_text())
    del content["training_maximum"], content["sha256"]
    file.write_text(json.dumps(content | {"sha256": record_sha256(content)}))
    with DigitCNN.restore("m") as again, warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        again.predict(enlarged(eight[0]))
        assert len(found) == again.standardization.mean.any()


def test_pretrained_warns(digits):
    with DigitCNN.pretrained() as cnn, pytest.warns(DigitCNNWarning, match="expected pixels in about 0..1"):
        cnn.predict(digits.test_images[:10] // 16)


CLASSIFIED = {
    "0..16 for 0..255": (lambda X: brought_to(X, 255), lambda X: X),
    "0..1 for 0..255": (lambda X: brought_to(X, 255), lambda X: X / 16),
    "0..255 for 0..16": (lambda X: X, lambda X: brought_to(X, 255)),
    "0..255 for 0..1": (lambda X: X / 16, lambda X: brought_to(X, 255)),
    "0..1 for 0..16": (lambda X: X, lambda X: X / 16),
}


@pytest.mark.parametrize("kind", CLASSIFIED)
def test_classifier_warns(eight, kind):
    first, second = CLASSIFIED[kind]
    X, y = eight
    classifier = DigitClassifier(architecture="softmax", epochs=1, random_state=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier.fit(first(X), y).predict(first(X))
    for call in (classifier.predict, classifier.predict_proba):
        with pytest.warns(DigitCNNWarning, match="X: expected pixels in about"):
            call(second(X))
    if first(X).dtype == np.uint8 and second(X).dtype != np.uint8:
        return  # refused: whole numbers are expected
    with pytest.warns(DigitCNNWarning, match="expected pixels in about"):
        classifier.partial_fit(second(X), y)


def test_numbers_below_0_do_not_warn():
    """Floats that somebody standardized have no range."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_another_range(np.full((20, 2), 90.0), Standardization([-1, 1], 1, 3), "X")
        warn_of_another_range(np.array([[-1.0, 90.0]]), Standardization([1, 1], 1, 3), "X")
