"""The ten digits as strokes of a pen: polylines of points (x, y), x and y in 0..1, y downwards, in a box of 2 to 3."""

import math

from PIL import Image, ImageDraw


def arc(x, y, rx, ry, start, end, n=16):
    """Points of an ellipse from one angle to another, in degrees: 0 is right, 90 is down."""
    angles = [math.radians(start + (end - start) * i / n) for i in range(n + 1)]
    return [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles]


STROKES = {
    0: [arc(0.50, 0.50, 0.46, 0.48, -70, -430, 28)],
    1: [[(0.30, 0.18), (0.52, 0.02), (0.50, 0.98)]],
    2: [[*arc(0.48, 0.28, 0.38, 0.26, -170, 40), (0.40, 0.72), (0.08, 0.97), (0.94, 0.95)]],
    3: [[*arc(0.44, 0.26, 0.38, 0.24, -150, 80), *arc(0.44, 0.72, 0.46, 0.25, -80, 150)]],
    4: [[(0.60, 0.02), (0.06, 0.62), (0.96, 0.60)], [(0.70, 0.30), (0.68, 0.98)]],
    5: [[(0.22, 0.04), (0.16, 0.44), *arc(0.46, 0.68, 0.44, 0.29, -110, 150)], [(0.22, 0.04), (0.88, 0.02)]],
    6: [[(0.72, 0.02), (0.34, 0.30), *arc(0.48, 0.72, 0.40, 0.26, -170, -520, 24)]],
    7: [[(0.06, 0.06), (0.94, 0.03), (0.62, 0.42), (0.38, 0.98)]],
    8: [[*arc(0.50, 0.26, 0.34, 0.23, 60, -240, 18), *arc(0.50, 0.74, 0.42, 0.24, -60, 240, 20), (0.70, 0.45)]],
    9: [[*arc(0.48, 0.28, 0.38, 0.26, 0, -350, 22), (0.86, 0.26), (0.80, 0.60), (0.66, 0.98)]],
}


def draw(page, digit, left=0.28, top=0.14, height=0.72):
    """Draw a digit with the mouse on the page's drawing area; the place and the height are shares of its side."""
    box = page.locator("#drawing").bounding_box()
    width = height * 2 / 3
    for stroke in STROKES[digit]:
        points = [
            (box["x"] + box["width"] * (left + width * x), box["y"] + box["height"] * (top + height * y))
            for x, y in stroke
        ]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point)
        page.mouse.up()


def page_of(rows, side=120):
    """A page of digits as dark ink on white, a PIL image; rows are texts such as '12 3', where a space is a gap."""
    width = max(map(len, rows))
    page = Image.new("L", (side * (width + 1), side * 2 * len(rows) + side), "white")
    pen = ImageDraw.Draw(page)
    for y, row in enumerate(rows):
        for x, character in enumerate(row):
            for stroke in STROKES[int(character)] if character != " " else ():
                points = [(side * (x + 0.6 + 0.6 * u), side * (2 * y + 0.9 + v)) for u, v in stroke]
                pen.line(points, fill=30, width=8, joint="curve")
    return page
