"""Part digits that touch: cuts through thin places, and which of them make the best digits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .ink import Ink
from .pieces import Piece

Judge = Callable[[np.ndarray], np.ndarray]

# Parts that a piece is cut into at most to try, and parts that one digit may be of.
MAX_PARTS, MAX_JOINED = 12, 4
# In heights of a digit: the least width between two cuts, the most of a digit, the usual one with its gap.
LEAST_WIDTH, MOST_WIDTH, USUAL_WIDTH = 0.12, 1.25, 0.75
# Of the height of the whole piece: the least of a digit in it.
LEAST_HEIGHT = 0.5
# Ink that a cut may cross, in widths of a stroke.
CROSSED = 2.5
# What a cut costs, in the logarithm of a probability, and a stroke's width that it crosses.
CUT_COST, INK_COST = 0.05, 0.1
# A piece that the judge takes for a digit as surely as this, and that is not too wide, is not cut.
SURE = 0.9


def part(pieces: list[Piece], ink: Ink, labels: np.ndarray, stroke: float, judge: Judge | None):
    """Part the pieces that are several digits. `labels` int [h, w] gets a new number for each part.

    Returns the pieces, their images uint8 [n, 28, 28] and how much each is like a digit, float [n].
    """
    images = [piece.image(ink, labels) for piece in pieces]
    scores = judged(images, judge)
    out: list[tuple[Piece, np.ndarray, float]] = []
    tried = []
    for piece, image, score in zip(pieces, images, scores, strict=True):
        wide = piece.width / piece.height
        if wide > 1.1 or (judge and (wide > 0.8 or score < SURE)):
            tried.append((piece, image, score))
        else:
            out.append((piece, image, score))
    chosen = [_cut(piece, labels, stroke) for piece, _, _ in tried]
    hypotheses, where = [], []
    for number, (parts, _) in enumerate(chosen):
        for first in range(len(parts)):
            for last in range(first + 1, min(first + MAX_JOINED, len(parts)) + 1):
                if last - first == len(parts):
                    continue
                joined = _join(parts[first:last])
                is_digit = joined.height >= LEAST_HEIGHT * tried[number][0].height
                if is_digit and joined.width <= MOST_WIDTH * joined.height:
                    hypotheses.append(joined)
                    where.append((number, first, last))
    pictures = [piece.image(ink, labels) for piece in hypotheses]
    values = judged(pictures, judge)
    by_place = {place: (h, p, v) for place, h, p, v in zip(where, hypotheses, pictures, values, strict=True)}
    for number, ((piece, image, score), (parts, crossed)) in enumerate(zip(tried, chosen, strict=True)):
        mine = {(first, last): found for (n, first, last), found in by_place.items() if n == number}
        mine[0, len(parts)] = (piece, image, score)
        if judge:
            out += _best(mine, crossed, len(parts))
        else:
            out += _by_width(mine, crossed, len(parts), piece)
    return [o[0] for o in out], [o[1] for o in out], np.array([o[2] for o in out])


def judged(images: list[np.ndarray], judge: Judge | None) -> np.ndarray:
    """What the judge says of uint8 [n, 28, 28], float [n]; 1 without one."""
    if not images or judge is None:
        return np.ones(len(images))
    return np.asarray(judge(np.stack(images)), float)


def _join(parts: list[Piece]) -> Piece:
    from .pieces import union

    return union(parts)


def _best(found: dict, crossed: np.ndarray, count: int) -> list:
    """The parts, of those at (first, last), whose probabilities have the greatest product, less the cost of the cuts."""
    value = [0.0] + [-np.inf] * count
    choice = [0] * (count + 1)
    for last in range(1, count + 1):
        for first in range(last):
            if (first, last) not in found:
                continue
            cost = CUT_COST + INK_COST * crossed[first - 1] if first else 0.0
            total = value[first] + np.log(max(found[first, last][2], 1e-6)) - cost
            if total > value[last]:
                value[last], choice[last] = total, first
    out = []
    last = count
    while last:
        out.insert(0, found[choice[last], last])
        last = choice[last]
    return out


def _by_width(found: dict, crossed: np.ndarray, count: int, piece: Piece) -> list:
    """The parts that are nearest to a digit's usual width, at cuts that cross little ink."""
    wanted = {}
    for place, (part_, image, _) in found.items():
        off = part_.width / piece.height / USUAL_WIDTH
        wanted[place] = (part_, image, float(np.exp(-(np.log(max(off, 0.01)) ** 2))))
    return [(p, image, 1.0) for p, image, _ in _best(wanted, crossed, count)]


def _cut(piece: Piece, labels: np.ndarray, stroke: float) -> tuple[list[Piece], np.ndarray]:
    """The parts of a piece between all its possible cuts, with new labels, and the ink that each cut crosses in strokes."""
    mask = piece.mask(labels)
    seams, crossed = _seams(mask, stroke)
    if not len(seams):
        return [piece], np.zeros(0)
    columns = np.arange(mask.shape[1])
    zone = (columns[None, :, None] > np.stack(seams, 1)[:, None, :]).sum(2)
    left, top, _, _ = piece.box
    inside = labels[top : piece.box[3], left : piece.box[2]]
    parts, kept = [], []
    number = int(labels.max())
    for part_ in range(len(seams) + 1):
        own = mask & (zone == part_)
        rows, cols = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
        if not len(rows):
            continue
        number += 1
        inside[own] = number
        box = (left + int(cols[0]), top + int(rows[0]), left + int(cols[-1]) + 1, top + int(rows[-1]) + 1)
        parts.append(Piece((number,), box))
        kept.append(crossed[part_ - 1] if part_ else 0.0)
    whole = tuple(label for p in parts for label in p.labels)
    object.__setattr__(piece, "labels", whole)
    return parts, np.array(kept[1:])


def _seams(mask: np.ndarray, stroke: float) -> tuple[list[np.ndarray], np.ndarray]:
    """Ways from top to bottom of bool [h, w] that cross little ink: the column in each row, and the ink crossed."""
    height, width = mask.shape
    step = 0.15  # of a pixel of ink: a way leaves the vertical only to save ink
    big = np.float32(1e9)
    cost = np.zeros((height, width), np.float32)
    came = np.zeros((height, width), np.int8)
    ink = mask.astype(np.float32)
    cost[0] = ink[0]
    for row in range(1, height):
        before = np.pad(cost[row - 1], 1, constant_values=big)
        ways = np.stack([before[1:-1], before[:-2] + step, before[2:] + step])
        came[row] = ways.argmin(0)
        cost[row] = ways.min(0) + ink[row]
    seams = np.empty((height, width), int)
    seams[-1] = np.arange(width)
    for row in range(height - 1, 0, -1):
        way = came[row, seams[row]]
        seams[row - 1] = seams[row] + np.where(way == 1, -1, np.where(way == 2, 1, 0))
    total = cost[-1]
    middle = seams.mean(0)
    least = max(LEAST_WIDTH * height, 2)
    possible = np.flatnonzero((total <= CROSSED * stroke) & (middle >= least) & (middle <= width - least))
    taken: list[int] = []
    for end in possible[np.argsort(total[possible], kind="stable")]:
        if all(abs(middle[end] - middle[other]) >= least for other in taken):
            taken.append(int(end))
        if len(taken) == MAX_PARTS - 1:
            break
    taken.sort(key=lambda end: middle[end])
    chosen = list(np.maximum.accumulate(seams[:, taken], axis=1).T) if taken else []
    return chosen, np.array([total[end] / stroke for end in taken])
