"""Pieces of ink that may each be a digit: connected components without specks and objects, broken strokes joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from .digit import normalize
from .ink import Ink
from .page_ink import stroke_widths, usual_width, weighted_median

# Components that are looked at, the largest: bounds the time for a picture of noise.
MAX_COMPONENTS = 1_000
# A component whose strokes are this much wider than the page's is no handwriting: a blot, a pen, the desk.
SOLID = 3.0
# A printed line that is left, as the side of a box: its width in strokes and in parts of its length at most.
THIN = (0.7, 0.1)
# In heights of a digit: what is smaller and belongs to nothing is a speck, a dot or a dash.
SMALL, SPECK = 0.4, 0.1
# A word in joined letters is longer than this many heights.
LONGEST = 4.0
# Gaps in heights of a digit over which strokes are joined: a small piece beside another, pieces one above the other,
# pieces side by side of which one is too low for a digit.
NEAR_SMALL, NEAR_ABOVE, NEAR_BESIDE = 0.2, 0.3, 0.12


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a page's ink: left, top, right, bottom in pixels, and its ink in this box, bool [height, width]."""

    box: tuple[int, int, int, int]
    mask: np.ndarray

    @property
    def width(self) -> int:
        """In pixels."""
        return self.mask.shape[1]

    @property
    def height(self) -> int:
        """In pixels."""
        return self.mask.shape[0]

    def image(self, strength: np.ndarray) -> np.ndarray:
        """As MNIST's digits are, uint8 [28, 28], of the page's strength of ink, float32 [h, w]."""
        left, top, right, bottom = self.box
        own = np.where(self.mask, strength[top:bottom, left:right], 0)
        return normalize(np.pad(own, 1), np.pad(self.mask, 1))


def piece_of(mask: np.ndarray, left: int, top: int) -> Piece:
    """The piece of the ink bool [h, w] whose first pixel is at a place of the page; the mask has some ink."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    first, start, end, last = int(rows[0]), int(columns[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    return Piece((left + start, top + first, left + end, top + last), mask[first:last, start:end])


def union(pieces: Sequence[Piece]) -> Piece:
    """One piece of several."""
    boxes = np.array([piece.box for piece in pieces])
    left, top = boxes[:, :2].min(0).tolist()
    right, bottom = boxes[:, 2:].max(0).tolist()
    mask: np.ndarray = np.zeros((bottom - top, right - left), bool)
    for piece in pieces:
        mask[piece.box[1] - top : piece.box[3] - top, piece.box[0] - left : piece.box[2] - left] |= piece.mask
    return Piece((left, top, right, bottom), mask)


def find_pieces(ink: Ink) -> tuple[list[Piece], float]:
    """The components of a page's ink that may be digits or strokes of them, and a digit's usual height in pixels."""
    labels, count = ndimage.label(ink.mask, np.ones((3, 3)))
    if not count:
        return [], 0.0
    slices = ndimage.find_objects(labels)
    boxes = np.array([[x.start, y.start, x.stop, y.stop] for y, x in slices])
    widths, areas = stroke_widths(labels, count)
    sizes = boxes[:, 2:] - boxes[:, :2]
    stroke = usual_width(widths, areas)
    is_stroke = (areas >= stroke**2) & (widths <= SOLID * stroke)
    is_written = is_stroke & (sizes[:, 1] >= 2.5 * stroke) & (sizes[:, 0] <= LONGEST * sizes[:, 1])
    if not is_written.any():
        return [], 0.0
    is_stroke &= (widths > THIN[0] * stroke) | (sizes.min(1) > THIN[1] * sizes.max(1))
    # By height, as a page has more letters and dots than digits.
    height = weighted_median(sizes[is_written, 1], sizes[is_written, 1])
    is_stroke &= (sizes.max(1) >= SPECK * height) & (sizes[:, 0] <= LONGEST * np.maximum(sizes[:, 1], height))
    kept = np.flatnonzero(is_stroke)
    kept = np.sort(kept[np.argsort(-areas[kept], kind="stable")[:MAX_COMPONENTS]])
    return [Piece(tuple(boxes[i].tolist()), labels[slices[i]] == i + 1) for i in kept], height


def join(pieces: list[Piece], height: float) -> list[Piece]:
    """Join the strokes of one digit, for digits about `height` pixels high; drop what stays too small for one."""
    groups = list(pieces)
    outlines = [_outline(piece) for piece in groups]
    waiting = sorted(range(len(groups)), key=lambda i: max(groups[i].width, groups[i].height))
    gone: set[int] = set()
    while waiting:  # the smallest first; what has grown is looked at again
        index = waiting.pop(0)
        if index in gone:
            continue
        boxes = np.array([piece.box for piece in groups])
        partner = _partner(index, groups, boxes, outlines, gone, height)
        if partner is not None:
            groups[partner] = union((groups[partner], groups[index]))
            outlines[partner] = np.concatenate([outlines[partner], outlines[index]])
            gone.add(index)
            if partner not in waiting:
                waiting.append(partner)
    joined = [piece for index, piece in enumerate(groups) if index not in gone]
    return [piece for piece in joined if max(piece.height, 0.6 * piece.width) >= SMALL * height]


def _partner(
    index: int, groups: list[Piece], boxes: np.ndarray, outlines: list, gone: set, height: float
) -> int | None:
    """The number of the piece that the piece `index` is a stroke of: the nearest of those that fit."""
    box = boxes[index]
    reach = max(NEAR_SMALL, NEAR_ABOVE, NEAR_BESIDE) * height
    apart = np.maximum(np.maximum(boxes[:, :2] - box[2:], box[:2] - boxes[:, 2:]), 0).max(1)
    best, least = None, np.inf
    for other in np.flatnonzero(apart <= reach).tolist():
        if other == index or other in gone:
            continue
        gap = float(cKDTree(outlines[other]).query(outlines[index])[0].min())
        if gap < least and _fits(groups[index], groups[other], gap / height, height):
            best, least = other, gap
    return best


def _fits(one: Piece, other: Piece, gap: float, height: float) -> bool:
    """Whether two pieces are strokes of one digit; `gap` in heights."""
    small, large = sorted((one, other), key=lambda piece: max(piece.width, piece.height))
    width = max(small.box[2], large.box[2]) - min(small.box[0], large.box[0])
    if max(small.box[3], large.box[3]) - min(small.box[1], large.box[1]) > 1.4 * height:
        return False
    size = max(small.width, small.height) / height
    if size < SMALL and gap <= NEAR_SMALL and width <= 1.2 * max(large.height, large.width):
        return True
    overlap = min(small.box[2], large.box[2]) - max(small.box[0], large.box[0])
    shared = overlap / min(small.width, large.width)
    if shared >= 0.5 and gap <= NEAR_ABOVE and width <= 1.3 * height:
        return True
    is_low = min(small.height, large.height) < 0.65 * height
    return is_low and gap <= NEAR_BESIDE and width <= height and min(small.width, small.height) < 0.5 * height


def _outline(piece: Piece) -> np.ndarray:
    """Rows and columns of its ink's outline on the page, int [n, 2]."""
    mask = np.pad(piece.mask, 1)
    edge = piece.mask & ~(mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:])
    return np.argwhere(edge) + np.array([piece.box[1], piece.box[0]])
