"""Training on probabilities of the classes in place of labels."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from digitcnn import DigitCNN, ResumeError

v1 = tf.compat.v1


def make(kind=DigitCNN, **settings):
    small = {"conv_1_output_channels": 4, "conv_2_output_channels": 8, "fc_3_output_units": 8}
    small = {} if "architecture" in settings else small  # softmax has fixed sizes
    return kind(**(small | {"random_seed": 1, "batchsize": 50} | settings))


@pytest.fixture(scope="module")
def soft(few):
    """Probabilities float32 [130, 10] that differ from the labels' one-hot rows."""
    rows = np.random.default_rng(3).dirichlet(np.ones(10), size=130) * 0.4
    rows[np.arange(130), few[1]] += 0.6
    return rows.astype(np.float32)


@pytest.mark.parametrize("settings", [{}, {"architecture": "softmax"}, {"label_smoothing": 0.1}], ids=str)
def test_one_hot_probabilities_train_to_the_bits_of_labels(few, settings):
    """Of graphs that take whole numbers, and of T2's, which takes one-hot rows."""
    with make(**settings) as labels, make(**settings) as rows:
        labels.train(few, few, epochs=2, verbose=False)
        rows.train((few[0], np.eye(10)[few[1]]), few, epochs=2, verbose=False)
        assert labels.weights_sha256() == rows.weights_sha256()
        assert labels.history.equals(rows.history)


@pytest.mark.parametrize("settings", [{}, {"architecture": "softmax"}], ids=str)
def test_loss_is_the_cross_entropy_with_the_probabilities(few, soft, settings):
    settings = {"batchsize": 130, "dropout": 0.0, "precision": "float32"} | settings
    with make(**settings) as model:
        model.train((few[0], soft), steps=1, verbose=False)
        predicted = model.predict(few[0], return_proba=True).astype(float)
        model.train((few[0], soft), steps=1, initialize=False, verbose=False)
        assert model.history["Loss"].iloc[-1] == pytest.approx(-(soft * np.log(predicted)).sum(axis=1).mean(), rel=1e-5)


def test_training_approaches_the_probabilities(few):
    """Not the most probable class: a constant target is what the network ends with."""
    target = np.array([0.5, 0.3, 0.2, *[0.0] * 7])
    with make(architecture="softmax", learning_rate=0.01) as model:
        model.train((few[0], np.tile(target, (130, 1))), epochs=60, verbose=False)
        np.testing.assert_allclose(model.predict(few[0], return_proba=True).mean(axis=0), target, atol=0.02)


SCRIPT = """
import os, signal, sys
import numpy as np
from digitcnn import DigitCNN, load_dataset
digits = load_dataset()
X, y = digits.train_images[:130], np.load("soft.npy")
class Killed(DigitCNN):
    __name__ = "DigitCNN"
    def update_history(self, entry):
        super().update_history(entry)
        if entry["Epoch"] == 2:
            os.kill(os.getpid(), signal.SIGKILL)
Killed.__name__ = "DigitCNN"
model = Killed(conv_1_output_channels=4, conv_2_output_channels=8, fc_3_output_units=8, random_seed=1, batchsize=50)
model.train((X, y), epochs=3, checkpoint_dir="run", checkpoint_every=1, verbose=False)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_training_resumes_to_the_same_bits(few, soft):
    np.save("soft.npy", soft)
    with make() as untouched:
        untouched.train((few[0], soft), epochs=3, verbose=False)
        done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
        assert done.returncode == -9, done.stderr
        options = {"epochs": 3, "checkpoint_dir": "run", "resume": True, "verbose": False}
        before = sorted(Path("run").iterdir())
        for other in (few[1], soft[:, ::-1]):
            with make() as model, pytest.raises(ResumeError, match="expected training_set='sha256"):
                model.train((few[0], other), **options)
        assert sorted(Path("run").iterdir()) == before
        with make() as model:
            model.train((few[0], soft), **options)
            assert model.weights_sha256() == untouched.weights_sha256() and len(model.history) == 3


BAD = {
    "too few": (lambda rows: rows[:5], r"expected labels \[130\], or probabilities \[130, 10\], found \[5, 10\]"),
    "too few classes": (lambda rows: rows[:, :9], r"found \[130, 9\]"),
    "negative": (lambda rows: rows - 0.5, r"expected probabilities in 0\.\.1, found \[.*\] at index 0"),
    "NaN": (lambda rows: np.where(np.arange(130)[:, None] == 7, np.nan, rows), "found .* at index 7"),
    "infinity": (lambda rows: rows + np.inf, "at index 0"),
    "logits": (lambda rows: np.tile([0.5, 0.1] * 5, (130, 1)), "expected probabilities that sum to 1 .* a sum of 3"),
    "half of them": (lambda rows: rows / 2, r"a sum of 0\.5 at index 0"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_probabilities_raise(few, soft, kind):
    change, message = BAD[kind]
    with make(architecture="softmax") as model:
        with pytest.raises(ValueError, match=rf"training_set\[1\], the labels: .*{message}"):
            model.train((few[0], change(soft)), verbose=False)
        assert len(model.history) == 0


def test_probabilities_are_for_training_only(few, soft):
    with make(architecture="softmax") as model:
        model.train((few[0], soft), steps=1, verbose=False)
        for call in (
            lambda: model.evaluate(few[0], soft),
            lambda: model.train(few, (few[0], soft), verbose=False),
        ):
            with pytest.raises(ValueError, match=r"found \[130, 10\]; for one-hot labels, give y.argmax"):
                call()


class Sparse(DigitCNN):
    """Its loss takes whole numbers; the one-hot rows are of no use to it."""

    def build(self):
        tf_x = v1.placeholder(tf.float32, [None, 784], name="tf_x")
        tf_y = v1.placeholder(tf.int32, [None], name="tf_y")
        tf.one_hot(tf_y, 10, name="input_y_onehot")
        logits = self.fc_layer(tf_x, "fc_1", 10)
        tf.nn.softmax(logits, name="probabilities")
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf_y, logits=logits)
        loss = tf.reduce_mean(losses, name="cross_entropy_loss")
        v1.train.AdamOptimizer(self.learning_rate).minimize(loss, name="train_op")


class OneHot(DigitCNN):
    """As T1 makes its loss."""

    def build(self):
        tf_x = v1.placeholder(tf.float32, [None, 784], name="tf_x")
        tf_y = v1.placeholder(tf.int32, [None], name="tf_y")
        one_hot = tf.one_hot(tf_y, 10, name="input_y_onehot")
        logits = self.fc_layer(tf_x, "fc_1", 10)
        tf.nn.softmax(logits, name="probabilities")
        losses = tf.nn.softmax_cross_entropy_with_logits(labels=one_hot, logits=logits)
        loss = tf.reduce_mean(losses, name="cross_entropy_loss")
        v1.train.AdamOptimizer(self.learning_rate).minimize(loss, name="train_op")


def test_own_graph_takes_probabilities_or_says_why_not(few, soft):
    with make(Sparse) as sparse:
        with pytest.raises(
            ValueError, match="expected whole numbers, as the loss of this graph does not depend on tf_y"
        ):
            sparse.train((few[0], soft), verbose=False)
        sparse.train(few, steps=1, verbose=False)
    with make(OneHot) as own, make(OneHot) as labels:
        own.train((few[0], np.eye(10)[few[1]]), epochs=1, verbose=False)
        labels.train(few, epochs=1, verbose=False)
        assert own.weights_sha256() == labels.weights_sha256()
        own.train((few[0], soft), epochs=1, verbose=False)
        assert own.weights_sha256() != labels.weights_sha256()


def test_summaries_name_the_most_probable_class(few, soft):
    with make(architecture="softmax") as model:
        model.train((few[0], soft), epochs=1, logdir="logs", summaries=["projector"], verbose=False)
    files = [file for file in Path("logs").rglob("*.tsv") if "label" in file.read_text()]
    assert files and all(row.split("\t")[-1] in "0123456789" for row in files[0].read_text().splitlines()[1:])


def test_probabilities_are_shared_among_devices(few, soft):
    with make(precision="float32", dropout=0.0) as one, make(precision="float32", dropout=0.0) as two:
        one.train((few[0], soft), epochs=1, verbose=False)
        two.train((few[0], soft), epochs=1, devices=2, verbose=False)
        for name, values in one._engine.variables().items():
            np.testing.assert_allclose(two._engine.variables()[name], values, atol=1e-5, err_msg=name)
