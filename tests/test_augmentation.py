"""Warps against SciPy-free arithmetic: identity, shifts, quarter turns, mirror images of each other."""

import numpy as np
import pytest
import tensorflow as tf

from digitcnn import DigitCNN
from digitcnn import augmentation as augmentation_module
from digitcnn.augmentation import Augmentation, augment, spline_basis

v1 = tf.compat.v1


def warp(images, draws, augmentation, control=None):
    """Images [n, size, size, 1] by given draws [n, 5], as `augment` does."""
    if control is None:
        control = np.zeros((2, len(images), len(spline_basis(images.shape[1]))))
    draws, control = tf.constant(draws, tf.float32), tf.constant(control, tf.float32)
    return augmentation_module.warp(tf.constant(images), augmentation, draws, control).numpy()


@pytest.fixture
def images(rng):
    """Three images of 9x9 with an empty edge."""
    return np.pad(rng.random((3, 5, 5, 1), np.float32), ((0, 0), (2, 2), (2, 2), (0, 0)))


def test_no_draw_no_warp(images):
    out = warp(images, np.zeros((3, 5)), Augmentation(30, 0.2, 3))
    np.testing.assert_allclose(out, images, atol=1e-5)


def test_a_shift_of_whole_pixels(images):
    out = warp(images, [[0, 0, 0, 1, -0.5]] * 3, Augmentation(shift=2))
    np.testing.assert_allclose(out, np.roll(images, (1, -2), axis=(1, 2)), atol=1e-5)


def test_a_quarter_turn_is_about_the_centre(images):
    out = warp(images, [[1, 0, 0, 0, 0]] * 3, Augmentation(rotation=90))
    np.testing.assert_allclose(out, np.rot90(images, axes=(1, 2)), atol=1e-4)
    back = warp(out, [[-1, 0, 0, 0, 0]] * 3, Augmentation(rotation=90))
    np.testing.assert_allclose(back, images, atol=1e-4)


def test_scaling_is_for_height_and_width_apart():
    bar = np.zeros((1, 9, 9, 1), np.float32)
    bar[:, 2:7, 4] = 1  # 5 high, 1 wide
    half = warp(bar, [[0, 0, 1, 0, 0]], Augmentation(scaling=0.5))[0, :, 4, 0]
    assert half.sum() == pytest.approx(5 / 1.5, abs=0.4)  # 1.5 input pixels in an output pixel
    wide = warp(bar, [[0, 1, 0, 0, 0]], Augmentation(scaling=0.5))[0, :, 4, 0]
    np.testing.assert_allclose(wide, bar[0, :, 4, 0], atol=1e-5)


def test_the_elastic_way_is_the_affine_one_where_nothing_bends(images, rng):
    """Another implementation of the same warp."""
    draws = rng.uniform(-1, 1, (3, 5))
    straight = warp(images, draws, Augmentation(30, 0.2, 2))
    bent = warp(images, draws, Augmentation(30, 0.2, 2, elastic=1e-6), rng.normal(size=(2, 3, 25)))
    np.testing.assert_allclose(bent, straight, atol=1e-4)
    assert np.abs(straight - images).max() > 0.2


def test_a_displacement_moves_pixels_by_its_field(images):
    """Of rows, by a given field: what lies between two pixels is interpolated, what comes from outside is the edge."""
    control = np.zeros((2, 3, 25))
    control[0] = 1.0
    field = control[0, 0] @ spline_basis(9)
    out = warp(images, np.zeros((3, 5)), Augmentation(elastic=1.0), control)
    rows = np.arange(9)[:, None] + field.reshape(9, 9)
    for column in range(9):
        expected = np.interp(np.clip(rows[:, column], 0, 8), np.arange(9), images[1, :, column, 0])
        np.testing.assert_allclose(out[1, :, column, 0], expected, atol=1e-4)


def test_the_field_is_smooth_and_of_unit_deviation(rng):
    fields = rng.normal(size=(4000, len(spline_basis(28)))).astype(np.float32) @ spline_basis(28)
    np.testing.assert_allclose(fields.std(axis=0), 1, atol=0.06)
    fields = fields.reshape(-1, 28, 28)
    correlation = {d: np.mean(fields[:, :, : 28 - d] * fields[:, :, d:]) for d in (1, 6, 20)}
    # A Gaussian with sigma 4, convolved with itself, has exp(-d^2 / 64).
    assert correlation[1] > 0.95 and correlation[6] == pytest.approx(np.exp(-36 / 64), abs=0.12)
    assert abs(correlation[20]) < 0.1


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


def test_warps_follow_seed_name_and_step_and_are_for_training_only(images):
    same = np.repeat(images[:1], 3, axis=0)
    warped, left = drawn(same, step=7)
    np.testing.assert_array_equal(left, same)
    assert not np.allclose(warped[0], warped[1]) and not np.allclose(warped[1], warped[2])
    np.testing.assert_array_equal(warped, drawn(same, step=7)[0])
    for other in (drawn(same, 8), drawn(same, 7, seed=4), drawn(same, 7, name="other")):
        assert not np.allclose(warped, other[0])


def test_draws_stay_within_what_is_asked_for():
    """A dot in the middle of 400 images is moved by less than the shift, in all directions."""
    dot = np.zeros((400, 15, 15, 1), np.float32)
    dot[:, 7, 7] = 1
    moved = drawn(dot, augmentation=Augmentation(shift=3))[0][..., 0]
    place = np.arange(15)
    rows, columns = (moved.sum(axis=axis) @ place - 7 for axis in (2, 1))
    for offsets in (rows, columns):
        assert np.abs(offsets).max() <= 3.01 and offsets.min() < -2.5 and offsets.max() > 2.5
        assert abs(offsets.mean()) < 0.3


def test_a_model_warps_training_images_only(few):
    with DigitCNN(random_seed=1, fc_3_output_units=32, rotation=20, shift=2) as cnn:
        cnn.train(few, steps=1, verbose=False)
        np.testing.assert_array_equal(cnn.predict(few[0]), cnn.predict(few[0]))
        feed = {"tf_x:0": cnn.standardization(few[0][:9])}
        np.testing.assert_array_equal(cnn.sess.run("warped:0", feed), feed["tf_x:0"])
        warped = cnn.sess.run("warped:0", feed | {"is_training:0": True})
        assert np.abs(warped - feed["tf_x:0"]).max() > 0.5
        # One mean for all pixels, so that the background is the same everywhere.
        assert len(np.unique(cnn.standardization.mean)) == 1


@pytest.mark.parametrize("kind", [{"shift": 2, "rotation": 20, "scaling": 0.2}, {"elastic": 2, "shift": 2}])
def test_places_are_not_rounded_to_bfloat16(few, kind):
    """Images may be, by 1/256 of a pixel's value; where a pixel comes from must not."""
    found = []
    for precision in ("float32", "bfloat16"):
        with DigitCNN(random_seed=1, fc_3_output_units=32, precision=precision, **kind) as cnn:
            cnn.train(few, steps=1, verbose=False)
            feed = {"tf_x:0": cnn.standardization(few[0]), "tf_y:0": few[1], "is_training:0": True}
            # What the network is given in a step: fetched along with it, as the rewrite goes by what is fetched.
            found.append(cnn.sess.run(["warped:0", "train_op"], feed)[0])
    assert np.abs(found[0] - found[1]).max() < 0.02 * np.abs(found[0]).max()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rotation": 181}, "rotation: expected degrees in 0..180, found 181"),
        ({"scaling": 1}, "scaling: expected a fraction, 0 <= scaling < 1, found 1"),
        ({"shift": -1}, "shift: expected pixels in 0..14, found -1"),
        ({"elastic": 15}, "elastic: expected pixels in 0..14, found 15"),
        ({"shift": float("nan")}, "shift: expected pixels in 0..14, found nan"),
    ],
)
def test_bad_settings_are_told(settings, message):
    with pytest.raises(ValueError, match=message):
        DigitCNN(**settings)
