"""Operations of the layers whose gradients are faster in a training step than TensorFlow's.

Tensors are NHWC. The outputs equal those of TensorFlow's operations bit by bit. The gradients differ from
TensorFlow's by the order of sums, and within `training_gradients` they leave out what a training step does not need.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator

import tensorflow as tf

# Whether the gradients being built are those of a training step. tf.gradients calls the gradient functions, so they
# cannot take this as an argument.
_IN_TRAINING_STEP: contextvars.ContextVar[bool] = contextvars.ContextVar("training gradients", default=False)
# Output pixels up to which the filter's gradient is faster as a plain convolution. Measured: faster up to 8x8 with
# 16 channels or more, slower at 10x10.
MAX_SMALL_OUTPUT = 64
MIN_CHANNELS = 16


@contextlib.contextmanager
def training_gradients() -> Iterator[None]:
    """Within the block, build gradients for a training step: of the variables only, by the fastest way."""
    token = _IN_TRAINING_STEP.set(True)
    try:
        yield
    finally:
        _IN_TRAINING_STEP.reset(token)


def _gradient(name: str) -> Callable:
    """Register a gradient function with TensorFlow, for `_with_gradient`, once in a process."""

    def register(function: Callable) -> Callable:
        with contextlib.suppress(KeyError):  # this module was imported twice
            tf.RegisterGradient(name)(function)
        return function

    return register


def _with_gradient(name: str, output: tf.Tensor, *inputs: tf.Tensor) -> tf.Tensor:
    """Return `output`, computed from `inputs`, with the gradient that is registered under `name`.

    tf.custom_gradient does the same, but each call registers a function for good, so that no graph would be freed.
    Pass as `inputs` the very tensors that `output` was computed from, never variables. Each use of a variable as a
    tensor is another read of it. TensorFlow removes the identity, so that nothing would make the gradient's own read
    come before the variable's update: with several devices on a busy machine, some saw the weights of the next step.
    """
    with tf.compat.v1.get_default_graph().gradient_override_map({"IdentityN": name}):
        return tf.identity_n([output, *inputs])[0]


def convolution(images: tf.Tensor, weights: tf.Tensor, strides: tuple[int, int, int, int], padding: str) -> tf.Tensor:
    """Convolve as tf.nn.conv2d does; for small outputs, the filter's gradient takes a third less time in bfloat16.

    Parameters
    ----------
    images : Tensor
        float32 [n, height, width, channels].
    weights : Tensor
        float32 [kernel height, kernel width, channels, outputs].
    strides : tuple of int
        Over batch, height, width and channels.
    padding : str
        'SAME' or 'VALID', or margins as tf.nn.conv2d takes them.
    """
    weights = tf.convert_to_tensor(weights)  # one read, as `_with_gradient` needs
    net = tf.nn.conv2d(images, weights, strides, padding)
    is_known = images.shape[1:].is_fully_defined() and padding in ("SAME", "VALID")
    if is_known and math.prod(net.shape[1:3]) <= MAX_SMALL_OUTPUT and images.shape[3] >= MIN_CHANNELS:
        return _with_gradient("digitcnn_convolution", net, images, weights)
    return net


@_gradient("digitcnn_convolution")
def _convolution_gradient(op, upstream, *_):
    net, images, weights = op.inputs
    strides, padding = net.op.get_attr("strides"), net.op.get_attr("padding")
    of_images = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(images), filter=weights, out_backprop=upstream, strides=strides, padding=padding.decode()
    )
    if not _IN_TRAINING_STEP.get():
        of_weights = tf.raw_ops.Conv2DBackpropFilter(
            input=images,
            filter_sizes=weights.shape,
            out_backprop=upstream,
            strides=strides,
            padding=padding.decode(),
        )
        return None, of_images, of_weights
    # Convolve the images with `upstream`, with the channel and batch axes swapped: oneDNN's kernel for a plain
    # convolution is faster than that for a filter's gradient, by more than the transposes cost.
    kernel, (_, *size, _), (_, *out, _) = weights.shape[:2], images.shape, net.shape
    reach = [(o - 1) * stride + k for o, stride, k in zip(out, strides[1:3], kernel, strict=True)]
    pads = [max(r - s, 0) if padding == b"SAME" else 0 for r, s in zip(reach, size, strict=True)]
    of_weights = tf.nn.conv2d(
        tf.transpose(images, [3, 1, 2, 0]),
        tf.transpose(upstream, [1, 2, 0, 3]),
        strides=1,
        padding=[[0, 0], *([p // 2, p - p // 2] for p in pads), [0, 0]],
        dilations=strides[1:3],
    )
    return None, of_images, tf.transpose(of_weights[:, : kernel[0], : kernel[1]], [1, 2, 0, 3])


def product(inputs: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Multiply [n, inputs] x [inputs, units] -> [n, units], with a gradient that is faster in float32."""
    weights = tf.convert_to_tensor(weights)  # one read, as `_with_gradient` needs
    return _with_gradient("digitcnn_product", tf.matmul(inputs, weights), inputs, weights)


@_gradient("digitcnn_product")
def _product_gradient(op, upstream, *_):
    _, inputs, weights = op.inputs
    # float32 kernels take twice as long for upstream x weights^T, TensorFlow's gradient, as for a batch of one such
    # product.
    of_inputs = tf.matmul(upstream[None], weights[None], transpose_b=True)[0]
    return None, of_inputs, tf.matmul(inputs, upstream, transpose_a=True)


def pool(activation: tf.Tensor) -> tf.Tensor:
    """Max-pool 2x2 with stride 2; after biases and a ReLU, the gradient takes a quarter of the work.

    Since max(ReLU(net + biases)) = ReLU(max(net) + biases), a training step's gradient passes through ReLU and biases
    after the pooling, where the images are small, and from there to `net`. The numbers are the same, summed in
    another order. All other gradients pass through the activation, as in TensorFlow.
    """
    pooled = tf.nn.max_pool2d(activation, 2, 2, "VALID")
    bias_add = activation.op.inputs[0].op if activation.op.type == "Relu" else None
    if bias_add is None or bias_add.type != "BiasAdd":
        return pooled
    return _with_gradient("digitcnn_pool_activation", pooled, activation, *bias_add.inputs)


@_gradient("digitcnn_pool_activation")
def _pool_activation_gradient(op, upstream, *_):
    pooled, activation, _, _ = op.inputs
    in_training_step = _IN_TRAINING_STEP.get()
    if in_training_step:
        upstream = tf.raw_ops.ReluGrad(gradients=upstream, features=pooled)
    of_input = tf.raw_ops.MaxPoolGrad(
        orig_input=activation,
        orig_output=pooled,
        grad=upstream,
        ksize=[1, 2, 2, 1],
        strides=[1, 2, 2, 1],
        padding="VALID",
    )
    if in_training_step:
        return None, None, of_input, tf.raw_ops.BiasAddGrad(out_backprop=upstream)
    return None, of_input, None, None
