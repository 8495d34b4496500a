"""Train the network that ships in the package, and write data/pretrained.

    python data/make_pretrained.py --data-dir DIR        # DIR/mnist has MNIST's four files; about 10 minutes

The network is the recipe `accurate`, trained on MNIST's training images but for the last 5,000, on half of them again
with thinner or thicker strokes, and on drawings of no digit (no_digits.py). A drawing of no digit gets a label
by lot: the network that expects the least loss gives all ten digits the same probability there ("outlier
exposure": Hendrycks, Mazeika, Dietterich, arXiv:1812.04606). The 5,000 images set the temperature and the threshold of
doubt; the test images are read once, for the model card.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
from no_digits import draw_no_digits
from scipy import ndimage

from digitcnn import DigitCNN, NoDigitError, load_dataset, load_digit
from digitcnn.graph.inspection import model_variables
from digitcnn.reading.calibration import Calibration, fit_temperature
from digitcnn.saving.checkpoint import find_checkpoint
from digitcnn.saving.pretrained import add_facts, write_pretrained

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "handwriting"))
from messy import make_messy_single  # noqa: E402

SEED = 20
N_HELD_OUT = 5_000  # training images that set temperature and threshold
N_NO_DIGITS = 25_000
EPOCHS = 14  # of 1.8 times as many images as MNIST's
N_MESSY = 2_000  # held-out digits that are put on paper
DOUBTED = 0.0025  # share of held-out digits that may be doubted
FOLDER = ROOT / "data" / "pretrained"


def with_other_strokes(images: np.ndarray, seed: int) -> np.ndarray:
    """Thin or thicken the strokes by half a pixel on either side: uint8 [n, 784] to the same."""
    rng = np.random.default_rng(seed)
    large = ndimage.zoom(images.reshape(-1, 28, 28), (1, 2, 2), order=1)
    thick = rng.random(len(images)) < 0.5
    changed = np.empty_like(large)
    changed[thick] = ndimage.grey_dilation(large[thick], size=(1, 3, 3))
    changed[~thick] = ndimage.grey_erosion(large[~thick], size=(1, 3, 3))
    small = changed.reshape(-1, 28, 2, 28, 2).mean(axis=(2, 4))
    # A thin stroke that vanished stays as it was.
    faint = small.max(axis=(1, 2)) < 100
    small[faint] = images.reshape(-1, 28, 28)[faint]
    return np.uint8(small.round()).reshape(len(images), -1)


def training_data(mnist) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, 784] and labels uint8 [n] that the network is trained on."""
    (X, y), _ = mnist.split(N_HELD_OUT)
    no_digits = draw_no_digits(N_NO_DIGITS, X.reshape(-1, 28, 28), SEED)
    lot = np.random.default_rng(SEED).integers(0, 10, N_NO_DIGITS).astype(np.uint8)
    return np.concatenate([X, with_other_strokes(X[::2], SEED), no_digits]), np.concatenate([y, y[::2], lot])


def train(mnist, checkpoints: Path) -> DigitCNN:
    """Train the network, or resume its training."""
    cnn = DigitCNN.from_recipe("accurate", random_seed=SEED, epochs=EPOCHS)
    _, held_out = mnist.split(N_HELD_OUT)
    cnn.train(training_data(mnist), held_out, verbose="lines", checkpoint_dir=checkpoints, resume=True)
    return cnn


def messy_pictures(images: np.ndarray, labels: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Held-out digits on paper, as a camera would see them, brought back into MNIST's form: uint8 [n, 784], labels."""
    rng = np.random.default_rng(SEED)
    found = []
    for index in rng.permutation(len(images))[:n]:
        picture = make_messy_single(rng, int(labels[index]), images[index : index + 1].reshape(-1, 28, 28))
        with contextlib.suppress(NoDigitError):
            found.append((load_digit(picture), labels[index]))
    return np.stack([image.reshape(-1) for image, _ in found]), np.array([label for _, label in found])


def calibrate(cnn: DigitCNN, X: np.ndarray, y: np.ndarray) -> Calibration:
    """Temperature and threshold from held-out digits, clean and messy."""
    messy = messy_pictures(X, y, N_MESSY)
    clean = cnn.predict(X, return_proba=True, verbose=False)
    dirty = cnn.predict(messy[0], return_proba=True, verbose=False)
    # As many messy as clean ones, so that pictures count.
    both, labels = np.concatenate([clean[:N_MESSY], dirty]), np.concatenate([y[:N_MESSY], messy[1]])
    temperature = fit_temperature(both, labels)
    threshold = float(np.quantile(Calibration(temperature)(clean).max(axis=1), DOUBTED))
    return Calibration(round(temperature, 3), round(threshold, 3))


def main() -> None:
    """Train, calibrate, test and write."""
    parser = argparse.ArgumentParser(description="Train the network that ships in the package.")
    parser.add_argument("--data-dir", help="folder with mnist/ in it")
    parser.add_argument("--checkpoints", type=Path, default=Path("logs/pretrained"), help="folder to resume from")
    arguments = parser.parse_args()
    mnist = load_dataset("mnist", arguments.data_dir)
    with train(mnist, arguments.checkpoints) as cnn:
        calibration = calibrate(cnn, *mnist.split(N_HELD_OUT)[1])
        print(calibration)
        facts = {
            "name": "digitcnn's own weights, trained on MNIST",
            "trained_on": "MNIST, CC BY-SA 3.0",
            "seed": SEED,
            "calibration": asdict(calibration),
            "weights_sha256_float32": cnn.weights_sha256(),
        }
        names = [variable.op.name for variable in model_variables(cnn.g)]
        saved = find_checkpoint(arguments.checkpoints)
        write_pretrained(FOLDER, saved, names, facts)
    with DigitCNN.pretrained() as cnn:  # as it ships, in float16
        accuracy = cnn.evaluate(mnist.test_images, mnist.test_labels, verbose=False)["accuracy"]
        no_digits = draw_no_digits(1000, mnist.test_images.reshape(-1, 28, 28), SEED + 1)
        probabilities = [calibration(cnn.predict(X, return_proba=True)) for X in (mnist.test_images, no_digits)]
        doubted = [float((found.max(axis=1) < calibration.threshold).mean()) for found in probabilities]
        sha256 = cnn.weights_sha256()
    facts |= {"test_accuracy": accuracy, "weights_sha256": sha256}
    facts |= {"doubted_test_digits": doubted[0], "doubted_no_digits": doubted[1]}
    add_facts(FOLDER, facts)
    for name, value in facts.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
