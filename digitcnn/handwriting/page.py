"""Find all digits of a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .cuts import Judge, part
from .page_ink import LONGEST_SIDE, find_page_ink, stroke_width
from .pictures import read_reduced
from .pieces import find_pieces, join
from .rows import find_numbers, find_rows
from .rulings import remove_rulings


@dataclass(frozen=True, eq=False)
class FoundDigit:
    """x"""

    image: np.ndarray
    box: tuple[int, int, int, int]
    score: float = 1.0


@dataclass(frozen=True, eq=False)
class Page:
    """x"""

    rows: tuple[tuple[tuple[FoundDigit, ...], ...], ...]
    shape: tuple[int, int]
    turn: int

    @property
    def digits(self) -> tuple[FoundDigit, ...]:
        return tuple(digit for row in self.rows for number in row for digit in number)


def find_digits(picture: Any, turn: int = 0, judge: Judge | None = None) -> Page:
    grey, shape = read_reduced(picture, LONGEST_SIDE)
    grey = np.ascontiguousarray(np.rot90(grey, turn // 90))
    ink, _ = find_page_ink(grey)
    stroke = stroke_width(ink.mask)
    ink = remove_rulings(ink, stroke)
    labels, pieces, height = find_pieces(ink)
    pieces = join(pieces, labels, height)
    pieces, images, scores = part(pieces, ink, labels, stroke, judge)
    boxes = np.array([p.box for p in pieces]).reshape(-1, 4)
    rows = []
    digits = [FoundDigit(i, to_picture(p.box, ink.mask.shape, shape, turn), s) for i, p, s in zip(images, pieces, scores)]
    for row in find_rows(boxes, height):
        rows.append(tuple(tuple(digits[i] for i in n) for n in find_numbers(row, boxes, height)))
    return Page(tuple(rows), shape, turn)


def to_picture(box, size, shape, turn):
    left, top, right, bottom = box
    height, width = size
    for _ in range(turn // 90):  # back, clockwise
        left, top, right, bottom = height - bottom, left, height - top, right
        height, width = width, height
    fy, fx = shape[0] / height, shape[1] / width
    return (int(left * fx), int(top * fy), min(int(np.ceil(right * fx)), shape[1]), min(int(np.ceil(bottom * fy)), shape[0]))
