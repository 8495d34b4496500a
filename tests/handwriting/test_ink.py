"""Ink in shade and light, dark and light, thin and thick; printed lines; pieces of one digit."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from digitcnn.handwriting.digit_pieces import choose_pieces
from digitcnn.handwriting.digit_rulings import remove_rulings
from digitcnn.handwriting.ink import find_ink, is_dark_on_light, otsu
from digitcnn.handwriting.strokes import stroke_width, with_usual_strokes


def ring(width=10, size=(300, 240)):
    """Ink of a ring, bool [height, width]."""
    ink = Image.new("1", size)
    ImageDraw.Draw(ink).ellipse([80, 50, 200, 190], outline=1, width=width)
    return np.asarray(ink)


def share_alike(mask, other):
    return (mask & other).sum() / (mask | other).sum()


@pytest.mark.parametrize("is_light", [False, True])
@pytest.mark.parametrize(("width", "darkest"), [(3, 120), (10, 120), (40, 200)])
def test_find_ink_in_uneven_light(is_light, width, darkest):
    """The light falls by half across the picture; strokes wider than an eighth of the side need evener light."""
    ink = ring(width)
    light = np.linspace(240, darkest, 300)[None, :] * np.ones((240, 1))
    grey = (light * np.where(ink, 0.4, 1)).astype(np.uint8)
    found = find_ink(255 - grey if is_light else grey)
    assert found.strength.dtype == np.float32 and found.strength.min() >= 0 and found.strength.max() <= 1
    assert share_alike(found.mask, ink) > 0.9
    if not is_light:
        assert found.strength[ink].mean() == pytest.approx(0.6, abs=0.06)


def test_find_ink_single_colour_has_no_ink():
    for value in (0, 1, 100, 255):
        found = find_ink(np.full((30, 40), value, np.uint8))
        assert not found.mask.any() and not found.strength.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (8, 8), (500, 3)])
def test_find_ink_takes_every_size(shape, rng):
    found = find_ink(rng.integers(0, 256, shape).astype(np.uint8))
    assert found.strength.shape == found.mask.shape == shape


def test_polarity_where_a_shadow_covers_half():
    grey = np.full((200, 300), 220, np.uint8)
    grey[:, 140:] = 110
    grey[60:140, 60:66] = 40  # in the light
    assert is_dark_on_light(grey) and not is_dark_on_light(255 - grey)


def test_otsu_parts_two_classes(rng):
    values = np.concatenate([rng.uniform(0, 0.1, 900), rng.uniform(0.5, 0.7, 50)]).astype(np.float32)
    assert 0.1 <= otsu(values) <= 0.5


@pytest.mark.parametrize("tilt", [-4, 0, 2.5])
def test_remove_rules_keeps_ink(tilt):
    ink = ring()
    rules = Image.new("L", (500, 500))
    pen = ImageDraw.Draw(rules)
    for at in range(10, 500, 35):
        pen.line([0, at, 500, at], fill=60, width=3)
        pen.line([at, 0, at, 500], fill=60, width=3)
    rules = np.asarray(rules.rotate(tilt, Image.Resampling.BICUBIC))[130:370, 100:400] / 255
    strength = (1 - (1 - rules) * (1 - 0.7 * ink)).astype(np.float32)
    found = remove_rulings(strength)
    assert found[~ink].mean() < 0.25 * strength[~ink].mean()
    assert found[ink].mean() == pytest.approx(0.7, abs=0.05)


def test_remove_rules_keeps_a_one_as_high_as_the_picture():
    strength = np.zeros((200, 150), np.float32)
    strength[8:192, 70:80] = 0.8
    np.testing.assert_allclose(remove_rulings(strength), strength, atol=1e-6)


def test_choose_pieces_takes_what_is_near():
    mask = ring(6)
    flag, speck, scrap = (np.zeros_like(mask) for _ in range(3))
    flag[30:36, 120:180] = True
    speck[120:123, 230:233] = True
    scrap[150:200, :12] = True
    np.testing.assert_array_equal(choose_pieces(mask | flag | speck | scrap), mask | flag)
    np.testing.assert_array_equal(choose_pieces(scrap), scrap)  # alone, it is the digit


@pytest.mark.parametrize("width", [3, 8, 20])
def test_stroke_width_of_a_ring(width):
    assert stroke_width(ring(width)) == pytest.approx(width, rel=0.05, abs=0.7)


def test_with_usual_strokes_leaves_usual_ones():
    digit = ring(15)[50:191, 80:201].astype(np.float32)
    np.testing.assert_array_equal(with_usual_strokes(digit), digit)
    for width in (2, 45):
        digit = ring(width)[50:191, 80:201].astype(np.float32)
        changed = with_usual_strokes(digit)
        assert 1.6 <= stroke_width(changed > 0.5) * 20 / max(changed.shape) <= 4.4 or width == 45
        assert stroke_width(changed > 0.5) < width or width == 2
