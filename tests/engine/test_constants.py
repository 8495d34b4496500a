"""Predictions of few images by constants: the same bits as by variables, and never those of weights that were."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from digitcnn import DigitCNN, UntrainedModelError
from digitcnn.engine import constants
from digitcnn.engine.calls import MAX_FEW
from digitcnn.engine.constants import CALLS
from digitcnn.graph.architectures import ARCHITECTURES

v1 = tf.compat.v1
SMALL = {"conv_1_output_channels": 4, "conv_2_output_channels": 8, "fc_3_output_units": 8}
# Sizes of layers decide the kernels, so that every network counts in the precision that it has by default; in float32
# one of each pattern that could be fused: with biases and ReLU, with neither, with batch normalization and ReLU.
KINDS = [*((name, "auto") for name in ARCHITECTURES), *((name, "float32") for name in ("cnn", "strided", "slim"))]


@pytest.fixture(autouse=True)
def _copies_at_once(monkeypatch):
    """A copy is made by the second prediction with the same weights."""
    monkeypatch.setattr(constants, "CALLS", 2)


def has_copy(model):
    return model._engine._calls._constants._frozen is not None


@pytest.fixture
def model(few):
    """A small trained model that predicts by constants."""
    with DigitCNN(random_seed=1, **SMALL) as model:
        model.train(few, steps=1, verbose=False)
        for _ in range(2):
            model.predict(few[0][:1])
        assert has_copy(model)
        yield model


@pytest.mark.parametrize(("architecture", "precision"), KINDS)
def test_constants_and_variables_predict_the_same_bits(few, architecture, precision):
    X, sizes, by_variables = few[0], (1, 2, 5, MAX_FEW), {}
    settings = {"precision": precision, "rotation": 5.0, "average_decay": 0.9, "batchsize": 20}
    with DigitCNN(architecture=architecture, random_seed=1, **settings) as model:
        model.train((X[:20], few[1][:20]), steps=1, verbose=False)
        for n in sizes:
            model._engine.session.version += 1  # as a change does
            by_variables[n] = model.predict(X[:n], return_proba=True)
            assert not has_copy(model)
        model.predict(X[:1])
        assert has_copy(model)
        for n in sizes:
            np.testing.assert_array_equal(model.predict(X[:n], return_proba=True), by_variables[n])
            labels, probabilities = model._engine.classify(X[:n].reshape(n, -1), model.standardization)
            np.testing.assert_array_equal(probabilities, by_variables[n])
            np.testing.assert_array_equal(labels, by_variables[n].argmax(axis=1))
        assert model._engine._calls._constants._frozen.n_calls == 2 * len(sizes), "a copy made no prediction"


def test_copy_is_made_once_it_pays(few, monkeypatch):
    monkeypatch.setattr(constants, "CALLS", CALLS)
    with DigitCNN(architecture="softmax", random_seed=1) as model:
        model.train(few, steps=1, verbose=False)
        for _ in range(CALLS - 1):
            model.predict(few[0][:1])
        assert not has_copy(model)
        model.predict(few[0][:1])
        assert has_copy(model)


def by_assignment(model, few):
    (biases,) = (variable for variable in v1.trainable_variables() if variable.op.name == "fc_4/_biases")
    model.sess.run(biases.initializer, {biases.initializer.inputs[1]: np.arange(10, dtype=np.float32)})


def by_callable(model, few):
    (biases,) = (variable for variable in v1.trainable_variables() if variable.op.name == "fc_4/_biases")
    value = biases.initializer.inputs[1]
    model.sess.make_callable(biases.initializer, [value])(np.arange(10, dtype=np.float32))


def by_partial_run(model, few):
    """It runs no operation, but a tensor that comes after one."""
    fed = {"tf_x:0": np.ones((50, 784), np.float32), "tf_y:0": few[1][:50], "fc_keep_prob:0": 1.0}
    after_a_step = "train/Adam/mul:0"
    handle = model.sess.partial_run_setup([after_a_step], list(fed))
    model.sess.partial_run(handle, after_a_step, fed)


def by_training(model, few):
    model.train(few, steps=3, initialize=False, verbose=False)


def by_initialization(model, few):
    model.sess.run(model.init_op)


def by_saver(model, few):
    path = model.saver.save(model.sess, "saved/model")
    by_training(model, few)
    model.predict(few[0][:1])
    model.saver.restore(model.sess, path)
    by_assignment(model, few)


@pytest.mark.parametrize(
    "change", [by_assignment, by_callable, by_partial_run, by_training, by_initialization, by_saver]
)
def test_changed_weights_are_seen_at_once(model, few, change):
    X = few[0][:1]
    before = model.predict(X, return_proba=True)
    with model.g.as_default():
        change(model, few)
    seen = [model.predict(X, return_proba=True) for _ in range(3)]
    feed = {"tf_x:0": model.standardization(X.reshape(1, -1))}
    np.testing.assert_allclose(seen[0], model.sess.run("probabilities:0", feed), rtol=0.02, atol=1e-3)
    assert not np.allclose(seen[0], before, rtol=1e-4)
    for later in seen[1:]:
        np.testing.assert_array_equal(later, seen[0])


def test_loaded_weights_are_seen_at_once(model, few, tmp_path):
    X = few[0][:1]
    model.save(0, path=tmp_path)
    before = model.predict(X, return_proba=True)
    by_training(model, few)
    model.predict(X)
    model.load(0, path=tmp_path)
    for _ in range(3):
        np.testing.assert_array_equal(model.predict(X, return_proba=True), before)


def test_weights_that_change_while_they_are_copied_are_not_kept(few, monkeypatch):
    X = few[0][:1]
    with DigitCNN(random_seed=1, **SMALL) as model:
        model.train(few, steps=1, verbose=False)
        convert = constants.constants_for_variables

        def slow(*arguments):
            found = convert(*arguments)
            by_training(model, few)
            return found

        monkeypatch.setattr(constants, "constants_for_variables", slow)
        for _ in range(2):
            model.predict(X)
        assert not has_copy(model)
        monkeypatch.undo()
        by_now = [model.predict(X, return_proba=True) for _ in range(4)]
        np.testing.assert_array_equal(by_now, [by_now[0]] * len(by_now))


def test_prediction_needs_no_copy(few, monkeypatch):
    """Whatever keeps a copy from being made, it is not tried again."""
    asked = []

    def fail(*arguments):
        asked.append(1)
        raise MemoryError

    monkeypatch.setattr(constants, "constants_for_variables", fail)
    with DigitCNN(architecture="softmax", random_seed=1) as model:
        model.train(few, steps=1, verbose=False)
        first, *later = [model.predict(few[0][:1], return_proba=True) for _ in range(6)]
        np.testing.assert_array_equal(later, [first] * 5)
        assert len(asked) == 1


def test_copies_that_are_made_in_vain_become_rarer(few):
    with DigitCNN(architecture="softmax", random_seed=1) as model:
        model.train(few, steps=1, verbose=False)
        calls = []
        for _ in range(3):
            n = 0
            while not has_copy(model):
                model.predict(few[0][:1])
                n += 1
            calls.append(n)
            model.sess.run("W:0")  # a run that may change something
            model.predict(few[0][:1])  # the first with these weights
        assert calls == [2, 3, 7]  # one of 4 and of 8 was made before


def test_training_frees_the_copy(model, few):
    by_training(model, few)
    assert not has_copy(model)


def test_model_that_is_closed_while_a_copy_is_made_has_none(few, monkeypatch):
    convert = constants.constants_for_variables
    model = DigitCNN(architecture="softmax", random_seed=1)
    model.train(few, steps=1, verbose=False)

    def slow(*arguments):
        found = convert(*arguments)
        model.close()
        return found

    monkeypatch.setattr(constants, "constants_for_variables", slow)
    model.predict(few[0][:1])
    with pytest.raises(UntrainedModelError, match="this model is closed"):
        model.predict(few[0][:1])
    assert not has_copy(model)


def test_threads_predict_while_another_trains(model, few):
    X, errors = few[0][:1], []

    def predict():
        try:
            for _ in range(100):
                assert model.predict(X, return_proba=True).sum() == pytest.approx(1, abs=1e-5)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=predict) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        by_training(model, few)
    for thread in threads:
        thread.join()
    assert not errors
    last = [model.predict(X, return_proba=True) for _ in range(3)]
    feed = {"tf_x:0": model.standardization(X.reshape(1, -1))}
    np.testing.assert_allclose(last[-1], model.sess.run("probabilities:0", feed), rtol=0.02, atol=1e-3)


def test_closed_model_with_a_copy_raises(few):
    model = DigitCNN(architecture="softmax", random_seed=1)
    model.train(few, steps=1, verbose=False)
    for _ in range(3):
        model.predict(few[0][:1])
    assert has_copy(model)
    model.close()
    with pytest.raises(UntrainedModelError, match="this model is closed"):
        model.predict(few[0][:1])


def test_many_images_and_large_models_need_no_copy(few, monkeypatch):
    with DigitCNN(architecture="softmax", random_seed=1) as model:
        model.train(few, steps=1, verbose=False)
        for _ in range(3):
            model.predict(few[0][: MAX_FEW + 1])
        assert not has_copy(model)
    monkeypatch.setattr(constants, "MAX_WEIGHTS", 1_000)
    with DigitCNN(architecture="softmax", random_seed=1) as model:
        model.train(few, steps=1, verbose=False)
        for _ in range(3):
            model.predict(few[0][:1])
        assert not has_copy(model)


def test_own_graph_keeps_what_its_predictions_change(few):
    class Counting(DigitCNN):
        def build(self):
            x = v1.placeholder(tf.float32, [None, 784], name="tf_x")
            y = v1.placeholder(tf.int32, [None], name="tf_y")
            n_asked = v1.get_variable("n_asked", [], initializer=v1.zeros_initializer(), trainable=False)
            with tf.control_dependencies([n_asked.assign_add(1.0)]):
                logits = self.fc_layer(x, "fc", 10)
            tf.nn.softmax(logits, name="probabilities")
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
            tf.reduce_mean(losses, name="cross_entropy_loss")
            v1.train.AdamOptimizer(1e-3).minimize(tf.reduce_mean(losses), name="train_op")

    with Counting(random_seed=1) as model:
        model.train(few, steps=1, verbose=False)
        asked = model.sess.run("n_asked:0")
        for _ in range(5):
            model.predict(few[0][:1])
        assert model.sess.run("n_asked:0") == asked + 5
