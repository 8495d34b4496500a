"""Width of a digit's strokes, and strokes as wide as MNIST's."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

BOX = 20  # the square that holds MNIST's digits, in pixels
# Of MNIST's training images, enlarged five times, 90% have strokes of 1.6 to 4.2 pixels, 2.6 in the mean. Widths within
# stay as they are, which keeps nearly all of MNIST's own digits. Pens and pencils in photos are thinner and get the
# usual width: real and made pictures are read alike with 2.0 to 2.4; with more, a 1 with a flag becomes a 7. Markers
# are wider and get the widest of these, as thinning loses loops and thin strokes.
USUAL_WIDTH = 2.2
USUAL_WIDTHS = (1.6, 4.2)
MAX_THINNING = 0.5  # of the half width of a digit's thinnest strokes
DETAIL = 100  # pixels of the longest side: a smaller digit is enlarged before its width is measured


def stroke_width(mask: np.ndarray) -> float:
    """Mean width of the strokes in pixels; `mask` is bool [height, width]."""
    inside = ndimage.distance_transform_edt(np.pad(mask, 1))
    # Across a stroke of width w, pixels are w / 4 inside in the mean, and half a pixel more to the next one's centre.
    return float(4 * (inside[inside > 0].mean() - 0.5))


def with_usual_strokes(digit: np.ndarray) -> np.ndarray:
    """A digit, float32 [height, width] in 0..1, whose strokes are made as wide as MNIST's where they are not.

    What is returned fills its own box, which may be larger or smaller than what was given.
    """
    side = max(digit.shape)
    scale = -(-DETAIL // side)
    size = digit.shape[1] * scale, digit.shape[0] * scale
    large = digit if scale == 1 else np.asarray(Image.fromarray(digit).resize(size, Image.Resampling.BICUBIC))
    mask = crop(large) > 0.5
    side = max(mask.shape)
    width = stroke_width(mask)
    if USUAL_WIDTHS[0] <= width * BOX / side <= USUAL_WIDTHS[1]:
        return digit
    wanted = USUAL_WIDTH if width * BOX / side < USUAL_WIDTHS[0] else USUAL_WIDTHS[1]
    # Growth at either edge, so that (width + 2 growth) / (side + 2 growth) is the wanted share of the box.
    growth = (wanted / BOX * side - width) / 2 / (1 - wanted / BOX)
    mask = np.pad(mask, int(max(growth, 0)) + 2)
    inside, outside = ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask)
    if growth < 0:  # thin strokes beside a blot stay
        is_ridge = mask & (inside == ndimage.maximum_filter(inside, 3))
        growth = max(growth, -MAX_THINNING * np.quantile(inside[is_ridge], 0.2))
    return crop(np.clip(np.where(mask, inside, 1 - outside) + growth, 0, 1).astype(np.float32))


def crop(digit: np.ndarray, level: float = 0.5) -> np.ndarray:
    """The box of what is above a level, in [height, width]; unchanged where nothing is."""
    above = digit > level
    rows, columns = np.flatnonzero(above.any(axis=1)), np.flatnonzero(above.any(axis=0))
    return digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if rows.size else digit
