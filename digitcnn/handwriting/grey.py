"""Turn pictures and arrays of every kind into grey values: upright, on paper, and reduced where they are large."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from .._validation import check_array
from ..exceptions import PictureError

MAX_PIXELS = 64_000_000  # of a picture: a phone's 50 megapixels pass; bounds the memory for untrusted files
BAND = 64  # rows of a reduced picture that are made at a time
ARRAYS = "an array of pixels [height, width], or [height, width, channels] with 1 to 4 channels"

_ORIENTATION = 0x0112  # EXIF's tag, and how a picture is turned for each of its values
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def check_pixels(width: int, height: int) -> None:
    """Bound the memory that a picture takes. Raises ValueError."""
    if not width or not height:
        raise ValueError(f"no pixels, {width} x {height}")
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels, more than {MAX_PIXELS // 10**6} million; save it smaller")


def upright_shape(picture: Image.Image) -> tuple[int, int]:
    """Height and width of a picture once it is turned as its EXIF data says. Raises ValueError beyond MAX_PIXELS."""
    width, height = picture.size
    check_pixels(width, height)
    if picture.format == "TIFF":  # Pillow turns it when it reads its pixels
        picture.load()
        width, height = picture.size
    return (width, height) if picture.getexif().get(_ORIENTATION, 1) >= 5 else (height, width)


def picture_to_grey(picture: Image.Image, side: int | None = None) -> np.ndarray:
    """Grey values of a picture, uint8 [height, width], upright; the picture is not changed.

    With `side`, pixels are averaged in the largest blocks that leave the longest side at least `side` pixels.
    """
    turn = _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
    factor = 1 if side is None else max(1, max(picture.size) // side)
    if picture.mode == "F":
        raise ValueError("pixels of floating-point numbers, whose range is unknown")
    if picture.mode == "I" or picture.mode.startswith("I;16"):  # Pillow's own conversion clips 16 bits at 255
        picture = Image.fromarray(_eight_bits(np.asarray(picture)))
    if picture.has_transparency_data:
        picture = _on_paper(_reduced(picture, "RGBA", factor))
    else:  # palettes and single bits have no averages
        picture = _reduced(picture, picture.mode if picture.mode in ("L", "RGB") else "RGB", factor)
    picture = picture.convert("L")
    return np.array(picture if turn is None else picture.transpose(turn))


def _reduced(picture: Image.Image, mode: str, factor: int) -> Image.Image:
    """A picture in a mode, its blocks of factor x factor pixels averaged; band by band, as copies are large."""
    if factor == 1:
        return picture if picture.mode == mode else picture.convert(mode)
    width, height = picture.size
    reduced = Image.new(mode, (-(-width // factor), -(-height // factor)))
    for top in range(0, height, BAND * factor):
        band = picture.crop((0, top, width, min(height, top + BAND * factor)))
        reduced.paste((band if band.mode == mode else band.convert(mode)).reduce(factor), (0, top // factor))
    return reduced


def _on_paper(picture: Image.Image) -> Image.Image:
    """A picture of mode RGBA on white paper; on black where all that is not transparent is light, as white ink is."""
    alpha = np.asarray(picture.getchannel("A"))
    opaque = np.asarray(picture.convert("L"))[alpha > 127]
    # The darkest hundredth, as compression leaves stray pixels. Dark ink on light, opaque paper has more than that.
    is_light_ink = opaque.size > 0 and alpha.min() <= 127 and np.quantile(opaque, 0.01) > 127
    return Image.alpha_composite(Image.new("RGBA", picture.size, "black" if is_light_ink else "white"), picture)


def array_to_grey(array: Any, name: str) -> np.ndarray:
    """Grey values, uint8 [height, width], of an array as users give it, which is not changed.

    Parameters
    ----------
    array : array-like of shape (height, width) or (height, width, channels)
        Whole numbers 0..255 or 0..65535, truth values, or floats 0..1 (or up to 255, whose largest becomes white).
        One channel is grey, two are grey and alpha, three RGB, four RGBA.
    name : str
        The argument's name, for the errors.

    Raises
    ------
    TypeError
        If it has no real numbers.
    PictureError
        If shape or values are wrong.
    """
    array = check_array(name, array, ARRAYS)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name}: expected {ARRAYS}, found dtype {array.dtype}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (2, 3, 4)):
        hint = "; give one image, as X[0].reshape(28, 28)" if array.size and array.size % 784 == 0 else ""
        raise PictureError(f"{name}: expected {ARRAYS}, found shape {list(array.shape)}{hint}")
    if array.size == 0:
        raise PictureError(f"{name}: expected {ARRAYS}, found no pixels, shape {list(array.shape)}")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise PictureError(f"{name}: expected at most {MAX_PIXELS:,} pixels, found shape {list(array.shape)}")
    try:
        array = np.ascontiguousarray(_eight_bits(array))
    except ValueError as error:
        raise PictureError(f"{name}: expected whole numbers 0..255 or 0..65535, or floats 0..1, {error}") from error
    return picture_to_grey(Image.fromarray(array))


def _eight_bits(array: np.ndarray) -> np.ndarray:
    """Values 0..255, uint8, of truth values, of 16 bits or of floats. Raises ValueError if they are out of range."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    low, high = array.min(), array.max()  # NaN and infinity propagate
    if not (low >= 0 and high <= (65535 if array.dtype.kind in "ui" else 255)):
        raise ValueError(f"found {low}..{high}")
    if array.dtype.kind == "f":
        return (array * (255 / max(1.0, float(high))) + 0.5).astype(np.uint8)
    return array.astype(np.uint8) if high <= 255 else (array // 257).astype(np.uint8)
