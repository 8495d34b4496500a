"""Progress bars: in a terminal on standard error, in a notebook as a widget or, without ipywidgets, as text."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from tqdm import TqdmWarning

with warnings.catch_warnings():
    warnings.simplefilter("ignore", TqdmWarning)  # it asks for ipywidgets, but a bar of text will do
    from tqdm.auto import tqdm

__all__ = ["TrainingBar", "bar_options", "image_bar", "progress_bar", "tqdm", "write_line"]

# Loss and accuracy before the times: a terminal of 80 columns cuts off only the rate.
_TRAINING_FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt}{postfix} [{elapsed}<{remaining}, {rate_fmt}]"


def bar_options(*, show: bool) -> dict[str, Any]:
    """Arguments of tqdm for a bar that leaves nothing behind, drawn in a terminal or notebook but not in a file."""
    options = {"dynamic_ncols": True, "leave": False}
    if "ipykernel" in sys.modules:
        # A notebook shows standard error as errors and cannot erase one stream's text from another.
        # A text bar within a bar has no line of its own there, so both use line 0.
        return options | {"disable": not show, "file": sys.stdout, "position": 0}
    in_terminal = sys.stderr is not None and sys.stderr.isatty()
    return options | {"disable": not (show and in_terminal)}


def progress_bar(batches: Iterator, n: int, batch_size: int, description: str, *, show: bool) -> Iterator:
    """Iterate over batches of n images behind a bar that appears after one second.

    Parameters
    ----------
    batches : iterator
        Batches of `batch_size` images, the last one possibly smaller.
    n : int
        Number of images in all batches.
    batch_size : int
        Images per batch.
    description : str
        Text before the bar.
    show : bool
        Whether to draw the bar where there is a terminal or a notebook.
    """
    total = -(-n // batch_size)
    return tqdm(batches, description, total, unit="batch", delay=1, **bar_options(show=show))


def image_bar(total: int, done: int, description: str, *, show: bool) -> tqdm:
    """A bar with images per second; its `update(n)` counts n images.

    Parameters
    ----------
    total : int
        Number of images.
    done : int
        How many of them need no more work.
    description : str
        Text before the bar.
    show : bool
        Whether to draw it where there is a terminal or a notebook.
    """
    options = bar_options(show=show)
    return tqdm(desc=description, total=total, initial=done, unit=" images", unit_scale=True, delay=1, **options)


def write_line(text: str) -> None:
    """Print a line above the bars, if standard output takes it; BrokenPipeError, a reader who is gone, is raised."""
    if sys.stdout is None:
        return
    try:
        tqdm.write(text)
    except BrokenPipeError:
        raise
    except OSError:  # a full disk ends no training: its results are in files
        pass


class TrainingBar:
    """The bar of a training run: epoch, steps, loss of the last step, accuracy of the last validation."""

    def __init__(self, total: int, *, show: bool) -> None:
        self._bar = tqdm(total=total, unit="step", bar_format=_TRAINING_FORMAT, **bar_options(show=show))
        self._loss: float | None = None
        self._accuracy = math.nan

    def __enter__(self) -> TrainingBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def begin_epoch(self, epoch: int) -> None:
        """Show the number of the epoch, from 1, and redraw the bar."""
        self._bar.set_description(f"epoch {epoch}")

    def step(self, loss: float) -> None:
        """Count a step and its loss; draw at most every 0.1 s."""
        self._loss = loss
        self._set_numbers()
        self._bar.update()

    def end_epoch(self, validation_accuracy: float) -> None:
        """Show an accuracy of 0..1, or none for NaN, from the next drawing on."""
        self._accuracy = validation_accuracy
        self._set_numbers()

    def _set_numbers(self) -> None:
        if self._bar.disable:
            return
        # With update() 2 us a step. tqdm's set_postfix alone takes 7: it sorts and formats even if nothing is drawn.
        numbers = []
        if self._loss is not None:
            numbers.append(f"loss={self._loss:.4f}")
        if not math.isnan(self._accuracy):
            numbers.append(f"val_accuracy={self._accuracy:.3f}")
        self._bar.set_postfix_str(", ".join(numbers), refresh=False)
