"""What parts touching digits, and what is left out: loops, brackets, blots; a piece alone is not turned."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from digitcnn import find_digits
from digitcnn.handwriting.seams import find_seams


def drawn(*strokes, size=(300, 140), width=6):
    """A page with ink, uint8 [h, w]; an ellipse for each box of four numbers, a line for more or fewer."""
    page = Image.new("L", size, 255)
    draw = ImageDraw.Draw(page)
    for points in strokes:
        if len(points) == 4:
            draw.ellipse(points, outline=40, width=width)
        else:
            draw.line(points[1:], fill=40, width=width, joint="curve")
    return np.asarray(page)


def line(*points):
    return ("line", *points)


@pytest.mark.parametrize("gap", [0, -3])
def test_a_way_leads_between_a_loop_and_the_stroke_beside_it(gap):
    """Not through the loop, which crosses less ink."""
    loop = drawn((20, 20, 70, 110)) < 128
    stroke = drawn(line((74 + gap, 20), (74 + gap, 110)), line((74 + gap, 60), (110, 60))) < 128
    both = (loop | stroke)[:, 20:120]
    ways = [seam.columns for seam in find_seams(both[both.any(1)], 6.0)]
    rows = np.flatnonzero(both.any(1))
    of_loop = loop[:, 20:120][rows]
    shares = []
    for columns in ways:
        left = both[rows] & (np.arange(100) < columns[:, None])
        shares.append((left & of_loop).sum() / (left | of_loop).sum())
    assert max(shares) > 0.85


def by_width(images):
    """A judge that takes what is narrower than 12 pixels for a sure digit."""
    return np.where((images > 60).any(1).sum(1) < 12, 0.99, 0.2)


def test_brackets_and_what_they_enclose_are_no_number():
    bracket = [(66, 20), (58, 40), (56, 65), (58, 90), (66, 110)]
    mirrored = [(160 + 66 - x, y) for x, y in bracket]
    sign = [(80, 95), (95, 95), (85, 70), (110, 45), (135, 70), (125, 95), (142, 95)]
    digits = [line((at, 30), (at + 2, 105)) for at in (200, 220)]
    signs = [line(*bracket), line(*mirrored), line(*sign)]
    assert len(find_digits(drawn(*signs), judge=by_width).digits) == 0
    assert len(find_digits(drawn(*digits), judge=by_width).digits) == 2, "two of a 1"


def test_a_blot_is_no_digit():
    digits = [line((at, 30), (at + 4, 100)) for at in (20, 60, 100, 140, 180)]
    page = drawn(*digits).copy()
    assert len(find_digits(page, judge=lambda images: np.full(len(images), 0.99)).digits) == 5
    page[40:100, 240:260] = 40
    found = find_digits(page, judge=lambda images: np.full(len(images), 0.99)).digits
    assert len(found) == 5 and all(digit.box[0] < 200 for digit in found)


def test_digits_say_whether_they_were_cut():
    page = drawn((20, 20, 70, 110), (66, 20, 116, 110), (180, 20, 230, 110))
    found = find_digits(page, judge=lambda images: np.where((images > 60).any(1).sum(1) < 15, 0.99, 0.1))
    assert [digit.is_cut for digit in found.digits] == [True, True, False]


def test_one_piece_alone_is_not_turned():
    """It does not tell which way is up, and a letter would cost four times the time."""
    asked = []

    def judge(images):
        asked.append(len(images))
        return np.full(len(images), 0.2)

    assert find_digits(drawn((20, 20, 70, 110)), None, judge).turn == 0
    assert len(asked) <= 2, "for the piece, and for its parts"
