"""PNG images for TensorBoard: misread digits, filters, and the projector's sheet of digits."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_DIGIT_SIDE = 84  # pixels of a misread digit's longer side: 28 are enlarged three times
_CAPTION_HEIGHT = 20  # pixels
_MAX_SPRITE_SIDE = 64  # pixels of a digit's longer side: TensorBoard accepts sheets of up to 8,192 pixels
_RED = (200, 0, 0)


def misread_picture(images: np.ndarray, labels: np.ndarray, predictions: np.ndarray, n_columns: int = 4) -> bytes:
    """Draw digits, dark on white, with `predicted/true` in red below each.

    Parameters
    ----------
    images : array of shape (n, height, width)
        Misread digits, of any range of numbers.
    labels, predictions : array of shape (n,)
        True and predicted labels.
    n_columns : int, default 4
        Digits in a row, at most.
    """
    n, height, width = images.shape
    n_columns = min(n, n_columns)
    zoom = _DIGIT_SIDE / max(height, width)
    shown = max(1, round(width * zoom)), max(1, round(height * zoom))
    cell_width, cell_height = _DIGIT_SIDE, shown[1] + _CAPTION_HEIGHT
    picture = Image.new("RGB", (n_columns * cell_width, -(-n // n_columns) * cell_height), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(16)
    for i, digit in enumerate(255 - as_grey(images)):
        left, top = i % n_columns * cell_width, i // n_columns * cell_height
        enlarged = Image.fromarray(digit).resize(shown, Image.Resampling.NEAREST)
        picture.paste(enlarged, (left + (cell_width - shown[0]) // 2, top))
        caption = f"{predictions[i]}/{labels[i]}"
        draw.text((left + cell_width // 2, top + cell_height - _CAPTION_HEIGHT // 2), caption, _RED, font, anchor="mm")
    return png(picture)


def filters_picture(filters: np.ndarray, size: int = 40) -> bytes:
    """Draw a convolution's filters [height, width, inputs, outputs], the mean over inputs, in one range of grey.

    size: pixels of each filter's longer side, about.
    """
    tiles = as_grey(filters.mean(axis=2).transpose(2, 0, 1))  # [outputs, height, width]
    zoom = max(1, size // max(tiles.shape[1:]))
    tiles = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    return png(Image.fromarray(sheet(tiles, -(-len(tiles) // 8), 8, gap=2)))


def sprite_picture(images: np.ndarray) -> tuple[bytes, tuple[int, int]]:
    """Draw digits [n, height, width] as the projector's square sheet; return it and a digit's width and height.

    A row holds a power of two: the projector computes positions in floats of the graphics card and would
    otherwise miss the first digit of some rows.
    """
    side = 1 << (math.ceil(math.sqrt(len(images))) - 1).bit_length()
    tiles = as_grey(images)
    if (scale := _MAX_SPRITE_SIDE / max(tiles.shape[1:])) < 1:
        size = tuple(max(1, round(length * scale)) for length in tiles.shape[:0:-1])
        tiles = np.stack([np.asarray(Image.fromarray(tile).resize(size)) for tile in tiles])
    return png(Image.fromarray(sheet(tiles, side, side))), tiles.shape[:0:-1]


def sheet(tiles: np.ndarray, n_rows: int, n_columns: int, gap: int = 0) -> np.ndarray:
    """Arrange tiles in rows, with white in empty places and gaps.

    Parameters
    ----------
    tiles : array
        uint8 [n, height, width].
    n_rows, n_columns : int
        Size of the grid, in tiles.
    gap : int, default 0
        Pixels after each tile.
    """
    n, height, width = tiles.shape
    tiles = np.pad(tiles, ((0, n_rows * n_columns - n), (0, gap), (0, gap)), constant_values=255)
    tiles = tiles.reshape(n_rows, n_columns, height + gap, width + gap)
    return tiles.transpose(0, 2, 1, 3).reshape(n_rows * (height + gap), n_columns * (width + gap))


def as_grey(values: np.ndarray) -> np.ndarray:
    """Scale numbers of any shape to uint8, the lowest to 0 and the highest to 255; NaN and infinity count as 0."""
    values = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    values -= values.min()
    return (values * (255 / (values.max() or 1.0))).astype(np.uint8)


def png(picture: Image.Image) -> bytes:
    """Encode as PNG."""
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
