"""Reading order: pieces into rows, from top to bottom, and rows into numbers, from left to right."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .page_ink import weighted_median

# Of a row's usual height: how far a digit's middle may lie from its neighbours'.
SAME_ROW = 0.55
# Gaps between numbers: of the height, and of the row's usual gap; a gap of the last parts numbers in any case.
NUMBER_GAP, UNUSUAL_GAP, WIDE_GAP = 0.5, 1.6, 1.2


def find_rows(boxes: np.ndarray, height: float) -> list[list[int]]:
    """The numbers of the boxes int [n, 4] in each row in reading order; rows may slope and bend."""
    if not len(boxes):
        return []
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    level = middle[:, 1] - _slope(boxes, height) * middle[:, 0]
    rows: list[list[int]] = []
    for index in np.argsort(middle[:, 0], kind="stable"):
        best, least = None, SAME_ROW * height
        for row in rows:
            # The row's level here: of its last three.
            off = abs(level[index] - np.mean(level[row[-3:]]))
            if off < least:
                best, least = row, off
        if best is None:
            rows.append([int(index)])
        else:
            best.append(int(index))
    return sorted(rows, key=lambda row: float(np.mean(level[row])))


def find_numbers(row: list[int], boxes: np.ndarray, height: float) -> list[list[int]]:
    """Part a row into numbers, where the gap is wide."""
    gaps = np.array([boxes[b, 0] - boxes[a, 2] for a, b in pairwise(row)]) / height
    usual = float(np.median(gaps)) if len(gaps) else 0.0
    numbers = [[row[0]]]
    for index, gap in zip(row[1:], gaps, strict=True):
        if gap > max(NUMBER_GAP, UNUSUAL_GAP * usual) or gap > WIDE_GAP:
            numbers.append([])
        numbers[-1].append(index)
    return numbers


def _slope(boxes: np.ndarray, height: float) -> float:
    """Rise of the rows against the picture's side: the median from each box to its next on the right."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    slopes, weights = [], []
    for index, (x, y) in enumerate(middle):
        right = (middle[:, 0] > x + 0.3 * height) & (np.abs(middle[:, 1] - y) < 0.6 * height)
        right[index] = False
        if right.any():
            next_ = np.flatnonzero(right)[np.argmin(middle[right, 0])]
            distance = middle[next_, 0] - x
            slopes.append((middle[next_, 1] - y) / distance)
            weights.append(distance)
    if len(slopes) < 3:
        return 0.0
    return float(np.clip(weighted_median(np.array(slopes), np.array(weights)), -0.3, 0.3))
