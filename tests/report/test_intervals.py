"""accuracy_interval against published values and by simulation."""

import numpy as np
import pytest

from digitcnn.report.intervals import accuracy_interval


def test_accuracy_interval_published_values():
    """Newcombe, Statistics in Medicine 17, 1998, table I, method 3: Wilson's interval at 95%."""
    for n_correct, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert accuracy_interval(n_correct, n) == pytest.approx((low, high), abs=6e-5)


def test_accuracy_interval_contains_true_accuracy(rng):
    """Of 2,000 test sets of 500 images with a true accuracy of 97%, about 95% of the intervals contain it."""
    hits = [low <= 0.97 <= high for low, high in (accuracy_interval(k, 500) for k in rng.binomial(500, 0.97, 2000))]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.02)


def test_accuracy_interval_widens_with_confidence():
    limits = [accuracy_interval(355, 360, confidence) for confidence in (0.5, 0.9, 0.99)]
    lows, highs = zip(*limits, strict=True)
    assert sorted(lows, reverse=True) == list(lows) and sorted(highs) == list(highs)


@pytest.mark.parametrize("arguments", [(1, 0), (-1, 5), (6, 5), (1, 5, 1.0)])
def test_accuracy_interval_out_of_range_raises(arguments):
    with pytest.raises(ValueError, match="expected"):
        accuracy_interval(*arguments)
