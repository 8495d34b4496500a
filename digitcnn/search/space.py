"""The values of settings that a search tries: all of a grid, or some drawn from ranges. No TensorFlow here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..graph.architectures import ARCHITECTURES
from ..graph.schedules import SCHEDULES
from ..settings import PRECISIONS, Settings, check_name, declarations

MAX_COMBINATIONS = 10_000  # of a search: a mistyped grid is found before its jobs are listed
SIGNIFICANT_DIGITS = 4  # of a number that is drawn, so that it can be read and typed
_MAX_TRIES = 100  # draws for each combination that is asked for: some may be equal
# Settings that are not searched, and what to do instead.
_NOT_SEARCHED = {
    "random_seed": "give --seeds",
    "image_shape": "it is read from the data",
    "n_classes": "it is read from the data",
}
SEARCHED = tuple(name for name in declarations() if name not in _NOT_SEARCHED)
_NAMES = {"architecture": tuple(ARCHITECTURES), "schedule": tuple(SCHEDULES), "precision": PRECISIONS}
_TRUTHS = {"true": True, "false": False}


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, whole if these are; drawn evenly, or evenly by their logarithms."""

    low: float
    high: float
    is_log: bool

    def draw(self, generator: np.random.Generator) -> float:
        """A number of the range, of few digits."""
        low, high = (math.log(self.low), math.log(self.high)) if self.is_log else (self.low, self.high)
        if isinstance(self.low, int) and not self.is_log:
            return int(generator.integers(self.low, int(self.high), endpoint=True))
        number = generator.uniform(low, high)
        number = math.exp(number) if self.is_log else number
        rounded = round(number) if isinstance(self.low, int) else float(f"{number:.{SIGNIFICANT_DIGITS}g}")
        return min(max(rounded, self.low), self.high)

    def __str__(self) -> str:
        return f"{self.low}..{self.high}{':log' if self.is_log else ''}"


def parse_values(text: str) -> tuple[str, tuple[Any, ...]]:
    """The setting and values of `NAME=VALUE,VALUE,...`. Raises ValueError."""
    name, listed = _partition(text, "NAME=VALUE,VALUE,...")
    values = [_value(name, part.strip()) for part in listed.split(",")]
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(f"{name}: expected each value once, found {value!r} twice")
    return name, tuple(values)


def parse_range(text: str) -> tuple[str, Range]:
    """The setting and range of `NAME=LOW..HIGH` or `NAME=LOW..HIGH:log`. Raises ValueError."""
    name, limits = _partition(text, "NAME=LOW..HIGH or NAME=LOW..HIGH:log")
    ends, colon, scale = limits.partition(":")
    low_text, dots, high_text = ends.partition("..")
    if not dots or (colon and scale != "log"):
        raise ValueError(f"{name}: expected LOW..HIGH or LOW..HIGH:log, found {limits!r}")
    if name in _NAMES or isinstance(getattr(Settings, name), bool):
        raise ValueError(f"{name}: expected a setting that is a number, found one that is none; give it to --grid")
    low, high = _value(name, low_text.strip()), _value(name, high_text.strip())
    if not low < high:
        raise ValueError(f"{name}: expected a lower number before .., found {limits!r}")
    if colon and low <= 0:
        raise ValueError(f"{name}: expected numbers above 0 for :log, found {limits!r}")
    return name, Range(low, high, bool(colon))


def _partition(text: str, expected: str) -> tuple[str, str]:
    name, sign, rest = text.partition("=")
    name = name.strip()
    if not sign:
        raise ValueError(f"expected {expected}, found {text!r}")
    if name in _NOT_SEARCHED:
        raise ValueError(f"{name}: expected a setting that can be searched, found another: {_NOT_SEARCHED[name]}")
    return check_name("setting", name, SEARCHED), rest


def _value(name: str, text: str) -> Any:
    """A setting's value from its text. Raises ValueError that names the setting."""
    declaration, value = declarations()[name], text
    try:
        if isinstance(getattr(Settings, name), bool):
            return _TRUTHS[check_name(name, text, _TRUTHS)]
        if name in _NAMES:
            return check_name(name, text, _NAMES[name])
        if declaration.parse is int:
            return declaration.check(name, int(text) if text.isdecimal() else text)
        return declaration.check(name, _number(value))
    except TypeError as error:
        raise ValueError(str(error)) from None


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def grid_combinations(grid: Mapping[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Every combination of the grid's values; the last setting changes fastest. Raises ValueError for too many."""
    n = math.prod(map(len, grid.values()))
    if n > MAX_COMBINATIONS:
        raise ValueError(
            f"--grid: expected at most {MAX_COMBINATIONS:,} combinations, found {n:,}; --random N draws some of them"
        )
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def drawn_combinations(
    grid: Mapping[str, tuple[Any, ...]], ranges: Mapping[str, Range], n: int, seed: int
) -> list[dict[str, Any]]:
    """Different combinations, each of a number of every range and a value of every setting of the grid.

    Parameters
    ----------
    grid : mapping
        Values by setting.
    ranges : mapping
        Ranges by setting.
    n : int
        Number of combinations.
    seed : int
        Seed of the draws.

    Raises
    ------
    ValueError
        If there are not so many.
    """
    generator = np.random.default_rng(seed)
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for _ in range(_MAX_TRIES * n):
        drawn = {name: values[generator.integers(len(values))] for name, values in grid.items()}
        drawn |= {name: numbers.draw(generator) for name, numbers in ranges.items()}
        found.setdefault(tuple(drawn.values()), drawn)
        if len(found) == n:
            return list(found.values())
    raise ValueError(
        f"--random: expected at most as many combinations as there are, found {n:,} and about {len(found):,} different "
        "ones; give a lower number, or --grid alone for all of them"
    )
