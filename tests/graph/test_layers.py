"""Each layer against an implementation in NumPy, at odd and distinct sizes."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf

from digitcnn.graph import layers
from digitcnn.graph.gradients import training_gradients
from digitcnn.graph.layers import Layers

v1 = tf.compat.v1


def run(build, feed=None, seed=3, before=()):
    """Build in a new graph, initialize, run the operations `before`, and return the values of what was built."""
    with tf.Graph().as_default() as graph:
        v1.set_random_seed(seed)
        step = v1.train.get_or_create_global_step()
        fetches = build()
        with v1.Session(graph=graph) as session:
            session.run(v1.global_variables_initializer())
            for op in before:
                session.run(graph.get_operation_by_name(op), feed)
            del step
            return session.run(fetches, feed)


def variable(name):
    return next(v for v in v1.global_variables() if v.op.name == name)


@pytest.mark.parametrize("padding", ["VALID", "SAME"])
@pytest.mark.parametrize("stride", [1, 2])
def test_conv_matches_numpy(rng, padding, stride):
    x = rng.normal(size=(2, 9, 11, 3)).astype(np.float32)

    def build():
        out = Layers().conv(tf.constant(x), "c", (3, 5), 4, padding, (1, stride, stride, 1))
        return out, variable("c/_weights"), variable("c/_biases")

    out, weights, biases = run(build)
    assert weights.shape == (3, 5, 3, 4) and biases.shape == (4,) and not biases.any()
    padded = x
    if padding == "SAME":
        total = [max((-(-n // stride) - 1) * stride + k - n, 0) for n, k in ((9, 3), (11, 5))]
        pads = [(t // 2, t - t // 2) for t in total]
        padded = np.pad(x, [(0, 0), *pads, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 5), axis=(1, 2))[:, ::stride, ::stride]
    expected = np.maximum(np.einsum("nhwcij,ijco->nhwo", windows, weights), 0)
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_conv_without_bias_and_activation(rng):
    x = rng.normal(size=(1, 5, 5, 1)).astype(np.float32)

    def build():
        out = Layers().conv(tf.constant(x), "c", (5, 5), 7, "VALID", activation_fn=None, use_bias=False)
        return out, variable("c/_weights"), len(v1.trainable_variables())

    with tf.Graph().as_default() as graph:
        v1.set_random_seed(3)
        out, weights, n_variables = build()
        with v1.Session(graph=graph) as session:
            session.run(v1.global_variables_initializer())
            out, weights = session.run([out, weights])
    assert n_variables == 1 and (out < 0).any()
    np.testing.assert_allclose(out[0, 0, 0], np.einsum("ijc,ijco->o", x[0], weights), atol=1e-5)


def test_fc_flattens_its_input(rng):
    x = rng.normal(size=(3, 2, 5, 7)).astype(np.float32)

    def build():
        out = Layers().fc(tf.constant(x), "f", 13, tf.nn.relu)
        return out, variable("f/_weights")

    out, weights = run(build)
    np.testing.assert_allclose(out, np.maximum(x.reshape(3, 70) @ weights, 0), atol=1e-5)


def test_max_pool_drops_odd_last_row_and_column(rng):
    x = rng.normal(size=(2, 7, 9, 3)).astype(np.float32)
    out = run(lambda: Layers().max_pool(tf.constant(x), "p"))
    np.testing.assert_array_equal(out, x[:, :6, :8].reshape(2, 3, 2, 4, 2, 3).max(axis=(2, 4)))


def test_initializer_distributions():
    def build():
        return (
            layers.glorot_uniform([5, 5, 32, 64], [1, 0]),
            layers.glorot_uniform([784, 99], [1, 0]),
            layers.truncated_normal([5, 5, 32, 64], [1, 0]),
        )

    conv, dense, normal = run(build)
    for weights, limit in ((conv, np.sqrt(6 / (25 * (32 + 64)))), (dense, np.sqrt(6 / (784 + 99)))):
        assert np.abs(weights).max() <= limit and np.abs(weights).max() > 0.99 * limit
        assert abs(weights.mean()) < 0.01 * limit
    assert np.abs(normal).max() <= 0.2 and 0.08 < normal.std() < 0.1


def test_initial_weights_depend_on_layer_name_and_seed():
    def build():
        for name in ("a", "b"):
            Layers().fc(tf.ones([1, 30]), name, 30)
        return variable("a/_weights"), variable("b/_weights")

    a, b = run(build, seed=3)
    again, _ = run(build, seed=3)
    other, _ = run(build, seed=4)
    np.testing.assert_array_equal(a, again)
    assert (a != b).all() and (a != other).all()


def dropped(keep, step=0, name="drop", seed=3, shape=(200, 300)):
    def build():
        assign = v1.assign(v1.train.get_global_step(), step, name="set_step")
        del assign
        return Layers().dropout(tf.ones(shape), name, tf.constant(keep, tf.float32))

    return run(build, seed=seed, before=["set_step"])


def test_dropout_keeps_the_mean():
    out = dropped(0.8)
    assert set(np.unique(out)) == {np.float32(0), np.float32(1) / np.float32(0.8)}
    assert (out > 0).mean() == pytest.approx(0.8, abs=0.01)


def test_dropout_with_keep_prob_one_is_identity():
    np.testing.assert_array_equal(dropped(1.0), np.ones((200, 300)))


def test_dropout_mask_depends_on_seed_name_and_step():
    mask = dropped(0.5, step=7)
    np.testing.assert_array_equal(mask, dropped(0.5, step=7))
    for other in (dropped(0.5, step=8), dropped(0.5, 7, name="other"), dropped(0.5, 7, seed=4)):
        assert (mask != other).mean() == pytest.approx(0.5, abs=0.02)


def test_dropout_of_odd_size_and_extreme_probability():
    """The mask has 16 random bits per element, drawn for two elements at a time."""
    assert dropped(0.5, shape=(3, 5, 7)).shape == (3, 5, 7)
    assert (dropped(1 - 2.0**-24, shape=(100, 100)) > 0).mean() > 0.999
    assert not dropped(2.0**-24, shape=(100, 100)).any()


@pytest.mark.parametrize("activation_fn", [tf.nn.relu, tf.nn.tanh, None])
@pytest.mark.parametrize("use_bias", [True, False])
def test_pool_gradients_match_tensorflow(rng, activation_fn, use_bias):
    """The gradients skip the activation, and equal TensorFlow's."""
    values = rng.normal(size=(3, 9, 11, 2)).astype(np.float32)

    def build():
        x = tf.constant(values)
        net = Layers().conv(x, "c", (3, 3), 5, "VALID", activation_fn=activation_fn, use_bias=use_bias)
        pooled = Layers().max_pool(net, "p")
        variables = v1.trainable_variables()
        plain = tf.nn.conv2d(x, variables[0], 1, "VALID") + (variables[1] if use_bias else 0)
        plain = tf.nn.max_pool2d(plain if activation_fn is None else activation_fn(plain), 2, 2, "VALID")
        weigh = tf.reshape(tf.range(tf.size(plain), dtype=tf.float32), tf.shape(plain)) / 60
        # The second use of the activation must add its own gradient.
        losses = [tf.reduce_sum(out * weigh) + tf.reduce_sum(net**2) for out in (pooled, plain)]
        with training_gradients():
            return pooled, plain, [tf.gradients(loss, variables) for loss in losses]

    pooled, plain, (ours, theirs) = run(build)
    np.testing.assert_array_equal(pooled, plain)
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(b).max() > 1
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_gradients_outside_training_step_reach_activations(rng):
    """Such gradients at an activation, as a saliency map needs, exist."""
    values = rng.normal(size=(3, 9, 11, 2)).astype(np.float32)

    def build():
        net = Layers().conv(tf.constant(values), "c", (3, 3), 5, "VALID")
        loss = tf.reduce_sum(Layers().max_pool(net, "p") ** 2)
        asked = tf.gradients(loss, [net, *v1.trainable_variables()])
        with training_gradients():
            short = tf.gradients(loss, [net, *v1.trainable_variables()])
        assert short[0] is None
        return asked, short[1:]

    (at_activation, *asked), short = run(build)
    assert at_activation.shape == (3, 7, 9, 5) and np.abs(at_activation).max() > 1
    for a, b in zip(asked, short, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("padding", ["VALID", "SAME"])
@pytest.mark.parametrize(
    ("kernel", "strides"), [((3, 5), (1, 1)), ((5, 2), (2, 2)), ((4, 3), (3, 2)), ((11, 10), (1, 1))]
)
@pytest.mark.parametrize(("channels", "in_training"), [(16, True), (16, False), (3, True)])
def test_convolution_gradients_match_tensorflow(rng, padding, kernel, strides, channels, in_training):
    """Small outputs have another gradient for bfloat16; it is computed in float32 here, to compare it."""
    values = rng.normal(size=(5, 11, 10, channels)).astype(np.float32)
    strides = (1, *strides, 1)

    def build():
        x = tf.constant(values)
        ours = Layers(precision="bfloat16").conv(
            x, "c", kernel, 7, padding, strides, activation_fn=None, use_bias=False
        )
        plain = tf.nn.conv2d(x, variable("c/_weights"), strides, padding)
        with training_gradients() if in_training else contextlib.nullcontext():
            found = [tf.gradients(tf.reduce_sum(net**3), [x, variable("c/_weights")]) for net in (ours, plain)]
        ops = [op.type for op in v1.get_default_graph().get_operations()]
        return ours, plain, found, tf.constant(ops.count("Conv2DBackpropFilter"))

    ours, plain, found, n_filter_gradients = run(build)
    takes_the_other_way = in_training and channels == 16 and ours[0, ..., 0].size <= 64
    assert n_filter_gradients == (1 if takes_the_other_way else 2)
    np.testing.assert_array_equal(ours, plain)
    for a, b in zip(*found, strict=True):
        assert np.abs(b).max() > 0.1
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


def test_convolution_with_explicit_padding(rng):
    """tf.nn.conv2d takes it in place of a name."""
    values = rng.normal(size=(2, 6, 5, 16)).astype(np.float32)
    margins = [[0, 0], [1, 2], [0, 1], [0, 0]]

    def build():
        net = Layers(precision="bfloat16").conv(tf.constant(values), "c", (3, 3), 4, margins)
        return net, tf.gradients(tf.reduce_sum(net), variable("c/_weights"))

    net, (gradient,) = run(build)
    assert net.shape == (2, 7, 4, 4) and gradient.shape == (3, 3, 16, 4)


def test_convolution_of_images_of_unknown_size(rng):
    values = rng.normal(size=(2, 9, 8, 16)).astype(np.float32)

    def build():
        x = v1.placeholder_with_default(values, [None, None, None, 16])
        return tf.gradients(tf.reduce_sum(Layers(precision="bfloat16").conv(x, "c", (3, 3), 4)), x)

    assert run(build)[0].shape == values.shape


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_fc_gradients_match_numpy(rng, precision):
    """Both precisions build their own graph; this session computes both in float32."""
    values = rng.normal(size=(13, 3, 7)).astype(np.float32)

    def build():
        x = tf.constant(values)
        out = Layers(precision=precision).fc(x, "f", 5)
        return out, tf.gradients(tf.reduce_sum(out**2), [x, variable("f/_weights")]), variable("f/_weights")

    out, (of_x, of_weights), weights = run(build)
    flat = values.reshape(13, 21)
    np.testing.assert_allclose(out, flat @ weights, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(of_x.reshape(13, 21), 2 * out @ weights.T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(of_weights, 2 * flat.T @ out, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(6, 5, 3, 7), (13, 7)])
def test_batch_norm_matches_numpy(rng, shape):
    x = (rng.normal(size=shape) * 3 + 2).astype(np.float32)
    with tf.Graph().as_default() as graph:
        is_training = v1.placeholder_with_default(False, [])
        out = Layers().batch_norm(tf.constant(x), "bn", is_training)
        update = tf.group(*v1.get_collection(v1.GraphKeys.UPDATE_OPS))
        averages = [variable("bn/moving_mean"), variable("bn/moving_variance")]
        trainable = [v.op.name for v in v1.trainable_variables()]
        with v1.Session(graph=graph) as session:
            session.run(v1.global_variables_initializer())
            before = session.run(out)
            trained, _ = session.run([out, update], {is_training: True})
            mean, variance = session.run(averages)
            after = session.run(out)
    axes = tuple(range(len(shape) - 1))
    n = x.size // 7
    assert trainable == ["bn/gamma", "bn/beta"]
    np.testing.assert_allclose(before, x / np.sqrt(1 + 1e-3), atol=1e-5)
    np.testing.assert_allclose(trained, (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-3), atol=1e-4)
    # At step 0 the momentum is (1 + 0) / (10 + 0).
    np.testing.assert_allclose(mean, 0.9 * x.mean(axes), rtol=1e-4)
    np.testing.assert_allclose(variance, 0.1 + 0.9 * x.var(axes) * n / (n - 1), rtol=1e-4)  # unbiased
    np.testing.assert_allclose(after, (x - mean) / np.sqrt(variance + 1e-3), atol=1e-4)


def test_batch_norm_momentum_limit(rng):
    x = rng.normal(size=(13, 7)).astype(np.float32) + 5
    with tf.Graph().as_default() as graph:
        step = v1.train.get_or_create_global_step()
        Layers().batch_norm(tf.constant(x), "bn", tf.constant(True))
        update = tf.group(*v1.get_collection(v1.GraphKeys.UPDATE_OPS))
        with v1.Session(graph=graph) as session:
            session.run(v1.global_variables_initializer())
            step.load(10**6, session)
            session.run(update)
            mean = session.run(variable("bn/moving_mean"))
    np.testing.assert_allclose(mean, 0.01 * x.mean(axis=0), rtol=1e-4)


def test_layer_name_in_use_raises():
    with tf.Graph().as_default():
        Layers().fc(tf.ones([1, 3]), "f", 2)
        with pytest.raises(ValueError, match="already exists"):
            Layers().fc(tf.ones([1, 3]), "f", 2)
