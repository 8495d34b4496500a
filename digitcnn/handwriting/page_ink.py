"""Ink of a whole page: where it is and how strong, at a scale that follows the pen's stroke, not the picture's size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy import ndimage

from .ink import HYSTERESIS, Ink, otsu

# Pixels of the longest side at most. At 2,000, a pen of 0.5 mm is 3 pixels wide on a photo of an A4 page.
LONGEST_SIDE = 2_000
# Pixels that a stroke is reduced to. Thinner ones lose the gaps between strokes, wider ones only cost time.
STROKE = 5.0
# Pixels of the longest side on which the paper's brightness is found: shadows are smooth.
PAPER_SIDE = 500
# Least part of a stroke's pixels that is clear ink. The side of a faint square has a few such pixels by chance.
LEAST_CLEAR = 0.1
# Part of the noise's limit from where on there is ink, where dense squares have raised that limit.
FAINT = 0.75
# Writing is this many times as strong as the noise's limit, and covers this part of the page at least; noise does not.
STANDS_OUT, LEAST_INK = 1.5, 0.001
# Strokes are narrower than this part of the longest side; wider things are objects, not ink.
WIDEST_STROKE = 1 / 12


def reduce_grey(grey: np.ndarray, scale: float) -> np.ndarray:
    """Reduce uint8 [h, w] by `scale` <= 1, each pixel being the mean of those it covers."""
    if scale >= 1:
        return grey
    height, width = grey.shape
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))


@dataclass(frozen=True, eq=False)
class PageInk:
    """Strength of a page's ink, float32 [h, w] in 0..1, from where on it is weak and clear, and the strokes' width."""

    strength: np.ndarray
    weak: float
    clear: float
    stroke: float

    @property
    def with_weak(self) -> Ink:
        """All ink, even weak, as rulings may be."""
        return Ink(self.strength, self.strength > self.weak)

    def without_weak(self, mask: np.ndarray) -> np.ndarray:
        """The components of bool [h, w] that have clear ink, and not in a few pixels of noise alone."""
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        clear = np.bincount(labels[self.strength > self.clear], minlength=count + 1)
        is_clear = clear > LEAST_CLEAR * np.bincount(labels.ravel(), minlength=count + 1)
        is_clear[0] = False
        return is_clear[labels]


def find_page_ink(grey: np.ndarray) -> PageInk:
    """The ink of a page uint8 [h, w], reduced where it is large or its strokes are wide."""
    scale = min(1.0, LONGEST_SIDE / max(grey.shape))
    ink = _find(reduce_grey(grey, scale))
    if ink.stroke > 1.5 * STROKE:
        ink = _find(reduce_grey(grey, scale * STROKE / ink.stroke))
    return ink


def usual_stroke_width(mask: np.ndarray) -> float:
    """Width of the strokes in bool [h, w], in pixels: the median pixel's, by `stroke_widths`; 0 without any."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if not count:
        return 0.0
    return usual_width(*stroke_widths(labels, count))


def usual_width(widths: np.ndarray, areas: np.ndarray) -> float:
    """Stroke width of most of the ink, of things with widths and areas float [n].

    Each thing counts by its length, so that a dark desk does not decide, if it is longer than
    specks are.
    """
    lengths = areas / widths
    lengths = np.where(lengths >= 6 * widths, lengths, 1e-3 * lengths)
    return weighted_median(widths, lengths)


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The value at half of the weight, of float [n] and float [n]."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(total, total[-1] / 2)]])


def stroke_widths(labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean stroke width and area of each of `count` things in int [h, w], float [count], in pixels.

    A stroke of length l and width w has l * w pixels and 2 * l of outline; an outline that is
    counted along the pixels' sides is 4 / pi times too long, as strokes have all directions.
    """
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:].astype(float)
    padded = np.pad(labels, 1)
    outlines = np.zeros(count + 1)
    for before, after in ((padded[1:], padded[:-1]), (padded[:, 1:], padded[:, :-1])):
        differs = before != after
        outlines += np.bincount(before[differs], minlength=count + 1)
        outlines += np.bincount(after[differs], minlength=count + 1)
    return 2 * areas / (outlines[1:] * np.pi / 4), areas


def _find(grey: np.ndarray) -> PageInk:
    """Ink of uint8 [h, w] at the same size."""
    values = _dark_on_light(grey.astype(np.float32))
    paper = _paper(values)
    strength = np.clip((paper - values) / np.maximum(paper, 1), 0, 1)
    weak, clear = _thresholds(strength)
    ink = PageInk(strength, weak, clear, 0.0)
    return replace(ink, stroke=usual_stroke_width(ink.without_weak(ink.with_weak.mask)))


def _dark_on_light(values: np.ndarray) -> np.ndarray:
    """Invert float32 [h, w] where the ink is lighter than the paper.

    Ink covers less than paper, so the differences from the mean of the neighbourhood are skewed towards it.
    """
    side = max(values.shape) // 6 | 1
    difference = values - ndimage.uniform_filter(values, side, mode="nearest")
    return 255 - values if np.mean(difference**3) > 0 else values


def _paper(values: np.ndarray) -> np.ndarray:
    """Brightness of the paper under each pixel of float32 [h, w]: a closing, which fills what is narrower than it."""
    height, width = values.shape
    scale = min(1.0, PAPER_SIDE / max(height, width))
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX))
    small = ndimage.median_filter(small, 3, mode="nearest")  # single bright pixels would spread over the window
    side = round(max(size) * WIDEST_STROKE) | 1
    closed = ndimage.grey_closing(small, (side, side), mode="nearest")
    closed = ndimage.uniform_filter(closed, max(side // 4, 1), mode="nearest")
    return np.asarray(Image.fromarray(closed).resize((width, height), Image.Resampling.BILINEAR))


def _thresholds(strength: np.ndarray) -> tuple[float, float]:
    """From where on strength float32 [h, w] is weak ink and clear ink: Otsu's threshold near edges, with hysteresis.

    On a page, nearly all is paper, which would draw Otsu's threshold into its own noise: only
    pixels near something that stands out of the noise are counted.
    """
    sample = strength[:: max(strength.shape[0] // 500, 1), :: max(strength.shape[1] // 500, 1)]
    lower, middle, upper = np.percentile(sample, (25, 50, 75))
    # Dense squares cover more than a quarter of a page: they are above the middle, noise is on both sides of it.
    spread = min(upper - middle, 2 * (middle - lower) + 0.004)
    noise = max(middle + 4 * 1.48 * spread, 0.06)
    candidates = strength > noise
    wide = max(round(max(strength.shape) * WIDEST_STROKE / 2), 3)
    solid = ndimage.minimum_filter(candidates, wide, mode="nearest")  # a desk or a pen beside the page
    if solid.any():
        solid = ndimage.maximum_filter(solid, 2 * wide, mode="nearest")
    near = ndimage.maximum_filter(candidates, 5, mode="nearest") & ~solid
    if not near.any():
        return 1.0, 1.0
    between = otsu(strength[near])
    if between < noise and np.mean(strength > STANDS_OUT * noise) > LEAST_INK:  # writing on faint squares
        noise *= FAINT
    return max(HYSTERESIS * between, noise), max(between, noise)
