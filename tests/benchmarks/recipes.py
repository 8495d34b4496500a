"""Test accuracy and time of a recipe, and its time relative to the tutorial's loop.

    python tests/benchmarks/recipes.py fast --data mnist --seeds 1 2 3 4 5

The recipe trains on all training images; the test set is used once, at the end. Between the seeds, the tutorial's loop
trains for an epoch, so that both are measured in one run on a noisy machine; its 30 epochs count as 30 times the
median of these. The time of a recipe is that of `train`, with compilation and standardization.
"""

import argparse
import statistics
import time

import numpy as np
from contestants import TutorialLoop

from digitcnn import RECIPES, DigitCNN, load_dataset

TUTORIAL_EPOCHS = RECIPES["tutorial"].settings["epochs"]


def main():
    parser = argparse.ArgumentParser(description="Test accuracy and time of a recipe, over several seeds.")
    parser.add_argument("recipe", choices=list(RECIPES))
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.data, arguments.data_dir)
    training_set = dataset.train_images, dataset.train_labels
    loop = TutorialLoop(seed=1)
    mean, std = dataset.train_images.mean(axis=0, dtype=np.float32), np.float32(dataset.train_images.std())
    X = (dataset.train_images - mean) / std
    loop.start(X, dataset.train_labels)

    accuracies, seconds, epochs = [], [], []
    for seed in arguments.seeds:
        start = time.perf_counter()
        loop.train_epoch(X, dataset.train_labels)
        epochs.append(time.perf_counter() - start)
        with DigitCNN.from_recipe(arguments.recipe, random_seed=seed) as model:
            start = time.perf_counter()
            model.train(training_set, verbose=False)
            seconds.append(time.perf_counter() - start)
            accuracies.append(model.evaluate(dataset.test_images, dataset.test_labels)["accuracy"])
            described = f"{model.epochs} epochs of {model.architecture!r} in {model.computes_in}"
        print(
            f"seed {seed}: test accuracy {accuracies[-1]:.2%} after {seconds[-1]:.1f} s; "
            f"an epoch of the tutorial's loop {epochs[-1]:.1f} s",
            flush=True,
        )
    deviation = statistics.stdev(accuracies) if len(accuracies) > 1 else float("nan")
    time_taken, tutorial = statistics.median(seconds), TUTORIAL_EPOCHS * statistics.median(epochs)
    print(
        f"{arguments.recipe}, {described}, {len(accuracies)} seeds: mean test accuracy "
        f"{statistics.mean(accuracies):.3%}, standard deviation {deviation:.3%}; median {time_taken:.1f} s, which is "
        f"1/{tutorial / time_taken:.1f} or {time_taken / tutorial:.2f} of the tutorial's {tutorial:.0f} s"
    )


if __name__ == "__main__":
    main()
