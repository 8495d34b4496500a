"""find_digits on pages that are drawn here: order, numbers, boxes, turns, rulings, touching digits, words."""

import subprocess
import sys

import numpy as np
import pytest
from messy_pages import PAPERS, STROKES, draw_digit, draw_word, make_page
from PIL import Image

from digitcnn import PictureError, find_digits


def write(*rows, height=60, pitch=110, gap=30, size=(700, 500)):
    """A white page with rows of digits, a space being a wide gap; uint8 [h, w], and each digit's box."""
    rng = np.random.default_rng(3)
    page, boxes = np.zeros(size[::-1], np.float32), []
    for number, text in enumerate(rows):
        x = 60
        for character in text:
            if character == " ":
                x += 2 * height
                continue
            ink = draw_digit(rng, int(character), height, 6)
            top = 60 + pitch * number
            page[top : top + ink.shape[0], x : x + ink.shape[1]] = np.maximum(
                page[top : top + ink.shape[0], x : x + ink.shape[1]], ink
            )
            boxes.append((x, top, x + ink.shape[1], top + ink.shape[0]))
            x += ink.shape[1] + gap
    return np.round(255 - 200 * page).astype(np.uint8), boxes


def near(found, boxes, pixels=6):
    return np.abs(np.array([digit.box for digit in found.digits]) - boxes).max() <= pixels


def test_reading_order_numbers_and_boxes():
    page, boxes = write("123 45", "678", "9")
    before = page.copy()
    found = find_digits(page)
    assert [[len(number) for number in row] for row in found.rows] == [[3, 2], [3], [1]]
    assert near(found, boxes) and found.shape == page.shape and found.turn == 0
    assert all(digit.image.shape == (28, 28) and digit.image.dtype == np.uint8 for digit in found.digits)
    np.testing.assert_array_equal(page, before)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_boxes_are_those_of_the_unturned_picture(turn):
    page, boxes = write("123", "456")
    sideways = np.rot90(page, -turn // 90)
    found = find_digits(sideways, turn)
    assert len(found.digits) == 6 and found.shape == sideways.shape and found.turn == turn
    for digit, (left, top, right, bottom) in zip(found.digits, boxes, strict=True):
        marked = np.zeros(page.shape, bool)
        marked[top:bottom, left:right] = True
        rows, columns = np.nonzero(np.rot90(marked, -turn // 90))
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.abs(np.subtract(digit.box, box)).max() <= 6


def test_boxes_of_a_large_picture_are_in_its_own_pixels():
    page, boxes = write("12", "34")
    large = np.asarray(Image.fromarray(page).resize((3500, 2500)))
    assert near(find_digits(large), 5 * np.array(boxes), 30)


def test_all_turns_are_tried_with_a_judge():
    page, _ = write("12", "45")
    upright = find_digits(page)
    known = {digit.image.tobytes() for digit in upright.digits}

    def judge(images):
        return np.array([0.99 if image.tobytes() in known else 0.5 for image in images])

    assert find_digits(page, None, judge).turn == 0
    found = find_digits(np.rot90(page, 3), None, judge)
    assert found.turn == 90 and len(found.digits) == 4


@pytest.mark.parametrize("shift", [0, 17])
def test_rulings_are_removed(shift):
    page, boxes = write("3869", "205")
    for row in range(20 + shift, 500, 55):
        page[row : row + 3] = np.minimum(page[row : row + 3], 90)
    found = find_digits(page)
    assert [[len(number) for number in row] for row in found.rows] == [[4], [3]]
    assert near(found, boxes, 10)


def test_squares_and_boxes_are_removed():
    page, _ = write("38 69", "205")
    squared, form = page.copy(), page.copy()
    for at in range(15, 700, 40):
        squared[:, at : at + 2] = np.minimum(squared[:, at : at + 2], 120)
        squared[at : at + 2] = np.minimum(squared[at : at + 2], 120)
    assert len(find_digits(squared).digits) == 7
    for top in (45, 155):
        form[top : top + 2, 30:600] = form[top + 90 : top + 92, 30:600] = 80
        for at in range(30, 601, 285):
            form[top : top + 90, at : at + 2] = 80
    assert len(find_digits(form).digits) == 7


def test_touching_digits_are_parted():
    page, boxes = write("304", gap=-2)
    found = find_digits(page)
    assert len(found.digits) == 3 and near(found, boxes, 12)


def test_judge_chooses_the_cuts():
    page, _ = write("30", gap=-2)
    asked = []

    def judge(images):
        asked.append(len(images))
        wide = (images > 60).any(1).sum(1)
        return np.where(wide >= 20, 0.3, 0.99)

    assert len(find_digits(page, judge=judge).digits) == 2
    assert asked[0] == 1 and len(asked) == 2, "one call for the pieces, one for all parts"


def test_broken_strokes_are_joined():
    page, _ = write("555")
    page[88:92, :110] = 255
    assert len(find_digits(page).digits) == 3


def test_words_are_left_out():
    page, _ = write("123", "456")
    small = draw_word(np.random.default_rng(1), "amount", 24)
    page[440 : 440 + small.shape[0], 60 : 60 + small.shape[1]] = np.round(255 - 200 * small)
    assert len(find_digits(page).digits) == 6, "by their size"
    large = draw_word(np.random.default_rng(1), "name", 60)
    page[380 : 380 + large.shape[0], 60 : 60 + large.shape[1]] = np.round(255 - 200 * large)
    known = np.array([digit.image for digit in find_digits(write("123", "456")[0]).digits], float)

    def judge(images):  # ink elsewhere on the page moves the threshold, and with it a few pixels
        return np.array([0.99 if np.abs(known - image).mean(axis=(1, 2)).min() < 5 else 0.6 for image in images])

    assert len(find_digits(page, judge=judge).digits) == 6, "by the judge"


def test_specks_and_scraps_are_left_out():
    page, _ = write("123", "456")
    rng = np.random.default_rng(2)
    for x, y in rng.integers(0, 480, (40, 2)):
        page[y : y + 2, x : x + 2] = 60
    page[:, 670:] = 40  # the desk beside the paper
    assert len(find_digits(page).digits) == 6


@pytest.mark.parametrize("label", STROKES)
def test_one_digit(label):
    page, boxes = write(str(label), height=200, size=(300, 340))
    found = find_digits(page)
    assert len(found.digits) == 1 and near(found, boxes)


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (200, 300)])
def test_blank_pictures_have_no_rows(shape):
    found = find_digits(np.full(shape, 200, np.uint8))
    assert found.rows == () and found.digits == () and found.shape == shape


def test_light_ink_on_dark_paper():
    page, boxes = write("123", "45")
    assert near(find_digits(255 - page), boxes)


def test_noise_ends_soon():
    noise = np.random.default_rng(1).integers(0, 256, (600, 800), np.uint8)
    assert len(find_digits(noise).digits) <= 1_000


def test_wrong_arguments():
    page, _ = write("1")
    with pytest.raises(ValueError, match="turn: expected 0, 90, 180 or 270 degrees, or None to try all, found 45"):
        find_digits(page, 45)
    with pytest.raises(ValueError, match="found None without a judge; give a judge"):
        find_digits(page, None)
    with pytest.raises(PictureError):
        find_digits(b"no picture")


@pytest.mark.parametrize("paper", PAPERS)
def test_made_pages_are_the_same_each_time(paper):
    # By its seed, digits 47 pixels high: a page of 90 takes four times as long.
    pages = [make_page(np.random.default_rng(2), None, paper, touching=False) for _ in range(2)]
    assert pages[0][1] == pages[1][1]
    np.testing.assert_array_equal(*(np.asarray(picture) for picture, _ in pages))
    picture, rows = pages[0]
    boxes = [box for row in rows for box in row.boxes]
    assert len(boxes) == sum(len(row.text) for row in rows) <= 20
    # Without a judge, words of a digit's size stay.
    found = [digit.box for digit in find_digits(picture).digits]
    middles = [((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom in boxes]
    hits = sum(any(b[0] <= x <= b[2] and b[1] <= y <= b[3] for b in found) for x, y in middles)
    assert hits >= 0.85 * len(boxes)


def test_finding_loads_no_tensorflow():
    code = (
        "import sys, numpy as np; from digitcnn import find_digits; find_digits(np.zeros((40, 40), np.uint8));"
        "print('tensorflow' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


@pytest.mark.parametrize(("seed", "number"), [(33, 12), (34, 17)])
def test_faint_squares_are_no_strokes(mnist, seed, number):
    """They are as faint as the noise that they raise, and decided how wide strokes are."""
    digits = mnist.test_images, mnist.test_labels
    page, rows = make_page(np.random.default_rng((seed, number)), digits, "squared")
    found = [digit.box for digit in find_digits(page).digits]
    boxes = np.array([box for row in rows for box in row.boxes])
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    right = sum(any((box[:2] <= m).all() and (m <= box[2:]).all() for box in np.array(found)) for m in middles)
    assert right >= 0.6 * len(boxes) and len(found) <= 2 * len(boxes)
