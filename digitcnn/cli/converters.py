"""Converters of the texts of options: each returns the value, or raises ArgumentTypeError."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from .._validation import MAX_COUNT, expand_home
from ..settings import Declaration, unknown_name


def checked(name: str, declaration: Declaration) -> Callable[[str], Any]:
    """A converter of an option's text by its setting's own check."""

    def convert(text: str) -> Any:
        value: Any = text
        if declaration.parse is int:
            value = int(text) if text.isdecimal() else text
        elif declaration.parse is float:
            value = _number(text)
        try:
            return declaration.check(name, value)
        except (TypeError, ValueError) as error:
            raise argparse.ArgumentTypeError(str(error).removeprefix(f"{name}: ")) from None

    return convert


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    """A converter that takes one of these names."""

    def convert(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(unknown_name(text, names))
        return text

    return convert


def count(text: str, lowest: int = 1, highest: int = MAX_COUNT) -> int:
    """A whole number."""
    if not text.isdecimal() or not lowest <= int(text) <= highest:
        raise argparse.ArgumentTypeError(f"expected a whole number in {lowest}..{highest}, found {text!r}")
    return int(text)


def path(text: str) -> str:
    """A path, whose `~` is the home."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, found an empty one")
    try:
        return expand_home("path", text)  # which shells do not do within --option=~/folder
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
