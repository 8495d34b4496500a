"""Which images five voting are wrong about though they do not doubt them: with some, the label is wrong."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from digitcnn.ensemble.combining import DOUBT_MEASURES, combined_labels

REJECTED = 0.005  # of the images
COLUMNS = ("image", "label", "answer", "probability", "draws", "wrong networks", "networks")


def left_after_rejecting(members: np.ndarray, measure: str) -> np.ndarray:
    """Rows of the images, all but those that five networks doubt most; members: probabilities [5, n, classes]."""
    doubt = DOUBT_MEASURES[measure](members)
    return np.argsort(doubt, kind="stable")[: len(doubt) - round(REJECTED * len(doubt))]


def sure_mistakes(drawn_members: Sequence[np.ndarray], networks: np.ndarray, labels: np.ndarray) -> list[dict]:
    """Images that draws of five are wrong about, and leave when they reject what they doubt most by their margin.

    Parameters
    ----------
    drawn_members : sequence of ndarray of float32, shape (5, n, classes)
        Probabilities of each draw.
    networks : ndarray of float32, shape (networks, n, classes)
        Those of all runs of these kinds.
    labels : ndarray of int, shape (n,)
        The data set's.

    Returns
    -------
    list of dict
        With the names of `COLUMNS`: the image's row, its label, what the mean of all networks answers and how probable
        that is, how many draws leave the mistake, how many networks make it, and of how many. Most draws first.
    """
    n_draws: Counter[int] = Counter()
    for members in drawn_members:
        left = left_after_rejecting(members, "margin")
        n_draws.update(left[combined_labels(members)[left] != labels[left]].tolist())
    mean = networks.mean(axis=0)
    n_wrong = (networks.argmax(axis=2) != labels).sum(axis=0)
    found = []
    for image, draws in sorted(n_draws.items(), key=lambda item: (-item[1], item[0])):
        answer = int(mean[image].argmax())
        about = image, int(labels[image]), answer, round(float(mean[image, answer]), 4)
        found.append(dict(zip(COLUMNS, (*about, draws, int(n_wrong[image]), len(networks)), strict=True)))
    return found


def write_sure_mistakes(file: Path, mistakes: Sequence[dict], n_draws: int) -> str:
    """Write the images as CSV; return a line about those that every draw is wrong about."""
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(mistakes)
    always = [each for each in mistakes if each["draws"] == n_draws]
    images = ", ".join(str(each["image"]) for each in always) or "none"
    by = ""
    if always:
        least, most = (pick(each["wrong networks"] for each in always) for pick in (min, max))
        by = f"; {least} to {most} of {always[0]['networks']} networks are wrong about each"
    return f"Images that all {n_draws} draws are wrong about and do not reject: {images}{by} ({file.name})"
