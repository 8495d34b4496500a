"""Messy pictures of one digit: drawn strokes, or MNIST's digits, on paper as cameras and scanners see it.

    python tests/handwriting/messy.py FOLDER --count 500 --seed 1 [--mnist DATA_FOLDER]

writes pictures named for their labels, such as 7_0012.jpg. The strokes are drawn here, as points that a smooth curve
passes; points, slant, pen, ink, paper, light, blur and compression are random, and all of it derives from the seed.
"""

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# For each digit its ways of writing, each of strokes; a stroke is the points "x,y" that it passes, in hundredths of a
# box, y downwards. A point given twice is a corner.
WAYS = {
    0: [
        ["55,0 15,15 0,55 20,95 50,100 85,85 100,45 80,8 50,0"],
        ["40,3 8,30 5,70 40,100 85,80 95,35 65,3 35,6"],
    ],
    1: [
        ["50,0 50,50 50,100"],
        ["25,25 42,15 58,0 58,0 57,50 56,100"],
        ["22,22 40,12 52,0 52,0 52,100", "20,100 85,100"],
    ],
    2: [
        ["5,25 25,3 65,2 85,25 60,60 0,100 0,100 50,98 100,100"],
        ["10,20 40,0 80,15 70,50 20,95 5,85 25,78 60,95 100,90"],
    ],
    3: [
        ["5,12 40,0 85,15 70,40 35,47 35,47 80,55 95,80 50,100 0,90"],
        ["10,10 50,0 85,20 45,45 45,45 95,70 60,100 5,88"],
    ],
    4: [
        ["30,0 15,35 0,62 0,62 50,60 100,60", "72,20 70,60 66,100"],
        ["70,100 70,50 72,0 72,0 35,35 0,68 0,68 50,67 100,68"],
        ["8,0 5,30 15,50 50,52 85,45", "88,0 85,50 80,100"],
    ],
    5: [
        ["20,2 17,22 13,42 13,42 55,36 92,62 60,98 5,90", "20,2 55,3 95,0"],
        ["92,2 50,2 25,4 25,4 20,24 15,45 15,45 60,42 88,70 50,100 0,92"],
    ],
    6: [
        ["75,0 30,25 3,65 25,98 75,95 90,68 55,52 10,72"],
        ["60,0 20,35 8,75 45,100 88,80 65,55 20,62 10,75"],
    ],
    7: [
        ["0,3 50,2 95,0 95,0 60,50 35,100"],
        ["0,3 50,2 95,0 95,0 60,50 35,100", "25,50 90,47"],
    ],
    8: [
        ["85,15 45,0 12,20 50,46 93,75 50,100 5,78 48,48 85,18 75,7"],
        ["50,0 15,22 50,46 85,22 50,0", "50,46 5,74 50,100 95,74 50,46"],
    ],
    9: [
        ["88,12 50,0 8,25 35,50 80,35 90,8 90,8 85,50 75,100"],
        ["85,20 50,0 10,22 40,48 85,20 85,20 88,65 60,98 15,90"],
    ],
}
POINTS_PER_PIECE = 14  # a smooth curve between two points is drawn as so many straight lines


def curve(points):
    """Points of a smooth curve through the given ones, float [n, 2]: cubic Bezier pieces; doubled ones are corners."""
    points = np.asarray(points, float)
    pieces = []
    for start, end in zip(range(len(points) - 1), range(1, len(points)), strict=True):
        a, b = points[start], points[end]
        if np.array_equal(a, b):
            continue
        before = points[start - 1] if start and not np.array_equal(points[start - 1], a) else a
        after = points[end + 1] if end + 1 < len(points) and not np.array_equal(points[end + 1], b) else b
        handles = a + (b - before) / 6, b - (after - a) / 6
        t = np.linspace(0, 1, POINTS_PER_PIECE)[:, None]
        pieces.append((1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * handles[0] + 3 * (1 - t) * t**2 * handles[1] + t**3 * b)
    return np.concatenate(pieces)


def draw_digit(rng, label, height):
    """Ink of a drawn digit, float [h, w] in 0..1, about `height` pixels high, upright, in a tight box."""
    ways = WAYS[label]
    strokes = ways[rng.integers(len(ways))]
    aspect = rng.uniform(0.5, 0.8)
    slant = rng.normal(0, 0.12)
    pen = height * rng.choice([rng.uniform(0.012, 0.04), rng.uniform(0.04, 0.1), rng.uniform(0.1, 0.16)])
    moved = {}  # a point that two strokes share, or that is doubled, moves once
    margin = int(pen + 0.4 * height)
    width = int(aspect * height) + 2 * margin
    ink = Image.new("L", (2 * width, 2 * (height + 2 * margin)))  # at twice the size, for soft edges
    pencil = ImageDraw.Draw(ink)
    for stroke in strokes:
        points = [moved.setdefault(point, _place(point) + rng.normal(0, 0.025, 2)) for point in stroke.split()]
        line = curve(points)
        line = np.stack([line[:, 0] + slant * (0.5 - line[:, 1]), line[:, 1]], axis=1)
        line = 2 * (line * [aspect * height, height] + margin)
        pressure = 1 + 0.15 * np.sin(np.linspace(0, rng.uniform(2, 7), len(line)) + rng.uniform(0, 6))
        for a, b, share in zip(line[:-1], line[1:], pressure, strict=False):
            radius = max(0.8, share * pen)
            pencil.line([*a, *b], 255, round(2 * radius))
            pencil.ellipse([*(b - radius), *(b + radius)], 255)
            pencil.ellipse([*(a - radius), *(a + radius)], 255)
    return _tight(ink.resize((width, height + 2 * margin), Image.Resampling.BOX))


def _place(point):
    """The place (x, y) in a box of 1 x 1, of a point of WAYS."""
    return np.array([float(number) for number in point.split(",")]) / 100


def mnist_digit(rng, images, height):
    """Ink of one of MNIST's digits, uint8 [n, 28, 28], as `draw_digit` gives it."""
    image = Image.fromarray(images[rng.integers(len(images))])
    return _tight(image.resize((round(28 * height / 20),) * 2, Image.Resampling.BICUBIC))


def _tight(ink):
    return np.asarray(ink.crop(ink.point(lambda value: 255 * (value > 60)).getbbox()), float) / 255


def make_paper(rng, height, width):
    """Light that the paper sends back, float [height, width], about 0.3..1: colour, light, shadow, grain, rulings."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    paper = np.full((height, width), rng.choice([1.0, rng.uniform(0.75, 1), rng.uniform(0.4, 0.75)]))
    paper *= 1 - rng.uniform(0, 0.3) * _ramp(rng, x, y, softness=0.8)
    if rng.random() < 0.4:
        paper *= 1 - rng.uniform(0.15, 0.45) * _ramp(rng, x, y, softness=rng.uniform(0.03, 0.3))
    for grain in (1, 8):
        noise = rng.normal(0, rng.uniform(0, 0.02), (height // grain + 2, width // grain + 2)).astype(np.float32)
        paper *= 1 + np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))
    kind = rng.choice(["plain", "ruled", "squared"], p=[0.5, 0.25, 0.25])
    if kind != "plain":
        paper = paper * _rules(rng, height, width, is_squared=kind == "squared")
    return paper


def _ramp(rng, x, y, softness):
    """From 0 to 1 across a line of any direction, soft over that share of the longest side."""
    angle = rng.uniform(0, 2 * np.pi)
    along = (x - x.max() / 2) * np.cos(angle) + (y - y.max() / 2) * np.sin(angle) + rng.uniform(-0.3, 0.3)
    return 1 / (1 + np.exp(-np.clip(4 * along / softness, -30, 30)))


def _rules(rng, height, width, *, is_squared):
    """Light that printed lines leave of the paper's, float [height, width] in 0..1."""
    side = max(height, width)
    spacing, thickness = side * rng.uniform(0.08, 0.3), max(1, round(side * rng.uniform(0.002, 0.006)))
    lines = Image.new("L", (2 * side, 2 * side), 255)
    pencil = ImageDraw.Draw(lines)
    tint = round(255 * (1 - rng.uniform(0.08, 0.3)))
    for at in np.arange(rng.uniform(0, spacing), 2 * side, spacing):
        pencil.line([0, at, 2 * side, at], tint, thickness)
        if is_squared:
            pencil.line([at, 0, at, 2 * side], tint, thickness)
    lines = lines.rotate(rng.uniform(-4, 4), Image.Resampling.BICUBIC, fillcolor=255)
    left, top = (2 * side - width) // 2, (2 * side - height) // 2
    return np.asarray(lines.crop((left, top, left + width, top + height)), float) / 255


def make_messy_single(rng, label, mnist_images=None):
    """A picture of one digit, uint8 [height, width, 3].

    `rng` is a NumPy generator and all that is random; `mnist_images`, uint8 [n, 28, 28] of that label, are used in
    place of drawn strokes.
    """
    height, width = (int(side) for side in rng.integers(90, 800) * rng.uniform(0.75, 1, 2))
    tall = int(min(height, width) * rng.uniform(0.3, 0.75))
    ink = draw_digit(rng, label, tall) if mnist_images is None else mnist_digit(rng, mnist_images, tall)
    turned = Image.fromarray((255 * ink).astype(np.uint8)).rotate(
        rng.uniform(-15, 15), Image.Resampling.BICUBIC, expand=True
    )
    turned.thumbnail((0.94 * width, 0.94 * height))
    place = tuple(
        int(rng.uniform(0.03 * size, 0.97 * size - own)) for size, own in zip((width, height), turned.size, strict=True)
    )
    whole = Image.new("L", (width, height))
    whole.paste(turned, place)
    if rng.random() < 0.15:  # a scrap of a neighbour, cut by the edge
        pencil = ImageDraw.Draw(whole)
        at = rng.uniform(0, height)
        if place[0] > 0.12 * width:
            pencil.line([0, at, 0.05 * width, at + rng.uniform(-0.05, 0.05) * height], 255, max(1, tall // 20))
    ink = np.asarray(whole, float) / 255
    paper = make_paper(rng, height, width)
    left = rng.uniform(0.05, 0.5)  # of the paper's light where ink is
    light = paper * (1 - ink * (1 - left))
    colour = 1 - rng.uniform(0, 0.5, 3) if rng.random() < 0.5 else np.ones(3)  # of the ink; paper is slightly warm
    light = light[..., None] * (1 - ink[..., None] * (1 - colour))
    light = light * (1 - np.array([0, 0.02, 0.06]) * rng.uniform(0, 1))
    light = np.clip(light * rng.uniform(0.75, 1), 0, 1)
    if rng.random() < 0.2:  # chalk, or a dark screen
        light = 1 - light
    picture = Image.fromarray((255 * light).astype(np.uint8))
    picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.003) * max(height, width)))
    noisy = np.asarray(picture, float) + rng.normal(0, rng.uniform(0, 6), (height, width, 1))
    file = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=int(rng.integers(35, 96)))
    return np.array(Image.open(file))


def make_messy_set(seed, count, mnist=None):
    """Pairs (label, picture), every second one with a digit of MNIST's where its (images, labels) are given."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        label = number % 10
        images = None
        if mnist is not None and number // 10 % 2:
            images = mnist[0][np.asarray(mnist[1]) == label].reshape(-1, 28, 28)
        yield label, make_messy_single(rng, label, images)


def main():
    parser = argparse.ArgumentParser(description="Write messy pictures of single digits.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mnist", metavar="DATA_FOLDER", help="use the test digits of the MNIST in this folder, too")
    arguments = parser.parse_args()
    mnist = None
    if arguments.mnist:
        from digitcnn import load_dataset

        dataset = load_dataset("mnist", arguments.mnist)
        mnist = dataset.test_images, dataset.test_labels
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for number, (label, picture) in enumerate(make_messy_set(arguments.seed, arguments.count, mnist)):
        Image.fromarray(picture).save(arguments.folder / f"{label}_{number:04}.png")
    print(f"{arguments.count} pictures in {arguments.folder}")


if __name__ == "__main__":
    main()
