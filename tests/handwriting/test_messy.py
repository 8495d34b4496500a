"""The made pictures: they derive from the seed, and their digits are whole."""

import numpy as np
import pytest
from messy import WAYS, draw_digit, make_messy_set, make_messy_single
from PIL import Image


def test_make_messy_single_derives_from_the_seed():
    first, again, other = (make_messy_single(np.random.default_rng(seed), 3) for seed in (1, 1, 2))
    assert first.dtype == np.uint8 and first.ndim == 3 and first.shape[2] == 3
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or (first != other).any()


@pytest.mark.parametrize("label", WAYS)
def test_draw_digit_fills_its_box(label, rng):
    ink = draw_digit(rng, label, 100)
    assert 80 <= len(ink) <= 150
    assert ink.max() == 1 and all(side.max() > 0.2 for side in (ink[0], ink[-1], ink[:, 0], ink[:, -1]))


def test_make_messy_set_uses_given_digits(digits):
    """Every second ten; a label's picture has that label's digit."""
    labels = [label for label, _ in make_messy_set(1, 30, (digits.test_images, digits.test_labels))]
    assert labels == [*range(10)] * 3


def test_command_writes_pictures(tmp_path, monkeypatch, capsys):
    import messy

    monkeypatch.setattr("sys.argv", ["messy.py", str(tmp_path / "made"), "--count", "3"])
    messy.main()
    assert sorted(file.name for file in (tmp_path / "made").iterdir()) == ["0_0000.png", "1_0001.png", "2_0002.png"]
    with Image.open(tmp_path / "made" / "1_0001.png") as picture:
        assert picture.mode == "RGB"
    assert "3 pictures in" in capsys.readouterr().out
