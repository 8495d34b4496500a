"""Standardization: the statistics of raw pixels, and scaling by them."""

import numpy as np
import pytest

from digitcnn import Standardization


def test_standardization_matches_numpy(rng):
    X = rng.integers(0, 256, (11_003, 784), dtype=np.uint8) // 3 * 2
    fitted = Standardization.fit(X)
    np.testing.assert_allclose(fitted.mean, X.mean(axis=0), rtol=1e-6)
    assert fitted.std == pytest.approx(X.std(), rel=1e-7)
    expected = (X[:50] - X.mean(axis=0)) / X.std()
    assert fitted(X[:50]).dtype == np.float32
    np.testing.assert_allclose(fitted(X[:50]), expected, atol=1e-5)


def test_unit_scales_to_0_1():
    np.testing.assert_allclose(
        Standardization.unit()(np.full((1, 784), 51, np.uint8)), np.full((1, 784), 0.2), rtol=1e-6
    )


def test_standardizing_constant_images_raises():
    with pytest.raises(ValueError, match="std: expected a positive number"):
        Standardization.fit(np.full((3, 784), 7, np.uint8))


def test_one_mean_for_all_pixels(rng):
    X = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    fitted = Standardization.fit(X, per_pixel=False, image_shape=(7, 3))
    np.testing.assert_allclose(fitted.mean, np.full(21, X.mean()), rtol=1e-6)
    assert fitted.std == pytest.approx(X.std(), rel=1e-6)
