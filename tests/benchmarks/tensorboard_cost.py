"""Time that `train(logdir=...)` costs: T1 with and without what it writes by default.

    python tests/benchmarks/tensorboard_cost.py --data mnist

Rounds in one process, each an epoch with and an epoch without a logdir, in alternating order; the ratio is that of
the medians. Exits with 1 if it is above 1.02, the most that the default may cost.
"""

import argparse
import statistics
import sys
import tempfile
import time

from digitcnn import DigitCNN, load_dataset

MAX_RATIO = 1.02


def seconds_of_an_epoch(model, training_set, validation_set, logdir):
    start = time.perf_counter()
    model.train(training_set, validation_set, epochs=1, initialize=False, verbose=False, logdir=logdir)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description="Time that train(logdir=...) costs.")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--images", type=int, default=20_000, help="images of an epoch, a tenth of them for validation")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.data, arguments.data_dir)
    X, y = dataset.train_images[: arguments.images], dataset.train_labels[: arguments.images]
    n_validation = len(X) // 10
    training, validation = (X[n_validation:], y[n_validation:]), (X[:n_validation], y[:n_validation])
    took = {"without": [], "with": []}
    with DigitCNN(random_seed=1, precision=arguments.precision) as model, tempfile.TemporaryDirectory() as folder:
        logdirs = {"without": None, "with": folder}
        model.train(training, validation, epochs=1, verbose=False, logdir=folder)  # one-time costs
        seconds_of_an_epoch(model, training, validation, None)
        for number in range(arguments.rounds):
            for name in list(took)[:: 1 if number % 2 else -1]:
                took[name].append(seconds_of_an_epoch(model, training, validation, logdirs[name]))
        computes_in = model.computes_in
    medians = {name: statistics.median(seconds) for name, seconds in took.items()}
    ratio = medians["with"] / medians["without"]
    for name, seconds in took.items():
        low, high = min(seconds), max(seconds)
        print(f"{name:<8} a logdir: {medians[name]:.3f} s an epoch ({low:.3f} to {high:.3f}, {len(seconds)} rounds)")
    print(f"{computes_in}, {len(training[1]):,} images in batches of {model.batchsize}: {ratio:.4f} of the time")
    return int(ratio > MAX_RATIO)


if __name__ == "__main__":
    sys.exit(main())
