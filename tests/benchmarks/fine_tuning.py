"""How much twenty pictures of one's own hand help the weights that ship.

    python tests/benchmarks/fine_tuning.py --seeds 1 2 3

A made hand writes a 0 with a slash, a 1 like a hat, a crossed 7, and every digit in one way. Two pictures of each digit
train the network (`DigitCNN.pretrained()`, its own settings), 300 others test it, before and after. MNIST's test
digits, where their files are found, tell what it has forgotten.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "handwriting"))
import messy

from digitcnn import DigitCNN, NoDigitError, load_dataset, load_digit

N_TRAIN, N_TEST = 20, 300  # pictures
# The hand, as messy.WAYS has them: strokes of points "x,y" in hundredths of a box.
HAND = {label: ways[-1:] for label, ways in messy.WAYS.items()} | {
    0: [["55,0 15,15 0,55 20,95 50,100 85,85 100,45 80,8 50,0", "95,5 5,95"]],
    1: [["0,95 55,0 55,0 75,100"]],
}


def pictures(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures by the hand in which load_digit finds a digit: uint8 [n, 784] and labels uint8 [n]."""
    rng = np.random.default_rng(seed)
    images: list[np.ndarray] = []
    usual = dict(messy.WAYS)
    try:
        messy.WAYS.update(HAND)
        while len(images) < n:
            with contextlib.suppress(NoDigitError):
                images.append(load_digit(messy.make_messy_single(rng, len(images) % 10)))
    finally:
        messy.WAYS.update(usual)
    return np.stack(images).reshape(n, -1), (np.arange(n) % 10).astype(np.uint8)


def main() -> None:
    """Print a row for each seed."""
    parser = argparse.ArgumentParser(description="Fine-tuning on twenty pictures of one hand.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--learning-rate", type=float, help="instead of the recipe's")
    arguments = parser.parse_args()
    given = {"epochs": arguments.epochs, "learning_rate": arguments.learning_rate}
    settings = {name: value for name, value in given.items() if value is not None}
    mnist = load_dataset("mnist") if os.environ.get("DIGITCNN_DATA") else None
    print("| seed | before | after | MNIST before | MNIST after |\n| --- | ---: | ---: | ---: | ---: |")
    for seed in arguments.seeds:
        test = pictures(N_TEST, 1000 + seed)
        with DigitCNN.pretrained(random_seed=seed, **settings) as cnn:
            rows = [_measure(cnn, test, mnist)]
            cnn.train(pictures(N_TRAIN, seed), initialize=False, verbose=False)
            rows.append(_measure(cnn, test, mnist))
        (before, known), (after, kept) = rows
        print(f"| {seed} | {before:.1%} | {after:.1%} | {known:.2%} | {kept:.2%} |", flush=True)


def _measure(cnn: DigitCNN, test: tuple, mnist) -> tuple[float, float]:
    """Accuracy on the hand, and on MNIST's test images (NaN without them)."""
    own = cnn.evaluate(*test, verbose=False)["accuracy"]
    if mnist is None:
        return own, float("nan")
    return own, cnn.evaluate(mnist.test_images, mnist.test_labels, verbose=False)["accuracy"]


if __name__ == "__main__":
    main()
