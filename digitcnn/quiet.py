"""Keeps off the terminal what TensorFlow and its converters print there whatever is set."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Nothing reaches standard error, also not from C++ and other threads, until the end."""
    try:
        terminal = os.dup(2)
    except OSError:  # standard error is closed: quiet as it is
        yield
        return
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The same, and no warnings and no logging; the process is then as it was, its environment too."""
    level, variable = logging.root.manager.disable, os.environ.get("TF_CPP_MIN_LOG_LEVEL")
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), quiet_stderr():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        if variable is None:  # tf2onnx sets it when it is imported
            os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)
        else:
            os.environ["TF_CPP_MIN_LOG_LEVEL"] = variable
