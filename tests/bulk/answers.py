"""Images in a file, a model and its answers, as fixtures that tests import; what they ask about files of answers."""

from pathlib import Path

import numpy as np
import pytest

from digitcnn import DigitCNN

N = 5_203  # images: five batches of 1000 and one of 203


@pytest.fixture(scope="module")
def images(digits):
    """uint8 [5203, 784], shifted copies of the bundled digits."""
    copies = [np.roll(digits.train_images.reshape(-1, 28, 28), shift, axis=2) for shift in range(4)]
    return np.concatenate(copies)[:N].reshape(N, 784)


@pytest.fixture(scope="module")
def model(few):
    with DigitCNN(architecture="softmax", random_seed=1) as model:
        model.train(few, steps=6, verbose=False)
        yield model


@pytest.fixture(scope="module")
def expected(model, images):
    """Labels and probabilities that `predict` gives for all images at once."""
    return model.predict(images, verbose=False), model.predict(images, return_proba=True, verbose=False)


@pytest.fixture
def data(images):
    np.save("x.npy", images)
    return Path("x.npy")


def names():
    return sorted(path.name for path in Path().iterdir())


def is_equal(rows, expected):
    return np.array_equal(rows["label"], expected[0]) and np.array_equal(rows["probabilities"], expected[1])
