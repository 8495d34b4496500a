"""Find all digits of a page: in reading order, by rows, grouped into numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .cuts import Candidate, Judge, part, without_blots
from .ink import Ink
from .page_ink import LONGEST_SIDE, find_page_ink, usual_stroke_width
from .page_pieces import find_pieces, join
from .page_rulings import remove_rulings
from .pictures import read_reduced
from .rows import find_numbers, find_rows
from .words import are_numbers

# Mean score of a page's pieces from which no other turn is tried. Measured on five pages with the weights that ship:
# upright and without words 0.998 and more, upside down up to 0.95, sideways up to 0.82.
UPRIGHT = 0.96
TURNS = (0, 90, 180, 270)  # degrees counter-clockwise


@dataclass(frozen=True, eq=False)  # arrays have no single truth value
class FoundDigit:
    """A digit of a page.

    `image` is as MNIST's are, uint8 [28, 28]; `box` is left, top, right, bottom in pixels of the picture; `is_cut`
    says whether connected ink was parted to find it, as that of digits that touch, or of a letter.
    """

    image: np.ndarray
    box: tuple[int, int, int, int]
    is_cut: bool = False

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FoundDigit):
            return NotImplemented
        return (self.box, self.is_cut) == (other.box, other.is_cut) and np.array_equal(self.image, other.image)

    def __hash__(self) -> int:
        return hash((self.box, self.is_cut))


@dataclass(frozen=True)
class Page:
    """The digits of a page: rows of numbers of digits.

    `shape` is the picture's height and width in pixels, upright by its EXIF data, and `turn` the
    degrees by which it was turned counter-clockwise to be read.
    """

    rows: tuple[tuple[tuple[FoundDigit, ...], ...], ...]
    shape: tuple[int, int]
    turn: int

    @property
    def digits(self) -> tuple[FoundDigit, ...]:
        """All digits in reading order.

        Returns
        -------
        tuple of FoundDigit
            Of the first row from left to right, then of the next.
        """
        return tuple(digit for row in self.rows for number in row for digit in number)


def find_digits(picture: Any, turn: int | None = 0, judge: Judge | None = None) -> Page:
    """Find all digits of a page, in reading order.

    Rulings, squares, lines of tables, boxes of forms, specks and what lies at the edge are removed,
    broken strokes joined, touching digits parted, and most words left out.

    Parameters
    ----------
    picture : path, bytes, binary file, PIL image or array
        As `load_digit` takes it; it is not changed.
    turn : int or None, default 0
        Degrees to turn the picture counter-clockwise first: 0, 90, 180 or 270. None tries the
        others where the judge doubts the first, and keeps the one whose numbers it is surest of.
    judge : callable, optional
        Takes images uint8 [n, 28, 28] and returns how much each is like a digit, probabilities
        float [n], as a network's highest one. It chooses where touching digits are parted, and
        tells words. Without it, widths and heights decide, which tell less.

    Returns
    -------
    Page
        Without rows, if no digit was found. Boxes are in pixels of the picture as it was given,
        upright by its EXIF data and not turned by `turn`.

    Raises
    ------
    TypeError
        If `picture` is of another type.
    ValueError
        If `turn` is another number, or None without a judge.
    PictureError
        If the picture cannot be read.
    OSError
        If the file is not there (FileNotFoundError) or cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from digitcnn import load_dataset
    >>> page = np.full((100, 200), 255, np.uint8)
    >>> for place, image in enumerate(load_dataset("bundled").test_images[:3]):
    ...     page[30:58, 30 + 40 * place : 58 + 40 * place] -= image.reshape(28, 28)
    >>> len(find_digits(page).digits)
    3
    """
    if turn is None and judge is None:
        raise ValueError("turn: expected 0, 90, 180 or 270, found None without a judge; give a judge to try all turns")
    if turn is not None and turn not in TURNS:
        raise ValueError(f"turn: expected 0, 90, 180 or 270 degrees, or None to try all, found {turn!r}")
    grey, shape = read_reduced(picture, LONGEST_SIDE)
    page_ink = find_page_ink(grey)
    ink = remove_rulings(page_ink.with_weak, page_ink.stroke)
    ink = Ink(ink.strength, page_ink.without_weak(ink.mask))
    page, evidence, mean_score = _read(ink, shape, turn or 0, judge)
    if turn is None and mean_score < UPRIGHT:
        turned = (_read(ink, shape, each, judge) for each in TURNS if each)
        page, _, _ = max([(page, evidence, mean_score), *turned], key=lambda each: each[1])
    return page


def _read(ink: Ink, shape: tuple[int, int], turn: int, judge: Judge | None) -> tuple[Page, float, float]:
    """The digits of a page turned by some degrees, how much speaks for them, and the mean score of all pieces."""
    strength, mask = np.rot90(ink.strength, turn // 90), np.rot90(ink.mask, turn // 90)
    pieces, height = find_pieces(Ink(strength, mask))
    joined = join(pieces, height)
    candidates = part(joined, strength, usual_stroke_width(mask), height, judge)
    page, evidence, mean_score = _group(candidates, height, mask.shape, shape, turn)
    # One piece alone does not tell which way is up.
    return page, evidence, mean_score if len(joined) > 1 else 1.0


def _group(
    candidates: list[Candidate], height: float, size: tuple[int, ...], shape: tuple[int, int], turn: int
) -> tuple[Page, float, float]:
    """Candidates by rows and numbers, without words; how much speaks for them, and the mean score of all."""
    candidates = without_blots(candidates)
    boxes = np.array([each.piece.box for each in candidates]).reshape(-1, 4)
    scores = np.array([each.score for each in candidates])
    is_cut = np.array([each.is_cut for each in candidates], bool)
    found = [FoundDigit(each.image, _on_picture(each.piece.box, size, shape, turn), each.is_cut) for each in candidates]
    rows, total = [], 0.0
    grouped = [find_numbers(row, boxes, height) for row in find_rows(boxes, height)]
    for row, evidence in zip(grouped, are_numbers(grouped, boxes, scores, is_cut), strict=True):
        numbers = [tuple(found[i] for i in number) for number, value in zip(row, evidence, strict=True) if value > 0]
        total += sum(value for value in evidence if value > 0)
        if numbers:
            rows.append(tuple(numbers))
    return Page(tuple(rows), shape, turn), total, float(scores.mean()) if len(scores) else 1.0


def _on_picture(
    box: tuple[int, int, int, int], size: tuple[int, ...], shape: tuple[int, int], turn: int
) -> tuple[int, int, int, int]:
    """A box on the page that was reduced and turned, as a box on the picture."""
    left, top, right, bottom = box
    height, width = size
    for _ in range(turn // 90):  # back, clockwise
        left, top, right, bottom = height - bottom, left, height - top, right
        height, width = width, height
    down, across = shape[0] / height, shape[1] / width
    return (
        int(left * across),
        int(top * down),
        min(int(np.ceil(right * across)), shape[1]),
        min(int(np.ceil(bottom * down)), shape[0]),
    )
