"""Choose the pieces of ink that make up the digit of a picture, and tell pictures that hold no digit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..exceptions import NoDigitError
from .strokes import stroke_width

EIGHT = np.ones((3, 3), bool)  # ink hangs together across corners, too

# Which piece is the main one: long, in the middle, and not at the edge, where scraps of neighbours are.
OFF_CENTRE = 0.7  # of its length does not count for a piece at the edge, and the square of its way there before
AT_EDGE = 0.5  # of its length counts for a piece that touches the edge
# Which others belong to it. A 5's flag, a broken stroke and a slash do; specks and scraps do not.
NEAR = 0.4  # of the main piece's size: as far may a piece be from it
NEAR_AT_EDGE = 0.3  # of that, for pieces that touch the edge
NEAR_PIECE = 0.4  # of that, from any other piece that belongs to the digit
LEAST_PIECE = 0.05  # of the main piece's size, where it has as much ink as a dot of the pen
LEAST_STROKE = 0.25  # of the main piece's size: no speck, however thin
WIDE_FLAG = 1.4  # a digit is higher than it is wide: a broken-off flag tells its height by its width

# What no digit has. On 123 real pictures, 500 made ones and MNIST's, the extremes are those in brackets.
FAINT = 0.08  # of the paper's light (at least 0.33)
SMALL = 20  # pixels of the longest side: smaller pictures are only checked for being blank
FAINT_IN_NOISE = (0.15, 4.0)  # of the paper's light, and times what is beside it (at least 0.33)
# Noise: times as strong as 95% of what is beside it, and its share of all ink (real ones: at least 2.6; 0.7).
NOISE = ((1.8, 0.6), (1.25, 0.95))
MAX_PIECES_OF_A_DIGIT = 4  # fewer are no noise
TOO_LONG = 4.5  # times its size is the length of its strokes (at most 4.2)
TOO_SHORT = 0.7  # times its size (at least 0.87)
HOLES = 6  # as large as a dot of the pen (at most 3)
BLOT = 0.55  # of its size is the width of its strokes (at most 0.41; a disc or a square: 0.67)
SHADOW = 0.3  # of the paper's light, and it touches the edge (such a digit: at least 0.48)
WIDE_SHADOW = 0.45  # of the paper's light, and it touches two opposite edges
SPECK = 0.03  # of the longest side (at least 0.25)
SMALL_SHARE = (0.2, 20)  # of all ink, where there are more pieces than that (at least 0.7)


@dataclass(frozen=True, eq=False)  # arrays have no single truth value
class _Pieces:
    """Connected pieces of ink: numbers 1..n, int [height, width]; boxes, sizes and places, each of length n."""

    labels: np.ndarray
    boxes: list
    heights: np.ndarray
    widths: np.ndarray
    sizes: np.ndarray
    is_at_edge: np.ndarray
    off_centre: np.ndarray  # 0 in the middle, near 1 at the edge

    @classmethod
    def of(cls, mask: np.ndarray) -> _Pieces:
        """The pieces of a mask, bool [height, width], that has some ink."""
        labels, _ = ndimage.label(mask, EIGHT)
        boxes = ndimage.find_objects(labels)
        ends = [(rows.start, rows.stop, columns.start, columns.stop) for rows, columns in boxes]
        top, bottom, left, right = np.array(ends, float).T
        height, width = mask.shape
        return cls(
            labels=labels,
            boxes=boxes,
            heights=bottom - top,
            widths=right - left,
            sizes=np.maximum(bottom - top, right - left),
            is_at_edge=(top == 0) | (left == 0) | (bottom == height) | (right == width),
            off_centre=np.maximum(np.abs((top + bottom) / height - 1), np.abs((left + right) / width - 1)),
        )

    def mask_of(self, chosen: np.ndarray) -> np.ndarray:
        """Ink of the chosen pieces, bool [height, width], of bool [n]."""
        return np.concatenate([[False], chosen])[self.labels]

    def distances(self, chosen: np.ndarray) -> np.ndarray:
        """Pixels from each piece to the nearest chosen one, float [n], of bool [n]."""
        to_chosen = ndimage.distance_transform_edt(~self.mask_of(chosen))
        distances = np.full(len(chosen) + 1, np.inf)
        is_ink = self.labels > 0
        np.minimum.at(distances, self.labels[is_ink], to_chosen[is_ink])
        return distances[1:]


def touches_edge(mask: np.ndarray) -> bool:
    """Whether ink, bool [height, width], touches any edge."""
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def runs_across(mask: np.ndarray) -> bool:
    """Whether ink, bool [height, width], touches two opposite edges."""
    return bool((mask[0].any() and mask[-1].any()) or (mask[:, 0].any() and mask[:, -1].any()))


def choose_pieces(mask: np.ndarray) -> np.ndarray:
    """Ink of the digit alone, bool [height, width]: the main piece and what belongs to it; `mask` has some ink."""
    pieces = _Pieces.of(mask)
    count = len(pieces.sizes)
    if count == 1:
        return mask
    scores = pieces.sizes * (1 - OFF_CENTRE * pieces.off_centre**2) * np.where(pieces.is_at_edge, AT_EDGE, 1)
    main = int(np.argmax(scores))
    size = max(pieces.heights[main], WIDE_FLAG * pieces.widths[main])
    dot = stroke_width((pieces.labels == main + 1)[pieces.boxes[main]]) ** 2
    areas = np.bincount(pieces.labels.ravel(), minlength=count + 1)[1:]
    is_dot = (areas >= dot) & (pieces.sizes >= LEAST_PIECE * size)
    is_large = is_dot | (pieces.sizes >= LEAST_STROKE * size)
    if not np.delete(is_large, main).any():
        return pieces.labels == main + 1
    near = NEAR * size * np.where(pieces.is_at_edge, NEAR_AT_EDGE, 1)
    chosen = np.arange(count) == main
    chosen |= is_large & (pieces.distances(chosen) < near)
    while True:  # the rest of a broken stroke may be near to a piece of it alone
        more = chosen | (is_large & (pieces.distances(chosen) < NEAR_PIECE * near))
        if (more == chosen).all():
            return pieces.mask_of(chosen)
        chosen = more


def check_is_digit(strength: np.ndarray, mask: np.ndarray, digit: np.ndarray) -> None:
    """Raise NoDigitError for what is no digit, as far as ink alone tells.

    Parameters
    ----------
    strength : ndarray of float32, shape (height, width)
        How strong the ink is, in 0..1.
    mask : ndarray of bool, shape (height, width)
        Where all ink is.
    digit : ndarray of bool, shape (height, width)
        Where the ink of the digit is.

    Raises
    ------
    NoDigitError
        The message says what was found.
    """
    ink = float(np.median(strength[digit])) if digit.any() else 0.0
    if ink < FAINT:
        raise NoDigitError("expected a picture of a digit, found blank paper")
    side = max(mask.shape)
    if side < SMALL:
        return
    pieces = _Pieces.of(mask)
    count = len(pieces.sizes)
    share = digit.sum() / mask.sum()
    box = ndimage.find_objects(digit.astype(np.uint8))[0]
    own = digit[box]
    size, width = max(own.shape), stroke_width(own)
    holes, _ = ndimage.label(~np.pad(own, 1))
    n_holes = int((np.bincount(holes.ravel())[2:] >= width**2).sum())
    may_be_noise = count > MAX_PIECES_OF_A_DIGIT and share < NOISE[-1][1]
    times = ink / _strength_beside(strength, digit, pieces) if may_be_noise or ink < FAINT_IN_NOISE[0] else np.inf
    is_noise = may_be_noise and any(times < least and share < most for least, most in NOISE)
    if is_noise or (ink < FAINT_IN_NOISE[0] and times < FAINT_IN_NOISE[1]):
        raise NoDigitError("expected a picture of a digit, found noise, or blank paper with its grain")
    if share < SMALL_SHARE[0] and count > SMALL_SHARE[1]:
        raise NoDigitError(f"expected a picture of one digit, found {count} pieces of ink, none of which stands out")
    if own.sum() > TOO_LONG * width * size or n_holes > HOLES:
        raise NoDigitError("expected a picture of one digit, found many lines: a photo, a drawing, or a page of text")
    if width > BLOT * size or own.sum() < TOO_SHORT * width * size:
        raise NoDigitError("expected a picture of a digit, found a blot without strokes")
    if (touches_edge(digit) and ink < SHADOW) or (runs_across(digit) and ink < WIDE_SHADOW):
        raise NoDigitError("expected a picture of a digit, found a shadow at the picture's edge")
    if size < SPECK * side:
        raise NoDigitError(
            f"expected a picture of a digit, found a speck of {size} pixels; cut the picture to its digit"
        )


def _strength_beside(strength: np.ndarray, digit: np.ndarray, pieces: _Pieces) -> float:
    """What 95% of the picture beside the digit is fainter than, above 0; 0.001 where too little is beside it."""
    # A desk, a hand or a shadow is large and cut by the edge.
    is_desk = pieces.is_at_edge & (pieces.sizes > max(digit.shape) / 4)
    ink = ndimage.maximum_filter((digit | pieces.mask_of(is_desk)).astype(np.uint8), 5)  # with its soft edges
    beside = strength[ink == 0]
    return 1e-3 + (float(np.quantile(beside, 0.95)) if beside.size > digit.size / 10 else 0)
