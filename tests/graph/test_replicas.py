"""A training step that several devices share gives the weights of one device."""

import numpy as np
import pytest
import tensorflow as tf

from digitcnn import ARCHITECTURES, DigitCNN

v1 = tf.compat.v1


class Double(DigitCNN):
    """A network in float64, so that sums in another order differ by 1e-16 only."""

    def build(self):
        tf_x = v1.placeholder(tf.float32, [None, 784], name="tf_x")
        tf_y = v1.placeholder(tf.int32, [None], name="tf_y")

        def weights(name, number, shape):
            def start(shape, **_):
                return tf.random.stateless_truncated_normal(shape, [7, number], stddev=0.1, dtype=tf.float64)

            return v1.get_variable(name, shape, tf.float64, initializer=start, use_resource=True)

        net = tf.reshape(tf.cast(tf_x, tf.float64), [-1, 28, 28, 1])
        net = tf.nn.relu(tf.nn.conv2d(net, weights("filters", 1, [5, 5, 1, 6]), 2, "VALID"))
        net = tf.reshape(tf.nn.max_pool2d(net, 2, 2, "VALID"), [-1, 216])
        net = tf.nn.relu(tf.matmul(net, weights("hidden", 2, [216, 32])))
        logits = tf.matmul(net, weights("output", 3, [32, 10]))
        tf.nn.softmax(tf.cast(logits, tf.float32), name="probabilities")
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf_y, logits=logits)
        loss = tf.reduce_mean(losses)
        tf.cast(loss, tf.float32, name="cross_entropy_loss")
        v1.train.AdamOptimizer(1e-3).minimize(loss, name="train_op")


def trained(make, data, devices, **options):
    with make() as model:
        model.train(data, data, devices=devices, verbose=False, **options)
        return model._engine.variables(), model.history


def largest_difference(a, b):
    assert a.keys() == b.keys()
    return max(np.abs(a[name].astype(float) - b[name]).max() for name in a)


@pytest.mark.parametrize(("devices", "average_decay"), [(2, 0.9), (3, 0), (7, 0)])
def test_float64_weights_equal_those_of_one_device(few, devices, average_decay):
    """Their moving averages, too, which have become the weights."""

    def make():
        return Double(random_seed=5, batchsize=50, average_decay=average_decay)

    one, history = trained(make, few, 1, steps=100)
    several, shared_history = trained(make, few, devices, steps=100)
    assert 0 < largest_difference(one, several) < 1e-12
    assert np.allclose(history["Loss"], shared_history["Loss"], rtol=1e-6, atol=0)
    assert history["Accuracy"].equals(shared_history["Accuracy"])


# The others have the layers of these: `same` those of `cnn`, our larger networks those of `slim` and of `batchnorm`.
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in ("same", "compact", "deep", "tapered")])
def test_first_step_of_each_architecture_equals_one_device(name, few):
    """With dropout and warps on: a row has the same mask and the same warp wherever it is computed.

    The loss after the step shows that the update was the same; batch normalization takes each device's own statistics,
    and its mean over 39,200 warped pixels is rounded by 1e-4.
    """
    small = {"conv_1_output_channels": 16, "conv_2_output_channels": 16, "fc_3_output_units": 32}
    small = small if ARCHITECTURES[name].has_widths else {}
    warps = {} if ARCHITECTURES[name].has_batch_norm else {"rotation": 9, "shift": 2, "shear": 9, "cutout": 3}
    batch = few[0][:50], few[1][:50]

    def make():
        return DigitCNN(architecture=name, random_seed=3, batchsize=50, precision="float32", **warps, **small)

    if not ARCHITECTURES[name].has_batch_norm:
        _, losses = trained(make, batch, 1, epochs=2)  # each epoch has one step
        _, shared_losses = trained(make, batch, 3, epochs=2)
        assert len(losses) == 2 and np.allclose(losses["Loss"], shared_losses["Loss"], rtol=1e-5, atol=0)
        return
    one, first = trained(make, batch, 1, epochs=1)
    several, shared_first = trained(make, batch, 3, epochs=1)
    assert np.allclose(first["Loss"], shared_first["Loss"], rtol=0.2, atol=0)
    means = [variable for variable in one if variable.endswith("moving_mean")]
    assert np.allclose(one[means[0]], several[means[0]], rtol=1e-4, atol=1e-7)  # a mean is the mean of means


def test_other_masks_would_change_the_loss(few):
    """What the tests above rest on: another row's mask is another loss."""

    def make(seed):
        return lambda: DigitCNN(random_seed=seed, batchsize=50, fc_3_output_units=32, dropout=0.5)

    losses = [trained(make(seed), few, 1, steps=1)[1]["Loss"][0] for seed in (3, 4)]
    assert abs(losses[0] / losses[1] - 1) > 1e-3


def test_more_devices_than_rows_of_the_last_batch(digits):
    """101 images are batches of 50, 50 and 1."""
    data = digits.train_images[:101], digits.train_labels[:101]

    def make():
        return Double(random_seed=5, batchsize=50)

    one, _ = trained(make, data, 1, epochs=2)
    several, _ = trained(make, data, 3, epochs=2)
    assert largest_difference(one, several) < 1e-12


def test_checkpoint_continues_on_another_number_of_devices(few, tmp_path):
    def make():
        return Double(random_seed=5, batchsize=50)

    whole, history = trained(make, few, 1, epochs=4)
    with make() as model:
        model.train(few, few, epochs=2, devices=2, verbose=False)
        model.train(few, few, epochs=2, devices=3, initialize=False, verbose=False)
        assert largest_difference(whole, model._engine.variables()) < 1e-12
        assert list(model.history["Epoch"]) == list(history["Epoch"])
        assert model.predict(few[0], verbose=False).shape == (130,)


def test_training_on_devices_leaves_the_graph_as_it_was(few):
    with DigitCNN(architecture="softmax", random_seed=1) as model:
        before = model.g.as_graph_def().SerializeToString(deterministic=True)
        model.train(few, steps=2, devices=2, verbose=False)
        assert model.g.as_graph_def().SerializeToString(deterministic=True) == before


class OwnUpdate(DigitCNN):
    """A graph that updates its weights by hand, which no one can share."""

    def build(self):
        tf_x = v1.placeholder(tf.float32, [None, 784], name="tf_x")
        tf_y = v1.placeholder(tf.int32, [None], name="tf_y")
        logits = self.fc_layer(tf_x, "fc_1", 10)
        tf.nn.softmax(logits, name="probabilities")
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf_y, logits=logits)
        loss = tf.reduce_mean(losses, name="cross_entropy_loss")
        trained = v1.trainable_variables()
        updates = [v1.assign_sub(w, 0.1 * g) for w, g in zip(trained, tf.gradients(loss, trained), strict=True)]
        tf.group(*updates, name="train_op")


def test_update_by_hand_raises_and_changes_nothing(few):
    with OwnUpdate(random_seed=1) as model:
        model.train(few, steps=1, verbose=False)
        before = model.weights_sha256()
        with pytest.raises(ValueError, match=r"expected train_op to update fc_1/_weights, .* by an optimizer"):
            model.train(few, steps=1, devices=2, verbose=False)
        assert model.weights_sha256() == before and model.global_step == 1


@pytest.mark.parametrize(("devices", "error"), [(0, ValueError), (65, ValueError), (1.5, TypeError), ("2", TypeError)])
def test_bad_number_of_devices_raises(few, devices, error):
    with DigitCNN(architecture="softmax") as model, pytest.raises(error, match=r"^devices: expected"):
        model.train(few, steps=1, devices=devices)
