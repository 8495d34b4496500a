"""Checks of single numbers that users give; errors name the argument."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Collection
from typing import Any

import numpy as np


def check_whole(name: str, value: Any, lowest: int = 1, highest: int | None = None) -> int:
    """A whole number from `lowest` to `highest`. Raises TypeError or ValueError naming the argument."""
    expected = f"a whole number of at least {lowest}" if highest is None else f"a whole number in {lowest}..{highest}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}: expected {expected}, found {value!r}")
    if value < lowest or (highest is not None and value > highest):
        raise ValueError(f"{name}: expected {expected}, found {value!r}")
    return int(value)


def check_real(name: str, value: Any, expected: str, is_valid: Callable[[float], bool]) -> float:
    """A number for which `is_valid` holds. Raises TypeError or ValueError naming the argument."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected {expected}, found {value!r}")
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        number = math.inf
    if not is_valid(number):
        raise ValueError(f"{name}: expected {expected}, found {value!r}")
    return number


def check_names(name: str, found: Collection[str], expected: Collection[str]) -> None:
    """Exactly the expected names. Raises ValueError that says which are there."""
    if set(found) != set(expected):
        raise ValueError(f"{name}: expected {', '.join(expected)}, found {', '.join(map(str, found))}")
