"""The one-cycle schedule: its shape, its length when training continues, and its effect on Adam."""

import numpy as np
import pytest
import tensorflow as tf

import digitcnn
from digitcnn import DigitCNN
from digitcnn.graph.schedules import one_cycle


def test_one_cycle_shape():
    """The rate is the lower line: up to the peak after 30% of the steps, down to a thousandth of it at the end."""
    lower = np.minimum(*one_cycle(np.array([0, 0.15, 0.3, 0.65, 1.0])))
    np.testing.assert_allclose(2.0 * lower, [0.02, 1.01, 2.0, 1.001, 0.002], rtol=1e-5)


def make(**settings):
    small = {"conv_1_output_channels": 8, "conv_2_output_channels": 8, "fc_3_output_units": 32}
    defaults = {"random_seed": 3, "batchsize": 50, "schedule": "one_cycle", **small}
    return DigitCNN(**(defaults | settings))


def test_training_sets_schedule_length_and_continuing_keeps_it(few, tmp_path):
    """3 steps an epoch."""
    with make() as cnn:
        cnn.train(few, epochs=4, verbose=False)
        assert cnn.sess.run("train/schedule/n_steps:0") == 12
        cnn.train(few, epochs=2, initialize=False, verbose=False)
        assert cnn.sess.run("train/schedule/n_steps:0") == 12
        assert cnn.sess.run("train/learning_rate:0") == pytest.approx(1e-4 * 1e-3)
        cnn.save(path=tmp_path)
    with DigitCNN.restore(tmp_path) as again:
        assert again.schedule == "one_cycle" and again.sess.run("train/schedule/n_steps:0") == 12


def test_schedule_length_is_set_after_init_op(few):
    """Readers of the tutorial run `init_op` themselves."""
    with make(learning_rate=1e-2) as cnn:
        cnn.sess.run(cnn.init_op)
        cnn.standardization = digitcnn.Standardization.fit(few[0])
        cnn.train(few, epochs=2, initialize=False, verbose=False)
        assert cnn.sess.run("train/schedule/n_steps:0") == 6


def test_load_model_without_schedule_raises(few):
    with make() as cycle, make(schedule="constant") as constant:
        constant.train(few, steps=1, verbose=False)
        constant.save(path="m")
        with pytest.raises(digitcnn.CheckpointError, match="expected schedule='one_cycle' as in this model"):
            cycle.load(path="m")


def test_first_step_moves_weights_by_learning_rate(few):
    """Adam's first step moves each weight that has a gradient by the learning rate."""
    with make(learning_rate=0.5) as cnn:
        cnn.train(few, steps=100, verbose=False)
        cnn.sess.run(cnn.init_op)
        cnn.sess.run("train/schedule/set_n_steps", {"train/schedule/fed_n_steps:0": 100})
        before = cnn.sess.run("fc_4/_biases:0")
        feed = {"tf_x:0": cnn.standardization(few[0]), "tf_y:0": few[1]}
        cnn.sess.run("train_op", feed)
        moved = np.abs(cnn.sess.run("fc_4/_biases:0") - before)
    np.testing.assert_allclose(moved, 0.5 * 1e-2, rtol=1e-3)


def test_tensorboard_records_learning_rate(few, tmp_path):
    with make(learning_rate=1e-2) as cnn:
        cnn.train(few, epochs=10, verbose=False, logdir=tmp_path)
    (file,) = (tmp_path / "train").glob("events*")
    points = {
        event.step: value.simple_value
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
        if value.tag == "learning_rate"
    }
    assert list(points) == list(range(30))
    assert points[9] == pytest.approx(1e-2) and points[0] == pytest.approx(1e-4) and points[29] < 6e-4


def test_unknown_schedule_raises():
    with pytest.raises(ValueError, match="schedule: expected one of constant, one_cycle, found 'cosine'"):
        DigitCNN(schedule="cosine")
