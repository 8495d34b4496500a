"""Make data/bundled: scikit-learn's handwritten digits in MNIST's form.

    pip install scikit-learn
    python data/make_bundled.py

The 1,797 digits have 8x8 pixels in 0..16. Each is normalized as MNIST's digits were
(http://yann.lecun.com/exdb/mnist): the ink's bounding box is scaled to 20x20 pixels, keeping its
proportions, and placed in 28x28 pixels with its centre of mass in the middle. The first 1,437 digits
are for training and the last 360 for the test, in scikit-learn's order.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from digitcnn import write_idx

N_TRAIN = 1437  # digits for training
BOX, SIZE = 20, 28  # sides of the ink's box and of the picture, in pixels


def to_mnist_form(digit: np.ndarray) -> np.ndarray:
    """Scale and centre one digit: float [8, 8] in 0..16 to uint8 [28, 28] in 0..255."""
    rows, columns = np.nonzero(digit.max(axis=1))[0], np.nonzero(digit.max(axis=0))[0]
    ink = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    picture = Image.fromarray(np.uint8(np.round(ink * (255 / 16))))
    box = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
    mass = box.sum()
    top = round(SIZE / 2 - (box.sum(axis=1) @ (np.arange(height) + 0.5)) / mass)
    left = round(SIZE / 2 - (box.sum(axis=0) @ (np.arange(width) + 0.5)) / mass)
    top, left = np.clip(top, 0, SIZE - height), np.clip(left, 0, SIZE - width)
    page = np.zeros((SIZE, SIZE), np.uint8)
    page[top : top + height, left : left + width] = box
    return page


def main() -> None:
    """Write the four IDX files to the folder `bundled` beside this script."""
    digits = load_digits()
    images = np.stack([to_mnist_form(digit) for digit in digits.images])
    labels = digits.target.astype(np.uint8)
    folder = Path(__file__).parent / "bundled"
    folder.mkdir(exist_ok=True)
    for part, rows in (("train", slice(0, N_TRAIN)), ("t10k", slice(N_TRAIN, None))):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images[rows])
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels[rows])
        print(f"{part}: {len(labels[rows])} images, labels {np.bincount(labels[rows])}")


if __name__ == "__main__":
    main()
