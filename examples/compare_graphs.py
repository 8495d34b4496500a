"""The five tutorials' graphs at their tutorials' settings, as a table.

    python examples/compare_graphs.py --data mnist              # about half an hour on two cores
    python examples/compare_graphs.py --steps 50                # the bundled digits, a quick look

Each is trained on all the training images (T2 on the first 55,000 of MNIST's 60,000, as in its
tutorial) for the tutorial's number of epochs or steps, then the test set is looked at, once.
"""

import argparse
import sys
import time

from digitcnn import ARCHITECTURES, DigitCNN, load_dataset

# Test accuracies that the tutorials state; T3 states none.
PUBLISHED = {"cnn": "99.40%", "softmax": "about 92%", "same": "-", "strided": "about 99.2%", "batchnorm": "99.53%"}
N_VALIDATION = {"softmax": 5_000}


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the five graphs at their tutorials' settings.")
    parser.add_argument("--data", default="bundled", help="data set's name, or a folder of IDX files")
    parser.add_argument("--data-dir", help="folder to look in for named data sets first")
    parser.add_argument("--architectures", nargs="+", default=list(PUBLISHED), choices=PUBLISHED)
    parser.add_argument("--steps", type=int, help="train each for so many steps instead")
    parser.add_argument("--seed", type=int, default=27)
    arguments = parser.parse_args()

    dataset = load_dataset(arguments.data, arguments.data_dir)
    print("| graph | parameters | trained for | test accuracy | published | seconds |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name in arguments.architectures:
        settings = dict(ARCHITECTURES[name].settings)
        steps = arguments.steps or settings.pop("steps", None)
        settings.pop("steps", None)
        large = len(dataset.train_images) > 10 * N_VALIDATION.get(name, 0)
        training, _ = dataset.split(N_VALIDATION.get(name, 0) if large else 0)
        sizes = {"image_shape": dataset.image_shape, "n_classes": dataset.n_classes}
        with DigitCNN(architecture=name, random_seed=arguments.seed, **settings, **sizes) as model:
            start = time.perf_counter()
            model.train(training, steps=steps, verbose="bar")
            seconds = time.perf_counter() - start
            accuracy = model.evaluate(dataset.test_images, dataset.test_labels)["accuracy"]
            length = f"{steps:,} steps" if steps else f"{settings['epochs']} epochs"
            print(
                f"| {name} | {model.n_parameters:,} | {length} | {accuracy:.2%} | {PUBLISHED[name]} | {seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:  # a data set that is not there, a setting out of range
        sys.exit(f"error: {error}")
