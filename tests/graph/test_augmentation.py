"""Warps against NumPy: identity, shifts, quarter turns, scaling."""

import numpy as np
import pytest
import tensorflow as tf

from digitcnn import DigitCNN
from digitcnn.graph.augmentation import Augmentation, affine_transforms, augment

v1 = tf.compat.v1


def warp(images, draws, augmentation):
    """Warp images [n, size, size, 1] by given draws [n, 5], as `augment` does."""
    transforms = affine_transforms(tf.constant(draws, tf.float32), augmentation, images.shape[1:3])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=images.shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    ).numpy()


@pytest.fixture
def images(rng):
    """Three images of 9x9 pixels with an empty border."""
    return np.pad(rng.random((3, 5, 5, 1), np.float32), ((0, 0), (2, 2), (2, 2), (0, 0)))


def test_draws_of_zero_are_identity(images):
    out = warp(images, np.zeros((3, 5)), Augmentation(30, 0.2, 3))
    np.testing.assert_allclose(out, images, atol=1e-5)


def test_shift_by_whole_pixels(images):
    out = warp(images, [[0, 0, 0, 1, -0.5]] * 3, Augmentation(shift=2))
    np.testing.assert_allclose(out, np.roll(images, (1, -2), axis=(1, 2)), atol=1e-5)


def test_quarter_turn_is_about_the_centre(images):
    out = warp(images, [[1, 0, 0, 0, 0]] * 3, Augmentation(rotation=90))
    np.testing.assert_allclose(out, np.rot90(images, axes=(1, 2)), atol=1e-4)
    back = warp(out, [[-1, 0, 0, 0, 0]] * 3, Augmentation(rotation=90))
    np.testing.assert_allclose(back, images, atol=1e-4)


def test_height_and_width_scale_independently():
    bar = np.zeros((1, 9, 9, 1), np.float32)
    bar[:, 2:7, 4] = 1  # 5 high, 1 wide
    half = warp(bar, [[0, 0, 1, 0, 0]], Augmentation(scaling=0.5))[0, :, 4, 0]
    assert half.sum() == pytest.approx(5 / 1.5, abs=0.4)  # 1.5 input pixels in an output pixel
    wide = warp(bar, [[0, 1, 0, 0, 0]], Augmentation(scaling=0.5))[0, :, 4, 0]
    np.testing.assert_allclose(wide, bar[0, :, 4, 0], atol=1e-5)


def drawn(images, step=0, seed=3, name="warp", augmentation=None):
    with tf.Graph().as_default() as graph:
        v1.set_random_seed(seed)
        counter = v1.train.get_or_create_global_step()
        is_training = v1.placeholder_with_default(True, [])
        out = augment(tf.constant(images), augmentation or Augmentation(30, 0.2, 2), is_training, name)
        with v1.Session(graph=graph) as session:
            session.run(v1.global_variables_initializer())
            counter.load(step, session)
            return session.run(out), session.run(out, {is_training: False})


def test_warps_depend_on_seed_name_and_step_in_training_only(images):
    same = np.repeat(images[:1], 3, axis=0)
    warped, left = drawn(same, step=7)
    np.testing.assert_array_equal(left, same)
    assert not np.allclose(warped[0], warped[1]) and not np.allclose(warped[1], warped[2])
    np.testing.assert_array_equal(warped, drawn(same, step=7)[0])
    for other in (drawn(same, 8), drawn(same, 7, seed=4), drawn(same, 7, name="other")):
        assert not np.allclose(warped, other[0])


def test_shifts_stay_within_their_range():
    """A dot in the middle of 400 images moves by at most the shift, in all directions."""
    dot = np.zeros((400, 15, 15, 1), np.float32)
    dot[:, 7, 7] = 1
    moved = drawn(dot, augmentation=Augmentation(shift=3))[0][..., 0]
    place = np.arange(15)
    rows, columns = (moved.sum(axis=axis) @ place - 7 for axis in (2, 1))
    for offsets in (rows, columns):
        assert np.abs(offsets).max() <= 3.01 and offsets.min() < -2.5 and offsets.max() > 2.5
        assert abs(offsets.mean()) < 0.3


def test_model_warps_training_images_only(few):
    with DigitCNN(random_seed=1, fc_3_output_units=32, rotation=20, shift=2) as cnn:
        cnn.train(few, steps=1, verbose=False)
        np.testing.assert_array_equal(cnn.predict(few[0]), cnn.predict(few[0]))
        feed = {"tf_x:0": cnn.standardization(few[0][:9])}
        np.testing.assert_array_equal(cnn.sess.run("augmentation/warped:0", feed), feed["tf_x:0"])
        warped = cnn.sess.run("augmentation/warped:0", feed | {"is_training:0": True})
        assert np.abs(warped - feed["tf_x:0"]).max() > 0.5
        # One mean for all pixels, so that the background is the same everywhere.
        assert len(np.unique(cnn.standardization.mean)) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rotation": 181}, "rotation: expected degrees in 0..180, found 181"),
        ({"scaling": 1}, "scaling: expected a fraction, 0 <= scaling < 1, found 1"),
        ({"shift": -1}, "shift: expected a number of pixels, at least 0, found -1"),
        ({"shift": float("nan")}, "shift: expected a number of pixels, at least 0, found nan"),
    ],
)
def test_bad_augmentation_settings_raise(settings, message):
    with pytest.raises(ValueError, match=message):
        DigitCNN(**settings)
