"""Choose the number of epochs on a validation set, retrain on all training images, then test once.

    python examples/retrain.py                                  # the bundled digits, under a minute
    python examples/retrain.py --data mnist --epochs 30         # the tutorial's sections 4 and 5
    python examples/retrain.py --data mnist --recipe fast       # at the recipe's own length

With `--recipe` or `--retrain-only` nothing is chosen: a recipe's learning rate rises and falls over the recipe's own
length. Several `--seeds` show how much is luck. Each retrained model is left in a run folder like that of
`digitcnn train`, with the curve that its length was chosen by in choosing.csv.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from digitcnn import ARCHITECTURES, RECIPES, load_dataset

EPOCHS = 30
WINDOW = 5  # epochs


def choose_epochs(accuracies: Sequence[float], window: int = WINDOW) -> int:
    """The middle of the `window` successive epochs with the best mean validation accuracy.

    If these are the last ones, accuracy may still rise, and the last epoch is chosen. The mean is over several epochs,
    since a single one may be best by luck: on a few hundred images, accuracy varies by a few from epoch to epoch. Of
    equally good windows the last counts, since the loss still falls, and accuracy has a plateau, not a peak: for five
    seeds on the bundled digits, it had no trend on 240 held-out images over the last ten of 30 epochs.
    """
    window = min(window, len(accuracies))
    starts = range(len(accuracies) - window + 1)
    sums = [round(math.fsum(accuracies[start : start + window]), 9) for start in starts]  # equal up to rounding errors
    best = max(start for start in starts if sums[start] == max(sums))
    return len(accuracies) if best == starts[-1] else best + window // 2 + 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Choose the number of epochs on a validation set, retrain on all training images, then test once."
    )
    parser.add_argument("--data", default="bundled", help="name of a data set, or a folder of IDX files")
    parser.add_argument("--data-dir", metavar="DIR", help="folder that is searched for named data sets first")
    parser.add_argument("--recipe", choices=RECIPES, help="settings that go well together; nothing is chosen then")
    parser.add_argument("--architecture", choices=ARCHITECTURES, help="(default: the recipe's, else cnn)")
    parser.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help=f"most epochs to choose from; with --recipe or --retrain-only, the length "
        f"(default: the recipe's, else {EPOCHS})",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[27], metavar="N", help="one run each (default: 27)")
    parser.add_argument("--retrain-only", action="store_true", help="choose nothing, train for --epochs")
    parser.add_argument(
        "--run",
        metavar="DIR",
        help="new folder for the run; for several seeds, it gets a folder for each "
        "(default: logs/DATE-TIME-DATA-ARCHITECTURE, or -RECIPE)",
    )
    return parser.parse_args()


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The model's settings: the recipe's or the architecture's own, unless an option replaces them."""
    if arguments.recipe:
        settings = dict(RECIPES[arguments.recipe].settings)
    else:
        settings = {**ARCHITECTURES[arguments.architecture or "cnn"].settings, "epochs": EPOCHS}
        settings.pop("steps", None)  # the length is counted in epochs here
    given = {"architecture": arguments.architecture, "epochs": arguments.epochs}
    return settings | {name: value for name, value in given.items() if value is not None}


def main() -> None:
    arguments = parse_arguments()
    dataset = load_dataset(arguments.data, arguments.data_dir)
    # After the options are parsed, so that --help and mistakes do not wait for TensorFlow.
    from digitcnn import DigitCNN
    from digitcnn.runs.description import RunOptions, describe
    from digitcnn.runs.folders import new_run_folder
    from digitcnn.runs.result import TestResult
    from digitcnn.runs.train_run import train_run

    settings = settings_of(arguments)
    settings |= {"image_shape": dataset.image_shape, "n_classes": dataset.n_classes}
    n, accuracies = len(dataset.train_images), []
    for seed in arguments.seeds:
        with DigitCNN(**settings, random_seed=seed) as cnn:
            has_parent = arguments.run and len(arguments.seeds) > 1
            run = Path(arguments.run) / f"seed-{seed}" if has_parent else arguments.run
            folder = new_run_folder(run, arguments.data, arguments.recipe or cnn.architecture)

            if not (arguments.recipe or arguments.retrain_only):
                training, validation = dataset.split(max(1, n // 6))
                print(f"Seed {seed}: {len(training[0])} images to train on, {len(validation[0])} to choose by")
                cnn.train(training, validation)
                cnn.history.to_csv(folder / "choosing.csv", index=False)
                cnn.epochs = choose_epochs(list(cnn.history["Accuracy"]))
                print(f"Chosen: {cnn.epochs} epochs, by the validation accuracy of {WINDOW} epochs around each")

            print(f"Seed {seed}: {cnn.epochs} epochs on all {n} training images")
            description = describe(cnn, dataset, RunOptions(n_validation=0, recipe=arguments.recipe))
            result = TestResult.of(train_run(cnn, dataset, folder, description))
            accuracies.append(result.accuracy)
            print(f"Seed {seed}: test accuracy {result}\nIts run folder is {folder}", flush=True)
    if len(accuracies) > 1:
        mean, spread = statistics.mean(accuracies), statistics.stdev(accuracies)
        print(f"{len(accuracies)} seeds: mean test accuracy {mean:.3%}, standard deviation {spread:.3%}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:  # a data set that is not there, a setting out of range
        sys.exit(f"error: {error}")
