"""Remove the printed lines of ruled and squared paper: thin, straight, from edge to edge, and fainter than ink."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

MAX_TILT = 5.0  # degrees that lines are off the picture's sides
COARSE_STEP, FINE_STEP = 0.5, 0.1  # degrees; over 500 pixels, 0.1 degrees are a pixel
COVERED = 0.35  # a line's strength is this quantile along it, so ink and gaps may hide as much and no more
EDGE = 0.03  # of the width: a line is there at both ends, where a digit as large as the picture stops short
LEAST_STRENGTH = 0.03  # of a line, above the other rows' median
MARGIN = 1.2  # what is taken away, of a line's strength, as it varies


def remove_rulings(strength: np.ndarray) -> np.ndarray:
    """Strength of ink without lines that run across the whole picture, float32 [height, width] in 0..1.

    Ink on a line keeps its own strength: printed line and ink both take a share of the light that comes to them.
    """
    across = _without_rows(strength)
    return np.ascontiguousarray(_without_rows(across.T).T)


def _without_rows(strength: np.ndarray) -> np.ndarray:
    """Strength without lines that run from the left edge to the right."""
    height, width = strength.shape
    faint = np.minimum(strength, np.float32(0.3))  # a line across counts for more than a dark stroke
    tilts = np.arange(-MAX_TILT, MAX_TILT + COARSE_STEP / 2, COARSE_STEP)
    tilt = max(tilts, key=lambda tilt: _sharpness(faint[:, ::8], tilt, 8))
    tilts = tilt + np.arange(-COARSE_STEP, COARSE_STEP + FINE_STEP / 2, FINE_STEP)
    tilt = max(tilts, key=lambda tilt: _sharpness(faint[:, ::4], tilt, 4))

    rows = _row_of(height, width, tilt, 1)
    step = max(1, width // 150)  # so many values along a line are enough
    some = rows[:, ::step]
    lines = np.full((int(rows.max()) + 1, some.shape[1]), np.nan, np.float32)  # NaN where the tilt has cut a row
    thick = ndimage.maximum_filter1d(strength, 3, axis=0)  # as lines bend a little
    lines[some, np.arange(some.shape[1])] = thick[:, ::step]
    counts = np.isfinite(lines).sum(axis=1)
    levels = np.sort(lines, axis=1)[np.arange(len(lines)), (COVERED * counts).astype(int)]
    levels[counts < 0.5 * lines.shape[1]] = 0
    end = max(1, round(EDGE * lines.shape[1]))
    ends = np.fmin(_medians(lines[:, :end]), _medians(lines[:, -end:]))
    is_line = (levels - np.median(levels) > LEAST_STRENGTH) & ~(ends < 0.5 * levels)
    behind = np.where(is_line, np.minimum(MARGIN * levels, 0.9), 0).astype(np.float32)[rows]
    return np.clip((strength - behind) / (1 - behind), 0, 1)


def _medians(lines: np.ndarray) -> np.ndarray:
    """The (lower) median of each row's numbers, float32 [n]; NaN where all are NaN, as of rows that are cut there."""
    middle = np.maximum(np.isfinite(lines).sum(axis=1) - 1, 0) // 2
    return np.sort(lines, axis=1)[np.arange(len(lines)), middle]  # NaN comes last


def _row_of(height: int, width: int, tilt: float, step: int) -> np.ndarray:
    """The row that each pixel belongs to when rows are tilted by degrees, int [height, width]; columns `step` apart."""
    shift = np.round(np.tan(np.radians(tilt)) * step * np.arange(width)).astype(np.intp)
    return np.arange(height)[:, None] + (shift - shift.min())[None, :]


def _sharpness(strength: np.ndarray, tilt: float, step: int) -> float:
    """How much neighbouring rows differ when rows are tilted by degrees: most where lines lie along them."""
    rows = _row_of(strength.shape[0], strength.shape[1], tilt, step).ravel()
    sums = np.bincount(rows, strength.ravel())
    return float((np.diff(sums) ** 2).sum())
