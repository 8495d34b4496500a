"""Pieces of ink that may each be a digit: connected components, without specks and objects, broken strokes joined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from .digit import normalize
from .ink import Ink
from .page_ink import stroke_widths

# Components that are looked at, the largest: bounds the time for a picture of noise.
MAX_COMPONENTS = 2_000
# A component whose strokes are this much wider than the page's is no handwriting: a blot, a pen, the desk.
SOLID = 2.2
# In heights of a digit: what is smaller and belongs to nothing is a speck, a dot or a dash.
SMALL = 0.4
# Gaps in heights of a digit over which strokes are joined: a small piece beside another, pieces one above the other,
# pieces side by side of which one is too low for a digit.
NEAR_SMALL, NEAR_ABOVE, NEAR_BESIDE = 0.2, 0.3, 0.12


@dataclass(frozen=True)
class Piece:
    """Components that belong together, by their numbers in the page's labels; left, top, right, bottom in pixels."""

    labels: tuple[int, ...]
    box: tuple[int, int, int, int]

    @property
    def width(self) -> int:
        """In pixels."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> int:
        """In pixels."""
        return self.box[3] - self.box[1]

    def mask(self, labels: np.ndarray) -> np.ndarray:
        """Its ink within its box, bool [height, width], of the page's labels int [h, w]."""
        left, top, right, bottom = self.box
        inside = labels[top:bottom, left:right]
        return inside == self.labels[0] if len(self.labels) == 1 else np.isin(inside, self.labels)

    def image(self, ink: Ink, labels: np.ndarray) -> np.ndarray:
        """As MNIST's digits are, uint8 [28, 28]."""
        left, top, right, bottom = self.box
        mask = np.pad(self.mask(labels), 1)
        strength = np.pad(ink.strength[top:bottom, left:right], 1)
        return normalize(np.where(mask, strength, 0), mask)


def union(pieces) -> Piece:
    """One piece of several."""
    boxes = np.array([piece.box for piece in pieces])
    box = (*boxes[:, :2].min(0).tolist(), *boxes[:, 2:].max(0).tolist())
    return Piece(tuple(label for piece in pieces for label in piece.labels), box)


def find_pieces(ink: Ink) -> tuple[np.ndarray, list[Piece], float]:
    """The labels of a page's components int [h, w], the pieces that may be digits, and a digit's usual height."""
    labels, count = ndimage.label(ink.mask, np.ones((3, 3)))
    if not count:
        return labels, [], 0.0
    slices = ndimage.find_objects(labels)
    boxes = np.array([[x.start, y.start, x.stop, y.stop] for y, x in slices])
    widths, areas = stroke_widths(labels, count)
    sizes = boxes[:, 2:] - boxes[:, :2]
    stroke = _weighted_median(widths, areas / widths)
    is_stroke = (areas >= stroke**2) & (widths <= SOLID * stroke)
    is_written = is_stroke & (sizes[:, 1] >= 2.5 * stroke) & (sizes[:, 0] <= 4 * sizes[:, 1])
    if not is_written.any():
        return labels, [], 0.0
    height = _weighted_median(sizes[is_written, 1], sizes[is_written, 1])
    is_stroke &= sizes.max(1) >= 0.1 * height
    kept = np.flatnonzero(is_stroke)
    kept = np.sort(kept[np.argsort(-areas[kept], kind="stable")[:MAX_COMPONENTS]])
    pieces = [Piece((int(index) + 1,), tuple(boxes[index].tolist())) for index in kept]
    return labels, pieces, height


def join(pieces: list[Piece], labels: np.ndarray, height: float) -> list[Piece]:
    """Join the strokes of one digit, for digits about `height` pixels high; drop what stays too small for one."""
    groups = list(pieces)
    outlines = [_outline(piece, labels) for piece in groups]
    changed = True
    while changed:
        changed = False
        boxes = np.array([piece.box for piece in groups]).reshape(-1, 4)
        order = sorted(range(len(groups)), key=lambda i: max(groups[i].width, groups[i].height))
        for index in order:
            partner = _partner(index, groups, boxes, outlines, height)
            if partner is not None:
                groups[partner] = union((groups[partner], groups[index]))
                outlines[partner] = np.concatenate([outlines[partner], outlines[index]])
                del groups[index], outlines[index]
                changed = True
                break
    return [piece for piece in groups if max(piece.height, 0.6 * piece.width) >= SMALL * height]


def _partner(index: int, groups: list[Piece], boxes: np.ndarray, outlines: list, height: float) -> int | None:
    """The number of the piece that the piece `index` is a stroke of: the nearest of those that fit."""
    piece, box = groups[index], boxes[index]
    reach = max(NEAR_SMALL, NEAR_ABOVE, NEAR_BESIDE) * height
    apart = np.maximum(np.maximum(boxes[:, :2] - box[2:], box[:2] - boxes[:, 2:]), 0).max(1)
    near = [int(other) for other in np.flatnonzero(apart <= reach) if other != index]
    best, least = None, np.inf
    for other in near:
        gap = float(cKDTree(outlines[other]).query(outlines[index])[0].min())
        if gap < least and _fits(piece, groups[other], gap / height, height):
            best, least = other, gap
    return best


def _fits(small: Piece, large: Piece, gap: float, height: float) -> bool:
    """Whether two pieces are strokes of one digit; `gap` in heights."""
    both = union((small, large))
    size = max(small.width, small.height) / height
    if both.height > 1.4 * height:
        return False
    if size < SMALL and gap <= NEAR_SMALL and both.width <= 1.2 * max(both.height, large.width):
        return True
    overlap = min(small.box[2], large.box[2]) - max(small.box[0], large.box[0])
    shared = overlap / max(min(small.width, large.width), 1)
    if shared >= 0.5 and gap <= NEAR_ABOVE and both.width <= 1.3 * height:
        return True
    is_low = min(small.height, large.height) < 0.65 * height
    return is_low and gap <= NEAR_BESIDE and both.width <= height and min(small.width, small.height) < 0.5 * height


def _outline(piece: Piece, labels: np.ndarray) -> np.ndarray:
    """Rows and columns of its ink's outline, int [n, 2]."""
    mask = np.pad(piece.mask(labels), 1)
    inner = mask[1:-1, 1:-1]
    edge = inner & ~(mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:])
    return np.argwhere(edge) + [piece.box[1], piece.box[0]]


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The value at half of the weight."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(total, total[-1] / 2)]])
