"""Layer wrappers: the only file that makes variables.

All of them take and return NHWC tensors and work in whatever graph is the default. What is random
is a pure function of that graph's seed, the layer's name and `global_step`, so that a graph built
again, in another process, starts with the same weights and goes on with the same dropout masks.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import tensorflow as tf

from .gradients import convolution, pool_activation, product

v1 = tf.compat.v1


# A graph collection of "layer=tensor" or "layer=tensor=variable,...", in order, for summary().
LAYERS = "digitcnn_layers"


def stream_seed(name: str) -> int:
    """A non-negative 63-bit seed for the random stream `name` of the default graph."""
    digest = hashlib.blake2b(f"{v1.get_default_graph().seed}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def glorot_uniform(shape: list[int], seed: list[int]) -> tf.Tensor:
    """Uniform in +-sqrt(6 / (fan_in + fan_out)): Glorot & Bengio 2010, equation 16."""
    receptive_field = math.prod(shape[:-2])
    limit = math.sqrt(6.0 / (receptive_field * (shape[-2] + shape[-1])))
    return tf.random.stateless_uniform(shape, seed, -limit, limit)


def truncated_normal(shape: list[int], seed: list[int]) -> tf.Tensor:
    """Normal with standard deviation 0.1, redrawn beyond two of them, as in tutorial T4."""
    return tf.random.stateless_truncated_normal(shape, seed, stddev=0.1)


def _weights(shape: list[int], initializer: Callable) -> tf.Tensor:
    scope = v1.get_variable_scope().name
    seed = [stream_seed(f"{scope}/_weights"), 0]
    return v1.get_variable(
        "_weights", shape, initializer=lambda shape, **_: initializer(shape, seed), use_resource=True
    )


def _constant(name: str, size: int, value: float, **kwargs) -> tf.Tensor:
    return v1.get_variable(name, [size], initializer=v1.constant_initializer(value), use_resource=True, **kwargs)


def whole_number(name: str, value: int, *collections: str) -> tf.Variable:
    """A variable of the training, not of the network: int64 [], not trained, saved with the model."""
    start = v1.constant_initializer(value)
    collections = ["variables", *collections]
    return v1.get_variable(
        name, [], tf.int64, initializer=start, trainable=False, collections=collections, use_resource=True
    )


def global_step() -> tf.Variable:
    """TensorFlow's global step of the default graph, int64 []; where it has none, one in the box `train` is made."""
    step = v1.train.get_global_step()
    return whole_number("train/global_step", 0, v1.GraphKeys.GLOBAL_STEP) if step is None else step


def _finish(tensor: tf.Tensor, name: str = "", variables: str = "") -> tf.Tensor:
    """Note a layer's output under the layer's name: the open scope, and in it `name` if given.

    variables: the names of those that stand outside of the layer's scope, with commas.
    """
    scope = v1.get_default_graph().get_name_scope()
    layer = "/".join(filter(None, (scope, name)))
    v1.add_to_collection(LAYERS, "=".join(filter(None, (layer, tensor.name, variables))))
    return tensor


def _pre_activation(tensor, n_outputs, use_bias):
    if not use_bias:
        return tf.identity(tensor, name="net_pre-activation")
    return tf.nn.bias_add(tensor, _constant("_biases", n_outputs, 0.0), name="net_pre-activation")


def conv_layer(
    input_tensor: tf.Tensor,
    name: str,
    kernel_size: tuple[int, int],
    n_output_channels: int,
    padding: str = "SAME",
    strides: tuple[int, int, int, int] = (1, 1, 1, 1),
    *,
    activation_fn: Callable | None = tf.nn.relu,
    use_bias: bool = True,
    initializer: Callable = glorot_uniform,
) -> tf.Tensor:
    """Convolution, bias, ReLU: float32 [n, height, width, channels] -> [n, height', width', outputs].

    Makes the variables `name`/_weights and `name`/_biases, and the tensors
    `name`/net_pre-activation and `name`/activation. Raises ValueError if the name is in use.
    """
    with v1.variable_scope(name):
        shape = [*kernel_size, input_tensor.shape[-1], n_output_channels]
        net = convolution(input_tensor, _weights(shape, initializer), strides, padding)
        net = _pre_activation(net, n_output_channels, use_bias)
        return _finish(net if activation_fn is None else activation_fn(net, name="activation"))


def fc_layer(
    input_tensor: tf.Tensor,
    name: str,
    n_output_units: int,
    activation_fn: Callable | None = None,
    *,
    use_bias: bool = True,
) -> tf.Tensor:
    """A fully connected layer: float32 [n, ...], flattened -> [n, units].

    Makes `name`/_weights, `name`/_biases, `name`/net_pre-activation and, with an activation
    function, `name`/activation. Raises ValueError if the name is in use.
    """
    with v1.variable_scope(name):
        n_inputs = math.prod(input_tensor.shape[1:])
        if input_tensor.shape.rank > 2:
            input_tensor = tf.reshape(input_tensor, [-1, n_inputs])
        net = product(input_tensor, _weights([n_inputs, n_output_units], glorot_uniform))
        net = _pre_activation(net, n_output_units, use_bias)
        return _finish(net if activation_fn is None else activation_fn(net, name="activation"))


def linear_layer(input_tensor: tf.Tensor, n_output_units: int) -> tf.Tensor:
    """T2's layer: float32 [n, inputs] -> [n, units], variables `W` and `b` that start from zeros."""
    zeros = v1.zeros_initializer()
    shape = [input_tensor.shape[-1], n_output_units]
    weights = v1.get_variable("W", shape, initializer=zeros, use_resource=True)
    biases = v1.get_variable("b", shape[1:], initializer=zeros, use_resource=True)
    with v1.name_scope("logits"):
        return _finish(tf.nn.bias_add(tf.matmul(input_tensor, weights), biases), variables="W,b")


def max_pool_layer(input_tensor: tf.Tensor, name: str) -> tf.Tensor:
    """2x2 max-pooling, stride 2, no padding: [n, height, width, c] -> [n, height//2, width//2, c]."""
    with v1.name_scope(name):
        relu = input_tensor.op
        bias_add = relu.inputs[0].op if relu.type == "Relu" else None
        if bias_add is not None and bias_add.type == "BiasAdd":
            return _finish(pool_activation(input_tensor, *bias_add.inputs))
        return _finish(tf.nn.max_pool2d(input_tensor, 2, 2, "VALID"))


def dropout_layer(input_tensor: tf.Tensor, name: str, keep_prob: tf.Tensor | None) -> tf.Tensor:
    """Zero each element with probability `1 - keep_prob`, divide the others by keep_prob.

    keep_prob: float32 scalar tensor, to the 1/65536; at 1 nothing is drawn; None, in a graph that only
    predicts, gives the input on under the layer's name. The output is the tensor
    `name`:0, the work is in a box of that name (`dropout` for T1's `dropout_layer`). The mask is a
    function of the graph's seed, the name and `global_step`. Srivastava et al. 2014, in the inverted form.
    """
    outer = v1.get_default_graph().get_name_scope()
    path = f"{outer}/{name}" if outer else name
    if keep_prob is None:
        return _finish(tf.identity(input_tensor, name=path + "/"), name)
    with v1.name_scope(path.removesuffix("_layer") + "/"):
        step = tf.identity(global_step())

        def draw():
            # 16 random bits decide on an element: half the cost of drawing floats.
            size = tf.size(input_tensor)
            seed = tf.stack([tf.constant(stream_seed(path), tf.int64), step])
            pairs = tf.random.stateless_uniform([(size + 1) // 2], seed, None, None, tf.uint32)
            bits = tf.reshape(tf.bitcast(pairs, tf.uint16), [-1])[:size]
            bound = tf.cast(tf.round(tf.minimum(keep_prob * 65536.0, 65535.0)), tf.uint16)
            return tf.where(tf.reshape(bits < bound, tf.shape(input_tensor)), 1.0 / keep_prob, 0.0)

        mask = tf.cond(keep_prob < 1.0, draw, lambda: tf.ones_like(input_tensor))
        mask = tf.ensure_shape(tf.stop_gradient(mask), input_tensor.shape)
    return _finish(tf.multiply(input_tensor, mask, name=path + "/"), name)


def batch_norm_layer(
    input_tensor: tf.Tensor,
    name: str,
    is_training: tf.Tensor | None,
    *,
    activation_fn: Callable | None = None,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
) -> tf.Tensor:
    """Batch normalization over all axes but the last: Ioffe & Szegedy 2015; then, if given, an activation.

    is_training: bool scalar tensor; True normalizes by the batch, False by the moving averages, and so
    does None, in a graph that only predicts.
    Their momentum at step s is min(momentum, (1 + s) / (10 + s)), as in
    tf.train.ExponentialMovingAverage, so that a short training will do. They move with the
    operations in the collection UPDATE_OPS, which a training step of DigitCNN runs before it counts itself.
    Makes `name`/gamma and /beta, and, not trained, /moving_mean and /moving_variance.
    """
    with v1.variable_scope(name):
        channels = input_tensor.shape[-1]
        gamma, beta = _constant("gamma", channels, 1.0), _constant("beta", channels, 0.0)
        averages = {"trainable": False, "collections": ["variables", v1.GraphKeys.MODEL_VARIABLES]}
        moving_mean = _constant("moving_mean", channels, 0.0, **averages)
        moving_variance = _constant("moving_variance", channels, 1.0, **averages)
        # The fused kernel takes rank 4.
        net = input_tensor if input_tensor.shape.rank == 4 else input_tensor[:, None, None, :]
        normalize = v1.nn.fused_batch_norm

        def by_averages():
            return normalize(net, gamma, beta, moving_mean, moving_variance, epsilon=epsilon, is_training=False)

        if is_training is None:
            output = by_averages()[0]
            if input_tensor.shape.rank != 4:
                output = tf.reshape(output, [-1, channels])
            output = tf.identity(output, name="normalized")
            return _finish(output if activation_fn is None else activation_fn(output, name="activation"))
        output, mean, variance = tf.cond(
            is_training, lambda: normalize(net, gamma, beta, epsilon=epsilon, is_training=True), by_averages
        )
        step = tf.cast(global_step(), tf.float32)
        rate = 1 - tf.minimum(momentum, (1 + step) / (10 + step))
        output = tf.reshape(output, tf.shape(input_tensor), name="normalized")
        for average, value in ((moving_mean, mean), (moving_variance, variance)):
            update = v1.assign_add(average, (value - average) * rate)
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
        return _finish(output if activation_fn is None else activation_fn(output, name="activation"))
