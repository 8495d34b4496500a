"""Draw what was read: boxes, digits and probabilities over each photo, beside what the network saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .._text import printable
from ..handwriting.pictures import read_reduced
from .answers import Answer, Reading

SHOWN_SIDE = 1_000  # pixels of the longest side of a drawn picture, at least
MAX_SEEN = 60  # digits of a picture of which the network's images are shown
# Blue and orange of Okabe and Ito, which colour-blind people tell apart.
SURE, UNSURE = "#0072B2", "#D55E00"


def draw_readings(pictures: Sequence[tuple[str, Any, Reading]], figure: Figure) -> None:
    """Draw pictures and what was read in them, a row for each.

    Parameters
    ----------
    pictures : sequence of (str, picture, Reading)
        Name, picture as `Reader.read` took it, and its answer.
    figure : matplotlib.figure.Figure
        Empty figure; its size is set.
    """
    figure.set_size_inches(11, 4.6 * len(pictures))
    grid = figure.add_gridspec(len(pictures), 2, width_ratios=(3, 2))
    for row, (name, picture, reading) in enumerate(pictures):
        draw_boxes(read_reduced(picture, SHOWN_SIDE)[0], reading, figure.add_subplot(grid[row, 0]))
        figure.axes[-1].set_title(printable(name), parse_math=False, fontsize=10)
        draw_seen(reading.digits, figure.add_subplot(grid[row, 1]))


def draw_boxes(grey: np.ndarray, reading: Reading, ax: Axes) -> Axes:
    """Draw boxes, digits and probabilities over a picture.

    Parameters
    ----------
    grey : ndarray of uint8, shape (height, width)
        The upright picture.
    reading : Reading
        What was read in it.
    ax : matplotlib.axes.Axes
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        The same.
    """
    height, width = reading.shape
    ax.imshow(grey, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
    ax.set_axis_off()
    size = 10 if len(reading.digits) <= 3 else 6
    for answer in reading.digits:
        left, top, right, bottom = answer.box or (0, 0, width, height)
        colour = SURE if answer.is_sure else UNSURE
        ax.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, color=colour, linewidth=1.5))
        label = {"facecolor": colour, "linewidth": 0, "pad": 1}
        ax.text(left, top, _text(answer), color="white", bbox=label, fontsize=size, va="bottom")
    if not reading.digits:
        ax.text(0.5, 0.02, "no digit", transform=ax.transAxes, ha="center", color="white", backgroundcolor=UNSURE)
    return ax


def draw_seen(answers: Sequence[Answer], ax: Axes) -> Axes:
    """Draw the images that the network saw, with their answers.

    Parameters
    ----------
    answers : sequence of Answer
        In reading order; at most 60 are drawn.
    ax : matplotlib.axes.Axes
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        The same.
    """
    ax.set_axis_off()
    shown = [(answer, answer.image) for answer in answers[:MAX_SEEN] if answer.image is not None]
    if not shown:
        return ax
    columns = int(np.ceil(np.sqrt(len(shown))))
    for index, (answer, image) in enumerate(shown):
        row, column = divmod(index, columns)
        place = ((column + 0.05) / columns, 1 - (row + 0.8) / columns, 0.9 / columns, 0.75 / columns)
        small = ax.inset_axes(place)
        small.imshow(image, cmap="gray", vmin=0, vmax=255)
        small.set_axis_off()
        colour = SURE if answer.is_sure else UNSURE
        small.set_title(_text(answer), fontsize=10 if columns < 5 else 6, color=colour, pad=2)
    return ax


def _text(answer: Answer) -> str:
    return f"{answer.label}{'' if answer.is_sure else '?'} {answer.probability:.0%}"
