"""Operations of the layers, with gradients that take less time in training than TensorFlow's own.

Tensors are NHWC, and what comes out is what TensorFlow's operations give, to the bit.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

import tensorflow as tf

v1 = tf.compat.v1


# A graph collection that holds 'bfloat16' where products will be computed in it (precision.py).
PRECISION = "digitcnn_precision"


# Not empty while the gradients of a training step are built (see pool_activation and convolution).
SHORT_WAY = "digitcnn_short_way"


# Not empty in a graph that only predicts (inference_graph.py).
INFERENCE = "digitcnn_inference"


def _gradient(name: str) -> Callable:
    """Register a gradient for `_with_gradient` with TensorFlow, once in a process."""

    def register(function: Callable) -> Callable:
        with contextlib.suppress(KeyError):  # this module was imported before
            tf.RegisterGradient(name)(function)
        return function

    return register


def _with_gradient(name: str, output: tf.Tensor, *inputs: tf.Tensor) -> tf.Tensor:
    """`output`, computed from `inputs`, with the gradient that is registered under `name`.

    What tf.custom_gradient does, but that registers a function anew with each call, and for good: it would
    keep every graph from being freed. A graph that only predicts has no gradients.
    """
    if v1.get_collection(INFERENCE):
        return output
    with v1.get_default_graph().gradient_override_map({"IdentityN": name}):
        return tf.identity_n([output, *inputs])[0]


def convolution(images: tf.Tensor, weights: tf.Tensor, strides: tuple[int, int, int, int], padding: str) -> tf.Tensor:
    """As tf.nn.conv2d; where the output is small, its filter's gradient takes a third less time in a bfloat16 training.

    "Small" was measured: up to 8x8 it pays with 16 channels or more, at 10x10 it no longer does.
    """
    net = tf.nn.conv2d(images, weights, strides, padding)
    is_small = images.shape[1:].is_fully_defined() and math.prod(net.shape[1:3]) <= 64 and images.shape[3] >= 16
    if is_small and padding in ("SAME", "VALID") and "bfloat16" in v1.get_collection(PRECISION):
        return _with_gradient("digitcnn_convolution", net, images, weights)
    return net


@_gradient("digitcnn_convolution")
def _convolution_gradient(op, upstream, *_):
    net, images, weights = op.inputs
    strides, padding = net.op.get_attr("strides"), net.op.get_attr("padding")
    of_images = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(images), filter=weights, out_backprop=upstream, strides=strides, padding=padding.decode()
    )
    if not v1.get_collection(SHORT_WAY):
        of_weights = tf.raw_ops.Conv2DBackpropFilter(
            input=images,
            filter_sizes=weights.shape,
            out_backprop=upstream,
            strides=strides,
            padding=padding.decode(),
        )
        return None, of_images, of_weights
    # `upstream` slides over the images, with channels and examples changing places: oneDNN has a faster kernel
    # for a plain convolution than for the gradient of a filter, and transposing takes less than that spares.
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
    """[n, inputs] x [inputs, units] -> [n, units]."""
    if "bfloat16" in v1.get_collection(PRECISION):
        return tf.matmul(inputs, weights)
    return _with_gradient("digitcnn_product", tf.matmul(inputs, weights), inputs, weights)


@_gradient("digitcnn_product")
def _product_gradient(op, upstream, *_):
    _, inputs, weights = op.inputs
    # Float32 kernels take twice as long for upstream x weights^T, as it is written by default, than for a batch of
    # one such product.
    of_inputs = tf.matmul(upstream[None], weights[None], transpose_b=True)[0]
    return None, of_inputs, tf.matmul(inputs, upstream, transpose_a=True)


def pool_activation(activation: tf.Tensor, net: tf.Tensor, biases: tf.Tensor) -> tf.Tensor:
    """Pool activation = ReLU(net + biases), with a gradient that is a quarter of the work in training.

    Since max(ReLU(net + biases)) = ReLU(max(net) + biases), a training step's gradient passes ReLU and
    bias where the images are small, and goes from there to `net`. The same numbers come out, summed in
    another order. Gradients that are asked for otherwise take TensorFlow's way, through the activation.
    """
    pooled = tf.nn.max_pool2d(activation, 2, 2, "VALID")
    return _with_gradient("digitcnn_pool_activation", pooled, activation, net, biases)


@_gradient("digitcnn_pool_activation")
def _pool_activation_gradient(op, upstream, *_):
    pooled, activation, _, _ = op.inputs
    takes_short_way = v1.get_collection(SHORT_WAY)
    if takes_short_way:
        upstream = tf.raw_ops.ReluGrad(gradients=upstream, features=pooled)
    of_input = tf.raw_ops.MaxPoolGrad(
        orig_input=activation,
        orig_output=pooled,
        grad=upstream,
        ksize=[1, 2, 2, 1],
        strides=[1, 2, 2, 1],
        padding="VALID",
    )
    if takes_short_way:
        return None, None, of_input, tf.raw_ops.BiasAddGrad(out_backprop=upstream)
    return None, of_input, None, None
