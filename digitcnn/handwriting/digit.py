"""One digit as MNIST has its digits: found in its picture, strokes of MNIST's width, 20x20 box, centre of mass."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from ..exceptions import NoDigitError
from .digit_pieces import EIGHT, check_is_digit, choose_pieces, runs_across
from .digit_rulings import remove_rulings
from .ink import find_ink, threshold
from .pictures import read_reduced
from .strokes import BOX, with_usual_strokes

SIDE = 500  # pixels of the longest side at which ink is looked for; 20 ms a picture, and noise is averaged out
LEAST_SIDE = 5  # pixels of the longest side
IMAGE_SIDE = 28  # MNIST's images, in pixels
FULL_INK = 0.75  # the quantile of the ink's strength that becomes white
RULED = 64  # pixels of the longest side; in smaller pictures what looks like printed lines is the digit's
FAINT_RULINGS = 0.35  # of the faintest ink's strength: rules may be as faint, and touch opposite edges
MORE_THRESHOLDS = 3  # are tried where the digit hangs together with fainter ink that runs across the picture


def load_digit(picture: Any) -> np.ndarray:
    """Read a picture of one digit as MNIST has its digits.

    The digit may have any size and place, be dark on light or light on dark, on plain, ruled or squared paper, in shade
    or uneven light. Its ink is found, its strokes are made as wide as MNIST's, and it is scaled to a box of 20 x 20
    pixels, its centre of mass in the middle of 28 x 28.

    Parameters
    ----------
    picture : str, path-like, bytes, binary file, PIL image or array-like
        A picture file's path or content (PNG, JPEG, GIF, BMP, TIFF, WebP or PPM, and HEIC where
        pillow-heif is installed); a picture; or pixels
        [height, width], alone or with 1 to 4 channels, of whole numbers 0..255 or 0..65535, truth values or floats
        0..1. It is not changed.

    Returns
    -------
    ndarray of uint8, shape (28, 28)
        Pixels 0..255, light ink on black, as in MNIST.

    Raises
    ------
    TypeError
        If `picture` is nothing of these.
    NoDigitError
        If there is no digit: blank paper, noise, a photo of something else.
    PictureError
        If the picture cannot be read.
    OSError
        If the file is not there (FileNotFoundError) or cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from PIL import Image, ImageDraw
    >>> paper = Image.new("L", (400, 300), 200)
    >>> ImageDraw.Draw(paper).line([(250, 50), (240, 200)], fill=60, width=8)  # a 1, in grey
    >>> image = load_digit(paper)
    >>> image.shape, int(image.max())
    ((28, 28), 255)
    """
    return locate_digit(picture)[0]


def locate_digit(picture: Any) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Read a picture of one digit, and say where the digit is.

    Parameters
    ----------
    picture : str, path-like, bytes, binary file, PIL image or array-like
        As in `load_digit`.

    Returns
    -------
    image : ndarray of uint8, shape (28, 28)
        As from `load_digit`.
    box : tuple of int
        Left, top, right and bottom of the digit, in pixels of the upright picture at its full size.
    """
    grey, (height, width) = read_reduced(picture, SIDE)
    if max(grey.shape) < LEAST_SIDE:
        raise NoDigitError(f"expected a picture of a digit, found one of {width} x {height} pixels")
    scale = SIDE / max(grey.shape)
    if scale < 1:
        size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
        grey = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))
    strength, digit = _find_digit(grey)
    rows, columns = ndimage.find_objects(digit.astype(np.uint8))[0]
    down, right = height / grey.shape[0], width / grey.shape[1]
    box = (
        int(columns.start * right),
        int(rows.start * down),
        min(width, int(np.ceil(columns.stop * right))),
        min(height, int(np.ceil(rows.stop * down))),
    )
    return normalize(strength, digit), box


def _find_digit(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strength of the ink, float32, and where the digit's is, bool, both [height, width]. Raises NoDigitError."""
    ink = find_ink(grey)
    strength, mask = ink.strength, ink.mask
    may_be_ruled = max(grey.shape) >= RULED and mask.any()
    if may_be_ruled and runs_across(strength > FAINT_RULINGS * strength[mask].min()):
        strength = remove_rulings(strength)
        mask = threshold(strength)
    if not mask.any():
        raise NoDigitError("expected a picture of a digit, found blank paper")
    all_ink, digit = mask, choose_pieces(mask)
    for _ in range(MORE_THRESHOLDS):
        if not (may_be_ruled and runs_across(digit)):
            break
        mask = threshold(np.where(mask, strength, 0), strength[mask])
        stronger = choose_pieces(mask) if mask.any() else digit
        if not runs_across(stronger):  # a large digit that touches the edges does so at any threshold
            all_ink, digit = mask, stronger
    check_is_digit(strength, all_ink, digit)
    return strength, digit


def normalize(strength: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Give a digit MNIST's form: strokes, size and place; uint8 [28, 28], light on black.

    Parameters
    ----------
    strength : ndarray of float32, shape (height, width)
        How strong the ink is, in 0..1.
    mask : ndarray of bool, shape (height, width)
        Where the digit's ink is; there is some.

    Returns
    -------
    ndarray of uint8, shape (28, 28)
        In a box of 20 x 20 pixels, its centre of mass in the middle.
    """
    rows, columns = ndimage.find_objects(mask.astype(np.uint8))[0]
    mask, strength = mask[rows, columns], strength[rows, columns]
    digit = np.where(ndimage.binary_dilation(mask, EIGHT), strength, 0)
    digit = np.clip(digit / np.quantile(strength[mask], FULL_INK), 0, 1).astype(np.float32)
    return _centre(_fit(with_usual_strokes(digit)))


def _fit(digit: np.ndarray) -> np.ndarray:
    """A digit whose longest side is the box's, float32 [h, w] in 0..1, of one of any size."""
    height, width = digit.shape
    scale = BOX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    fitted = np.clip(np.asarray(Image.fromarray(digit).resize(size, Image.Resampling.BICUBIC)), 0, 1)
    # Thin strokes that were averaged with paper become white again, as in MNIST.
    return np.clip(fitted / np.quantile(fitted[fitted > 0.2 * fitted.max()], 0.9), 0, 1)


def _centre(digit: np.ndarray) -> np.ndarray:
    """A digit of at most 20x20, float32 in 0..1, whose centre of mass is in the middle of uint8 [28, 28]."""
    image = np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    corner = []
    for axis, length in enumerate(digit.shape):
        centre = digit.sum(axis=1 - axis) @ np.arange(length) / digit.sum()
        # In MNIST the mean of all images' centres is 14.0, counted from the first pixel's centre.
        corner.append(int(np.clip(round(IMAGE_SIDE / 2 - centre), 0, IMAGE_SIDE - length)))
    top, left = corner
    image[top : top + digit.shape[0], left : left + digit.shape[1]] = np.round(255 * digit)
    return image
