"""Keeps off the terminal what TensorFlow and its converters print there whatever is set."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import warnings
from collections.abc import Iterator

# Two threads that were quiet at once would each restore what they found, one of them the other's silence.
_ALONE = threading.RLock()


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Nothing reaches standard error, also not from C++ and other threads, until the end."""
    with _ALONE, _nothing_at_fd_2():
        yield


@contextlib.contextmanager
def _nothing_at_fd_2() -> Iterator[None]:
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
    with quiet_stderr(), _no_remarks(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _no_remarks() -> Iterator[None]:
    level, variable = logging.root.manager.disable, os.environ.get("TF_CPP_MIN_LOG_LEVEL")
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)
        if variable is None:  # tf2onnx sets it when it is imported
            os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)
        else:
            os.environ["TF_CPP_MIN_LOG_LEVEL"] = variable
