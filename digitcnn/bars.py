"""Progress bars: in a terminal on standard error, in a notebook as a widget or, without ipywidgets, as text."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from tqdm import TqdmWarning

with warnings.catch_warnings():
    warnings.simplefilter("ignore", TqdmWarning)  # it asks for ipywidgets, but a bar of text will do
    from tqdm.auto import tqdm

__all__ = ["bar_options", "tqdm"]


def bar_options(show: bool) -> dict[str, Any]:
    """Arguments of tqdm: a bar that leaves nothing behind, drawn if it is asked for and has where to be.

    That is a terminal or a notebook, not a file.
    """
    in_notebook = "ipykernel" in sys.modules
    fits = in_notebook or (sys.stderr is not None and sys.stderr.isatty())
    # A notebook draws standard error as errors, and a stream of its own cannot be wiped out from another.
    file = sys.stdout if in_notebook else None
    return {"disable": not (show and fits), "file": file, "dynamic_ncols": True, "leave": False}
