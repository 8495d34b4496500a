"""Remove printed lines from a page's ink: rulings, squares, lines of tables, boxes of forms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .ink import Ink

# Lengths in widths of a stroke. The bar of a 7 is about 8 long; a line is at least 25 and one of
# several, or 50, or crosses the whole picture.
LINE, LONG_LINE = 25, 50
# Part of the picture's side that a line crosses to be one by itself.
CROSSES = 0.85
# A strip in which a line is taken for straight, in widths of a stroke.
STRIP = 2
# Part of a strip's columns, and of a line's strips, that have ink.
COVERED, FILLED = 0.8, 0.7
# Part of a strip's columns at least in which the line stands alone; strokes cross it in the others.
LEAST_SHARE_ALONE = 0.4
# A line's pieces on both sides of writing are one line: the gap at most, in widths of a stroke, and how far off in
# pixels the second may be from where the first points to, at once and for each pixel of the gap.
GAP, OFF, DRIFT = 60, 1.5, 0.015
# Pixels at a line's end that tell where it points to: paper bends.
NEAR_END = 400
# How near to another line a side of a box ends, in widths of a stroke.
JOINED, NEARLY_JOINED = 0.6, 1.2
# Strips that a line may miss, as writing covers it: a short one, and a long one.
MISSING, MAX_MISSING = 4, 16
# Rise of a line against the picture's side at most: 10 degrees.
SLOPE = 0.18


@dataclass(frozen=True, eq=False)
class Line:
    """A line found: its first and last column, its row at each column of these, its thickness and its strength."""

    left: int
    right: int
    rows: np.ndarray
    thickness: float
    strength: float

    @property
    def length(self) -> int:
        """In pixels along the picture's side."""
        return self.right - self.left


def remove_rulings(ink: Ink, stroke: float) -> Ink:
    """Ink without printed lines, whose strokes are about `stroke` pixels wide."""
    if not ink.mask.any():
        return ink
    across, down = find_lines(ink, stroke), find_lines(_turned(ink), stroke)
    height, width = ink.mask.shape
    kept_across = _are_rulings(across, width, stroke)
    kept_down = _are_rulings(down, height, stroke)
    kept_across = _extended(_continued(kept_across, across, stroke), height)
    kept_down = _extended(_continued(kept_down, down, stroke), width)
    # Sides of boxes end on lines that were found; where some do, those that nearly do are sides too.
    for reach in (JOINED, NEARLY_JOINED):
        sides_down = [
            line for line in down if not _is_in(line, kept_down) and _joins(line, kept_across, reach * stroke)
        ]
        sides_across = [
            line
            for line in across
            if not _is_in(line, kept_across) and _joins(line, kept_down + sides_down, reach * stroke)
        ]
        kept_down, kept_across = kept_down + sides_down, kept_across + sides_across
        if not sides_down + sides_across:
            break
    mask = ink.mask.copy()
    for line in kept_across:
        _erase(mask, ink, line)
    turned, mask_turned = _turned(ink), mask.T
    for line in kept_down:
        _erase(mask_turned, turned, line)
    if kept_across and kept_down:
        _drop_crossings(mask, 2 * max(line.thickness for line in kept_across + kept_down) + 1)
    return Ink(ink.strength, mask)


def _drop_crossings(mask: np.ndarray, size: float) -> None:
    """Erase from bool [h, w] what is left where lines cross: dots of at most `size` pixels."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    is_dot = np.zeros(count + 1, bool)
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        is_dot[number] = max(rows.stop - rows.start, columns.stop - columns.start) <= size
    mask[is_dot[labels]] = False


def find_lines(ink: Ink, stroke: float) -> list[Line]:
    """Thin, nearly level and straight lines, at least 6 strokes long; level strokes of digits are among them."""
    width = ink.mask.shape[1]
    strip = max(round(STRIP * stroke), 8)
    if width < 2 * strip:
        return []
    _, lengths = runs(ink.mask)
    thin = ink.mask & (lengths <= max(2 * stroke, 3))
    strips = width // strip
    inked, alone = (
        ndimage.maximum_filter1d(each, 3, axis=0)[:, : strips * strip].reshape(-1, strips, strip).mean(2)
        for each in (ink.mask, thin)
    )
    around = 2 * max(round(stroke), 2) + 1
    peaks = (
        (inked >= COVERED) & (alone >= LEAST_SHARE_ALONE) & (alone >= ndimage.maximum_filter1d(alone, around, axis=0))
    )
    chains = _chain(peaks, strip)
    lines = []
    for columns, rows in chains:
        if (columns[-1] - columns[0] + 1) * strip < 6 * stroke:
            continue
        line = _measure(ink, thin, lengths, columns * strip + strip // 2, rows)
        if line:
            lines.append(line)
    return lines


def runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First row and length of the vertical run of ink at each pixel of bool [h, w], int32 [h, w]; 0 long on paper."""
    height = mask.shape[0]
    rows = np.arange(height, dtype=np.int32)[:, None]
    starts = np.maximum.accumulate(np.where(mask, -1, rows), axis=0) + 1
    ends = np.minimum.accumulate(np.where(mask, height, rows)[::-1], axis=0)[::-1]
    return starts, np.where(mask, ends - starts, 0)


def _turned(ink: Ink) -> Ink:
    return Ink(ink.strength.T, ink.mask.T)


def _chain(peaks: np.ndarray, strip: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Chains of peaks bool [h, strips] from left to right: the numbers of their strips, and their rows."""
    open_chains: list[tuple[list[int], list[float]]] = []
    done: list[tuple[list[int], list[float]]] = []
    for column in range(peaks.shape[1]):
        levels, count = ndimage.label(peaks[:, column])
        # A plateau of equal coverage is one peak, in its middle.
        rows = list(ndimage.center_of_mass(peaks[:, column], levels, range(1, count + 1))) if count else []
        found = [row[0] for row in rows]
        still: list[tuple[list[int], list[float]]] = []
        for chain in open_chains:
            steps = column - chain[0][-1]
            slope = (chain[1][-1] - chain[1][-4]) / (chain[0][-1] - chain[0][-4]) if len(chain[0]) > 3 else 0.0
            reach = 1.5 + strip * steps * (0.04 if len(chain[0]) > 3 else SLOPE)
            expected = chain[1][-1] + slope * steps
            nearest = min(found, key=lambda row: abs(row - expected), default=None)
            if nearest is not None and abs(nearest - expected) <= reach:
                chain[0].append(column)
                chain[1].append(nearest)
                found.remove(nearest)
            (still if steps <= min(MISSING + len(chain[0]) // 3, MAX_MISSING) else done).append(chain)
        open_chains = still + [([column], [row]) for row in found]
    chains = [(np.array(columns), np.array(rows)) for columns, rows in done + open_chains]
    return [
        (columns, rows)
        for columns, rows in chains
        if len(columns) > 1 and len(columns) >= FILLED * (columns[-1] - columns[0] + 1)
    ]


def _measure(ink: Ink, thin: np.ndarray, lengths: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> Line | None:
    """The line through the given columns and rows, to where its ink ends, or None if it is not straight."""
    curve = np.polynomial.Polynomial.fit(columns, rows, 2 if len(columns) > 8 else 1)
    if np.sqrt(np.mean((curve(columns) - rows) ** 2)) > 1.5:
        return None
    height, width = ink.mask.shape
    half = (columns[1:] - columns[:-1]).min() // 2
    left, right = columns[0] - half, columns[-1] + half
    slope = (curve(right) - curve(left)) / max(right - left, 1)
    # To where the ink ends, as far as a strip, which was not covered enough.
    while left > 0 and left > columns[0] - 3 * half and _inked(ink.mask, left - 1, curve(left) - slope):
        left -= 1
    while right < width and right < columns[-1] + 3 * half and _inked(ink.mask, right, curve(right)):
        right += 1
    every = np.arange(left, right)
    levels = np.clip(np.interp(every, columns, rows), 0, height - 1)
    at = np.round(levels).astype(int)
    is_thin = thin[at, every]
    if is_thin.sum() < 0.4 * len(every):
        return None
    return Line(
        int(left),
        int(right),
        levels,
        float(np.median(lengths[at, every][is_thin])),
        float(np.median(ink.strength[at, every][is_thin])),
    )


def _inked(mask: np.ndarray, column: int, row: float) -> bool:
    """Whether there is ink at a column within a pixel of a row."""
    top = max(round(row) - 1, 0)
    return bool(mask[top : round(row) + 2, column].any())


def _are_rulings(lines: list[Line], side: int, stroke: float) -> list[Line]:
    """Those lines of a picture `side` pixels wide that are too long for a stroke of a digit."""
    long = [line for line in lines if line.length >= min(LINE * stroke, CROSSES * side)]
    kept = []
    for line in long:
        overlaps = (min(line.right, other.right) - max(line.left, other.left) for other in long if other is not line)
        is_one_of_many = line.length >= LINE * stroke and max(overlaps, default=0) > 0.5 * line.length
        if is_one_of_many or line.length >= min(CROSSES * side, LONG_LINE * stroke):
            kept.append(line)
    return kept


def _continued(kept: list[Line], lines: list[Line], stroke: float) -> list[Line]:
    """The kept lines, each with the other lines that continue it on both sides, as one."""
    others = [line for line in lines if line not in kept]
    out: list[Line] = []
    for line in sorted(kept, key=lambda line: -line.length):
        if _is_in(line, out):
            continue
        found = True
        while found:
            found = False
            for other in [*others, *kept]:
                if other is not line and not _covers(line, other) and _continues(line, other, stroke):
                    line, found = _merged(line, other), True
        out.append(line)
    return out


def _extended(kept: list[Line], most: int) -> list[Line]:
    """Lines as far as those beside them reach, as writing may hide the ends; rows stay below `most`.

    Where there is no line after all, nothing is as thin as one, so nothing is erased.
    """
    out = []
    for line in kept:
        beside = [
            other for other in kept if min(line.right, other.right) - max(line.left, other.left) > 0.5 * line.length
        ]
        left, right = min(other.left for other in beside), max(other.right for other in beside)
        before, after = np.arange(left, line.left), np.arange(line.right, right)
        columns = np.arange(line.left, line.right)
        near = NEAR_END
        rows = np.concatenate(
            [
                np.polynomial.Polynomial.fit(columns[:near], line.rows[:near], 1)(before),
                line.rows,
                np.polynomial.Polynomial.fit(columns[-near:], line.rows[-near:], 1)(after),
            ]
        )
        out.append(Line(left, right, np.clip(rows, 0, most - 1), line.thickness, line.strength))
    return out


def _is_in(line: Line, others: list[Line]) -> bool:
    """Whether a line is a part of one of the others."""
    return any(_covers(other, line) for other in others)


def _covers(line: Line, other: Line) -> bool:
    """Whether another line is a part of a line."""
    inside = line.left <= other.left and other.right <= line.right
    return inside and abs(np.median(line.rows[other.left - line.left : other.right - line.left] - other.rows)) < 2


def _continues(line: Line, other: Line, stroke: float) -> bool:
    """Whether another line, to the left or the right of a line, is where the line points to."""
    to_right = other.left > line.right - 2 * stroke
    gap = other.left - line.right if to_right else line.left - other.right
    if not -2 * stroke <= gap <= GAP * stroke or not 0.5 <= other.thickness / line.thickness <= 2:
        return False
    if not to_right and other.right > line.left + 2 * stroke:
        return False
    near = slice(-NEAR_END, None) if to_right else slice(None, NEAR_END)
    columns = np.arange(line.left, line.right)[near]
    points_to = np.polynomial.Polynomial.fit(columns, line.rows[near], 1)
    at = (other.left + other.right) / 2
    off = abs(points_to(at) - np.median(other.rows))
    return bool(off <= OFF + DRIFT * (max(gap, 0) + other.length / 2))


def _merged(line: Line, other: Line) -> Line:
    """One line through two that do not overlap by much, and the gap between them."""
    first, second = sorted((line, other), key=lambda each: each.left)
    columns = np.concatenate(
        [np.arange(first.left, first.right), np.arange(max(second.left, first.right), second.right)]
    )
    rows = np.concatenate([first.rows, second.rows[max(first.right - second.left, 0) :]])
    every = np.arange(first.left, second.right)
    return Line(first.left, second.right, np.interp(every, columns, rows), line.thickness, line.strength)


def _joins(line: Line, others: list[Line], reach: float) -> bool:
    """Whether a line ends at both ends on others, which run the other way, as thick as they are."""
    ends = ((line.left, line.rows[0]), (line.right, line.rows[-1]))
    near = [
        [
            other
            for other in others
            if other.left - 2 * reach <= row <= other.right + 2 * reach
            and abs(other.rows[int(np.clip(row - other.left, 0, len(other.rows) - 1))] - column)
            <= other.thickness / 2 + reach
        ]
        for column, row in ends
    ]
    if not all(near):
        return False
    thickness = np.mean([other.thickness for other in near[0] + near[1]])
    return 0.6 * thickness <= line.thickness <= 1.6 * thickness


def _erase(mask: np.ndarray, ink: Ink, line: Line) -> None:
    """Erase a line from bool [h, w], but where ink crosses it: there, the run is thicker or darker."""
    height = mask.shape[0]
    columns = np.arange(line.left, line.right)
    top = max(int(line.rows.min() - 3 * line.thickness) - 4, 0)
    bottom = min(int(line.rows.max() + 3 * line.thickness) + 5, height)
    starts, lengths = runs(ink.mask[top:bottom])
    level = np.round(line.rows).astype(int) - top
    most = line.thickness + max(1, 0.35 * line.thickness)
    for shift in (0, -1, 1, -2, 2):
        row = np.clip(level + shift, 0, bottom - top - 1)
        start, length = starts[row, columns], lengths[row, columns]
        erased = (length > 0) & (length <= most)
        erased &= ink.strength[top:bottom][row, columns] <= 1.4 * line.strength
        for column, first, count in zip(columns[erased], start[erased] + top, length[erased], strict=True):
            mask[first : first + count, column] = False
