"""Pictures of one digit become MNIST's form; other pictures raise NoDigitError."""

import io
from pathlib import Path

import numpy as np
import pytest
from messy import make_messy_set, make_paper
from PIL import Image, ImageDraw

from digitcnn import DigitCNN, NoDigitError, load_digit, load_picture
from digitcnn.handwriting.digit import locate_digit, normalize
from digitcnn.handwriting.strokes import stroke_width


@pytest.fixture(scope="module")
def canvas(digits):
    """A digit on a canvas of 200 x 200, light on black, uint8."""
    image = digits.test_images[3].reshape(28, 28)
    return np.asarray(Image.fromarray(image).resize((200, 200), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def seen(canvas):
    """What load_digit makes of the canvas."""
    return load_digit(canvas)


@pytest.fixture(scope="module")
def model(digits):
    """A small network, trained on what load_digit makes of the bundled training digits."""
    images = np.array([load_digit(image.reshape(28, 28)) for image in digits.train_images[:900]])
    with DigitCNN(architecture="softmax", learning_rate=1e-2, epochs=12, random_seed=1) as model:
        model.train((images, digits.train_labels[:900]), verbose=False)
        yield model


def assert_alike(image, other, most=12):
    """Two images of one digit: light falls within a few hundredths of the same pixels."""
    difference = np.abs(image.astype(int) - other).sum() / max(image.sum(), other.sum())
    assert difference < most / 100, f"{difference:.0%} of the ink differs"


def test_mnist_digits_stay_as_they_are(mnist):
    images = mnist.test_images[:200].reshape(-1, 28, 28)
    found = np.array([load_digit(image) for image in images])
    moved = np.abs(found.astype(int) - images).sum(axis=(1, 2)) / images.sum(axis=(1, 2))
    assert found.dtype == np.uint8 and found.shape == (200, 28, 28)
    assert np.median(moved) < 0.02 and (moved < 0.1).mean() > 0.8


def test_form_is_that_of_mnist(seen):
    """A box of 20 x 20, the centre of mass in the middle, white ink."""
    rows, columns = np.nonzero(seen)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    for axis in (0, 1):
        centre = seen.sum(axis=1 - axis) @ np.arange(28) / seen.sum()
        assert abs(centre - 14) <= 0.75
    assert seen.max() == 255


def kinds(canvas):
    """One digit in every kind of picture: PIL images, arrays."""
    paper = Image.fromarray(255 - canvas)
    ink = np.zeros((*canvas.shape, 4), np.uint8)
    ink[..., 3] = canvas
    white_ink = ink.copy()
    white_ink[..., :3] = 255
    deep = (255 - canvas).astype(np.uint16) * 257
    opaque = np.dstack([255 - canvas] * 3 + [np.full_like(canvas, 255)])
    return {
        "light on black": Image.fromarray(canvas),
        "dark on white": paper,
        "dim paper": paper.point(lambda value: value * 0.45),
        "grey chalk": Image.fromarray(canvas).point(lambda value: 30 + value * 0.3),
        "RGB": paper.convert("RGB"),
        "dark ink on nothing": Image.fromarray(ink),
        "white ink on nothing": Image.fromarray(white_ink),
        "opaque RGBA": Image.fromarray(opaque),
        "grey and alpha": Image.fromarray(ink).convert("LA"),
        "palette": paper.convert("P"),
        "16 bits": Image.fromarray(deep),
        "CMYK": paper.convert("RGB").convert("CMYK"),
        "array": 255 - canvas,
        "array of 16 bits": deep,
        "floats 0..1": canvas / 255,
        "floats 0..16": canvas / 255 * 16,
        "int64": canvas.astype(np.int64),
        "one channel": canvas[..., None],
        "array of RGBA": white_ink,
        "list": canvas.tolist(),
        "turned around in memory": np.asfortranarray(canvas),
    }


@pytest.mark.parametrize("kind", kinds(np.zeros((2, 2), np.uint8)))
def test_load_digit_every_kind_of_picture_gives_the_same_digit(kind, canvas, seen):
    assert_alike(load_digit(kinds(canvas)[kind]), seen)


@pytest.mark.parametrize("kind", ["truth values", "in colour", "a blue pen"])
def test_load_digit_coarse_kinds_give_about_the_same_digit(kind, canvas, seen):
    pen = np.stack([255 - canvas, 255 - canvas, 255 - (canvas * 0.4).astype(np.uint8)], axis=-1)
    coarse = {
        "truth values": canvas > 127,
        "in colour": np.dstack([canvas, canvas // 2, canvas // 3]),
        "a blue pen": pen,
    }
    assert_alike(load_digit(coarse[kind]), seen, most=50)


ORIENTATIONS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,  # the opposite of what shows it upright
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_load_digit_turns_as_exif_says(orientation, format, canvas, seen):
    tall = Image.fromarray(np.pad(255 - canvas, ((0, 100), (0, 0)), constant_values=255)).convert("RGB")
    stored = tall if orientation == 1 else tall.transpose(ORIENTATIONS[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    stored.save(file, format, exif=exif)
    image, (left, top, right, bottom) = locate_digit(file.getvalue())
    assert_alike(image, seen)
    rows, columns = np.nonzero(canvas > 127)
    expected = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    assert np.abs(np.subtract((left, top, right, bottom), expected)).max() <= 6


def test_load_digit_reads_paths_bytes_and_files(canvas, seen, tmp_path):
    Image.fromarray(canvas).save("digit.png")
    with Path("digit.png").open("rb") as file:
        assert_alike(load_digit(file), seen, most=1)
    for source in ("digit.png", tmp_path / "digit.png", (tmp_path / "digit.png").read_bytes()):
        assert_alike(load_digit(source), seen, most=1)


def test_load_digit_leaves_the_picture_as_it_was(canvas):
    for picture in (canvas, canvas / 255, np.dstack([canvas] * 4)):
        before = picture.copy()
        picture.flags.writeable = False
        load_digit(picture)
        np.testing.assert_array_equal(picture, before)
    image = Image.fromarray(canvas)
    load_digit(image)
    assert image.size == (200, 200) and (np.asarray(image) == canvas).all()


@pytest.mark.parametrize("width", [2, 8, 20, 45])
def test_strokes_of_any_width_become_usual(width):
    """The same 0, drawn with a fine pen and with a marker: hollow, with strokes as MNIST's."""
    paper = Image.new("L", (400, 400), 230)
    ImageDraw.Draw(paper).ellipse([100, 50, 300, 350], outline=40, width=width)
    image = load_digit(paper)
    assert image[14, 14] == 0
    large = np.asarray(Image.fromarray(image).resize((280, 280), Image.Resampling.BICUBIC)) > 127
    assert 1.6 <= stroke_width(large) / 10 <= 4.3


def test_small_pictures_are_read(canvas, seen):
    for side in (14, 28, 60):
        small = np.asarray(Image.fromarray(canvas).resize((side, side), Image.Resampling.BOX))
        assert_alike(load_digit(small), seen, most=45)


def test_broken_strokes_are_joined_and_specks_are_not():
    five = Image.new("L", (300, 300), 220)
    pen = ImageDraw.Draw(five)
    pen.line([(100, 60), (190, 60)], fill=30, width=8)  # apart from the rest
    pen.line([(100, 85), (97, 140), (160, 140), (180, 190), (150, 230), (95, 235)], fill=30, width=8, joint="curve")
    whole = load_digit(five)
    assert whole[4:9].sum() > 1000, "the bar above belongs to it"
    pen.rectangle([250, 20, 253, 23], fill=30)
    pen.line([(0, 200), (14, 260)], fill=30, width=6)  # a neighbour's, cut by the edge
    assert_alike(load_digit(five), whole, most=2)


def test_ruled_paper_leaves_the_digit_alone():
    paper = Image.new("L", (400, 300), 225)
    plain = paper.copy()
    pen = ImageDraw.Draw(paper)
    for row in range(20, 300, 40):
        pen.line([0, row, 400, row + 6], fill=150, width=2)
        pen.line([row, 0, row - 5, 300], fill=170, width=2)
    for picture in (paper, plain):
        pen = ImageDraw.Draw(picture)
        pen.line([(150, 60), (250, 60), (190, 240)], fill=50, width=9, joint="curve")
    assert_alike(load_digit(paper), load_digit(plain), most=15)


def no_digits():
    rng = np.random.default_rng(4)
    noise = rng.integers(0, 256, (120, 90)).astype(np.uint8)
    face = Image.new("L", (300, 400), 90)
    pen = ImageDraw.Draw(face)
    for _ in range(400):  # hair, and much else
        x, y = rng.integers(0, 300), rng.integers(0, 400)
        pen.line([x, y, x + rng.integers(-30, 30), y + rng.integers(-30, 30)], fill=int(rng.integers(0, 255)), width=3)
    blot = Image.new("L", (200, 200), 230)
    ImageDraw.Draw(blot).ellipse([80, 90, 130, 140], fill=20)
    return {
        "white": (np.full((50, 60), 255, np.uint8), "blank paper"),
        "black": (np.zeros((28, 28), np.uint8), "blank paper"),
        "grain": ((250 * make_paper(np.random.default_rng(2), 200, 150).clip(0, 1)).astype(np.uint8), ""),
        "almost black": (rng.integers(0, 4, (100, 100)).astype(np.uint8), ""),
        "noise": (noise, ""),
        "gaussian noise": (np.clip(128 + rng.normal(0, 20, (200, 200)), 0, 255).astype(np.uint8), ""),
        "salt": ((255 * (rng.random((200, 300)) < 0.02)).astype(np.uint8), "noise|pieces"),
        "scribble": (face, "many lines|noise"),
        "blot": (blot, "a blot"),
        "one pixel": (np.zeros((1, 1), np.uint8), "one of 1 x 1 pixels"),
        "gradient": (np.tile(np.linspace(40, 255, 300).astype(np.uint8), (200, 1)), ""),
    }


@pytest.mark.parametrize("kind", no_digits())
def test_load_digit_no_digit_raises(kind):
    picture, found = no_digits()[kind]
    with pytest.raises(NoDigitError, match=f"^expected a picture of (a|one) digit, found .*({found})"):
        load_digit(picture)


def test_messy_pictures_are_read(model, digits):
    """A network that knows 900 digits reads most messy pictures through load_digit, and few by plain resizing."""
    made = list(make_messy_set(5, 40, (digits.test_images, digits.test_labels)))
    labels = np.array([label for label, _ in made])
    images = np.array([load_digit(picture) for _, picture in made])
    plain = []
    for _, picture in made:
        Image.fromarray(picture).save("picture.png")
        plain.append(load_picture("picture.png"))
    right, right_by_resizing = ((model.predict(np.array(X)) == labels).mean() for X in (images, plain))
    assert right > 0.75 and right_by_resizing < 0.4


def test_normalize_takes_ink_and_where_it_is():
    strength = np.zeros((90, 40), np.float32)
    strength[10:80, 15:20] = 0.6
    image = normalize(strength, strength > 0)
    assert image.shape == (28, 28) and image.max() == 255 and (image > 127).any(axis=1).sum() == 20


def test_pictures_of_8x8_are_read():
    """The digits of scikit-learn, floats 0..16, whose ink touches the edges."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    images = np.array([load_digit(image) for image in datasets.load_digits().images[:50]])
    heights = (images > 60).any(axis=2).sum(axis=1)
    assert (heights >= 18).mean() > 0.9
