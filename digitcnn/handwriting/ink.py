"""Find the ink in a grey picture: its polarity, the paper's brightness behind it, and where the ink is.

The strength of ink is the share of the paper's light that it takes away, (paper - grey) / paper, so a pencil in the
shade counts as much as one in the light.
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
KEPT_BY_NARROW_SQUARE = 0.9  # of the ink's strength; below it the strokes are wider than the narrow square
LEAST_LENGTH = 0.15  # of the longest side: shorter pieces do not decide about the square
SHADOW = 0.5  # what touches the edge and takes less of the light is taken for a shadow
LEAST_LIGHT = 64  # of 255: what is darker is no light ink, but the grain of a black picture
EVEN_BORDER = 0.25  # of the picture's range: a border that varies less shows the paper's brightness
POLARITY_SQUARE = 0.8  # of the longest side: paper covers more than half of such a square
POLARITY_GRID = 20  # pixels of the longest side, on which this is looked for
LEAST_SQUARE = 17  # pixels; MNIST's strokes are up to 7 pixels wide in pictures of 28 x 28
PAPER_GRID = 160  # pixels of the longest side; brightness of paper is smooth, and found on a coarse picture
LEAST_PAPER = 24  # of 255: a share of less light than that would be noise
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
    dark = grey if is_dark_on_light(grey) else _negative(grey)
    if square is not None:
        strength = _strength(dark, square)
        return Ink(strength, threshold(strength))
    square = max(LEAST_SQUARE, round(max(grey.shape) * PAPER_SQUARE))
    wide_square = max(LEAST_SQUARE, round(max(grey.shape) * WIDE_PAPER_SQUARE))
    strength = _strength(dark, square)
    if wide_square > square:
        wide = _strength(dark, wide_square)
        if _has_wide_strokes(strength, wide):
            strength = wide
    return Ink(strength, threshold(strength))


def _negative(grey: np.ndarray) -> np.ndarray:
    """Light ink on dark as dark ink on light, uint8 [height, width]; the light ink, however dim, becomes black."""
    lightest = max(LEAST_LIGHT, int(np.quantile(grey, 0.998)))
    return np.uint8(lightest) - np.minimum(grey, np.uint8(lightest))


def _has_wide_strokes(narrow: np.ndarray, wide: np.ndarray) -> bool:
    """Whether strokes are so wide that a narrow square shows no paper beside them; strengths, float32 [h, w]."""
    labels, count = ndimage.label(threshold(wide), np.ones((3, 3)))
    if not count:
        return False
    height, width = wide.shape
    boxes = ndimage.find_objects(labels)
    lengths = np.array([max(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in boxes])
    is_inside = np.array([r.start > 0 and c.start > 0 and r.stop < height and c.stop < width for r, c in boxes]) & (
        lengths > LEAST_LENGTH * max(height, width)
    )
    piece = labels == 1 + int(np.argmax(lengths * is_inside if is_inside.any() else lengths))
    strength = wide[piece].mean()
    is_shadow = not is_inside.any() and strength < SHADOW
    return bool(narrow[piece].mean() < KEPT_BY_NARROW_SQUARE * strength and not is_shadow)


def is_dark_on_light(grey: np.ndarray) -> bool:
    """Whether the ink is darker than the paper around it; uint8 [height, width].

    Dim paper may be darker than 127, so the extremes are compared with the paper: with the border's median where the
    border has one brightness, else, as a shadow may cover half of it, with the median of a large square around.
    """
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    low, paper, high = np.quantile(border, (0.1, 0.5, 0.9))
    darkest, lightest = np.quantile(grey, (0.002, 0.998))  # single pixels are noise
    if high - low <= EVEN_BORDER * (lightest - darkest):
        if darkest == lightest:  # less ink than that
            darkest, lightest = grey.min(), grey.max()
        return bool(paper - darkest >= lightest - paper)
    coarse = np.asarray(Image.fromarray(grey).reduce(max(1, max(grey.shape) // POLARITY_GRID)))
    near = ndimage.median_filter(coarse, round(POLARITY_SQUARE * max(coarse.shape)) | 1, mode="nearest")
    near = np.asarray(Image.fromarray(near).resize(grey.shape[::-1], Image.Resampling.NEAREST)).astype(np.float32)
    darkest, lightest = np.quantile(grey - near, (0.002, 0.998))
    return bool(-darkest >= lightest)


def _strength(dark: np.ndarray, square: int) -> np.ndarray:
    """Share of the paper's light that is missing, float32 [height, width] in 0..1, of dark ink, uint8."""
    factor = max(1, max(dark.shape) // PAPER_GRID)
    coarse = np.asarray(Image.fromarray(dark).reduce(factor) if factor > 1 else dark)
    reach = max(1, round(square / factor / 2))
    # Beyond the edges the paper goes on as it is there: without that, light that falls towards an edge looks like ink.
    around = np.pad(coarse, reach, mode="edge")
    paper = ndimage.grey_closing(around, size=2 * reach + 1)[reach:-reach, reach:-reach]
    paper = ndimage.uniform_filter(paper.astype(np.float32), 3, mode="nearest")
    paper = np.asarray(Image.fromarray(paper).resize(dark.shape[::-1], Image.Resampling.BILINEAR))
    return np.clip((paper - dark) / np.maximum(paper, LEAST_PAPER), 0, 1)


def threshold(strength: np.ndarray, values: np.ndarray | None = None) -> np.ndarray:
    """Where the ink is, bool [height, width]: above Otsu's threshold, and connected pixels above a share of it.

    The threshold is that of `values`, float32 [n], where they are given.
    """
    high = otsu(strength if values is None else values)
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
        between = np.nan_to_num(below * above * (sums / below - (sums[-1] - sums) / above) ** 2)
    best = np.flatnonzero(between >= (1 - 1e-6) * between.max())  # several where no value lies between the classes
    return float(best.mean() + 0.5) / (LEVELS - 1)
