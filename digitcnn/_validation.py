"""Checks of what users give; errors name the argument, what was expected and what was found."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

MOST = 2**31 - 1  # of what is counted: steps, epochs, images


def check_path(name: str, value: Any) -> Path:
    """A path, as text or path object. Raises TypeError or ValueError."""
    if not isinstance(value, (str, os.PathLike)) or isinstance(os.fspath(value), bytes):
        raise TypeError(f"{name}: expected a path, found {value!r}")
    if not os.fspath(value) or "\0" in os.fspath(value):
        raise ValueError(f"{name}: expected a path, found {'one with a null byte' if value else 'an empty one'}")
    return Path(value)


def check_bool(name: str, value: Any) -> bool:
    """True or False. Raises TypeError."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, found {value!r}")
    return bool(value)


def check_array(name: str, value: Any, expected: str) -> np.ndarray:
    """What NumPy makes of a value, of whatever type. Raises TypeError or ValueError."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected {expected}, found a masked array, whose holes mean nothing here: fill them")
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:  # a ragged list, among others
        raise ValueError(f"{name}: expected {expected}, found: {error}") from error


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
