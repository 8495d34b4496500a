"""Part digits that touch: of all cuts through thin places, those that make the best digits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from .page_ink import stroke_widths
from .page_pieces import Piece, piece_of
from .seams import Seam, find_seams
from .words import UNJUDGED

# How much each image uint8 [n, 28, 28] is like a digit: probabilities, float [n].
Judge = Callable[[np.ndarray], np.ndarray]

# In heights of the piece: the least and the most of a digit's width, its usual width with the gap beside it.
NARROWEST, WIDEST, USUAL_WIDTH = 0.08, 1.25, 0.75
# Of the height of the piece: the least of a digit in it.
LEAST_HEIGHT = 0.6
# Of the largest thing in a part: what is smaller and was torn off belongs to the neighbour.
SCRAP = 0.15
# Costs in the logarithm of a probability: a cut, a second place that it crosses (as that of a 0 does), a digit wider
# than USUAL_WIDEST of its height for each height more, and a cut through a piece narrower than its height, which is
# rather a letter, for each height less. With these, 96.8% of the digits of made pages (seeds 7 and 11) are right and
# 0.7% false; with a WIDE_COST of 5, 96.1% and 2.8%.
CUT_COST, CROSSING_COST, WIDE_COST, NARROW_COST = 0.4, 0.2, 1.5, 0.5
USUAL_WIDEST = 0.85
# The line that a digit is written with is at most about this many heights long (of MNIST's 0 to 9, 90% each are below
# 2.9); what each height more costs.
USUAL_LENGTH, LENGTH_COST = 2.8, 3.0
# A piece that the judge takes for a digit as surely as this, and that is not wider, is not cut.
SURE, SURE_WIDTH = 0.9, 0.9
# A blot is solid: it has strokes wider than this many usual ones, and than this part of its narrower side; there is a
# usual width of so many candidates.
BLOT, SOLID, MANY = 1.75, 0.4, 5
# Without a judge, what is wider than this many heights is cut.
CUT_WIDTH = 1.1
# Wider pieces are words, which are not cut, and so are those lower than this part of the usual height.
WORD_WIDTH, LOW = 4.0, 0.5
# The most that a part may count: many a letter has parts that look like digits.
PART_SCORE = 0.96


@dataclass(frozen=True, eq=False)
class Candidate:
    """A piece, its image uint8 [28, 28], how much it is like a digit, and whether it was cut off."""

    piece: Piece
    image: np.ndarray
    score: float
    is_cut: bool = False


def part(
    pieces: Sequence[Piece], strength: np.ndarray, stroke: float, height: float, judge: Judge | None
) -> list[Candidate]:
    """Part the pieces that are several digits.

    Parameters
    ----------
    pieces : sequence of Piece
        Of the page.
    strength : ndarray of float32, shape (h, w)
        The page's ink.
    stroke, height : float
        Usual width of a stroke and height of a digit, in pixels.
    judge : callable or None
        Tells how much images are like digits; without it, widths decide.

    Returns
    -------
    list of Candidate
        At least one for each piece.
    """
    whole = _candidates(pieces, strength, judge)
    doubtful = [candidate for candidate in whole if _is_doubtful(candidate, height, is_judged=judge is not None)]
    seams = [find_seams(candidate.piece.mask, stroke) for candidate in doubtful]
    places, parts = [], []
    for number, (candidate, ways) in enumerate(zip(doubtful, seams, strict=True)):
        for place, piece in _between(candidate.piece, ways, height).items():
            places.append((number, place))
            parts.append(piece)
    found: list[dict] = [{(0, len(ways) + 1): candidate} for candidate, ways in zip(doubtful, seams, strict=True)]
    for (number, place), candidate in zip(places, _candidates(parts, strength, judge), strict=True):
        found[number][place] = replace(candidate, is_cut=True)
    parted = {
        id(candidate): _best(mine, ways, height, by_width=judge is None)
        for candidate, ways, mine in zip(doubtful, seams, found, strict=True)
    }
    return [one for candidate in whole for one in parted.get(id(candidate), [candidate])]


def without_blots(candidates: list[Candidate]) -> list[Candidate]:
    """The candidates but for those whose strokes are much wider than the others'."""
    if len(candidates) < MANY:
        return candidates
    widths = np.array([_stroke(each.piece) for each in candidates])
    sides = np.array([min(each.piece.width, each.piece.height) for each in candidates])
    scores = np.array([each.score for each in candidates])
    usual = np.median(widths[scores >= SURE]) if (scores >= SURE).any() else np.median(widths)
    is_blot = (widths > BLOT * usual) & (widths > SOLID * sides)
    return [each for each, leave_out in zip(candidates, is_blot, strict=True) if not leave_out]


def _candidates(pieces: Sequence[Piece], strength: np.ndarray, judge: Judge | None) -> list[Candidate]:
    """Each piece with its image and score."""
    images = [piece.image(strength) for piece in pieces]
    if not images or judge is None:
        scores = np.full(len(images), UNJUDGED)
    else:
        scores = np.asarray(judge(np.stack(images)), float)
    return [Candidate(*each) for each in zip(pieces, images, scores.tolist(), strict=True)]


def _is_doubtful(candidate: Candidate, height: float, *, is_judged: bool) -> bool:
    """Whether a piece may be several digits."""
    piece = candidate.piece
    wide = piece.width / max(piece.height, height)  # a single digit may be low and wide
    if wide > WORD_WIDTH or piece.height < LOW * height:
        return False
    if not is_judged:
        return wide > CUT_WIDTH
    return candidate.score < SURE or wide > SURE_WIDTH or _length(piece) > USUAL_LENGTH * max(piece.height, height)


def _between(piece: Piece, seams: list[Seam], usual: float) -> dict[tuple[int, int], Piece]:
    """What lies between each two ways that do not cross, if it has a digit's size; the whole piece is left out.

    The piece's own ends are ways 0 and n + 1.
    """
    height, width = piece.mask.shape
    columns = [np.zeros(height, int), *(seam.columns for seam in seams), np.full(height, width)]
    at = np.arange(width)
    out = {}
    for first, left in enumerate(columns):
        for last in range(first + 1, len(columns)):
            right = columns[last]
            if last - first == len(columns) - 1 or (left > right).any():
                continue
            middle = (right - left).mean() / height
            if not NARROWEST <= middle <= WIDEST + 0.3:
                continue
            own = piece.mask & (at >= left[:, None]) & (at < right[:, None])
            if not own.any():
                continue
            between = piece_of(_without_scraps(own, piece.mask), *piece.box[:2])
            is_high = between.height >= LEAST_HEIGHT * max(height, usual)
            if is_high and NARROWEST * height <= between.width <= WIDEST * between.height:
                out[first, last] = between
    return out


def _without_scraps(own: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Bool [h, w] without the small things that a cut through bool [h, w] has torn off its neighbours."""
    labels, count = ndimage.label(own, np.ones((3, 3)))
    if count == 1:
        return own
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    beside = ndimage.binary_dilation(whole & ~own, np.ones((3, 3)))
    is_torn = np.bincount(labels[beside], minlength=count + 1)[1:] > 0
    is_kept = (areas == areas.max()) | ~is_torn | (areas > SCRAP * areas.max())
    return np.concatenate([[False], is_kept])[labels]


def _stroke(piece: Piece) -> float:
    """Mean width in pixels of the line that a piece is written with."""
    return float(stroke_widths(piece.mask.astype(np.int32), 1)[0][0])


def _length(piece: Piece) -> float:
    """Length in pixels of the line that a piece is written with."""
    return float(piece.mask.sum() / _stroke(piece))


def _best(
    found: dict[tuple[int, int], Candidate], seams: list[Seam], usual: float, *, by_width: bool
) -> list[Candidate]:
    """The parts from the first to the last way whose scores have the greatest product, less what the cuts cost."""
    count = len(seams) + 1
    whole = found[0, count].piece
    height = max(whole.height, usual)
    narrow = NARROW_COST * max(1 - whole.width / height, 0)
    value = [0.0] + [-np.inf] * count
    choice = [0] * (count + 1)
    for (first, last), candidate in sorted(found.items(), key=lambda each: (each[0][1], each[0][0])):
        wide = candidate.piece.width / height
        score = np.exp(-(np.log(wide / USUAL_WIDTH) ** 2)) if by_width else candidate.score
        total = value[first] + np.log(max(score, 1e-6)) - WIDE_COST * max(wide - USUAL_WIDEST, 0)
        total -= LENGTH_COST * max(_length(candidate.piece) / height - USUAL_LENGTH, 0)
        if first:
            seam = seams[first - 1]
            total -= CUT_COST + CROSSING_COST * max(seam.crossings - 1, 0) + narrow
        if total > value[last]:
            value[last], choice[last] = total, first
    out: list[Candidate] = []
    last = count
    while last:
        out.insert(0, found[choice[last], last])
        last = choice[last]
    if len(out) == 1:
        return out
    return [replace(each, score=min(each.score, PART_SCORE)) for each in out]
