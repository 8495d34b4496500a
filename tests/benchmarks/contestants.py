"""T1's network, batch size and optimizer, written with this package and with each of its peers.

Each contestant is a class with `start(X, y)`, which takes the first step, `train_epoch(X, y)`, and `predict(X)`, which
returns labels. They take standardized float32 images [n, 784] and labels [n]; DigitCNN takes raw pixels and
standardizes them itself. A contestant imports its library when it is made, so that the import can be timed.
`predicted_at_once` is its fastest batch size for predictions, of 50, 100, 200, 500, 1,000 and 10,000; DigitCNN uses
its default, 1,000.
"""

from __future__ import annotations

import numpy as np

BATCH_SIZE = 100
LEARNING_RATE = 1e-4
DROPOUT = 0.5


class Ours:
    """DigitCNN, by its public methods."""

    takes_pixels = True

    def __init__(self, seed: int, precision: str):
        from digitcnn import DigitCNN

        self.model = DigitCNN(random_seed=seed, precision=precision)
        self.precision = precision

    def start(self, X, y):
        """Fit the standardization and make the weights."""
        self.model.train((X, y), steps=1, verbose=False)

    def train_epoch(self, X, y):
        self.model.train((X, y), initialize=False, steps=-(-len(X) // BATCH_SIZE), verbose=False)

    def predict(self, X):
        return self.model.predict(X, verbose=False)


class TutorialLoop:
    """The tutorial's loop and graph in plain TensorFlow: feed_dict, float32, stateful dropout."""

    takes_pixels = False
    predicted_at_once = 1_000

    def __init__(self, seed: int):
        import tensorflow as tf
        from tutorial_loop import build

        v1 = tf.compat.v1
        graph = tf.Graph()
        with graph.as_default():
            v1.set_random_seed(seed)
            self.x, self.y, self.keep_prob, self.loss, self.train_op, self.labels = build(LEARNING_RATE)
            initialize = v1.global_variables_initializer()
        self.session = v1.Session(graph=graph)
        self.session.run(initialize)
        self.rng = np.random.RandomState(seed)

    def start(self, X, y):
        self._step(X[:BATCH_SIZE], y[:BATCH_SIZE])

    def _step(self, X, y):
        feed = {self.x: X, self.y: y, self.keep_prob: 1 - DROPOUT}
        self.session.run([self.loss, self.train_op], feed)

    def train_epoch(self, X, y):
        order = self.rng.permutation(len(X))
        X, y = X[order], y[order]  # as the tutorial's batch generator does
        for first in range(0, len(X), BATCH_SIZE):
            self._step(X[first : first + BATCH_SIZE], y[first : first + BATCH_SIZE])

    def predict(self, X):
        parts = [X[first : first + self.predicted_at_once] for first in range(0, len(X), self.predicted_at_once)]
        return np.concatenate([self.session.run(self.labels, {self.x: part, self.keep_prob: 1.0}) for part in parts])


class Keras:
    """`fit` and `predict` of a Sequential model."""

    takes_pixels = False
    predicted_at_once = 1_000

    def __init__(self, seed: int, jit_compile: bool = False):
        import keras

        keras.utils.set_random_seed(seed)
        layers = keras.layers
        self.model = keras.Sequential(
            [
                layers.Input((28, 28, 1)),
                layers.Conv2D(32, 5, activation="relu"),
                layers.MaxPooling2D(),
                layers.Conv2D(64, 5, activation="relu"),
                layers.MaxPooling2D(),
                layers.Flatten(),
                layers.Dense(1024, activation="relu"),
                layers.Dropout(DROPOUT),
                layers.Dense(10),
            ]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(keras.optimizers.Adam(LEARNING_RATE), loss, jit_compile=jit_compile)

    def start(self, X, y):
        self.train_epoch(X[:BATCH_SIZE], y[:BATCH_SIZE])

    def train_epoch(self, X, y):
        self.model.fit(X.reshape(-1, 28, 28, 1), y, BATCH_SIZE, epochs=1, verbose=0)

    def predict(self, X):
        logits = self.model.predict(X.reshape(-1, 28, 28, 1), batch_size=self.predicted_at_once, verbose=0)
        return logits.argmax(axis=1)


class PyTorch:
    """A training loop like that of PyTorch's MNIST example, with the data in memory.

    bfloat16: by autocast. compiled: by torch.compile.
    """

    takes_pixels = False

    def __init__(self, seed: int, bfloat16: bool, channels_last: bool, compiled: bool = False):
        import torch
        from torch import nn

        self.torch, self.bfloat16, self.channels_last = torch, bfloat16, channels_last
        self.predicted_at_once = 200 if bfloat16 else 100
        torch.manual_seed(seed)
        self.model = nn.Sequential(
            *(nn.Conv2d(1, 32, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(1024, 1024), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(1024, 10)),
        )
        if channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE, fused=True)
        self.forward = torch.compile(self.model) if compiled else self.model
        self.rng = np.random.RandomState(seed)

    def start(self, X, y):
        self._step(self._images(X[:BATCH_SIZE]), self.torch.from_numpy(y[:BATCH_SIZE].astype(np.int64)))

    def _images(self, X):
        images = self.torch.from_numpy(X).view(-1, 1, 28, 28)
        return images.contiguous(memory_format=self.torch.channels_last) if self.channels_last else images

    def _logits(self, images):
        with self.torch.autocast("cpu", self.torch.bfloat16, enabled=self.bfloat16):
            return self.forward(images)

    def _step(self, images, labels):
        self.optimizer.zero_grad()
        loss = self.torch.nn.functional.cross_entropy(self._logits(images).float(), labels)
        loss.backward()
        self.optimizer.step()

    def train_epoch(self, X, y):
        self.model.train()
        images, labels = self._images(X), self.torch.from_numpy(y.astype(np.int64))
        order = self.torch.from_numpy(self.rng.permutation(len(X)))
        for rows in order.split(BATCH_SIZE):
            self._step(images[rows], labels[rows])

    def predict(self, X):
        self.model.eval()
        with self.torch.inference_mode():
            parts = self._images(X).split(self.predicted_at_once)
            return np.concatenate([self._logits(part).argmax(1).numpy() for part in parts])


class JAX:
    """One jitted step with a hand-written Adam, on NHWC float32 arrays."""

    takes_pixels = False
    predicted_at_once = 1_000

    def __init__(self, seed: int):
        import jax
        import jax.numpy as jnp

        self.jax = jax
        shapes = {"conv_1": (5, 5, 1, 32), "conv_2": (5, 5, 32, 64), "fc_3": (1024, 1024), "fc_4": (1024, 10)}
        keys = dict(zip(shapes, jax.random.split(jax.random.key(seed), len(shapes)), strict=True))
        glorot = jax.nn.initializers.glorot_uniform()
        self.parameters = {name: (glorot(keys[name], shape), jnp.zeros(shape[-1])) for name, shape in shapes.items()}
        mean, variance = (jax.tree.map(jnp.zeros_like, self.parameters) for _ in range(2))
        self.state = (mean, variance, jnp.zeros([], jnp.int32))
        self.rng = np.random.RandomState(seed)

        def convolve(net, weights, biases):
            dimensions = ("NHWC", "HWIO", "NHWC")
            net = jax.lax.conv_general_dilated(net, weights, (1, 1), "VALID", dimension_numbers=dimensions)
            net = jax.nn.relu(net + biases)
            return jax.lax.reduce_window(net, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

        def network(parameters, X, key=None):
            net = X.reshape(-1, 28, 28, 1)
            for name in ("conv_1", "conv_2"):
                net = convolve(net, *parameters[name])
            weights, biases = parameters["fc_3"]
            net = jax.nn.relu(net.reshape(-1, 1024) @ weights + biases)
            if key is not None:
                net = jnp.where(jax.random.bernoulli(key, 1 - DROPOUT, net.shape), net / (1 - DROPOUT), 0)
            weights, biases = parameters["fc_4"]
            return net @ weights + biases

        def mean_loss(parameters, X, y, key):
            log_probabilities = jax.nn.log_softmax(network(parameters, X, key))
            return -jnp.take_along_axis(log_probabilities, y[:, None], axis=1).mean()

        def step(parameters, state, X, y):
            mean, variance, count = state
            gradients = jax.grad(mean_loss)(parameters, X, y, jax.random.fold_in(jax.random.key(seed), count))
            count += 1
            mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradients)
            variance = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, variance, gradients)
            rate = LEARNING_RATE * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
            parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), parameters, mean, variance)
            return parameters, (mean, variance, count)

        self.step = jax.jit(step, donate_argnums=(0, 1))
        self.labels = jax.jit(lambda parameters, X: network(parameters, X).argmax(axis=1))

    def start(self, X, y):
        self._step(X[:BATCH_SIZE], y[:BATCH_SIZE])
        self.jax.block_until_ready(self.parameters)

    def _step(self, X, y):
        self.parameters, self.state = self.step(self.parameters, self.state, X, y.astype(np.int32))

    def train_epoch(self, X, y):
        order = self.rng.permutation(len(X))
        for first in range(0, len(X), BATCH_SIZE):
            rows = order[first : first + BATCH_SIZE]
            self._step(X[rows], y[rows])
        self.jax.block_until_ready(self.parameters)

    def predict(self, X):
        parts = [X[first : first + self.predicted_at_once] for first in range(0, len(X), self.predicted_at_once)]
        return np.concatenate([np.asarray(self.labels(self.parameters, part)) for part in parts])


class KerasCall(Keras):
    """Keras for few images: its documentation advises to call the model instead of `predict`."""

    def predict(self, X):
        return self.model(X.reshape(-1, 28, 28, 1), training=False).numpy().argmax(axis=1)


CONTESTANTS = {
    "digitcnn auto": lambda seed: Ours(seed, "auto"),
    "digitcnn float32": lambda seed: Ours(seed, "float32"),
    "tutorial's loop": TutorialLoop,
    "Keras": Keras,
    "PyTorch float32": lambda seed: PyTorch(seed, bfloat16=False, channels_last=False),
    "PyTorch float32 channels_last": lambda seed: PyTorch(seed, bfloat16=False, channels_last=True),
    "PyTorch bfloat16 channels_last": lambda seed: PyTorch(seed, bfloat16=True, channels_last=True),
    "JAX": JAX,
}
# More settings of the peers, for `--contestants`.
MORE = {
    "Keras jit_compile": lambda seed: Keras(seed, jit_compile=True),
    "Keras called": KerasCall,
    "PyTorch bfloat16 compiled": lambda seed: PyTorch(seed, bfloat16=True, channels_last=True, compiled=True),
    "PyTorch float32 compiled": lambda seed: PyTorch(seed, bfloat16=False, channels_last=True, compiled=True),
}
