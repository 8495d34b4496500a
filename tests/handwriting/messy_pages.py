"""Made pages of 20 digits: numbers and words on plain, ruled or squared paper, in tables and boxes, in bad light.

python tests/handwriting/messy_pages.py pages --count 6    # writes pictures to look at
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

DIGITS = 20
WORDS = (
    *("name", "total", "price", "sum", "date", "page", "items", "room", "class", "paid"),
    *("week", "hours", "order", "phone", "street", "amount", "number"),
)
FONTS = ("DejaVuSans-Oblique.ttf", "DejaVuSerif-Italic.ttf", "STIXGeneralItalic.ttf", "cmti10.ttf", "DejaVuSans.ttf")
PAPERS = ("plain", "ruled", "squared", "table", "boxes")

# Strokes of each digit, as points that a smooth curve passes through, in a box of width 0.6 and height 1.
STROKES = {
    0: [[[(0.35, 0.0), (0.05, 0.3), (0.05, 0.7), (0.3, 1.0), (0.55, 0.7), (0.55, 0.3), (0.35, 0.0)]]],
    1: [[[(0.3, 0.0), (0.28, 0.5), (0.26, 1.0)]], [[(0.1, 0.25), (0.3, 0.0)], [(0.3, 0.0), (0.3, 1.0)]]],
    2: [[[(0.05, 0.25), (0.3, 0.0), (0.52, 0.25), (0.3, 0.65), (0.02, 1.0)], [(0.02, 1.0), (0.6, 0.97)]]],
    3: [[[(0.08, 0.1), (0.35, 0.0), (0.5, 0.22), (0.22, 0.46)], [(0.22, 0.46), (0.55, 0.7), (0.32, 1.0), (0.02, 0.9)]]],
    4: [
        [[(0.3, 0.0), (0.02, 0.62)], [(0.02, 0.62), (0.62, 0.6)], [(0.45, 0.3), (0.42, 1.0)]],
        [[(0.05, 0.05), (0.08, 0.5), (0.52, 0.52)], [(0.52, 0.0), (0.5, 1.0)]],
    ],
    5: [
        [
            [(0.12, 0.0), (0.1, 0.45)],
            [(0.1, 0.45), (0.45, 0.45), (0.5, 0.8), (0.2, 1.0), (0.0, 0.9)],
            [(0.12, 0.0), (0.55, 0.02)],
        ]
    ],
    6: [[[(0.45, 0.0), (0.12, 0.4), (0.08, 0.8), (0.3, 1.0), (0.52, 0.8), (0.35, 0.55), (0.1, 0.75)]]],
    7: [
        [[(0.02, 0.05), (0.55, 0.0)], [(0.55, 0.0), (0.35, 0.5), (0.2, 1.0)]],
        [[(0.02, 0.05), (0.55, 0.0)], [(0.55, 0.0), (0.35, 0.5), (0.2, 1.0)], [(0.15, 0.5), (0.5, 0.48)]],
    ],
    8: [
        [
            [
                (0.5, 0.12),
                (0.28, 0.0),
                (0.08, 0.2),
                (0.3, 0.48),
                (0.52, 0.78),
                (0.28, 1.0),
                (0.06, 0.78),
                (0.3, 0.48),
                (0.5, 0.12),
            ]
        ]
    ],
    9: [[[(0.5, 0.2), (0.25, 0.0), (0.05, 0.25), (0.22, 0.48), (0.5, 0.2)], [(0.5, 0.2), (0.48, 0.6), (0.38, 1.0)]]],
}


class Row(NamedTuple):
    """The digits of a row of numbers, their boxes, and the places of those that touch the one before them."""

    text: str
    boxes: list[tuple[int, int, int, int]]
    touching: list[int]


def draw_digit(rng: np.random.Generator, label: int, height: float, stroke: float) -> np.ndarray:
    """A digit by strokes, coverage float [h, w] in 0..1, cut to its ink."""
    styles = STROKES[label]
    curves = styles[rng.integers(len(styles))]
    slant, widen = rng.uniform(-0.05, 0.3), rng.uniform(0.8, 1.15)
    margin = stroke + 0.5 * height
    picture = Image.new("L", (round(4 * (height + 2 * margin)), round(4 * (height + 2 * margin))))
    draw = ImageDraw.Draw(picture)
    moved: dict[tuple, np.ndarray] = {}
    for points in curves:
        for point in points:  # strokes that begin where another ends stay together
            if point not in moved:
                moved[point] = np.array(point) + rng.normal(0, 0.022, 2)
        path = smooth(np.array([moved[point] for point in points]))
        path = np.stack([(path[:, 0] + slant * (1 - path[:, 1]) - 0.1) * widen, path[:, 1]], 1) * height + margin
        for x, y in path * 4:
            half = 2 * stroke
            draw.ellipse((x - half, y - half, x + half, y + half), fill=255)
    small = picture.resize((picture.width // 4, picture.height // 4), Image.Resampling.BOX)
    return cut(np.asarray(small, np.float32) / 255)


def smooth(points: np.ndarray, steps: int = 40) -> np.ndarray:
    """A Catmull-Rom curve through points [n, 2]."""
    if len(points) == 2:
        return points[0] + np.linspace(0, 1, 2 * steps)[:, None] * (points[1] - points[0])
    closed = np.allclose(points[0], points[-1])
    before = points[-2] if closed else 2 * points[0] - points[1]
    after = points[1] if closed else 2 * points[-1] - points[-2]
    p = np.concatenate([[before], points, [after]])
    t = np.linspace(0, 1, steps)[:, None]
    pieces = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    return np.concatenate(pieces)


def scanned_digit(rng: np.random.Generator, images: np.ndarray, height: float) -> np.ndarray:
    """One of MNIST's digits uint8 [n, 28, 28], enlarged, coverage float [h, w]."""
    image = cut(images[rng.integers(len(images))].reshape(28, 28) / np.float32(255))
    size = max(round(image.shape[1] * height / 20), 2), max(round(image.shape[0] * height / 20), 2)
    big = np.asarray(Image.fromarray(image.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    return cut(np.clip((big - 0.25) * 2, 0, 1))


def draw_word(rng: np.random.Generator, word: str, height: float) -> np.ndarray:
    """A word in letters that each stand a little differently, coverage float [h, w]; `height` of its capitals."""
    font = ImageFont.truetype(
        str(Path(matplotlib.get_data_path(), "fonts", "ttf", FONTS[rng.integers(len(FONTS))])), round(1.35 * height)
    )
    picture = Image.new("L", (round(1.6 * height * (len(word) + 1)), round(3 * height)))
    x = 0.5 * height
    joined = rng.uniform(-0.03, 0.06)
    for letter in word:
        glyph = Image.new("L", picture.size)
        ImageDraw.Draw(glyph).text((x, 0.8 * height + rng.normal(0, 0.03) * height), letter, font=font, fill=255)
        picture = Image.fromarray(np.maximum(picture, glyph.rotate(rng.normal(0, 4), center=(x, 1.5 * height))))
        x += font.getlength(letter) + joined * height
    ink = np.asarray(picture, np.float32) / 255
    shift = ndimage.gaussian_filter(rng.normal(0, 1, (2, *ink.shape)), (0, height / 4, height / 4))
    shift *= 0.04 * height / max(shift.std(), 1e-6)
    places = np.indices(ink.shape) + shift
    return cut(ndimage.map_coordinates(ink, places, order=1))


def cut(ink: np.ndarray) -> np.ndarray:
    """Without the empty margins, of coverage float [h, w]."""
    rows, columns = np.flatnonzero((ink > 0.3).any(1)), np.flatnonzero((ink > 0.3).any(0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


class Sheet:
    """A page while it is made: coverage of ink and of print, float [h, w], and the rows of digits on it."""

    def __init__(self, width: int, height: int):
        self.ink = np.zeros((height, width), np.float32)
        self.print = np.zeros((height, width), np.float32)
        self.rows: list[Row] = []

    def put(self, ink: np.ndarray, left: float, bottom: float) -> tuple[int, int, int, int]:
        """Add ink whose lower left corner is there; return its box."""
        left, top = max(round(left), 0), max(round(bottom) - ink.shape[0], 0)
        part = self.ink[top : top + ink.shape[0], left : left + ink.shape[1]]
        np.maximum(part, ink[: part.shape[0], : part.shape[1]], out=part)
        return left, top, left + ink.shape[1], top + ink.shape[0]

    def touches(self, ink: np.ndarray, left: int, bottom: float) -> bool:
        """Whether ink would touch what is there."""
        top = round(bottom) - ink.shape[0]
        part = self.ink[top : top + ink.shape[0], left : left + ink.shape[1]]
        return bool((ndimage.maximum_filter(part, 3) * ink[: part.shape[0], : part.shape[1]] > 0.3).any())

    def line(self, start: tuple[float, float], end: tuple[float, float], width: float) -> None:
        """Print a straight line from x, y to x, y."""
        picture = Image.fromarray((self.print * 255).astype(np.uint8))
        ImageDraw.Draw(picture).line([start, end], fill=255, width=max(round(width), 1))
        self.print = np.asarray(picture, np.float32) / 255


def make_page(rng: np.random.Generator, mnist_images=None, paper: str | None = None, *, touching: bool | None = None):
    """A page of 20 digits and its truth.

    Parameters
    ----------
    rng : Generator
        Decides everything.
    mnist_images : tuple of arrays, optional
        Images [n, 784] or [n, 28, 28] and their labels: half of the pages are written with these.
    paper : str, optional
        One of PAPERS; without it, `rng` takes one.
    touching : bool, optional
        Whether some digits touch; without it, on a third of the pages.

    Returns
    -------
    picture : Image
        Grey, in mode L.
    rows : list of Row
        The digits in reading order.
    """
    paper = paper or PAPERS[rng.integers(len(PAPERS))]
    touching = bool(rng.random() < 1 / 3) if touching is None else touching
    by_strokes = mnist_images is None or rng.random() < 0.5
    height = rng.uniform(32, 90)
    stroke = height * rng.uniform(0.07, 0.13)

    def digit(label: int) -> np.ndarray:
        size = height * rng.uniform(0.88, 1.12)
        if by_strokes:
            return draw_digit(rng, label, size, stroke)
        images, labels = mnist_images
        return scanned_digit(rng, images[labels == label], size)

    sheet = lay_out(rng, digit, height, stroke, paper, touching)
    return photograph(rng, sheet)


def lay_out(rng: np.random.Generator, digit, height: float, stroke: float, paper: str, touching: bool) -> Sheet:
    """Numbers of 1 to 5 digits in rows, some with a word before them, on paper of a kind."""
    pitch = round(height * (1.25 if paper == "ruled" else rng.uniform(1.7, 2.2)))
    pitch = round(height * 1.7) if paper in ("table", "boxes") else pitch
    cell = 1.25 * height
    margin, columns = 1.2 * height, 12
    sheet = Sheet(round(margin * 2 + columns * cell), round(margin * 2 + 9 * pitch))
    left, base, row_number = DIGITS, 0.0, 0
    while left:
        base = margin + (row_number + 1) * pitch
        if paper == "ruled":  # written on every other line
            base = margin + (2 * row_number + 1) * pitch
        if base > sheet.ink.shape[0] - 0.3 * height:
            break
        x = margin
        if rng.random() < 0.4:
            word = WORDS[rng.integers(len(WORDS))]
            box = sheet.put(draw_word(rng, word, height * rng.uniform(0.5, 0.8)), x, base)
            x = box[2] + 0.9 * height
            x = margin + np.ceil((x - margin) / cell) * cell
        text, boxes, touches = "", [], []
        start, most = x, int(rng.integers(2, 7))
        while left and len(text) < most and x + 2 * cell < sheet.ink.shape[1] - margin / 2:
            length = min(int(rng.integers(1, 6)), left)
            for place in range(length):
                label = int(rng.integers(10))
                ink = digit(label)
                bottom = base + rng.normal(0, 0.03) * height - 0.08 * height
                if paper in ("table", "boxes"):
                    bottom -= 0.25 * height
                    if x + ink.shape[1] > sheet.ink.shape[1] - margin / 2:
                        break
                    at = x + (cell - ink.shape[1]) / 2 + rng.normal(0, 0.05) * height
                    x += cell
                else:
                    if x + ink.shape[1] > sheet.ink.shape[1] - margin / 2:
                        break
                    at = x
                    if touching and place and rng.random() < 0.3:
                        at, is_touching = _push(sheet, ink, at, bottom, height)
                        if is_touching:
                            touches.append(len(text))
                    x = at + ink.shape[1] + height * rng.uniform(0.15, 0.35)
                boxes.append(sheet.put(ink, at, bottom))
                text += str(label)
                left -= 1
            x += cell if paper in ("table", "boxes") else height * rng.uniform(0.9, 1.6)
        if text:
            sheet.rows.append(Row(text, boxes, touches))
        if paper == "boxes":
            _boxes(sheet, start, base, cell, height, stroke)
        row_number += 1
    _print(rng, sheet, paper, (margin, pitch, cell), stroke)
    return sheet


def _push(sheet: Sheet, ink: np.ndarray, at: float, bottom: float, height: float) -> tuple[float, bool]:
    """Move a digit left until it touches the one before."""
    for step in range(round(0.6 * height)):
        if sheet.touches(ink, round(at) - step, bottom):
            return round(at) - step - 1, True
    return at, False


def _boxes(sheet: Sheet, start: float, base: float, cell: float, height: float, stroke: float) -> None:
    """A row of a form's boxes, one for each digit."""
    top, bottom = base - 1.55 * height, base + 0.02 * height
    end = start
    while end + cell <= sheet.ink.shape[1] - 0.5 * height:
        sheet.line((end, top), (end, bottom), stroke / 2.5)
        end += cell
    sheet.line((end, top), (end, bottom), stroke / 2.5)
    for level in (top, bottom):
        sheet.line((start, level), (end, level), stroke / 2.5)


def _print(
    rng: np.random.Generator, sheet: Sheet, paper: str, steps: tuple[float, float, float], stroke: float
) -> None:
    """Rulings, squares or a table over the page."""
    margin, pitch, cell = steps
    height, width = sheet.ink.shape
    thin = stroke * rng.uniform(0.25, 0.5)
    if paper in ("ruled", "table"):
        for level in np.arange(margin, height, pitch):
            sheet.line((0 if paper == "ruled" else margin / 2, level), (width, level), thin)
    if paper == "table":
        for at in np.arange(margin, width, cell * 2):
            sheet.line((at - 0.05 * cell, margin), (at - 0.05 * cell, height), thin)
    if paper == "squared":
        step = pitch / rng.choice([1.5, 2, 3])
        for level in np.arange(step / 2, height, step):
            sheet.line((0, level), (width, level), thin)
        for at in np.arange(step / 2, width, step):
            sheet.line((at, 0), (at, height), thin)


def photograph(rng: np.random.Generator, sheet: Sheet):
    """The sheet turned a little, in uneven light, blurred, with noise, as JPEG; and the rows with boxes in it."""
    height, width = sheet.ink.shape
    angle = rng.normal(0, 1.2)
    turn = np.array(
        [
            [np.cos(np.radians(angle)), -np.sin(np.radians(angle))],
            [np.sin(np.radians(angle)), np.cos(np.radians(angle))],
        ]
    )
    centre = np.array([height, width]) / 2

    def turned(layer):
        return ndimage.affine_transform(layer, turn, centre - turn @ centre, order=1)

    fine = rng.normal(0, 1, (height, width)).astype(np.float32)
    coarse = ndimage.zoom(rng.normal(0, 1, (height // 8 + 2, width // 8 + 2)), 8, order=1)[:height, :width]
    light = rng.uniform(120, 245) * (1 + rng.uniform(0.004, 0.02) * fine + rng.uniform(0, 0.015) * coarse)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    light *= 1 - rng.uniform(0, 0.5) * (np.cos(a := rng.uniform(0, 7)) * x + np.sin(a) * y + 1.42) / 2.84
    if rng.random() < 0.4:  # a shadow with a soft edge
        across = np.cos(b := rng.uniform(0, 7)) * (x - 0.5) + np.sin(b) * (y - 0.5) + rng.uniform(-0.3, 0.3)
        light *= 1 - rng.uniform(0.2, 0.45) / (1 + np.exp(-across * rng.uniform(20, 90)))
    dark, printed = rng.uniform(0.45, 0.85), rng.uniform(0.2, 0.7)
    values = light * (1 - dark * turned(sheet.ink)) * (1 - printed * turned(sheet.print) * (1 - turned(sheet.ink)))
    values = ndimage.gaussian_filter(values, rng.uniform(0.3, 1.4)) + rng.normal(0, rng.uniform(0, 3), values.shape)
    if rng.random() < 0.1:
        values = 255 - values
    buffer = io.BytesIO()
    Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=int(rng.integers(45, 95)))
    buffer.seek(0)

    def moved(box):
        corners = np.array([[box[1], box[0]], [box[1], box[2]], [box[3], box[0]], [box[3], box[2]]])
        corners = (corners - centre) @ turn + centre  # the transposed turn is the inverse one
        (top, left), (bottom, right) = corners.min(0), corners.max(0)
        return round(left), round(top), round(right), round(bottom)

    return Image.open(buffer), [row._replace(boxes=[moved(box) for box in row.boxes]) for row in sheet.rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(arguments.seed)
    for number in range(arguments.count):
        picture, rows = make_page(rng)
        picture.save(arguments.folder / f"page{number}.png")
        print(f"page{number}.png: {' '.join(row.text for row in rows)}")


if __name__ == "__main__":
    main()
