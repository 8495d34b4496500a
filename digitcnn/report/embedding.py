"""Images and figures as text inside an HTML file, within a bound."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

MAX_PER_CELL = 40  # images of a cell of the confusion matrix: what a reader looks through
MAX_SIDE = 64  # pixels of an image's longer side, which is about what the page shows it at; larger ones are reduced
# Of all images of the confusion matrix together: 4,000 of MNIST's, about 2 MB of text; noise, the worst case, 4.5 MB.
MAX_PIXELS = 3 << 20
FIGURE_INCHES = (5, 3.5)  # so that letters are 9 pixels high on a phone, where a figure is 340 pixels wide

# What Matplotlib draws with, in the page's own colours, which the style sheet of report.html has too.
_THEMES: dict[str, Any] = {
    theme: {
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), ink),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), paper),
        "svg.hashsalt": "digitcnn",  # the same bytes from the same figure
        "svg.fonttype": "path",  # letters as drawings: they look the same on every machine
    }
    for theme, ink, paper in (("light", "#1a1c20", "#ffffff"), ("dark", "#e8e9ec", "#1a1c20"))
}


def choose_images(
    labels: np.ndarray, probabilities: np.ndarray, wanted: np.ndarray, max_images: int
) -> dict[tuple[int, int], list[int]]:
    """Choose the images of each cell (true class, predicted class) to show, as positions in the test set.

    Of misread images the surest come first, of others the least sure. Where `max_images` is not enough for
    MAX_PER_CELL of each cell, each cell gets its first, then its second, and so on, mistakes before right answers.

    Parameters
    ----------
    labels : array of shape (n,)
        True classes.
    probabilities : array of shape (n, n_classes)
        The answers.
    wanted : array of bool, shape (n_classes, n_classes)
        The cells whose images are shown.
    max_images : int
        How many to choose, at most.
    """
    predictions, certainty = probabilities.argmax(axis=1), probabilities.max(axis=1)
    is_right = predictions == labels
    cell = labels.astype(np.int64) * probabilities.shape[1] + predictions
    by_cell = np.lexsort((np.where(is_right, certainty, -certainty), cell))
    starts = np.flatnonzero(np.diff(cell[by_cell], prepend=-1))
    sizes = np.diff(starts, append=len(labels))
    rank = np.arange(len(labels)) - np.repeat(starts, sizes)  # of each image within its cell
    few = (rank < MAX_PER_CELL) & wanted[labels[by_cell], predictions[by_cell]]
    by_cell, rank = by_cell[few], rank[few]
    chosen = np.sort(np.lexsort((is_right[by_cell], rank))[:max_images])
    cells: dict[tuple[int, int], list[int]] = {}
    for i in by_cell[chosen].tolist():
        cells.setdefault((int(labels[i]), int(predictions[i])), []).append(i)
    return cells


def shown_size(height: int, width: int) -> tuple[int, int]:
    """Height and width that an image is embedded in: its own, unless a side is longer than MAX_SIDE."""
    scale = min(1.0, MAX_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def png_base64(image: np.ndarray) -> str:
    """Encode an image, uint8 [height, width], as a PNG in base64, reduced to `shown_size`."""
    picture = Image.fromarray(image)
    height, width = shown_size(*image.shape)
    if (height, width) != image.shape:
        picture = picture.resize((width, height), Image.Resampling.BOX)
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode()


def themed_figures(draw: Callable[[Axes], Any]) -> dict[str, str]:
    """Draw a figure for light and for dark pages; returns SVG files as data: addresses, by theme."""
    addresses = {}
    for theme, parameters in _THEMES.items():
        with matplotlib.rc_context({"text.usetex": False, **parameters}):  # a user's LaTeX would read the texts
            # A figure of its own, without pyplot: no display is needed and no backend is switched.
            figure = Figure(figsize=FIGURE_INCHES, layout="constrained")
            draw(figure.subplots())
            content = io.BytesIO()
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Glyph .* missing from")
                figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
        addresses[theme] = "data:image/svg+xml;base64," + base64.b64encode(content.getvalue()).decode()
    return addresses
