"""How many pictures of single digits a network reads right: real ones by writer, MNIST through load_digit, messy ones.

    python tests/benchmarks/handwriting.py --messy 500 --seed 2                      # the weights that ship
    python tests/benchmarks/handwriting.py --run logs/mine --data-dir ~/data

`--data-dir` has `mnist/`, and `handwriting/` with pictures and `labels.csv` (columns file, kind, writer, label, note).
Each picture is read through `load_digit`; beside it stands what plain resizing by `load_picture` gives, and for MNIST
what the network says of the images themselves. What is taken for no digit counts as wrong.
"""

import argparse
import csv
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "handwriting"))
from messy import make_messy_set

from digitcnn import DigitCNN, NoDigitError, load_dataset, load_digit, load_picture

NO_DIGIT = -1


def read_all(model, sources):
    """Labels that a network gives pictures through load_digit, int [n], -1 for no digit; and the ms of one picture."""
    images, is_digit = np.zeros((len(sources), 28, 28), np.uint8), np.ones(len(sources), bool)
    start = time.perf_counter()
    for number, source in enumerate(sources):
        try:
            images[number] = load_digit(source)
        except NoDigitError:
            is_digit[number] = False
    milliseconds = 1e3 * (time.perf_counter() - start) / len(sources)
    return np.where(is_digit, model.predict(images), NO_DIGIT), milliseconds


def compare(name, labels, answers, plain, milliseconds):
    """Print a row: pictures, right through load_digit and without it, no digit, wrong ones, milliseconds."""
    right = answers == labels
    refused = int((answers == NO_DIGIT).sum())
    print(
        f"| {name} | {len(labels)} | {right.sum()} | {right.mean():.2%} | {(plain == labels).mean():.2%} "
        f"| {refused} | {milliseconds:.1f} |",
        flush=True,
    )


def measure_real(model, folder):
    """One row for each writer, for the photos and for all; then the names of what was read wrong."""
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = sorted((row for row in csv.DictReader(file) if row["kind"] == "digit"), key=lambda row: row["writer"])
    files = [folder / row["file"] for row in rows]
    labels = np.array([int(row["label"]) for row in rows])
    writers = np.array([row["writer"] for row in rows])
    answers, milliseconds = read_all(model, files)
    plain = model.predict(np.array([load_picture(file) for file in files]))
    # Photos at their own size; those of 28 x 28 pixels and the binarised ones are counted with the drawn.
    is_photo = np.array([row["note"].split(",")[0] in ("phone photo", "photo", "dark photo") for row in rows])
    parts = {writer: writers == writer for writer in dict.fromkeys(writers)}
    for name, part in {**parts, "photos": is_photo, "all real pictures": labels >= 0}.items():
        compare(name, labels[part], answers[part], plain[part], milliseconds)
    return [
        f"{file.name} as {answer}"
        for file, answer, label in zip(files, answers, labels, strict=True)
        if answer != label
    ]


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Accuracy on pictures of single digits.")
    parser.add_argument("--run", help="folder of a saved model (default: the weights that ship)")
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("DIGITCNN_DATA"))
    parser.add_argument("--messy", type=int, default=500, help="number of made pictures")
    parser.add_argument("--seed", type=int, default=2, help="of the made pictures")
    parser.add_argument("--images", type=int, default=10_000, help="of MNIST's test set")
    arguments = parser.parse_args(arguments)
    if arguments.data_dir is None:
        parser.error("--data-dir: expected a folder with mnist/ and handwriting/, found none")
    data = Path(arguments.data_dir)
    mnist = load_dataset("mnist", data) if (data / "mnist").is_dir() else None
    with DigitCNN.restore(arguments.run) if arguments.run else DigitCNN.pretrained() as model:
        print("| pictures | number | right | share | without load_digit | no digit | ms |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        wrong = measure_real(model, data / "handwriting") if (data / "handwriting").is_dir() else []
        if mnist is not None:
            images = mnist.test_images[: arguments.images].reshape(-1, 28, 28)
            labels = mnist.test_labels[: arguments.images]
            answers, milliseconds = read_all(model, images)
            compare("MNIST test", labels, answers, model.predict(images), milliseconds)
        if arguments.messy:
            digits = (mnist.test_images, mnist.test_labels) if mnist is not None else None
            made = list(make_messy_set(arguments.seed, arguments.messy, digits))
            labels = np.array([label for label, _ in made])
            answers, milliseconds = read_all(model, [picture for _, picture in made])
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "picture.png"
                plain = []
                for _, picture in made:
                    Image.fromarray(picture).save(file)
                    plain.append(load_picture(file))
            compare("messy", labels, answers, model.predict(np.array(plain)), milliseconds)
    print("read wrong:", ", ".join(wrong) or "none of the real pictures")


if __name__ == "__main__":
    main()
