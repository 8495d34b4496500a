"""A graph of your own: two residual blocks, by overriding `build()`; trained, tested, saved and restored.

    python examples/custom_graph.py                           # the bundled digits, under a minute
    python examples/custom_graph.py --data mnist --epochs 3
    python examples/custom_graph.py --plain                   # the same without the shortcuts

A residual block adds the output of two convolutions to its input, so that they need to learn only the change:
K. He et al., "Deep residual learning for image recognition", 2015, figure 2.
"""

import argparse
import math
import sys


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train, test, save and restore a graph of your own.")
    parser.add_argument("--data", default="bundled", help="name of a data set, or a folder of IDX files")
    parser.add_argument("--data-dir", metavar="DIR", help="folder that is searched for named data sets first")
    parser.add_argument("--plain", action="store_true", help="leave out the shortcuts")
    parser.add_argument("--epochs", type=int, default=10, metavar="N", help="(default: 10)")
    parser.add_argument("--seed", type=int, default=27, metavar="N", help="(default: 27)")
    parser.add_argument(
        "--save", metavar="DIR", default="./digitCNN-model/", help="folder to save the model in (default: %(default)s)"
    )
    return parser.parse_args()


# Before the imports below, so that --help and mistakes do not wait for TensorFlow.
ARGUMENTS = parse_arguments() if __name__ == "__main__" else None

import numpy as np
import tensorflow as tf

from digitcnn import DigitCNN, load_dataset

v1 = tf.compat.v1


class ResidualCNN(DigitCNN):
    """A strided convolution, two residual blocks with a pooling in between, and two dense layers."""

    has_shortcut = True

    def build(self):
        """Build the graph. `train`, `predict` and the rest find its tensors by these names."""
        tf_x = v1.placeholder(tf.float32, [None, math.prod(self.image_shape)], name="tf_x")
        tf_y = v1.placeholder(tf.int32, [None], name="tf_y")
        fc_keep_prob = v1.placeholder_with_default(1.0, [], name="fc_keep_prob")  # fed 1 - dropout in training

        net = tf.reshape(tf_x, [-1, *self.image_shape, 1])  # [batch, 28, 28, 1]
        net = self.conv_layer(net, "conv_1", (5, 5), self.conv_1_output_channels, strides=(1, 2, 2, 1))
        net = self.block(net, "block_2")  # [batch, 14, 14, channels]
        net = self.max_pool_layer(net, "pool_2")  # [batch, 7, 7, channels]
        net = self.block(net, "block_3")
        net = self.fc_layer(net, "fc_4", self.fc_3_output_units, activation_fn=tf.nn.relu)
        net = self.dropout_layer(net, "dropout_layer", fc_keep_prob)
        logits = self.fc_layer(net, "fc_5", self.n_classes)

        tf.nn.softmax(logits, name="probabilities")
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf_y, logits=logits)
        loss = tf.reduce_mean(losses, name="cross_entropy_loss")
        v1.train.AdamOptimizer(self.learning_rate).minimize(loss, name="train_op")

    def block(self, inputs, name):
        """ReLU(inputs + two convolutions of them): [batch, height, width, channels], the shape of `inputs`."""
        with v1.variable_scope(name):
            net = self.conv_layer(inputs, "conv_1", (3, 3), inputs.shape[-1])
            net = self.conv_layer(net, "conv_2", (3, 3), inputs.shape[-1], activation_fn=None)
            if self.has_shortcut:
                net = tf.add(net, inputs, name="sum")
            return tf.nn.relu(net, name="output")


class PlainCNN(ResidualCNN):
    """The same without the shortcuts, to compare."""

    has_shortcut = False


def main(arguments: argparse.Namespace) -> None:
    dataset = load_dataset(arguments.data, arguments.data_dir)
    training, validation = dataset.split(len(dataset.train_images) // 6)
    model_class = PlainCNN if arguments.plain else ResidualCNN
    sizes = {"conv_1_output_channels": 32, "fc_3_output_units": 128}
    sizes |= {"image_shape": dataset.image_shape, "n_classes": dataset.n_classes}
    with model_class(epochs=arguments.epochs, learning_rate=1e-3, random_seed=arguments.seed, **sizes) as model:
        model.summary()
        model.export_logs()  # its graph: tensorboard --logdir logs
        model.train(training, validation)
        print(f"test accuracy {model.evaluate(dataset.test_images, dataset.test_labels)['accuracy']:.2%}")
        predictions = model.predict(dataset.test_images)
        path = model.save(path=arguments.save)
        print("Saved as", path)

    # The folder has everything but the code of build(), so a model is restored by its own class.
    with model_class.restore(path) as restored:
        is_same = np.array_equal(restored.predict(dataset.test_images), predictions)
        print("Restored:", restored, "with the same predictions" if is_same else "with OTHER predictions")


if __name__ == "__main__":
    try:
        main(ARGUMENTS)
    except (OSError, ValueError) as error:  # a data set that is not there, a setting out of range
        sys.exit(f"error: {error}")
