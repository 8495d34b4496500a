"""Calls the converters to TFLite and ONNX, without their output and with one type of error."""

from __future__ import annotations

from collections.abc import Callable

from .._quiet import quiet
from ..exceptions import reason_of


def converted(format: str, convert: Callable[[], bytes]) -> bytes:
    """Return a converter's bytes; raise ValueError if the format cannot express the graph."""
    try:
        with quiet():
            return convert()
    except (OSError, MemoryError):
        raise
    except Exception as error:  # converters raise many types
        raise ValueError(
            f"format {format!r}: expected operations that it supports, found: {reason_of(error)}"
        ) from error
