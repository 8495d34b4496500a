"""How Keras, PyTorch, scikeras and tensorpack handle stops, damaged files and scikit-learn's checks.

    pip install -e '.[benchmark,sklearn]'
    python tests/benchmarks/peers.py
    python tests/benchmarks/peers.py --only keras-files pytorch-file saver

Prints the versions and, for each section, facts that no documentation states. Each section has a process and a
scratch folder of its own, because some change settings of the whole process; the output of the peers is hidden. A
section whose peer is not installed is skipped. Most of the time goes into the three `-checks`, scikit-learn's
`check_estimator` on one softmax layer. `tensorpack-layers` has another result if tf-keras is installed and
TF_USE_LEGACY_KERAS=1 is set.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import multiprocessing
import os
import platform
import re
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

PACKAGES = ("tensorflow", "keras", "torch", "scikeras", "tensorpack", "scikit-learn", "numpy", "digitcnn")
EPOCHS, STEPS, BATCH_SIZE = 4, 20, 20  # of the Keras runs; STEPS in an epoch


def flip_bit(file: Path, weights: np.ndarray) -> None:
    """Flip one bit in the exponent of the first of `weights`, where a file has them."""
    raw = bytearray(file.read_bytes())
    place = raw.find(np.asarray(weights, "<f4").tobytes()[:64])
    if place < 0:
        raise ValueError(f"{file.name}: expected the weights uncompressed, found none")
    raw[place + 3] ^= 0x10
    file.write_bytes(raw)


def reading(read, weights: np.ndarray) -> str:
    """The outcome of reading a file with a flipped bit, by a function that returns its weights."""
    try:
        n_changed = (np.asarray(read()) != weights).sum()
    except Exception as error:  # peers raise many types
        line = re.search(r"((bad crc|checksum).*)", str(error), re.IGNORECASE) or re.search(r"(.*)", str(error))
        return f"detected, {type(error).__name__}: {line[1][:60]}"
    return f"read without an error, {n_changed} of {weights.size} weights changed"


def keras_run(dropout: bool, save_freq=None, stop=None) -> tuple[list[bytes], int]:
    """The trained weights and number of steps; stop: a callback's method and the number of steps to stop at."""
    import keras

    rng = np.random.RandomState(0)
    X, y = rng.rand(STEPS * BATCH_SIZE, 8, 8, 1).astype(np.float32), rng.randint(0, 10, STEPS * BATCH_SIZE)
    keras.utils.set_random_seed(27)
    layers = [keras.Input((8, 8, 1)), keras.layers.Conv2D(8, 3, activation="relu"), keras.layers.Flatten()]
    layers += [keras.layers.Dropout(0.5)] if dropout else []
    model = keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")

    def interrupt(number, logs=None):
        if int(model.optimizer.iterations) == stop[1]:
            raise KeyboardInterrupt

    callbacks = []
    if save_freq:
        callbacks.append(keras.callbacks.BackupAndRestore("backup", save_freq, delete_checkpoint=not stop))
    if stop:
        callbacks.append(keras.callbacks.LambdaCallback(**{stop[0]: interrupt}))
    with contextlib.suppress(KeyboardInterrupt):
        model.fit(X, y, BATCH_SIZE, EPOCHS, verbose=0, callbacks=callbacks)
    return [weights.tobytes() for weights in model.get_weights()], int(model.optimizer.iterations)


def keras_resume():
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    stops = {
        "at an epoch's end": ("epoch", ("on_epoch_begin", 2 * STEPS)),
        "in mid-epoch": (1, ("on_train_batch_end", 2 * STEPS + STEPS // 2)),
    }
    for dropout in (False, True):
        untouched, steps = keras_run(dropout)
        kind = "with dropout" if dropout else "without dropout"
        yield f"{kind}, two whole runs: {same(keras_run(dropout)[0], untouched)}, {steps} steps"
        for where, (save_freq, stop) in stops.items():
            _, before = keras_run(dropout, save_freq, stop)
            weights, total = keras_run(dropout, save_freq)
            yield f"{kind}, stopped {where}, after {before} steps: {same(weights, untouched)}, {total} steps in all"


def same(one: list[bytes], other: list[bytes]) -> str:
    return "the same bits" if one == other else "other bits"


def softmax_layer(n_features, n_classes, loss):
    """A compiled softmax layer in Keras, with a fixed seed, so that each `fit` starts alike."""
    import keras

    keras.utils.set_random_seed(27)
    model = keras.Sequential([keras.Input((n_features,)), keras.layers.Dense(n_classes, activation="softmax")])
    model.compile(keras.optimizers.Adam(0.05), loss)
    return model


def keras_files():
    import keras

    model = softmax_layer(100, 10, "categorical_crossentropy")
    weights = model.get_weights()[0]
    for name, save in (("a.weights.h5", model.save_weights), ("a.keras", model.save)):
        save(name)
        flip_bit(Path(name), weights)

    def load_weights():
        other = softmax_layer(100, 10, "categorical_crossentropy")
        other.load_weights("a.weights.h5")
        return other.get_weights()[0]

    yield f"a flipped bit in .weights.h5: {reading(load_weights, weights)}"
    yield f"a flipped bit in .keras: {reading(lambda: keras.saving.load_model('a.keras').get_weights()[0], weights)}"


def pytorch_file():
    import torch

    weights = torch.nn.Linear(100, 10).weight.detach()
    torch.save({"weight": weights}, "a.pt")
    flip_bit(Path("a.pt"), weights.numpy())
    result = reading(lambda: torch.load("a.pt", weights_only=True)["weight"], weights.numpy())
    yield f"a flipped bit in torch.save's file: {result}"


def saver():
    """TensorFlow's Saver, by which tensorpack's ModelParts writes."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        variable, writer = v1.get_variable("weights", [100, 10]), v1.train.Saver()
        session.run(variable.initializer)
        prefix, weights = writer.save(session, str(Path("checkpoint", "model").absolute())), variable.eval()
        flip_bit(Path(f"{prefix}.data-00000-of-00001"), weights)

        def read():
            writer.restore(session, prefix)
            return variable.eval()

        yield f"a flipped bit in a checkpoint: {reading(read, weights)}"


def tensorpack_layers():
    import tensorflow as tf
    from tensorpack.models import Conv2D
    from tensorpack.tfutils.tower import TowerContext

    with tf.Graph().as_default(), TowerContext("", is_training=True):
        try:
            yield f"Conv2D makes {Conv2D('conv', tf.zeros([1, 8, 8, 1]), 8, 3).shape}"
        except AttributeError as error:
            yield f"Conv2D: {type(error).__name__}: {error}"


def checks(estimator):
    from sklearn.utils.estimator_checks import check_estimator

    results = check_estimator(estimator, on_skip=None, on_fail=None)
    n = {status: sum(result["status"] == status for result in results) for status in ("passed", "skipped", "failed")}
    failed = dict.fromkeys(result["check_name"] for result in results if result["status"] == "failed")
    yield f"of {len(results)} runs of checks {n['passed']} passed, {n['skipped']} skipped, {n['failed']} failed"
    yield f"{len(failed)} failed by name: {', '.join(failed) or 'none'}"


def keras_layer(X, y):
    return softmax_layer(X.shape[1], y.shape[1], "categorical_crossentropy")


def keras_checks():
    import keras
    import sklearn  # noqa: F401 - Keras' ImportError does not name it

    yield from checks(keras.wrappers.SKLearnClassifier(keras_layer, fit_kwargs={"epochs": 20, "verbose": 0}))


def scikeras_layer(meta):
    return softmax_layer(meta["n_features_in_"], meta["n_classes_"], "sparse_categorical_crossentropy")


def scikeras_checks():
    from scikeras.wrappers import KerasClassifier

    yield from checks(KerasClassifier(scikeras_layer, epochs=20, verbose=0, random_state=0))


def digitcnn_checks():
    import sklearn  # noqa: F401

    from digitcnn import DigitClassifier

    yield from checks(DigitClassifier())  # of so few pixels, it makes one softmax layer too


SECTIONS = {
    "keras-resume": keras_resume,
    "keras-files": keras_files,
    "keras-checks": keras_checks,
    "pytorch-file": pytorch_file,
    "scikeras-checks": scikeras_checks,
    "saver": saver,
    "tensorpack-layers": tensorpack_layers,
    "digitcnn-checks": digitcnn_checks,
}


def run(name: str, folder: str) -> list[str]:
    """The lines of a section, run in `folder` with its output hidden."""
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return list(SECTIONS[name]())
    except ImportError as error:
        package = {"sklearn": "scikit-learn"}.get(error.name, error.name)
        return [f"skipped, {package} is not installed, or not in the version needed ({error}): pip install {package}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS), metavar="SECTION")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    installed = {found.metadata["Name"].lower(): found.version for found in importlib.metadata.distributions()}
    versions = [f"{package} {installed.get(package, 'not installed')}" for package in PACKAGES]
    print(f"Python {platform.python_version()}, {', '.join(versions)}", flush=True)
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["KERAS_HOME"] = folder
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                for line in pool.submit(run, name, folder).result():
                    print(f"{name}: {line}", flush=True)


if __name__ == "__main__":
    main()
