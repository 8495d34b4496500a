"""Differences between a model and its exports, each in its own runtime.

    python tests/benchmarks/exports.py --data mnist
    python tests/benchmarks/exports.py --data mnist --architectures same batchnorm compact deep tapered

A model is trained in float32 for some epochs with its tutorial's settings and exported to each format; both predict
all test images. A format whose packages are not installed is skipped with a message.
"""

import argparse
import importlib
import tempfile
from pathlib import Path

import numpy as np
from runtimes import NEEDED, RUNTIMES

from digitcnn import ARCHITECTURES, DigitCNN, load_dataset

REPRESENTATIVE = 500  # images, as `digitcnn export` takes


def compare(model, images, representative, folder):
    """Yield (format, bytes, largest difference in probability, share of labels that are the same)."""
    probabilities, labels = model.predict(images, return_proba=True), model.predict(images)
    pixels = images.reshape(-1, 28, 28)
    for format, load in RUNTIMES.items():
        try:
            for module in NEEDED[format]:
                importlib.import_module(module)
        except ImportError as error:
            print(f"{format}: skipped, {error.name} is not installed", flush=True)
            continue
        some = {"representative": representative} if format == "tflite-int8" else {}
        path = Path(model.export(folder / format, format, **some))
        size = sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
        found, found_labels = load(path)(pixels)
        yield format, size, np.abs(found - probabilities).max(), np.mean(found_labels == labels)


def main(argv=None):
    parser = argparse.ArgumentParser(description="Differences between a model and its exports.")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--architectures", nargs="+", choices=tuple(ARCHITECTURES), default=["cnn"])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=27)
    arguments = parser.parse_args(argv)
    dataset = load_dataset(arguments.data, arguments.data_dir)
    representative = dataset.train_images[:: -(-len(dataset.train_images) // REPRESENTATIVE)]
    print("| architecture | its accuracy | format | bytes | largest difference in probability | same label |")
    print("| --- | ---: | --- | ---: | ---: | ---: |")
    for architecture in arguments.architectures:
        settings = ARCHITECTURES[architecture].settings | {"epochs": arguments.epochs, "random_seed": arguments.seed}
        settings.pop("steps", None)
        with (
            DigitCNN(architecture=architecture, precision="float32", **settings) as model,
            tempfile.TemporaryDirectory() as folder,
        ):
            model.train((dataset.train_images, dataset.train_labels), verbose=False)
            accuracy = model.evaluate(dataset.test_images, dataset.test_labels)["accuracy"]
            for format, size, difference, same in compare(model, dataset.test_images, representative, Path(folder)):
                row = f"| {architecture} | {accuracy:.2%} | {format} | {size:,} | {difference:.1e} | {same:.2%} |"
                print(row, flush=True)


if __name__ == "__main__":
    main()
