"""A made-up evaluation, small enough to compute by hand."""

import numpy as np
import pandas as pd

from digitcnn.report.html import Evaluation

# Class 0: 50 images, 45 of them read right; class 1: 7 right; class 2: 1 right, 2 read as 0. The network is surer of
# later images. 3 and 4 have no image.
LABELS = np.repeat([0, 1, 2], [50, 7, 3])
PREDICTIONS = np.concatenate([np.repeat([0, 1], [45, 5]), np.ones(7, int), [2, 0, 0]])


def make_evaluation(**parts):
    """60 images of 9 x 13 pixels in five classes; some parts replaced."""
    certainty = np.linspace(0.6, 0.95, len(LABELS))
    probabilities = np.tile((1 - certainty[:, None]) / 4, (1, 5))
    probabilities[np.arange(len(LABELS)), PREDICTIONS] = certainty
    default = {
        "title": "cnn on digits",
        "images": np.arange(60 * 9 * 13).astype(np.uint8).reshape(60, 9, 13),
        "labels": LABELS,
        "probabilities": probabilities,
        "facts": {"trained": "12 steps"},
        "history": pd.DataFrame({"Epoch": [1, 2], "Loss": [0.5, 0.3], "Accuracy": [0.9, 0.95]}),
        "training_accuracy": {1: 0.8, 2: 0.9},
        "filters": np.linspace(-1, 1, 3 * 3 * 4).reshape(3, 3, 1, 4),
    }
    return Evaluation(**default | parts)


def make_short_evaluation(**parts):
    """The same without a learning curve and filters, which is drawn sooner."""
    return make_evaluation(history=None, filters=None, **parts)
