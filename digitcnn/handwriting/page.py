"""Find all digits of a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .cuts import Judge, part
from .ink import Ink
from .page_ink import LONGEST_SIDE, find_page_ink, stroke_width
from .pictures import read_reduced
from .page_pieces import find_pieces, join
from .rows import find_numbers, find_rows
from .rulings import remove_rulings
from .words import are_numbers

TURNS = (0, 90, 180, 270)


@dataclass(frozen=True, eq=False)
class FoundDigit:
    """x"""

    image: np.ndarray
    box: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Page:
    """x"""

    rows: tuple[tuple[tuple[FoundDigit, ...], ...], ...]
    shape: tuple[int, int]
    turn: int

    @property
    def digits(self) -> tuple[FoundDigit, ...]:
        return tuple(digit for row in self.rows for number in row for digit in number)


def find_digits(picture: Any, turn: int | None = 0, judge: Judge | None = None) -> Page:
    grey, shape = read_reduced(picture, LONGEST_SIDE)
    page_ink = find_page_ink(grey)
    ink = remove_rulings(page_ink.with_weak, page_ink.stroke)
    ink = Ink(ink.strength, page_ink.without_weak(ink.mask))
    turns = TURNS if turn is None else (turn,)
    best, most = None, -np.inf
    for each in turns:
        page, evidence = _find(ink, shape, each, judge)
        if evidence > most:
            best, most = page, evidence
    return best


def _find(ink: Ink, shape, turn: int, judge) -> tuple[Page, float]:
    """digits of a page turned counter-clockwise by `turn` degrees, and how much speaks for them."""
    ink = Ink(np.rot90(ink.strength, turn // 90), np.rot90(ink.mask, turn // 90))
    pieces, height = find_pieces(ink)
    candidates = part(join(pieces, height), ink.strength, stroke_width(ink.mask), height, judge)
    boxes = np.array([each.piece.box for each in candidates]).reshape(-1, 4)
    scores = np.array([each.score for each in candidates])
    found = [
        FoundDigit(each.image, to_picture(each.piece.box, ink.mask.shape, shape, turn))
        for each in candidates
    ]
    rows = [find_numbers(row, boxes, height) for row in find_rows(boxes, height)]
    evidence = are_numbers(rows, boxes, scores)
    kept = [[n for n, e in zip(r, es, strict=True) if e > 0] for r, es in zip(rows, evidence, strict=True)]
    total = sum(e for es in evidence for e in es if e > 0)
    return Page(tuple(tuple(tuple(found[i] for i in n) for n in row) for row in kept if row), shape, turn), total


def to_picture(box, size, shape, turn):
    left, top, right, bottom = box
    height, width = size
    for _ in range(turn // 90):  # back, clockwise
        left, top, right, bottom = height - bottom, left, height - top, right
        height, width = width, height
    fy, fx = shape[0] / height, shape[1] / width
    return (int(left * fx), int(top * fy), min(int(np.ceil(right * fx)), shape[1]), min(int(np.ceil(bottom * fy)), shape[0]))
