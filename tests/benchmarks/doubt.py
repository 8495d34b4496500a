"""What the weights that ship are sure of: letters and signs, blank paper and noise, MNIST's digits, real pictures.

    python tests/benchmarks/doubt.py --data-dir ~/data

The letters and signs resemble no digit; they are rendered in fonts that matplotlib and Pillow bring and that the
network was not trained on, black on white. `--data-dir` has `mnist/`, and `handwriting/` with `labels.csv`, as for
handwriting.py. "Not sure" counts what has no digit, or one below the threshold.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from digitcnn import Reader, load_dataset

CHARACTERS = "ACEFHKMNPRTUVWXYadefhkmnprtuvwx&@#%+=*?"
FONTS = ("STIXGeneral", "cmr10", "cmss10", "cmtt10", "cmb10")
N_LETTERS, N_EMPTY = 1_000, 100


def letters(rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Pictures of one character each, uint8 [200, 200]."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = [ImageFont.truetype(str(file), 110) for file in sorted(folder.glob("*.ttf")) if file.stem.startswith(FONTS)]
    fonts.append(ImageFont.load_default(110))
    for number in range(N_LETTERS):
        picture = Image.new("L", (200, 200), 255)
        character = CHARACTERS[number % len(CHARACTERS)]
        ImageDraw.Draw(picture).text((100, 100), character, 0, fonts[rng.integers(len(fonts))], anchor="mm")
        yield np.asarray(picture)


def empty(rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Blank paper with a gradient, and noise of several grains, uint8 [200, 200]."""
    for number in range(N_EMPTY):
        paper = rng.uniform(120, 250) + np.linspace(0, rng.uniform(-60, 5), 200)[:, None] + np.zeros(200)
        noise = ndimage.gaussian_filter(rng.standard_normal((200, 200)), rng.uniform(0, 4))
        paper += noise / noise.std() * (rng.uniform(0, 4) if number % 2 else rng.uniform(20, 60))
        yield np.clip(paper, 0, 255).astype(np.uint8)


def main() -> None:
    """Print a row for each kind."""
    parser = argparse.ArgumentParser(description="What the weights that ship are sure of.")
    parser.add_argument("--data-dir", default=os.environ.get("DIGITCNN_DATA"))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    print("| pictures | number | not sure |\n| --- | ---: | ---: |")
    with Reader.pretrained() as reader:
        kinds = {"letters and signs": letters(rng), "blank paper and noise": empty(rng)}
        if arguments.data_dir:
            folder = Path(arguments.data_dir) / "handwriting"
            with (folder / "labels.csv").open(encoding="utf-8") as lines:
                files = [folder / row["file"] for row in csv.DictReader(lines) if row["kind"] == "digit"]
            kinds["real pictures of digits"] = iter(files)
        for name, pictures in kinds.items():
            sure = [reader.read(picture).digits for picture in pictures]
            doubted = [not any(answer.is_sure for answer in digits) for digits in sure]
            print(f"| {name} | {len(doubted):,} | {np.mean(doubted):.1%} |", flush=True)
        if arguments.data_dir:
            mnist = load_dataset("mnist", arguments.data_dir)
            probabilities = reader.probabilities(mnist.test_images.reshape(-1, 28, 28)).max(axis=1)
            doubtful = np.mean(probabilities < reader.calibration.threshold)
            print(f"| MNIST's test digits | {len(probabilities):,} | {doubtful:.2%} |")


if __name__ == "__main__":
    main()
