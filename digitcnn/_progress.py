"""Progress bars: in a terminal on standard error, in a notebook as a widget or, without ipywidgets, as text."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tqdm import TqdmWarning

with warnings.catch_warnings():
    warnings.simplefilter("ignore", TqdmWarning)  # it asks for ipywidgets, but a bar of text will do
    from tqdm.auto import tqdm


__all__ = ["bar_options", "tqdm"]


def bar_options(show: bool) -> dict[str, Any]:
    """Arguments of tqdm: a bar that leaves nothing behind, drawn if it is asked for and has where to be.

    That is a terminal or a notebook, not a file.
    """
    options = {"dynamic_ncols": True, "leave": False}
    if "ipykernel" in sys.modules:
        # There, standard error is drawn as errors, what is in one stream cannot be wiped out from another, and a
        # bar of text within a bar has no line of its own to go to.
        return options | {"disable": not show, "file": sys.stdout, "position": 0}
    fits = sys.stderr is not None and sys.stderr.isatty()
    return options | {"disable": not (show and fits)}


v1 = tf.compat.v1


def progress_bar(batches: Iterator, n: int, batch_size: int, description: str, show: bool) -> Iterator:
    """A bar around batches, for what takes longer than a second."""
    total = -(-n // batch_size)
    return tqdm(batches, description, total, unit="batch", delay=1, **bar_options(show))
