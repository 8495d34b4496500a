"""The first layer's response, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from digitcnn import DigitCNN
from digitcnn.demo.first_layer import first_layer


def convolve(image, weights):
    """VALID convolution at stride 1: [h, w], [kh, kw, 1, filters] -> [filters, h', w']."""
    windows = np.lib.stride_tricks.sliding_window_view(image, weights.shape[:2])
    return np.einsum("yxij,ijf->fyx", windows, weights[:, :, 0])


def as_pixels(change):
    return np.round(128 + 127 * change / np.abs(change).max())


@pytest.mark.parametrize("architecture", ["cnn", "compact"])
def test_maps_are_the_change_against_blank_paper(few, architecture):
    with DigitCNN(architecture=architecture, precision="float32", random_seed=1, epochs=1) as model:
        model.train(few, verbose=False)
        image = few[0][3].reshape(28, 28)
        found = first_layer(model, image)
        weights = model.sess.run("conv_1/_weights:0")
        biases = model.sess.run("conv_1/_biases:0") if architecture == "cnn" else np.zeros(32)
        blank, inked = (
            convolve(model.standardization(seen.reshape(1, -1)).reshape(28, 28), weights) + biases[:, None, None]
            for seen in (np.zeros_like(image), image)
        )
        if architecture == "cnn":  # it has its ReLU within the layer
            blank, inked = np.maximum(blank, 0), np.maximum(inked, 0)
    assert found.name == "conv_1" and found.maps.dtype == np.uint8
    assert np.abs(found.maps - as_pixels(inked - blank)).max() <= 1
    assert found.maps.min() < 128 < found.maps.max()


def test_blank_image_gives_no_response(few):
    with DigitCNN(architecture="strided", random_seed=1, epochs=1) as model:
        model.train(few, verbose=False)
        assert (first_layer(model, np.zeros((28, 28), np.uint8)).maps == 128).all()


def test_model_trained_on_floats(few):
    with DigitCNN(architecture="strided", random_seed=1, epochs=1) as model:
        model.train((few[0] / np.float32(255), few[1]), verbose=False)
        assert first_layer(model, few[0][0].reshape(28, 28)).maps.shape == (32, 14, 14)


def test_models_without_a_convolution_or_of_another_size_have_none():
    image = np.zeros((28, 28), np.uint8)
    for settings in ({"architecture": "softmax"}, {"image_shape": (20, 20)}):
        with DigitCNN(**settings) as model:
            assert first_layer(model, image) is None


class Own(DigitCNN):
    """A graph of one's own, whose layer is in no box that a wrapper made."""

    def build(self):
        x = tf.compat.v1.placeholder(tf.float32, [None, 784], name="tf_x")
        y = tf.compat.v1.placeholder(tf.int32, [None], name="tf_y")
        net = tf.nn.conv2d(tf.reshape(x, [-1, 28, 28, 1]), tf.ones([3, 3, 1, 2]), 1, "VALID", name="edges")
        logits = self.fc_layer(net, "fc", 10)
        tf.nn.softmax(logits, name="probabilities")
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        loss = tf.reduce_mean(losses, name="cross_entropy_loss")
        tf.compat.v1.train.AdamOptimizer(self.learning_rate).minimize(loss, name="train_op")


def test_own_graph(few):
    with Own(architecture="softmax", epochs=1) as model:  # whose images have another name, which is not this graph's
        model.train(few, verbose=False)
        found = first_layer(model, few[0][0].reshape(28, 28))
    assert (found.name, found.maps.shape) == ("edges", (2, 26, 26))
