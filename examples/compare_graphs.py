"""Train the five tutorials' graphs at their tutorials' settings, and print a table.

    python examples/compare_graphs.py --data mnist              # about half an hour on two cores
    python examples/compare_graphs.py --steps 50                # the bundled digits, a quick look

Each is trained on all training images (T2 on the first 55,000 of MNIST's 60,000, as in its tutorial) for the
tutorial's number of epochs or steps, then tested once.
"""

import argparse
import sys
import time

from digitcnn import ARCHITECTURES, load_dataset

# Test accuracies that the tutorials state; T3 states none.
PUBLISHED = {"cnn": "99.40%", "softmax": "about 92%", "same": "-", "strided": "about 99.2%", "batchnorm": "99.53%"}
N_VALIDATION = {"softmax": 5_000}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the five tutorials' graphs at their tutorials' settings.")
    parser.add_argument("--data", default="bundled", help="name of a data set, or a folder of IDX files")
    parser.add_argument("--data-dir", metavar="DIR", help="folder that is searched for named data sets first")
    parser.add_argument("--architectures", nargs="+", default=list(PUBLISHED), choices=PUBLISHED)
    parser.add_argument("--steps", type=int, metavar="N", help="train each for N steps instead")
    parser.add_argument("--seed", type=int, default=27, metavar="N", help="(default: 27)")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    dataset = load_dataset(arguments.data, arguments.data_dir)
    # After the options are parsed, so that --help and mistakes do not wait for TensorFlow.
    from digitcnn import DigitCNN

    print("| graph | parameters | trained for | test accuracy | published | seconds |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name in arguments.architectures:
        settings = dict(ARCHITECTURES[name].settings)
        steps = settings.pop("steps", None)
        steps = steps if arguments.steps is None else arguments.steps
        is_large = len(dataset.train_images) > 10 * N_VALIDATION.get(name, 0)
        training, _ = dataset.split(N_VALIDATION.get(name, 0) if is_large else 0)
        sizes = {"image_shape": dataset.image_shape, "n_classes": dataset.n_classes}
        with DigitCNN(architecture=name, random_seed=arguments.seed, **settings, **sizes) as model:
            start = time.perf_counter()
            model.train(training, steps=steps, verbose="bar")
            seconds = time.perf_counter() - start
            accuracy = model.evaluate(dataset.test_images, dataset.test_labels)["accuracy"]
            length = f"{steps:,} steps" if steps else f"{model.epochs} epochs"
            print(
                f"| {name} | {model.n_parameters:,} | {length} | {accuracy:.2%} | {PUBLISHED[name]} | {seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:  # a data set that is not there, a setting out of range
        sys.exit(f"error: {error}")
