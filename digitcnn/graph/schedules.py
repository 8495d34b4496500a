"""Learning rate schedules, without TensorFlow: graph/train_step.py turns them into operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

WARM_UP = 0.3  # of the steps
FIRST, LAST = 1e-2, 1e-3  # of the peak


def one_cycle(progress: Any) -> tuple[Any, Any]:
    """Return the linear one-cycle policy of Smith & Topin 2018 as two lines; the rate is the lower one.

    progress: share of the steps that are done, 0..1, a number, array or tensor. In units of the peak, the rate rises
    from 1/100 at the start to 1 after 30% of the steps, and falls to 1/1000 at the end.
    """
    up = FIRST + (1 - FIRST) * progress / WARM_UP
    down = LAST + (1 - LAST) * (1 - progress) / (1 - WARM_UP)
    return up, down


# The lines of each schedule as functions of the progress; None is a constant rate.
SCHEDULES: dict[str, Callable[[Any], tuple[Any, Any]] | None] = {"constant": None, "one_cycle": one_cycle}
