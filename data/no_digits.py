"""Draw what is no digit: letters, signs, scribbles, specks, halves of digits, noise.

data/make_pretrained.py trains the network that ships on them too, so that it is in doubt about them.
"""

from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

# Letters and signs that no hand's digit looks like: without O, I, l, Z, S, b, g, q, y and their kind.
LETTERS = "ACEFGHJKMNPRTUVWXYadehkmnprtuvwx"
SIGNS = "&@#%?+*=<{~ΔΣΩΨΦπβ∞≠±"
BOX, SIZE = 20, 28  # sides of the ink's box and of the picture, in pixels
CANVAS = 96  # side on which a drawing begins, in pixels


@lru_cache(maxsize=64)
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


def training_fonts() -> list[str]:
    """Paths of the DejaVu fonts that matplotlib brings; tests take others."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return sorted(str(file) for file in folder.glob("DejaVuS*.ttf") if "Display" not in file.name)


def glyph(rng: np.random.Generator, fonts: list[str]) -> np.ndarray:
    """A letter or sign, turned and slanted: uint8 [CANVAS, CANVAS]."""
    character = rng.choice(list(LETTERS if rng.random() < 0.75 else SIGNS))
    picture = Image.new("L", (CANVAS, CANVAS))
    draw = ImageDraw.Draw(picture)
    font = _font(str(rng.choice(fonts)), 60)
    draw.text((CANVAS // 2, CANVAS // 2), character, fill=255, font=font, anchor="mm")
    angle, slant, stretch = np.radians(rng.normal(0, 8)), rng.normal(0, 0.15), rng.uniform(0.7, 1.3)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = matrix @ np.array([[stretch, slant], [0, 1]])
    shift = CANVAS / 2 - matrix @ [CANVAS / 2, CANVAS / 2]
    rows = (*matrix[0], shift[0], *matrix[1], shift[1])
    return np.asarray(picture.transform((CANVAS, CANVAS), Image.Transform.AFFINE, rows, Image.Resampling.BILINEAR))


def scribble(rng: np.random.Generator) -> np.ndarray:
    """One to four smooth random strokes: uint8 [CANVAS, CANVAS]."""
    picture = Image.new("L", (CANVAS, CANVAS))
    draw = ImageDraw.Draw(picture)
    width = int(rng.integers(4, 12))
    for _ in range(rng.integers(1, 5)):
        corners = rng.uniform(8, CANVAS - 8, (int(rng.integers(4, 10)), 2))
        smooth = ndimage.zoom(corners, (8, 1), order=3, mode="nearest")
        draw.line([tuple(point) for point in smooth], fill=255, width=width, joint="curve")
    return np.asarray(picture)


def specks(rng: np.random.Generator) -> np.ndarray:
    """Blots, bars or rings: uint8 [CANVAS, CANVAS]."""
    picture = Image.new("L", (CANVAS, CANVAS))
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(2, 9)):
        x, y = rng.uniform(0, CANVAS - 20, 2)
        box = [x, y, x + rng.uniform(4, 50), y + rng.uniform(4, 50)]
        kind = rng.integers(3)
        if kind == 0:
            draw.ellipse(box, fill=255)
        elif kind == 1:
            draw.rectangle(box, fill=255)
        else:
            draw.rectangle(box, outline=255, width=int(rng.integers(3, 9)))
    return np.asarray(picture)


def noise(rng: np.random.Generator) -> np.ndarray:
    """Grain of random size, as a bad threshold makes of empty paper: uint8 [CANVAS, CANVAS]."""
    grain = ndimage.gaussian_filter(rng.standard_normal((CANVAS, CANVAS)), rng.uniform(0.7, 8))
    return np.uint8(255 * (grain > np.quantile(grain, rng.uniform(0.5, 0.95))))


def to_mnist_form(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scale the ink to a box of 20x20 pixels and centre its mass in 28x28: uint8 [28, 28]."""
    rows, columns = np.nonzero(picture.any(axis=1))[0], np.nonzero(picture.any(axis=0))[0]
    if len(rows) < 2 or len(columns) < 2:
        return np.zeros((SIZE, SIZE), np.uint8)
    ink = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # Half of them with a pen's width in MNIST's range, whatever the font had.
    if rng.random() < 0.5:
        scale = max(ink.shape) / BOX
        inside = ndimage.distance_transform_edt(np.pad(ink > 127, 2))
        ridge = inside[(inside >= ndimage.maximum_filter(inside, 3)) & (inside > 0)]
        change = rng.uniform(1.8, 3.4) * scale / 2 - (np.median(ridge) if ridge.size else 1.0)
        outside = ndimage.distance_transform_edt(np.pad(ink <= 127, round(3 * scale), constant_values=True))
        if change > 0:
            ink = np.uint8(255 * (outside <= change))
        elif (thinner := inside > -change).sum() > 0.3 * (inside > 0).sum():
            ink = np.uint8(255 * thinner)
        rows, columns = np.nonzero(ink.any(axis=1))[0], np.nonzero(ink.any(axis=0))[0]
        ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    small = np.asarray(Image.fromarray(ink).resize((width, height), Image.Resampling.BICUBIC))
    mass = max(1.0, float(small.sum(dtype=float)))
    top = round(SIZE / 2 - float(small.sum(axis=1) @ (np.arange(height) + 0.5)) / mass)
    left = round(SIZE / 2 - float(small.sum(axis=0) @ (np.arange(width) + 0.5)) / mass)
    top, left = int(np.clip(top, 0, SIZE - height)), int(np.clip(left, 0, SIZE - width))
    page = np.zeros((SIZE, SIZE), np.uint8)
    page[top : top + height, left : left + width] = small
    return page


def halves(digits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Parts of digits side by side or above each other, as a bad cut makes them: uint8 [CANVAS, CANVAS]."""
    first, second = digits[rng.integers(len(digits), size=2)]
    if rng.random() < 0.5:  # two whole digits that touch
        pair = np.hstack([first[:, 4:24], second[:, 4:24]])
    else:
        top, bottom = (np.roll(one, int(rng.integers(-6, 7)), 1) for one in (first, second))
        pair = np.vstack([top[14:], bottom[:14]])
    return np.asarray(Image.fromarray(pair).resize((CANVAS, CANVAS * pair.shape[0] // pair.shape[1])))


def draw_no_digits(n: int, digits: np.ndarray, seed: int) -> np.ndarray:
    """Draw `n` pictures of no digit in MNIST's form; `digits` uint8 [m, 28, 28] are cut up. uint8 [n, 784]."""
    rng = np.random.default_rng(seed)
    fonts = training_fonts()
    images = np.empty((n, SIZE, SIZE), np.uint8)
    kinds = rng.choice(5, size=n, p=[0.6, 0.2, 0.05, 0.05, 0.1])
    for i, kind in enumerate(kinds):
        drawn = (
            glyph(rng, fonts) if kind == 0
            else scribble(rng) if kind == 1
            else specks(rng) if kind == 2
            else noise(rng) if kind == 3
            else halves(digits, rng)
        )  # fmt: skip
        images[i] = to_mnist_form(drawn, rng)
    return images.reshape(n, -1)
