"""Pictures for TensorBoard, as PNG: misread digits, filters, and the projector's sheet of digits."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_CELL = 84  # pixels of a misread digit's longer side; 28 of them are enlarged three times


_CAPTION = 20  # pixels below it


_MOST_SPRITE = 64  # pixels of a digit's longer side: TensorBoard takes sheets of 8,192 pixels


_RED = (200, 0, 0)


def misread_picture(images: np.ndarray, labels: np.ndarray, predictions: np.ndarray, n_columns: int = 4) -> bytes:
    """Digits with `predicted/true` in red below each, dark on white: images [n, height, width], labels [n]."""
    n, height, width = images.shape
    n_columns = min(n, n_columns)
    zoom = _CELL / max(height, width)
    shown = max(1, round(width * zoom)), max(1, round(height * zoom))
    cell_width, cell_height = _CELL, shown[1] + _CAPTION
    picture = Image.new("RGB", (n_columns * cell_width, -(-n // n_columns) * cell_height), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(16)
    for i, digit in enumerate(255 - as_grey(images)):
        left, top = i % n_columns * cell_width, i // n_columns * cell_height
        enlarged = Image.fromarray(digit).resize(shown, Image.Resampling.NEAREST)
        picture.paste(enlarged, (left + (cell_width - shown[0]) // 2, top))
        caption = f"{predictions[i]}/{labels[i]}"
        draw.text((left + cell_width // 2, top + cell_height - _CAPTION // 2), caption, _RED, font, anchor="mm")
    return png(picture)


def filters_picture(filters: np.ndarray, size: int = 40) -> bytes:
    """A convolution's filters [height, width, inputs, outputs], each about `size` pixels, in one range of grey.

    Of several inputs, the mean is shown.
    """
    tiles = as_grey(filters.mean(axis=2).transpose(2, 0, 1))  # [outputs, height, width]
    zoom = max(1, size // max(tiles.shape[1:]))
    tiles = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    return png(Image.fromarray(sheet(tiles, -(-len(tiles) // 8), 8, gap=2)))


def sprite_picture(images: np.ndarray) -> tuple[bytes, tuple[int, int]]:
    """Digits [n, height, width] in a square sheet, as the projector cuts it up, and the width and height of each.

    Its rows hold a power of two, since the projector counts in them with floats of the graphics card, and else
    misses the first of some rows.
    """
    side = 1 << (math.ceil(math.sqrt(len(images))) - 1).bit_length()
    tiles = as_grey(images)
    if (scale := _MOST_SPRITE / max(tiles.shape[1:])) < 1:
        size = tuple(max(1, round(length * scale)) for length in tiles.shape[:0:-1])
        tiles = np.stack([np.asarray(Image.fromarray(tile).resize(size)) for tile in tiles])
    return png(Image.fromarray(sheet(tiles, side, side))), tiles.shape[:0:-1]


def sheet(tiles: np.ndarray, n_rows: int, n_columns: int, gap: int = 0) -> np.ndarray:
    """uint8 [n, height, width] side by side in rows, white where there is none."""
    n, height, width = tiles.shape
    tiles = np.pad(tiles, ((0, n_rows * n_columns - n), (0, gap), (0, gap)), constant_values=255)
    tiles = tiles.reshape(n_rows, n_columns, height + gap, width + gap)
    return tiles.transpose(0, 2, 1, 3).reshape(n_rows * (height + gap), n_columns * (width + gap))


def as_grey(values: np.ndarray) -> np.ndarray:
    """Numbers in one range, the lowest 0 and the highest 255, as uint8. What is not finite is 0."""
    values = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    values -= values.min()
    return (values * (255 / (values.max() or 1.0))).astype(np.uint8)


def png(picture: Image.Image) -> bytes:
    """A picture's file."""
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
