"""Reads JSON strictly: each field is declared once, by its name and its check.

A check is a function `check(name, value)` that returns the value to use, or raises TypeError or ValueError with the
name, what was expected and what was found.
"""

from __future__ import annotations

import json
import math
import numbers
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ._validation import MAX_COUNT, check_bool, check_whole

Check = Callable[[str, Any], Any]

MAX_TEXT = 4_096  # characters of a text; the longest is a path
_NO_LIMITS = (-math.inf, math.inf)
_EXACT = 2**53  # whole numbers up to here are exact as float64


def parse_json(text: str) -> Any:
    """The value that a JSON text has.

    Raises ValueError for what is no JSON, also for NaN, infinite numbers, deep nesting, an object that has a name
    twice, and one with a long name or text.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("expected few levels of brackets, found too many") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    seen: set[str] = set()
    for name, value in pairs:
        if name in seen:
            raise ValueError(f"{_short(name)}: expected once, found twice")
        seen.add(name)
        if len(name) > MAX_TEXT or (isinstance(value, str) and len(value) > MAX_TEXT):
            raise ValueError(f"{_short(name)}: expected at most {MAX_TEXT} characters, found more")
    return content


def _no_constant(text: str) -> float:
    raise ValueError(f"expected a finite number, found {text}")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"expected a finite number, found {_short(text)}")
    return number


def _short(text: str) -> str:
    return text if len(text) <= 99 else f"{text[:99]}..."


def shown(value: Any) -> str:
    """A value for an error message, cut where it is long."""
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    try:
        return _short(repr(value))
    except ValueError:  # a whole number of thousands of digits
        return "a number of too many digits"


def fields(declared: Mapping[str, Check], optional: Collection[str] = ()) -> Check:
    """A check for an object with exactly these fields; those of `optional` may be missing."""

    def check(name: str, value: Any) -> dict[str, Any]:
        expected = f"{name or 'names'}: expected {', '.join(declared)}"
        if not isinstance(value, dict):
            raise TypeError(f"{expected}, found {shown(value)}")
        if missing := declared.keys() - set(optional) - value.keys():
            raise ValueError(f"{expected}, found no {min(missing)}")
        if unknown := value.keys() - declared.keys():
            raise ValueError(f"{expected}, found {_short(min(unknown))}")
        within = f"{name}." if name else ""
        return {part: checks(within + part, value[part]) for part, checks in declared.items() if part in value}

    return check


def list_of(item: Check, lowest: int = 0, highest: int | None = None) -> Check:
    """A check for a list of `lowest` to `highest` items."""

    def check(name: str, value: Any) -> list:
        expected = "a list" if highest is None else f"a list of {lowest} to {highest}"
        if not isinstance(value, list):
            raise TypeError(f"{name}: expected {expected}, found {shown(value)}")
        if len(value) < lowest or (highest is not None and len(value) > highest):
            raise ValueError(f"{name}: expected {expected}, found {len(value)}")
        return [item(name, part) for part in value]

    return check


def optional(otherwise: Check) -> Check:
    """A check for null, or what another check takes."""
    return lambda name, value: None if value is None else otherwise(name, value)


def count(lowest: int = 0, highest: int = MAX_COUNT) -> Check:
    """A check for a whole number."""
    return lambda name, value: check_whole(name, _scalar(name, value), lowest, highest)


def number(lowest: float = -math.inf, highest: float = math.inf) -> Check:
    """A check for a number that float64 has: a whole one stays one."""
    limits = (lowest, highest)
    return lambda name, value: as_number(name, _scalar(name, value), limits)


def as_number(name: str, value: Any, limits: tuple[float, float] = _NO_LIMITS) -> float:
    """A number as Python's int or float, which may be NaN or infinite where it has no limits.

    Raises TypeError or ValueError.
    """
    found: Any = value
    if type(value) is not float:  # a record has thousands of floats, and few others
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TypeError(f"{name}: expected a number{_limits_text(limits)}, found {shown(value)}")
        try:
            found = int(value) if isinstance(value, numbers.Integral) else float(value)
        except OverflowError:  # a fraction of hundreds of digits
            found = 2 * _EXACT
    # Written so that NaN is out of every range that has a limit.
    is_outside = limits != _NO_LIMITS and not limits[0] <= found <= limits[1]
    if is_outside or (type(found) is int and abs(found) > _EXACT):
        expected = _limits_text(limits) or " that float64 has"
        raise ValueError(f"{name}: expected a number{expected}, found {shown(value)}")
    return found


def _limits_text(limits: tuple[float, float]) -> str:
    return "" if limits == _NO_LIMITS else f" in {limits[0]}..{limits[1]}"


def number_or_text(name: str, value: Any) -> float:
    """A number, or what JSON has no number for: 'nan', 'inf' or '-inf'."""
    return float(value) if value in ("nan", "inf", "-inf") else as_number(name, _scalar(name, value))


def text(name: str, value: Any) -> str:
    """A text, which is not too long."""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise TypeError(f"{name}: expected a text, found {shown(value)}")
    return value


def sha256(name: str, value: Any) -> str:
    """A SHA-256 in hex."""
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise TypeError(f"{name}: expected a SHA-256, found {shown(value)}")
    return value


def one_of(*values: Any) -> Check:
    """A check for one of some values."""

    def check(name: str, value: Any) -> Any:
        if not any(type(value) is type(known) and value == known for known in values):
            raise ValueError(f"{name}: expected {' or '.join(map(repr, values))}, found {shown(value)}")
        return value

    return check


def truth(name: str, value: Any) -> bool:
    """True or false."""
    return check_bool(name, _scalar(name, value))


def table(name: str, value: Any) -> dict[str, Any]:
    """An object of any names and values, which the caller checks."""
    if not isinstance(value, dict):
        raise TypeError(f"{name}: expected names and values, found {shown(value)}")
    return value


def facts(name: str, value: Any) -> dict[str, Any]:
    """An object of texts, numbers, truth values and nulls, of any names."""
    return {part: _fact(f"{name}.{_short(part)}", found) for part, found in table(name, value).items()}


def _fact(name: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    return as_number(name, _scalar(name, value))


def _scalar(name: str, value: Any) -> Any:
    """The value, unless it is a list or an object, whose text in an error message could be long."""
    if isinstance(value, (dict, list)):
        raise TypeError(f"{name}: expected one value, found {shown(value)}")
    return value
