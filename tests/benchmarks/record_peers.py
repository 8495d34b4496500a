"""The examples of the peers, and the tutorial's own loop, as rows of the record: network and numbers are theirs.

Keras: "Simple MNIST convnet", keras.io/examples/vision/mnist_convnet. PyTorch: github.com/pytorch/examples, mnist. Each
has the data in memory, PyTorch without its loader, which is slower.
"""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from contestants import TutorialLoop
from record_table import LOOP

Predict = Callable[[np.ndarray], np.ndarray]


class Peer:
    """What the peers' rows have in common.

    Attributes
    ----------
    name : str
        Its name in the table.
    needs : str
        A module that it imports.
    """

    name: ClassVar[str]
    needs: ClassVar[str]
    epochs: ClassVar[int]

    @property
    def about(self) -> dict[str, Any]:
        """What a run of it is: another row of that name is another one."""
        return {"epochs": self.epochs}

    def check(self, out: Path, seeds: Sequence[int], names: Sequence[str]) -> None:
        """End the program unless the peer is installed."""
        if importlib.util.find_spec(self.needs) is None:
            sys.exit(f"{self.name}: expected {self.needs}, which is not installed; pip install -e '.[benchmark]'")


class Tutorial(Peer):
    """T1's loop in plain TensorFlow: 30 epochs of batches of 100."""

    name, needs = LOOP, "tensorflow"
    epochs = 30

    @contextlib.contextmanager
    def trained(self, seed: int, training_set, folder: Path) -> Iterator[tuple[Predict, dict[str, Any]]]:
        """A function from raw pixels to probabilities, once it is trained; folder: left alone."""
        X, y = training_set
        mean, std = X.mean(axis=0, dtype=np.float32), np.float32(X.std())
        loop, scaled = TutorialLoop(seed), (X - mean) / std
        for _ in range(self.epochs):
            loop.train_epoch(scaled, y)
        # Its graph answers with labels: as probabilities, 1 for the label.
        yield (lambda images: np.eye(10, dtype=np.float32)[loop.predict((images - mean) / std)]), {}


class KerasExample(Peer):
    """15 epochs of batches of 128 with Adam, pixels in 0..1; its validation set is trained on too."""

    name, needs = "Keras' example", "keras"
    epochs = 15

    @contextlib.contextmanager
    def trained(self, seed: int, training_set, folder: Path) -> Iterator[tuple[Predict, dict[str, Any]]]:
        """A function from raw pixels to probabilities, once it is trained; folder: left alone."""
        import keras

        keras.utils.set_random_seed(seed)
        layers = keras.layers
        model = keras.Sequential(
            [
                layers.Input((28, 28, 1)),
                layers.Conv2D(32, 3, activation="relu"),
                layers.MaxPooling2D(),
                layers.Conv2D(64, 3, activation="relu"),
                layers.MaxPooling2D(),
                layers.Flatten(),
                layers.Dropout(0.5),
                layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")

        def scaled(images):
            return images.reshape(-1, 28, 28, 1).astype(np.float32) / 255

        model.fit(scaled(training_set[0]), training_set[1], 128, epochs=self.epochs, verbose=0)
        yield (lambda images: model.predict(scaled(images), batch_size=1_000, verbose=0)), {}


class PyTorchExample(Peer):
    """14 epochs of batches of 64 with Adadelta, whose rate of 1 is multiplied by 0.7 after each.

    It has a process of its own: PyTorch's CUDA build aborts in one that has loaded TensorFlow.
    """

    name, needs = "PyTorch's example", "torch"
    epochs = 14

    @contextlib.contextmanager
    def trained(self, seed: int, training_set, folder: Path) -> Iterator[tuple[Predict, dict[str, Any]]]:
        """A function from raw pixels to probabilities, once it is trained; folder: left alone."""
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            process.submit(train_pytorch, seed, *training_set, self.epochs).result()
            yield (lambda images: process.submit(predict_pytorch, images).result()), {}


_pytorch: list[Any] = []  # the model, in its process


def train_pytorch(seed: int, images: np.ndarray, labels: np.ndarray, epochs: int) -> None:
    """Train PyTorch's example on raw pixels and labels, and keep it."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    model = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
    )
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.7)
    X, y = torch.from_numpy(pytorch_scaled(images)), torch.from_numpy(labels.astype(np.int64))
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(len(X)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X[rows]), y[rows]).backward()
            optimizer.step()
        schedule.step()
    _pytorch.append(model)


def predict_pytorch(images: np.ndarray) -> np.ndarray:
    """Probabilities of raw pixels by the model that was trained in this process."""
    import torch

    (model,) = _pytorch
    model.eval()
    with torch.inference_mode():
        parts = torch.from_numpy(pytorch_scaled(images)).split(1_000)
        return torch.cat([model(part).softmax(1) for part in parts]).numpy()


def pytorch_scaled(images: np.ndarray) -> np.ndarray:
    """Raw pixels as the example has them: by MNIST's mean and deviation, [n, 1, 28, 28]."""
    return (images.reshape(-1, 1, 28, 28).astype(np.float32) / 255 - 0.1307) / 0.3081


PEERS = {peer.name: peer for peer in (Tutorial(), KerasExample(), PyTorchExample())}
