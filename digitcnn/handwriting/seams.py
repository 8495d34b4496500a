"""Ways from top to bottom of a piece of ink that cross little of it, where touching digits may be cut apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

# In heights: how far from a place's straight line a way may lead, how far a way lies from the piece's ends at least, by
# how much two ways differ on average at least.
REACH, FROM_END, DIFFERENT = 0.13, 0.07, 0.06
# Columns for each row that ways lean by: handwriting leans to the right.
SLANTS = (0.0, 0.2, 0.4)
# What a step aside costs, in pixels of ink: little, as a way shall rather follow a gap than cross ink.
SIDE_STEP = 0.03
# What a pixel of a hole costs, in pixels of ink: few digits touch in two places, but many have a loop.
HOLE_COST = 1.0
# Ink that a way may cross, in widths of a stroke: two digits side by side may touch along some of their height.
MAX_INK = 8.0
# Ways that are tried at most, for each height of the piece's width.
MAX_SEAMS_PER_HEIGHT = 14


@dataclass(frozen=True, eq=False)
class Seam:
    """The first column right of a way in each row, int [h]; the number of places where it crosses ink."""

    columns: np.ndarray
    crossings: int


def find_seams(mask: np.ndarray, stroke: float) -> list[Seam]:
    """The different ways through bool [h, w] that cross the least ink, from left to right."""
    height, width = mask.shape
    ink = mask + HOLE_COST * (ndimage.binary_fill_holes(mask) & ~mask)
    ways, costs = [], []
    for slant in SLANTS:
        shift = np.round(slant * (height - 1 - np.arange(height))).astype(int)
        found = _ways(
            _leaned(ink.astype(np.float32), shift), max(round(FROM_END * height), 2), max(round(REACH * height), 1)
        )
        ways.append(np.clip(found[0] + shift[:, None] - shift.max(), 0, width))
        costs.append(found[1])
    columns, cost = np.concatenate(ways, 1), np.concatenate(costs)
    taken: list[int] = []
    most = MAX_SEAMS_PER_HEIGHT * width / height
    for number in np.argsort(cost, kind="stable"):
        if cost[number] > MAX_INK * stroke or len(taken) >= most:
            break
        parts = np.arange(width) < columns[:, number, None]
        right = np.count_nonzero(mask & ~parts)
        if not 0 < right < np.count_nonzero(mask):
            continue
        if all(np.abs(columns[:, number] - columns[:, other]).mean() >= DIFFERENT * height for other in taken):
            taken.append(int(number))
    taken.sort(key=lambda number: columns[:, number].mean())
    return [Seam(columns[:, number], _crossings(mask, columns[:, number])) for number in taken]


def _leaned(ink: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Float [h, w + range of shift]: each row of [h, w] moved to the right by the greatest shift less its own."""
    out = np.zeros((ink.shape[0], ink.shape[1] + int(np.ptp(shift))), np.float32)
    for row, by in enumerate(shift.max() - shift):
        out[row, by : by + ink.shape[1]] = ink[row]
    return out


def _ways(cost: np.ndarray, margin: int, half: int) -> tuple[np.ndarray, np.ndarray]:
    """The cheapest way near each of many places of float32 [h, w]: its columns int [h, n], and its cost float [n].

    The cheapest ways alone would all lead through the same gap.
    """
    height, width = cost.shape
    places = np.arange(margin, width - margin + 1, max(half // 2, 1))
    if not len(places):
        return np.zeros((height, 0), int), np.zeros(0)
    wide = np.pad(cost, ((0, 0), (half, half + 1)))
    bands = np.lib.stride_tricks.sliding_window_view(wide, 2 * half + 1, axis=1)[:, places]  # [h, n, band]
    total = bands[0]
    came = np.zeros(bands.shape, np.int8)
    for row in range(1, height):
        before = np.pad(total, ((0, 0), (1, 1)), constant_values=np.inf)
        steps = np.stack([before[:, :-2] + SIDE_STEP, before[:, 1:-1], before[:, 2:] + SIDE_STEP])
        best = steps.argmin(0)
        came[row] = best - 1
        total = steps.min(0) + bands[row]
    numbers = np.arange(len(places))
    columns = np.empty((height, len(places)), int)
    columns[-1] = total.argmin(1)
    for row in range(height - 1, 0, -1):
        columns[row - 1] = columns[row] + came[row, numbers, columns[row]]
    return columns + places - half, total.min(1)


def _crossings(mask: np.ndarray, columns: np.ndarray) -> int:
    """How often a way enters the ink."""
    on_ink = np.pad(mask, ((1, 0), (0, 1)))[np.arange(1, len(mask) + 1), columns]
    return int(np.count_nonzero(on_ink[1:] & ~on_ink[:-1]) + on_ink[0])
