"""Warps against NumPy: identity, shifts, quarter turns, scaling."""

import numpy as np
import pytest
import tensorflow as tf

from digitcnn import DigitCNN
from digitcnn.graph.augmentation import Augmentation, affine_transforms, augment, cut_out

v1 = tf.compat.v1


def warp(images, draws, augmentation):
    """Warp images [n, size, size, 1] by given draws, [n, 5] or [n, 7], as `augment` does."""
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


def test_shear_slants_upright_strokes_about_the_centre():
    bar = np.zeros((1, 11, 11, 1), np.float32)
    bar[:, :, 5] = 1
    for draw, sign in ((1, 1), (-1, -1), (0.5, 0)):
        out = warp(bar, [[0, 0, 0, 0, 0, draw, 0]], Augmentation(shear=45))[0, :, :, 0]
        if sign:  # one pixel aside in each row
            np.testing.assert_allclose(out, np.eye(11)[:, ::-sign], atol=1e-4)
    centres = out @ np.arange(11) / out.sum(axis=1)  # half of the degrees
    np.testing.assert_allclose(np.diff(centres)[1:-1], -np.tan(np.pi / 8), atol=0.03)


def test_stretch_keeps_the_area():
    square = np.zeros((1, 21, 21, 1), np.float32)
    square[:, 7:14, 7:14] = 1
    for draw, (height, width) in ((1, (7 / 1.4, 7 * 1.4)), (-1, (7 * 1.4, 7 / 1.4)), (0, (7, 7))):
        out = warp(square, [[0, 0, 0, 0, 0, 0, draw]], Augmentation(stretch=0.4))[0, :, :, 0]
        assert out[:, 10].sum() == pytest.approx(height, abs=0.3)
        assert out[10].sum() == pytest.approx(width, abs=0.3)


def test_all_warps_at_once_are_one_product_of_matrices(rng):
    """Scaled and stretched, slanted, turned, shifted, from output to input coordinates about the centre."""
    draws = rng.uniform(-1, 1, (4, 7)).astype(np.float32)
    augmentation = Augmentation(rotation=30, scaling=0.2, shift=2, shear=20, stretch=0.3)
    found = affine_transforms(tf.constant(draws), augmentation, (9, 15)).numpy()
    for row, (turn, scale_x, scale_y, shift_x, shift_y, slant, stretch) in zip(found, draws.astype(float), strict=True):
        factor, angle = 1.3**stretch, np.radians(30 * turn)
        scaled = np.diag([(1 + 0.2 * scale_x) / factor, (1 + 0.2 * scale_y) * factor])
        slanted = np.array([[1, np.tan(np.radians(20 * slant))], [0, 1]])
        turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        product, centre = turned @ slanted @ scaled, np.array([7, 4])
        np.testing.assert_allclose(row[[0, 1, 3, 4]], product.ravel(), rtol=1e-5, atol=1e-6)
        moved = centre - product @ centre + 2 * np.array([shift_x, shift_y])
        np.testing.assert_allclose(row[[2, 5]], moved, rtol=1e-4, atol=1e-5)


def test_cut_out_sets_a_square_to_the_background(rng):
    images = rng.uniform(1, 2, (3, 6, 8, 1)).astype(np.float32)
    images[:, 5, 7] = [[-0.4], [-0.5], [-0.6]]
    out = cut_out(images, tf.constant([[0.5, 0.5], [0.0, 0.0], [0.999999, 0.999999]]), 3).numpy()
    expected = images.copy()
    expected[0, 2:5, 3:6] = -0.4
    expected[1, :2, :2] = -0.5  # as far as it is within
    expected[2, 4:, 6:] = -0.6
    np.testing.assert_array_equal(out, expected)
    even = cut_out(images, tf.constant([[0.5, 0.5]] * 3), 2).numpy()
    assert (even[0, 2:4, 3:5] == np.float32(-0.4)).all() and (even != images).sum() == 3 * 4


def test_form_and_cutout_leave_the_other_draws_as_they_are(images):
    """Numbers of their own streams; on images without a form, a slant alone changes nothing that a turn did."""
    rows = np.repeat(np.linspace(0, 1, 9, dtype=np.float32)[:, None], 9, axis=1)
    rows = np.repeat(rows[None, ..., None], 5, axis=0)  # the same in each column
    plain = drawn(rows, step=3, augmentation=Augmentation(shift=2))[0]
    slanted = drawn(rows, step=3, augmentation=Augmentation(shift=2, shear=30))[0]
    np.testing.assert_allclose(slanted, plain, atol=1e-5)
    cut = drawn(rows + 1, step=3, augmentation=Augmentation(shift=2, cutout=4))[0]
    same = np.isclose(cut, plain + 1, atol=1e-5).mean(axis=(1, 2, 3))
    assert ((same >= 1 - 16 / 81 - 0.01) & (same < 1)).all()


def test_cutouts_are_everywhere_and_depend_on_seed_name_and_step():
    white = np.ones((600, 12, 10, 1), np.float32)
    white[:, 0, 0] = 0
    cut = drawn(white, augmentation=Augmentation(cutout=4))[0]
    assert cut.min() == 0 and (drawn(white, augmentation=Augmentation(cutout=4))[0] == cut).all()
    share = 1 - cut.mean(axis=0)[..., 0]
    assert share[3:-3, 3:-3].min() > 0.08 and share[3:-3, 3:-3].max() < 0.19  # 16 of 120 places
    for other in ({"step": 1}, {"seed": 4}, {"name": "other"}):
        assert (drawn(white, augmentation=Augmentation(cutout=4), **other)[0] != cut).any()
    np.testing.assert_array_equal(drawn(white, augmentation=Augmentation(cutout=4))[1], white)


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
        ({"shear": 90}, "shear: expected degrees, 0 <= shear < 90, found 90"),
        ({"stretch": 1}, "stretch: expected a fraction, 0 <= stretch < 1, found 1"),
        ({"cutout": -1}, "cutout: expected a whole number in 0"),
        ({"cutout": 29}, "cutout: expected a whole number in 0..28, found 29"),
        ({"shift": float("nan")}, "shift: expected a number of pixels, at least 0, found nan"),
    ],
)
def test_bad_augmentation_settings_raise(settings, message):
    with pytest.raises(ValueError, match=message):
        DigitCNN(**settings)
