"""Find the ink in a grey picture: its polarity, the paper's brightness behind it, and where the ink is.

The strength of ink is the share of the paper's light that it takes away, (paper - grey) / paper, so a pencil in the shade
counts as much as one in the light.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

# The paper is seen around each stroke within a square of this share of the longest side, which must be wider than a
# stroke and narrower than a shadow.
PAPER_SQUARE = 1 / 8
WIDE_PAPER_SQUARE = 1 / 3  # for strokes wider than that, a thick marker's that fills the frame
KEPT_BY_NARROW_SQUARE = 0.7  # of the darkest ink's strength; below it the strokes are wider than the narrow square
LEAST_SQUARE = 17  # pixels; MNIST's strokes are up to 7 pixels wide in pictures of 28 x 28
PAPER_GRID = 160  # pixels of the longest side; brightness of paper is smooth, and found on a coarse picture
HYSTERESIS = 0.6  # faint ink beside clear ink counts from this share of the threshold
LEVELS = 256  # of the histogram from which the threshold comes


@dataclass(frozen=True, eq=False)  # arrays have no single truth value
class Ink:
    """How strong the ink is, float32 [height, width] in 0..1, and where there is any, bool [height, width]."""

    strength: np.ndarray
    mask: np.ndarray


def find_ink(grey: np.ndarray, square: int | None = None) -> Ink:
    """Find the ink of a picture.

    Parameters
    ----------
    grey : ndarray of uint8, shape (height, width)
        Dark ink on light paper, or light ink on dark paper.
    square : int, optional
        Side in pixels of the square within which some paper is seen beside each stroke; without it, the square comes
        from the picture's size and from the width of its strokes.

    Returns
    -------
    Ink
        All zero and False where the picture has a single colour.
    """
    dark = grey if is_dark_on_light(grey) else 255 - grey
    if square is not None:
        strength = _strength(dark, square)
    else:
        side = max(grey.shape)
        strength = _strength(dark, max(LEAST_SQUARE, round(side * PAPER_SQUARE)))
        wide = _strength(dark, max(LEAST_SQUARE, round(side * WIDE_PAPER_SQUARE)))
        darkest = wide >= 0.8 * np.quantile(wide, 0.998)
        if strength[darkest].mean() < KEPT_BY_NARROW_SQUARE * wide[darkest].mean():
            strength = wide
    return Ink(strength, threshold(strength))


def is_dark_on_light(grey: np.ndarray) -> bool:
    """Whether the ink is darker than the paper, which the border shows; uint8 [height, width].

    Dim paper may be darker than 127, so the extremes are compared with the border's median.
    """
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    paper = float(np.median(border))
    darkest, lightest = np.quantile(grey, (0.002, 0.998))  # single pixels are noise
    if darkest == lightest:  # less ink than that
        darkest, lightest = float(grey.min()), float(grey.max())
    return paper - darkest >= lightest - paper


def _strength(dark: np.ndarray, square: int) -> np.ndarray:
    """Share of the paper's light that is missing, float32 [height, width] in 0..1, of dark ink, uint8."""
    factor = max(1, max(dark.shape) // PAPER_GRID)
    coarse = np.asarray(Image.fromarray(dark).reduce(factor) if factor > 1 else dark)
    paper = ndimage.grey_closing(coarse, size=max(3, round(square / factor)), mode="nearest")
    paper = ndimage.uniform_filter(paper.astype(np.float32), 3, mode="nearest")
    paper = np.asarray(Image.fromarray(paper).resize(dark.shape[::-1], Image.Resampling.BILINEAR))
    paper = np.maximum(paper, 1)
    return np.clip((paper - dark) / paper, 0, 1)


def threshold(strength: np.ndarray) -> np.ndarray:
    """Where the ink is, bool [height, width]: above Otsu's threshold, and connected pixels above a share of it."""
    high = otsu(strength)
    labels, count = ndimage.label(strength > HYSTERESIS * high, np.ones((3, 3)))
    has_clear_ink = np.zeros(count + 1, bool)
    has_clear_ink[labels[strength > high]] = True
    has_clear_ink[0] = False
    return has_clear_ink[labels]


def otsu(values: np.ndarray) -> float:
    """The threshold in 0..1 that parts values in 0..1 into two classes of the least variance (Otsu, 1979)."""
    counts = np.bincount((values * (LEVELS - 1)).astype(np.uint8).ravel(), minlength=LEVELS).astype(float)
    below = counts.cumsum()
    sums = (counts * np.arange(LEVELS)).cumsum()
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(np.argmax(np.nan_to_num(between)) + 0.5) / (LEVELS - 1)
