"""Picture files: every kind that programs write, and files that are no picture of one digit."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from digitcnn import DigitCNN, PictureError, load_picture, load_pictures
from digitcnn.handwriting import grey
from digitcnn.handwriting.pictures import read_grey, read_reduced


@pytest.fixture
def digit(digits):
    return digits.test_images[3].reshape(28, 28)


def test_load_picture_keeps_the_pixels_of_a_28x28_picture(digit):
    Image.fromarray(digit).save("a.png")
    np.testing.assert_array_equal(load_picture("a.png"), digit.reshape(784))


def variants(digit):
    paper = 255 - digit
    rgba = np.zeros((28, 28, 4), np.uint8)
    rgba[..., 3] = digit  # black ink on a transparent background
    grey = Image.fromarray(paper)
    rotated = Image.fromarray(digit).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 270 degrees to see it upright
    return {
        "dark ink on white.png": (grey, {}),
        "16 bits.png": (Image.fromarray(paper.astype(np.uint16) * 257), {}),
        "palette.png": (grey.convert("P"), {}),
        "colour.png": (grey.convert("RGB"), {}),
        "ink on nothing.png": (Image.fromarray(rgba), {}),
        "cmyk.tif": (grey.convert("RGB").convert("CMYK"), {}),
        "turned by exif.png": (rotated, {"exif": exif}),
        "big-endian 16 bits.tif": (Image.fromarray((paper.astype(np.uint16) * 257).astype(">u2")), {}),
        "alpha.webp": (Image.fromarray(rgba), {"lossless": True}),
        "transparent paper.png": (grey.convert("P"), {"transparency": 255}),
        "grey with alpha.png": (Image.fromarray(rgba).convert("LA"), {}),
        "one frame.gif": (grey, {}),
        "from Windows.bmp": (grey, {}),
    }


@pytest.mark.parametrize("name", variants(np.zeros((28, 28), np.uint8)))
def test_load_picture_reads_every_kind_of_picture(digit, name):
    picture, options = variants(digit)[name]
    picture.save(name, **options)
    loaded = load_picture(name).reshape(28, 28)
    assert loaded.dtype == np.uint8
    assert np.abs(loaded.astype(int) - digit).max() <= 2


def test_load_picture_bad_files_raise(tmp_path, digit):
    (tmp_path / "text.png").write_text("not a picture")
    Image.fromarray(np.tile(digit, (9, 9))).save("cut.png")
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("text.png", "cut.png", "empty.png"):
        with pytest.raises(PictureError, match=f"{name}: expected a picture that Pillow can read"):
            load_picture(name)
    two = [Image.fromarray(digit), Image.fromarray(255 - digit)]
    for name in ("two.gif", "two.tif", "two.webp"):
        two[0].save(name, save_all=True, append_images=two[1:])
        with pytest.raises(PictureError, match=f"{name}: .*several pictures in one file"):
            load_picture(name)
    two[0].save("photo.jpg", "MPO", save_all=True, append_images=two[1:])  # a phone's, with a preview
    assert load_picture("photo.jpg").shape == (784,)
    (tmp_path / "program.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(PictureError, match="found: text, none of PNG, JPEG"):  # Pillow would start Ghostscript
        load_picture("program.eps")
    Image.fromarray(np.zeros((9, 9), np.float32)).save("float.tif")
    with pytest.raises(PictureError, match="floating-point numbers"):
        load_picture("float.tif")
    with pytest.raises(FileNotFoundError, match="^no.png: expected a picture file, found nothing there$"):
        load_picture("no.png")
    with pytest.raises(ValueError, match="at least one picture"):
        load_pictures([])


@pytest.mark.parametrize("value", [0, 255])
def test_load_picture_blank_page_raises(value):
    Image.new("L", (50, 50), value).save("blank.png")
    with pytest.raises(PictureError, match="blank.png: expected a picture of a digit, found one of a single colour"):
        load_picture("blank.png")


@pytest.mark.parametrize("most_pixels", [100, 600])  # beyond twice that Pillow raises, below it warns
def test_load_picture_decompression_bomb_raises(monkeypatch, digit, most_pixels):
    Image.fromarray(digit).save("a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most_pixels)
    with pytest.raises(PictureError, match="expected at most 64 million pixels, found more; save it smaller"):
        load_picture("a.png")


def test_four_pictures_as_in_t2_are_read(digits):
    """200x200 PNG files of 0, 1, 2 and 3, dark on white or white on dark, are read as [0 1 2 3]."""
    with DigitCNN(architecture="softmax", learning_rate=1e-2, epochs=15, random_seed=1) as model:
        model.train((digits.train_images, digits.train_labels), verbose=False)
        right = model.predict(digits.test_images) == digits.test_labels
        names = []
        for label in range(4):
            image = digits.test_images[np.flatnonzero(right & (digits.test_labels == label))[0]].reshape(28, 28)
            large = Image.fromarray(image if label % 2 else 255 - image).resize((200, 200))
            names.append(f"{label}.png")
            large.save(names[-1])
        assert model.predict(load_pictures(names)).tolist() == [0, 1, 2, 3]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows reports other errors for such paths")
@pytest.mark.parametrize(
    ("path", "error", "found"),
    [
        ("file/below.png", NotADirectoryError, "a file where its path needs a folder"),
        ("loop.png", OSError, "symbolic links that lead in a circle"),
        ("n" * 300, OSError, "a name that is too long"),
    ],
)
def test_paths_that_cannot_be_used_are_explained(tmp_path, path, error, found):
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "loop.png").symlink_to("loop.png")
    with pytest.raises(error, match=f"^{path}: expected a picture file, found {found}$"):
        load_picture(path)


def test_missing_permission_is_explained(digit, monkeypatch):
    Image.fromarray(digit).save("a.png")

    def no_permission(*_, **__):
        raise PermissionError(13, "Permission denied", "a.png")

    monkeypatch.setattr(Image, "open", no_permission)
    with pytest.raises(PermissionError, match="^a.png: expected a picture file, found no permission to access it$"):
        load_pictures(["a.png"])


def test_read_grey_keeps_size_and_brightness(digit):
    """As light as in the picture, whatever holds it."""
    wide = np.tile(255 - digit, (3, 5))
    Image.fromarray(wide).save("wide.png")
    sources = ["wide.png", Image.fromarray(wide), wide, wide.astype(np.uint16) * 257, wide / 255, np.dstack([wide] * 3)]
    for source in sources:
        found = read_grey(source)
        assert found.dtype == np.uint8 and found.shape == (84, 140)
        np.testing.assert_allclose(found, wide, atol=1)
    np.testing.assert_array_equal(read_grey(wide > 127), 255 * (wide > 127))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_read_reduced_returns_full_shape(format, digit):
    """Blocks are averaged, in JPEG files by the decoder; the shape is that of the upright picture at its full size."""
    large = Image.fromarray(digit).resize((1210, 790)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    large.save(file, format, exif=exif)
    found, shape = read_reduced(file.getvalue(), 200)
    assert shape == (1210, 790)
    assert 200 <= max(found.shape) < 400 and found.shape[0] > found.shape[1]
    turned = large.convert("L").transpose(Image.Transpose.ROTATE_270).resize(found.shape[::-1], Image.Resampling.BOX)
    assert np.abs(found - np.asarray(turned, float)).mean() < 3


def test_read_reduced_averages_transparent_ink_in_bands():
    """Many bands of a large picture; ink of no alpha has no colour."""
    pixels = np.zeros((1500, 90, 4), np.uint8)
    pixels[..., 0] = 200  # red, and transparent
    pixels[700:800, 30:60] = (0, 0, 0, 255)
    found, _ = read_reduced(Image.fromarray(pixels), 300)
    assert found.shape == (300, 18)
    np.testing.assert_array_equal(np.unique(found), [0, 255])
    np.testing.assert_array_equal(np.ptp(np.argwhere(found == 0), axis=0), [19, 5])


BAD_SOURCES = {
    "text": (np.array([["a"]]), TypeError, "found dtype <U1"),
    "none": (None, TypeError, "found dtype object"),
    "complex": (np.ones((9, 9), complex), TypeError, "found dtype complex128"),
    "masked": (np.ma.masked_array(np.ones((9, 9)), True), TypeError, "masked array"),
    "ragged": ([[1, 2], [3]], ValueError, "array of pixels"),
    "flat": (np.zeros(784), PictureError, r"found shape \[784\]; give one image, as X\[0\].reshape\(28, 28\)"),
    "many": (np.zeros((5, 28, 28)), PictureError, "give one image"),
    "no pixels": (np.zeros((0, 4)), PictureError, "no pixels"),
    "negative": (np.full((9, 9), -1), PictureError, "found -1..-1"),
    "not finite": (np.full((9, 9), np.nan), PictureError, "found nan..nan"),
    "no picture": (b"abc", PictureError, "found: text, none of PNG, JPEG"),
    "nothing": (b"", PictureError, "found: an empty file, none of PNG, JPEG"),
    "opened as text": (io.StringIO("abc"), TypeError, "opened in binary mode"),
    "a photo of a phone": (b"\0\0\0\x18ftypheic" + bytes(99), PictureError, "digitcnn.heic"),
}


@pytest.mark.parametrize("name", BAD_SOURCES)
def test_read_grey_bad_sources_raise(name, monkeypatch):
    source, error, found = BAD_SOURCES[name]
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(error, match=f"^picture: expected .*{found}"):
        read_grey(source)


def test_read_grey_bounds_pixels(digit, monkeypatch):
    Image.fromarray(digit).save("a.png")
    monkeypatch.setattr(grey, "MAX_PIXELS", 783)
    for source in ("a.png", Image.fromarray(digit), digit):
        with pytest.raises(PictureError, match="expected .*(more than|at most)"):
            read_grey(source)
