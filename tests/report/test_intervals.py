import numpy as np
import pytest

from digitcnn.report.intervals import accuracy_interval


def test_published_values():
    """Newcombe, Statistics in Medicine 17, 1998, table I, method 3: Wilson's interval at 95%."""
    for n_correct, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert accuracy_interval(n_correct, n) == pytest.approx((low, high), abs=6e-5)


def test_it_covers(rng):
    """Of 2,000 test sets of 500 images read at a true accuracy of 97%, about 95% hold it."""
    hits = [low <= 0.97 <= high for low, high in (accuracy_interval(k, 500) for k in rng.binomial(500, 0.97, 2000))]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("arguments", [(1, 0), (-1, 5), (6, 5), (1, 5, 1.0)])
def test_misuse(arguments):
    with pytest.raises(ValueError, match="expected"):
        accuracy_interval(*arguments)
