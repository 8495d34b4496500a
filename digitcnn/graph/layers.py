"""The layers of a network: the only file that makes variables.

All tensors are NHWC, in the default graph. All randomness derives from the graph's seed, the layer's name and
`global_step`, so that a graph built again, in another process, starts with the same weights and continues
with the same dropout masks.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec

import tensorflow as tf

from .gradients import convolution, pool, product
from .shard import Shard

v1 = tf.compat.v1

P = ParamSpec("P")
Activation = Callable[..., tf.Tensor]


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
    """Make the variable `_weights` of the open scope, with a random stream of its own."""
    scope = v1.get_variable_scope().name
    seed = [stream_seed(f"{scope}/_weights"), 0]
    return v1.get_variable(
        "_weights", shape, initializer=lambda shape, **_: initializer(shape, seed), use_resource=True
    )


def _filled_variable(name: str, size: int, value: float, **kwargs) -> tf.Tensor:
    """Make a variable [size] that starts with one value everywhere."""
    return v1.get_variable(name, [size], initializer=v1.constant_initializer(value), use_resource=True, **kwargs)


def integer_variable(name: str, value: int, *collections: str) -> tf.Variable:
    """Make a variable int64 [] that is not trained but saved with the model."""
    start = v1.constant_initializer(value)
    collections = ("variables", *collections)
    return v1.get_variable(
        name, [], tf.int64, initializer=start, trainable=False, collections=[*collections], use_resource=True
    )


def average_variable(scope: str, variable: tf.Variable) -> tf.Variable:
    """Make a variable for the moving average of another one, which is saved.

    It has zeros until a training begins, and then the other one's value.
    """
    return v1.get_variable(
        f"{scope}/{variable.op.name}",
        variable.shape,
        variable.dtype.base_dtype,
        initializer=v1.zeros_initializer(),
        trainable=False,
        collections=["variables"],
        use_resource=True,
    )


def global_step() -> tf.Variable:
    """Return TensorFlow's global step of the default graph, int64 []; make it in the box `train` if there is none."""
    step = v1.train.get_global_step()
    return integer_variable("train/global_step", 0, v1.GraphKeys.GLOBAL_STEP) if step is None else step


@dataclass(frozen=True)
class Layer:
    """A layer: its output, and the names of its variables."""

    name: str
    output: tf.Tensor
    variables: tuple[str, ...]


@dataclass
class Layers:
    """Makes the layers of one graph, and records each of them in `made`.

    Parameters
    ----------
    precision : str, default 'float32'
        Number type in which the session computes products, 'float32' or 'bfloat16'; decides which gradients are faster.
    for_inference : bool, default False
        Whether the graph only predicts: without dropout, with moving averages, without gradients.
    keep_prob : Tensor or None, default None
        Probability of keeping a unit in `dropout`, float32 [].
    is_training : Tensor or None, default None
        Whether batch normalization and dropout of a fixed rate work as in training, bool [].
    shard : Shard or None, default None
        The rows of the batch that the graph is fed with in training; None for the whole batch.
    made : list of Layer, default []
        The layers made so far.
    """

    precision: str = "float32"
    for_inference: bool = False
    keep_prob: tf.Tensor | None = None
    is_training: tf.Tensor | None = None
    shard: Shard | None = None
    made: list[Layer] = field(default_factory=list)

    # For architectures.py, which imports no TensorFlow.
    relu = staticmethod(tf.nn.relu)
    truncated_normal = staticmethod(truncated_normal)

    @staticmethod
    def scope(name: str) -> contextlib.AbstractContextManager:
        """Open a variable scope: a box in the graph, and a prefix of the names of all layers made in it."""
        return v1.variable_scope(name)

    @staticmethod
    def images(x: tf.Tensor, image_shape: tuple[int, int]) -> tf.Tensor:
        """Flat images float32 [n, pixels] -> [n, height, width, 1]."""
        return tf.reshape(x, [-1, *image_shape, 1], name="input_x_2dimages")

    def conv(
        self,
        input_tensor: tf.Tensor,
        name: str,
        kernel_size: tuple[int, int],
        n_output_channels: int,
        padding: str = "SAME",
        strides: tuple[int, int, int, int] = (1, 1, 1, 1),
        *,
        activation_fn: Activation | None = tf.nn.relu,
        use_bias: bool = True,
        initializer: Callable = glorot_uniform,
    ) -> tf.Tensor:
        """Make a convolution with bias and activation.

        Parameters
        ----------
        input_tensor : Tensor
            Images or feature maps, float32 [n, height, width, channels].
        name : str
            Scope of the variables `_weights` and `_biases` and of the tensors `net_pre-activation` and `activation`.
        kernel_size : tuple of int
            Height and width of the filters, in pixels.
        n_output_channels : int
            Number of filters.
        padding : str, default 'SAME'
            'SAME' (output of the input's size, at stride 1) or 'VALID' (no padding).
        strides : tuple of int, default (1, 1, 1, 1)
            Steps of the filters over the batch, height, width and channels.
        activation_fn : callable or None, default tf.nn.relu
            Called as ``activation_fn(tensor, name="activation")``; None adds no activation.
        use_bias : bool, default True
            Whether to add biases, which are initialized to 0.
        initializer : callable, default glorot_uniform
            Called as ``initializer(shape, seed)`` for the initial weights; `seed` is two integers, as
            tf.random.stateless_uniform takes them.

        Returns
        -------
        Tensor
            Feature maps, float32 [n, height', width', n_output_channels].

        Raises
        ------
        ValueError
            If the name is in use.
        """
        has_own_gradient = self.precision == "bfloat16" and not self.for_inference
        convolve = convolution if has_own_gradient else tf.nn.conv2d
        with v1.variable_scope(name):
            shape = [*kernel_size, input_tensor.shape[-1], n_output_channels]
            net = convolve(input_tensor, _weights(shape, initializer), strides, padding)
            return self._record(_activate(net, n_output_channels, activation_fn, use_bias=use_bias))

    def fc(
        self,
        input_tensor: tf.Tensor,
        name: str,
        n_output_units: int,
        activation_fn: Activation | None = None,
        *,
        use_bias: bool = True,
    ) -> tf.Tensor:
        """Make a fully connected layer.

        Parameters
        ----------
        input_tensor : Tensor
            Features, float32 [n, ...], which are flattened.
        name : str
            Scope of the variables `_weights` and `_biases` and of the tensors `net_pre-activation` and `activation`.
        n_output_units : int
            Number of units.
        activation_fn : callable or None, default None
            Called as ``activation_fn(tensor, name="activation")``; None adds no activation.
        use_bias : bool, default True
            Whether to add biases, which are initialized to 0.

        Returns
        -------
        Tensor
            Activations, float32 [n, n_output_units].

        Raises
        ------
        ValueError
            If the name is in use.
        """
        has_own_gradient = self.precision == "float32" and not self.for_inference
        multiply = product if has_own_gradient else tf.matmul
        with v1.variable_scope(name):
            n_inputs = math.prod(input_tensor.shape[1:])
            if input_tensor.shape.rank > 2:
                input_tensor = tf.reshape(input_tensor, [-1, n_inputs])
            net = multiply(input_tensor, _weights([n_inputs, n_output_units], glorot_uniform))
            return self._record(_activate(net, n_output_units, activation_fn, use_bias=use_bias))

    def linear(self, input_tensor: tf.Tensor, n_output_units: int) -> tf.Tensor:
        """T2's layer: float32 [n, inputs] -> [n, units], variables `W` and `b` initialized to zeros."""
        zeros = v1.zeros_initializer()
        shape = [input_tensor.shape[-1], n_output_units]
        weights = v1.get_variable("W", shape, initializer=zeros, use_resource=True)
        biases = v1.get_variable("b", shape[1:], initializer=zeros, use_resource=True)
        with v1.name_scope("logits"):
            return self._record(tf.nn.bias_add(tf.matmul(input_tensor, weights), biases), variables=("W", "b"))

    def max_pool(self, input_tensor: tf.Tensor, name: str) -> tf.Tensor:
        """Take the maximum of each 2x2 square, with stride 2 and without padding.

        Parameters
        ----------
        input_tensor : Tensor
            Feature maps, float32 [n, height, width, channels].
        name : str
            Box of the operation.

        Returns
        -------
        Tensor
            Feature maps, float32 [n, height//2, width//2, channels]; an odd last row or column is dropped.
        """
        with v1.name_scope(name):
            if self.for_inference:
                return self._record(tf.nn.max_pool2d(input_tensor, 2, 2, "VALID"))
            return self._record(pool(input_tensor))

    def dropout(
        self, input_tensor: tf.Tensor, name: str, keep_prob: tf.Tensor | None = None, *, rate: float | None = None
    ) -> tf.Tensor:
        """Zero each element with probability `1 - keep_prob`, and divide the others by `keep_prob`.

        This is the inverted form of the dropout of Srivastava et al. 2014. The mask derives from the graph's seed,
        the name and `global_step`.

        Parameters
        ----------
        input_tensor : Tensor
            float32 of any shape.
        name : str
            Name of the output, the tensor `name`:0, and of the box of the operations, without a final `_layer`.
        keep_prob : Tensor, optional
            Probability of keeping an element, float32 [], rounded to 1/65536; at 1 there is no mask. Needed in a
            `build()` of your own, which makes the placeholder `fc_keep_prob`.
        rate : float, optional
            In the package's own graphs, instead of `keep_prob`: a fixed probability of dropping an element in
            training, 0 <= rate < 1.

        Returns
        -------
        Tensor
            Masked elements, float32 of the input's shape.

        Raises
        ------
        TypeError
            If `keep_prob` and `rate` are both missing, or if the graph lacks `is_training`, which `rate` needs.
        """
        outer = v1.get_default_graph().get_name_scope()
        path = f"{outer}/{name}" if outer else name
        if self.for_inference:
            return self._record(tf.identity(input_tensor, name=path + "/"), name)
        if rate is not None:
            if self.is_training is None:
                raise TypeError(f"{name}: expected keep_prob in a graph without is_training, found a fixed rate")
            with v1.name_scope(name):
                keep_prob = tf.where(self.is_training, 1.0 - rate, 1.0)
        keep_prob = self.keep_prob if keep_prob is None else keep_prob
        if keep_prob is None:
            raise TypeError(f"{name}: expected keep_prob, a float32 scalar tensor, found None")
        with v1.name_scope(path.removesuffix("_layer") + "/"):
            mask = _dropout_mask(input_tensor, keep_prob, path, self.shard)
        return self._record(tf.multiply(input_tensor, mask, name=path + "/"), name)

    def batch_norm(
        self,
        input_tensor: tf.Tensor,
        name: str,
        is_training: tf.Tensor | None = None,
        *,
        activation_fn: Activation | None = None,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
    ) -> tf.Tensor:
        """Add batch normalization over all axes but the last, and an activation if there is one.

        Follows Ioffe & Szegedy 2015. Makes the variables `name`/gamma and `name`/beta, and the moving averages
        `name`/moving_mean and `name`/moving_variance, which are not trained. Their momentum at step s is
        min(momentum, (1 + s) / (10 + s)), as in tf.train.ExponentialMovingAverage, so that they are usable after a
        short training. The operations in TensorFlow's collection UPDATE_OPS update them; a training step of
        DigitCNN runs these before it increments `global_step`.

        Parameters
        ----------
        input_tensor : Tensor
            Features, float32 [n, channels] or [n, height, width, channels].
        name : str
            Scope of the variables and of the tensors `normalized` and `activation`.
        is_training : Tensor, optional
            bool []: True normalizes by the batch's mean and variance, False by the moving averages. Needed in a
            `build()` of your own, which makes the placeholder `is_training`.
        activation_fn : callable or None, default None
            Called as ``activation_fn(tensor, name="activation")``; None adds no activation.
        momentum : float, default 0.99
            Upper limit of the moving averages' momentum.
        epsilon : float, default 0.001
            Added to the variance.

        Returns
        -------
        Tensor
            Normalized features, float32 of the input's shape.

        Raises
        ------
        ValueError
            If the name is in use.
        TypeError
            If there is no `is_training`.
        """
        is_training = self.is_training if is_training is None else is_training
        if is_training is None and not self.for_inference:
            raise TypeError(f"{name}: expected is_training, a bool scalar tensor, found None")
        with v1.variable_scope(name):
            channels = input_tensor.shape[-1]
            gamma, beta = _filled_variable("gamma", channels, 1.0), _filled_variable("beta", channels, 0.0)
            averages = {"trainable": False, "collections": ["variables", v1.GraphKeys.MODEL_VARIABLES]}
            moving_mean = _filled_variable("moving_mean", channels, 0.0, **averages)
            moving_variance = _filled_variable("moving_variance", channels, 1.0, **averages)
            # The fused kernel takes rank 4.
            net = input_tensor if input_tensor.shape.rank == 4 else input_tensor[:, None, None, :]
            normalize = v1.nn.fused_batch_norm

            def by_averages():
                return normalize(net, gamma, beta, moving_mean, moving_variance, epsilon=epsilon, is_training=False)

            if self.for_inference:
                output = by_averages()[0]
                if input_tensor.shape.rank != 4:
                    output = tf.reshape(output, [-1, channels])
                output = tf.identity(output, name="normalized")
                return self._record(output if activation_fn is None else activation_fn(output, name="activation"))
            output, mean, variance = tf.cond(
                is_training, lambda: normalize(net, gamma, beta, epsilon=epsilon, is_training=True), by_averages
            )
            step = tf.cast(global_step(), tf.float32)
            rate = 1 - tf.minimum(momentum, (1 + step) / (10 + step))
            output = tf.reshape(output, tf.shape(input_tensor), name="normalized")
            for average, value in ((moving_mean, mean), (moving_variance, variance)):
                update = v1.assign_add(average, (value - average) * rate)
                v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
            return self._record(output if activation_fn is None else activation_fn(output, name="activation"))

    def _record(self, tensor: tf.Tensor, name: str = "", variables: tuple[str, ...] = ()) -> tf.Tensor:
        """Record a layer under the open scope and, in it, `name`; `variables` are those outside its scope."""
        layer = "/".join(filter(None, (v1.get_default_graph().get_name_scope(), name)))
        self.made.append(Layer(layer, tensor, variables))
        return tensor


def layer_method(
    name: str, method: Callable[Concatenate[Layers, P], tf.Tensor]
) -> Callable[Concatenate[Any, P], tf.Tensor]:
    """A method of Layers as one of a model, 'Class.method', for the user's own `build()`; its `_layers` has them."""

    @functools.wraps(method)
    def make_layer(self: Any, *args: P.args, **kwargs: P.kwargs) -> tf.Tensor:
        return method(self._layers, *args, **kwargs)

    make_layer.__name__, make_layer.__qualname__ = name.rpartition(".")[2], name
    return make_layer


def _activate(net: tf.Tensor, n_outputs: int, activation_fn: Activation | None, *, use_bias: bool) -> tf.Tensor:
    """Add biases, and apply the activation if there is one."""
    if use_bias:
        net = tf.nn.bias_add(net, _filled_variable("_biases", n_outputs, 0.0), name="net_pre-activation")
    else:
        net = tf.identity(net, name="net_pre-activation")
    return net if activation_fn is None else activation_fn(net, name="activation")


def _dropout_mask(input_tensor: tf.Tensor, keep_prob: tf.Tensor, path: str, shard: Shard | None) -> tf.Tensor:
    """Return float32 of the input's shape with values 0 or 1/keep_prob; all ones, not drawn, if keep_prob is 1."""
    step = tf.identity(global_step())

    def draw():
        # 16 random bits per element cost half as much as a float.
        size = tf.size(input_tensor)
        seed = tf.stack([tf.constant(stream_seed(path), tf.int64), step])
        if shard is None:
            pairs = tf.random.stateless_uniform([(size + 1) // 2], seed, None, None, tf.uint32)
            bits = tf.reshape(tf.bitcast(pairs, tf.uint16), [-1])[:size]
        else:
            bits = shard.own_bits(seed, size, tf.shape(input_tensor)[0])
        bound = tf.cast(tf.round(tf.minimum(keep_prob * 65536.0, 65535.0)), tf.uint16)
        return tf.where(tf.reshape(bits < bound, tf.shape(input_tensor)), 1.0 / keep_prob, 0.0)

    mask = tf.cond(keep_prob < 1.0, draw, lambda: tf.ones_like(input_tensor))
    return tf.ensure_shape(tf.stop_gradient(mask), input_tensor.shape)
