"""Checkpoints that plain TensorFlow 1 code wrote: they predict here as they did there."""

import copy
import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from digitcnn import ARCHITECTURES, CheckpointError, DigitCNN, Reader, Standardization
from digitcnn.exceptions import DigitCNNWarning

v1 = tf.compat.v1
SIZES = {"conv_1_output_channels": 4, "conv_2_output_channels": 6, "fc_3_output_units": 8}


def layer(x, name, kernel, activation=None):
    """A layer as the tutorial's class makes it, with TensorFlow 1's variables."""
    with v1.variable_scope(name, use_resource=False):
        weights = v1.get_variable("_weights", kernel)
        biases = v1.get_variable("_biases", [kernel[-1]], initializer=v1.zeros_initializer())
        product = tf.nn.conv2d(x, weights, 1, "VALID") if len(kernel) == 4 else tf.matmul(x, weights)
        x = tf.nn.bias_add(product, biases, name="net_pre-activation")
        return activation(x, name="activation") if activation else x


def tutorial_graph(counts_steps):
    """The tutorial's network of these sizes; the optimizer's step."""
    tf_x = v1.placeholder(tf.float32, [None, 784], name="tf_x")
    tf_y = v1.placeholder(tf.int32, [None], name="tf_y")
    x = layer(tf.reshape(tf_x, [-1, 28, 28, 1]), "conv_1", [5, 5, 1, 4], tf.nn.relu)
    x = layer(tf.nn.max_pool2d(x, 2, 2, "SAME"), "conv_2", [5, 5, 4, 6], tf.nn.relu)
    x = tf.reshape(tf.nn.max_pool2d(x, 2, 2, "SAME"), [-1, 96])
    logits = layer(layer(x, "fc_3", [96, 8], tf.nn.relu), "fc_4", [8, 10])
    tf.nn.softmax(logits, name="probabilities")
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(tf_y, logits), name="cross_entropy_loss")
    step = v1.train.get_or_create_global_step() if counts_steps else None
    return v1.train.AdamOptimizer(1e-3).minimize(loss, step, name="train_op")


def save_by_tutorial(few, counts_steps=False, variables=None):
    """Train in plain TensorFlow, save into ./old/; return probabilities of scaled images, and the images."""
    images = ((few[0] - few[0].mean(axis=0)) / few[0].std()).astype(np.float32)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(1)
        train_op = tutorial_graph(counts_steps)
        session.run(v1.global_variables_initializer())
        for _ in range(3):
            session.run(train_op, {"tf_x:0": images, "tf_y:0": few[1]})
        saved = [v for v in v1.global_variables() if variables is None or variables(v.op.name)]
        v1.train.Saver(saved).save(session, "old/model.ckpt-30")
        return session.run("probabilities:0", {"tf_x:0": images[:20]}), images[:20]


@pytest.mark.parametrize("path", ["old", "old/model.ckpt-30.index"])
def test_import_predicts_as_the_tutorial_did(few, path):
    expected, images = save_by_tutorial(few)
    with DigitCNN.import_checkpoint(path, **SIZES, precision="float32") as model:
        np.testing.assert_allclose(model.predict(images, return_proba=True), expected, rtol=1e-5, atol=1e-7)
        model.standardization = Standardization.fit(few[0])
        np.testing.assert_allclose(model.predict(few[0][:20], return_proba=True), expected, rtol=1e-4, atol=1e-6)
        assert model.global_step == 0 and "weights of model.ckpt-30" in repr(model)
        model.train(few, steps=1, initialize=False, verbose=False)  # with the optimizer's state
        with DigitCNN.restore(model.save(31)) as again:
            assert again.weights_sha256() == model.weights_sha256()


def test_import_reads_step_and_optimizer(few):
    save_by_tutorial(few, counts_steps=True)
    with DigitCNN.import_checkpoint("old", **SIZES) as model:
        assert model.global_step == 3
        saved = tf.train.load_checkpoint("old")
        assert model.sess.run("train/beta1_power:0") == saved.get_tensor("beta1_power")
        np.testing.assert_array_equal(
            model.sess.run("fc_3/_weights/Adam_1:0"), saved.get_tensor("fc_3/_weights/Adam_1")
        )


def test_import_without_the_whole_optimizer_begins_it_anew(few):
    expected, images = save_by_tutorial(few, variables=lambda name: "Adam" not in name and "power" not in name)
    with DigitCNN.import_checkpoint("old", **SIZES, precision="float32") as model:  # without a warning
        np.testing.assert_allclose(model.predict(images, return_proba=True), expected, rtol=1e-5, atol=1e-7)
    save_by_tutorial(few, variables=lambda name: "power" not in name)
    with (
        pytest.warns(DigitCNNWarning, match=r"found no train/beta1_power; it begins anew"),
        DigitCNN.import_checkpoint("old", **SIZES) as model,
    ):
        assert not model.sess.run("fc_3/_weights/Adam:0").any()


def test_import_names_what_does_not_fit(few):
    save_by_tutorial(few, variables=lambda name: not name.startswith("fc_4/_biases"))
    with pytest.raises(CheckpointError, match=r"fc_4/_biases of shape \[10\] \(found none\)"):
        DigitCNN.import_checkpoint("old", **SIZES)
    with pytest.raises(CheckpointError, match=r"fc_3/_biases of shape \[9\] \(found \[8\]\).*sizes"):
        DigitCNN.import_checkpoint("old", **SIZES | {"fc_3_output_units": 9})


def test_import_finds_damage(few):
    save_by_tutorial(few)
    for name, at in (("data-00000-of-00001", 900), ("index", 100)):
        file = Path(f"old/model.ckpt-30.{name}")
        content = file.read_bytes()
        file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(CheckpointError, match="damage"):
            DigitCNN.import_checkpoint("old", **SIZES)
        file.write_bytes(content)
    DigitCNN.import_checkpoint("old", **SIZES).close()


def test_paths_without_a_record_say_what_is_there(few, tmp_path):
    save_by_tutorial(few)
    advice = r"model.ckpt-30.index is a checkpoint of TensorFlow without.*import_checkpoint\('old.model.ckpt-30"
    for path in ("old", "old/model.ckpt-30", "old/model.ckpt-30.index", Path("old") / "model.ckpt-30.meta"):
        with pytest.raises(FileNotFoundError, match=advice):
            DigitCNN.restore(path)
    with DigitCNN(**SIZES) as model, pytest.raises(FileNotFoundError, match=advice):
        model.load(epoch=30, path="old")
    (tmp_path / "first").write_bytes(b"one file")
    with pytest.raises(CheckpointError, match="found one file, maybe of TensorFlow's first format"):
        DigitCNN.import_checkpoint("first")
    with pytest.raises(FileNotFoundError, match=r"nowhere: expected a checkpoint.*found no nowhere.index"):
        DigitCNN.import_checkpoint("nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty: expected one checkpoint of TensorFlow, found none"):
        DigitCNN.import_checkpoint("empty")


@pytest.fixture
def trained(few):
    with DigitCNN(architecture="softmax", random_seed=3) as model:
        model.train(few, steps=2, verbose=False)
        yield model


@pytest.mark.parametrize("suffix", ["", ".index", ".meta", ".json", ".data-00000-of-00001"])
def test_restore_takes_the_name_of_any_file(trained, suffix):
    prefix = trained.save(1, "m")
    with DigitCNN.restore(prefix + suffix) as again:
        assert again.global_step == 2
    trained.load(path=prefix + suffix)


@pytest.mark.parametrize("architecture", ["softmax", "tapered"])  # of plain layers, and of all kinds
def test_tensorflow_reads_the_graph_file(few, architecture):
    """The .meta file is a whole graph for TensorFlow's own tools, which compute in float32."""
    with DigitCNN(architecture=architecture, precision="float32", random_seed=3) as model:
        model.train(few, steps=1, verbose=False)
        prefix, expected = model.save(1, "m"), model.predict(few[0][:5], return_proba=True)
        scaled, names = model.standardization(few[0][:5]), ARCHITECTURES[architecture].names
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(f"{prefix}.meta").restore(session, prefix)
        found = session.run(f"{names.probabilities}:0", {f"{names.images}:0": scaled})
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("make", [pickle.dumps, copy.copy, copy.deepcopy])
def test_pickle_and_copy_name_save_and_restore(trained, make):
    for thing in (trained, Reader(trained)):
        with pytest.raises(
            TypeError, match=r"cannot be copied or pickled; save .*save\(\.\.\.\), .*restore\(\.\.\.\)$"
        ):
            make(thing)
    with pytest.raises(TypeError, match=r"restore\(\.\.\.\)"):
        make([trained] if make is not copy.copy else trained)


def test_history_takes_numbers_that_can_be_saved(trained):
    trained.update_history([Fraction(1, 3), np.float32(0.5), np.int64(1)])
    assert trained.history.values.tolist()[-1] == [1 / 3, 0.5, 1.0]
    trained.save(1, "m")
    with DigitCNN.restore("m") as again:
        assert again.history.equals(trained.history)
    before = trained.history
    huge = 10**400
    for bad in ([huge, 0, 0], [Fraction(huge, 3), 0, 0], [float("nan"), 0, 0], [-1, 0, 0], [1j, 0, 0], [1, huge, 0]):
        with pytest.raises((TypeError, ValueError), match="entry.* expected a number"):
            trained.update_history(bad)
    for rows in (pd.DataFrame({"Epoch": [1]}), pd.DataFrame([[1, "x", 0]], columns=list(before)), [[1, 2, 3]]):
        with pytest.raises((TypeError, ValueError), match="history|entry"):
            trained.history = rows
    assert trained.history is before


def test_standardization_of_another_kind_raises(trained):
    before = trained.standardization
    for value, message in (
        (5, "expected a Standardization"),
        (Standardization(np.zeros(3), 1), "expected 784 means, found 3"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            trained.standardization = value
    assert trained.standardization is before


def test_variables_of_other_names_and_a_name_without_its_number_are_said():
    with tf.Graph().as_default(), v1.Session() as session:
        for number in range(7):
            v1.get_variable(f"layer{number}/kernel", [1], use_resource=False)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, "old/model.ckpt-30")
    names = ", ".join(f"layer{number}/kernel" for number in range(5))
    with pytest.raises(CheckpointError, match=rf"\(found none\).*; it has, without a place .*: {names} and 2 more$"):
        DigitCNN.import_checkpoint("old", architecture="softmax")
    with pytest.raises(FileNotFoundError, match=r"found no model.ckpt.index; give one of those .*: model.ckpt-30$"):
        DigitCNN.import_checkpoint("old/model.ckpt")
