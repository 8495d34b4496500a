"""A small model that is trained and saved, as functions and fixtures that tests import."""

import pytest

from digitcnn import DigitCNN


def weights(model):
    return model.sess.run(model.g.get_collection("variables"))


SMALL = {"conv_1_output_channels": 4, "conv_2_output_channels": 8, "fc_3_output_units": 16}


def train_small(few):
    model = DigitCNN(random_seed=3, batchsize=50, **SMALL)
    model.train(few, few, epochs=2, verbose=False)
    return model


@pytest.fixture(scope="module")
def trained(few, tmp_path_factory):
    """A model that no test changes, and the folder in which it is saved under the number 2."""
    folder = tmp_path_factory.mktemp("trained") / "m"
    with train_small(few) as model:
        model.save(epoch=2, path=folder)
        yield model, folder


@pytest.fixture
def small(trained):
    """A model with the same weights and history for one test."""
    with DigitCNN.restore(trained[1]) as model:
        yield model
