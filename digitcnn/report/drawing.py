"""What several drawings share: where they are drawn, rows of labelled images, and PNG files."""

from __future__ import annotations

import contextlib
import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

# Three of the colours of Okabe and Ito, which colour-blind readers tell apart; markers and line styles differ too.
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
_TITLE_INCHES = 0.09  # width of a title's character at Matplotlib's default size of 12 points


def current_axes() -> Axes:
    """Pyplot's current axes; pyplot is imported only here and below, since it may switch a backend."""
    import matplotlib.pyplot as plt

    return plt.gca()


def new_figure(width: float, height: float) -> Figure:
    """A figure of pyplot, in inches, that keeps titles clear of the images."""
    import matplotlib.pyplot as plt

    return plt.figure(figsize=(width, height), layout="constrained")


def draw_labelled_images(
    axes: np.ndarray, images: np.ndarray, y: np.ndarray, predictions: np.ndarray, below: Sequence[str] | None = None
) -> None:
    """Draw an image into each of the axes, and leave the others blank.

    A misread image has the title `predicted/true` in red, any other its label alone.

    Parameters
    ----------
    axes : ndarray of Axes
        Places, as `Figure.subplots` returns them.
    images : ndarray of shape (n, height, width) or (n, height, width, 1)
        Dark where pixels are high; no more than there are places.
    y, predictions : ndarray of shape (n,)
        True and predicted labels.
    below : sequence of str, optional
        What is written below each image.
    """
    for ax in axes.flat:
        ax.axis("off")
        ax.set(xticks=[], yticks=[])  # the layout measures hidden ones too: a third of the time
    for i, ax in enumerate(axes.flat[: len(images)]):
        ax.imshow(images[i], cmap="gray_r")
        is_wrong = predictions[i] != y[i]
        title, color = (f"{predictions[i]}/{y[i]}", "red") if is_wrong else (str(predictions[i]), "black")
        ax.set_title(title, color=color, pad=3, parse_math=False)
        if below is not None:
            ax.text(0.5, -0.05, below[i], fontsize=9, color="0.25", transform=ax.transAxes, ha="center", va="top")


def set_title(figure: Figure | SubFigure, title: str) -> None:
    """Give a figure a title of as many lines as its width needs."""
    width = int(figure.bbox.width / figure.dpi / _TITLE_INCHES)
    figure.suptitle(textwrap.fill(title, max(width, 20)))


@contextlib.contextmanager
def for_files() -> Iterator[None]:
    """Draw and save within this: names are shown as they are, whatever a user has set, and without warnings."""
    with warnings.catch_warnings(), matplotlib.rc_context({"text.usetex": False}):  # LaTeX would read the names
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a name may show boxes instead of letters
        yield


def png(figure: Figure, dpi: int) -> bytes:
    """The content of a PNG file of the figure."""
    content = io.BytesIO()
    figure.savefig(content, dpi=dpi, format="png")
    return content.getvalue()
