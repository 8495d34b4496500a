"""How the converters of TFLite and ONNX are called: in silence, with one kind of error."""

from __future__ import annotations

from collections.abc import Callable

from .._quiet import quiet
from ..exceptions import reason_of


def converted(format: str, convert: Callable[[], bytes]) -> bytes:
    """The bytes that a converter returns; raises ValueError if the format cannot express the graph."""
    try:
        with quiet():
            return convert()
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of any type
        raise ValueError(f"format {format!r}: expected a graph of what it has, found: {reason_of(error)}") from error
