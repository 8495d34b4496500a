import numpy as np
import pytest

from digitcnn.reading.calibration import Calibration, fit_temperature


def test_temperature_divides_the_logits():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.9, 0.05, 0.05]])
    np.testing.assert_allclose(Calibration()(probabilities), probabilities)
    halved = Calibration(temperature=0.5)(probabilities)  # the squares, so that they sum to 1
    np.testing.assert_allclose(halved, probabilities**2 / (probabilities**2).sum(axis=1, keepdims=True))


def test_a_probability_of_zero_stays_a_number():
    assert Calibration(2.0)(np.array([[1.0, 0.0]])).tolist()[0][0] == pytest.approx(1)


def test_fit_finds_the_temperature_that_was_divided_by(rng):
    logits = rng.normal(0, 2, (20_000, 4))
    right = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(4, p=row) for row in right])
    overconfident = Calibration(1 / 3)(right)
    assert fit_temperature(overconfident, labels) == pytest.approx(3, rel=0.05)
    assert fit_temperature(right, labels) == pytest.approx(1, rel=0.05)


def test_smoothing_is_undone():
    """The target of training becomes nearly certain; without smoothing, nothing changes."""
    smoothed = np.array([[0.91, *[0.01] * 9]])
    assert Calibration.for_smoothing(0.1, 10)(smoothed).max() == pytest.approx(0.998)
    assert Calibration.for_smoothing(0.0, 10).temperature == 1
