"""The tutorial's network and loop in plain TensorFlow, without this package's graph and engine.

    python tests/benchmarks/tutorial_loop.py --data mnist --epochs 30 --seeds 1 2 3

Measures the accuracy and speed of T1 itself on today's TensorFlow, to compare DigitCNN's with: TensorFlow's default
initializer (Glorot-uniform), stateful dropout, NumPy's shuffle of the whole standardized set, `feed_dict`.
"""

import argparse
import statistics
import time

import numpy as np
import tensorflow as tf

from digitcnn import load_dataset

v1 = tf.compat.v1


def conv(net, name, n_inputs, n_outputs):
    with v1.variable_scope(name):
        weights = v1.get_variable("_weights", [5, 5, n_inputs, n_outputs])
        biases = v1.get_variable("_biases", initializer=tf.zeros([n_outputs]))
        net = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(net, weights, 1, "VALID"), biases))
        return tf.nn.max_pool2d(net, 2, 2, "VALID")


def dense(net, name, n_inputs, n_outputs):
    with v1.variable_scope(name):
        weights = v1.get_variable("_weights", [n_inputs, n_outputs])
        biases = v1.get_variable("_biases", initializer=tf.zeros([n_outputs]))
        return tf.nn.bias_add(tf.matmul(net, weights), biases)


def build(learning_rate=1e-4):
    x = v1.placeholder(tf.float32, [None, 784])
    y = v1.placeholder(tf.int32, [None])
    keep_prob = v1.placeholder(tf.float32, [])
    net = conv(tf.reshape(x, [-1, 28, 28, 1]), "conv_1", 1, 32)
    net = conv(net, "conv_2", 32, 64)
    net = tf.nn.relu(dense(tf.reshape(net, [-1, 1024]), "fc_3", 1024, 1024))
    logits = dense(v1.nn.dropout(net, rate=1 - keep_prob), "fc_4", 1024, 10)
    losses = tf.nn.softmax_cross_entropy_with_logits(labels=tf.one_hot(y, 10), logits=logits)
    loss = tf.reduce_mean(losses)
    train_op = v1.train.AdamOptimizer(learning_rate).minimize(loss)
    labels = tf.argmax(logits, axis=1)
    return x, y, keep_prob, loss, train_op, labels


def run(seed, dataset, epochs):
    """Test accuracy, and images per second in the median epoch without the first."""
    mean, std = dataset.train_images.mean(axis=0), dataset.train_images.std()
    X = ((dataset.train_images - mean) / std).astype(np.float32)
    X_test = ((dataset.test_images - mean) / std).astype(np.float32)
    y, rng = dataset.train_labels, np.random.RandomState(seed)
    with tf.Graph().as_default() as graph:
        v1.set_random_seed(seed)
        x, labels_fed, keep_prob, loss, train_op, labels = build()
        with v1.Session(graph=graph) as session:
            session.run(v1.global_variables_initializer())
            seconds = []
            for _ in range(epochs):
                start = time.perf_counter()
                order = rng.permutation(len(X))
                X, y = X[order], y[order]
                for first in range(0, len(X), 100):
                    batch = slice(first, first + 100)
                    session.run([loss, train_op], {x: X[batch], labels_fed: y[batch], keep_prob: 0.5})
                seconds.append(time.perf_counter() - start)
            predicted = np.concatenate(
                [session.run(labels, {x: part, keep_prob: 1.0}) for part in np.array_split(X_test, 10)]
            )
    return np.mean(predicted == dataset.test_labels), len(X) / statistics.median(seconds[1:] or seconds)


def main():
    parser = argparse.ArgumentParser(description="The tutorial's network and loop in plain TensorFlow.")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.data, arguments.data_dir)
    accuracies = []
    for seed in arguments.seeds:
        accuracy, images_per_second = run(seed, dataset, arguments.epochs)
        accuracies.append(accuracy)
        print(f"seed {seed}: test accuracy {accuracy:.2%}, {images_per_second:,.0f} images/s", flush=True)
    print(f"{len(accuracies)} seeds: mean test accuracy {statistics.mean(accuracies):.3%}")


if __name__ == "__main__":
    main()
