"""Turn pictures and arrays of every kind into grey values: upright, on paper, and reduced where they are large."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from .._validation import check_array
from ..exceptions import PictureError
from .picture_limits import MAX_WEBP_PIXELS

MAX_PIXELS = 64_000_000  # of a picture: a phone's 50 megapixels pass; bounds the memory for untrusted files
MAX_EXIF = 1 << 20  # bytes; a JPEG file holds no more than 64 KB
BAND = 64  # rows of the grey picture that are made at a time
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


def check_pixels(width: int, height: int, most: int | None = None) -> None:
    """Bound the memory that a picture takes, to `most` pixels or MAX_PIXELS. Raises ValueError."""
    most = MAX_PIXELS if most is None else min(most, MAX_PIXELS)
    if not width or not height:
        raise ValueError(f"no pixels, {width} x {height}")
    if width * height > most:
        raise ValueError(f"{width} x {height} pixels, more than {most // 10**6} million; save it smaller")


def upright_shape(picture: Image.Image) -> tuple[int, int]:
    """Height and width of a picture once it is turned as its EXIF data says. Raises ValueError beyond MAX_PIXELS."""
    width, height = picture.size
    check_pixels(width, height, MAX_WEBP_PIXELS if picture.format == "WEBP" else None)
    if len(picture.info.get("exif", b"")) > MAX_EXIF:
        raise ValueError(f"EXIF data of more than {MAX_EXIF >> 20} MB; save it anew")
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
    picture.load()
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        grey = _made_in_bands(_in_bands(picture, factor, _eight_bits_of(picture)), picture.size, factor)
    elif picture.has_transparency_data:
        paper = "black" if _is_light_ink(_in_bands(picture, factor, _in_mode("RGBA"))) else "white"
        bands = (_on_paper(band, paper) for band in _in_bands(picture, factor, _in_mode("RGBA")))
        grey = _made_in_bands(bands, picture.size, factor)
    elif picture.mode == "L" and factor == 1:
        grey = picture
    else:  # palettes and single bits have no averages
        mode = picture.mode if picture.mode in ("L", "RGB") else "RGB"
        bands = (band.convert("L") for band in _in_bands(picture, factor, _in_mode(mode)))
        grey = _made_in_bands(bands, picture.size, factor)
    return np.array(grey if turn is None else grey.transpose(turn))


def _in_bands(
    picture: Image.Image, factor: int, convert: Callable[[Image.Image], Image.Image]
) -> Iterator[Image.Image]:
    """Bands of a picture, converted, blocks of factor x factor pixels averaged: a copy of the whole would be large."""
    width, height = picture.size
    for top in range(0, height, BAND * factor):
        band = convert(picture.crop((0, top, width, min(height, top + BAND * factor))))
        yield band if factor == 1 else band.reduce(factor)


def _made_in_bands(bands: Iterable[Image.Image], size: tuple[int, int], factor: int) -> Image.Image:
    """The grey picture of which bands come, reduced by a factor from a size."""
    width, height = size
    made = Image.new("L", (-(-width // factor), -(-height // factor)))
    for number, band in enumerate(bands):
        made.paste(band, (0, number * BAND))
    return made


def _in_mode(mode: str) -> Callable[[Image.Image], Image.Image]:
    return lambda band: band if band.mode == mode else band.convert(mode)


def _eight_bits_of(picture: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Makes 8 bits of bands of 16, which Pillow's own conversion clips at 255; what is all below 256 stays."""
    bands = [(band.min(), band.max()) for band in map(np.asarray, _in_bands(picture, 1, lambda band: band))]
    extremes = int(min(low for low, _ in bands)), int(max(high for _, high in bands))
    return lambda band: Image.fromarray(_eight_bits(np.asarray(band), extremes))


def _is_light_ink(bands: Iterable[Image.Image]) -> bool:
    """Whether all that is not transparent in bands of mode RGBA is light, as white ink is."""
    counts, is_opaque = np.zeros(256, np.int64), True
    for band in bands:
        alpha = band.getchannel("A")
        counts += band.convert("L").histogram(alpha.point([0] * 128 + [255] * 128))
        is_opaque &= bool(np.asarray(alpha).min() > 127)
    # The darkest hundredth, as compression leaves stray pixels. Dark ink on light, opaque paper has more than that.
    n_dark, n = counts[:128].sum(), counts.sum()
    return not is_opaque and bool(n) and n_dark <= 0.01 * (n - 1)


def _on_paper(band: Image.Image, paper: str) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", band.size, paper), band).convert("L")


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


def _eight_bits(array: np.ndarray, extremes: Sequence[float] | None = None) -> np.ndarray:
    """Values 0..255, uint8, of truth values, of 16 bits or of floats. Raises ValueError if they are out of range.

    extremes: lowest and highest value, of the whole of which the array is a part; default its own.
    """
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    low, high = extremes or (array.min(), array.max())  # NaN and infinity propagate
    if not (low >= 0 and high <= (65535 if array.dtype.kind in "ui" else 255)):
        raise ValueError(f"found {low}..{high}")
    if array.dtype.kind == "f":
        return (array * (255 / max(1.0, float(high))) + 0.5).astype(np.uint8)
    return array.astype(np.uint8) if high <= 255 else (array // 257).astype(np.uint8)
