"""Keep off standard error what TensorFlow and its converters print there whatever is set.

Native code writes to file descriptor 2, past `sys.stderr`; only exchanging that descriptor, for all threads, stops it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib.util
import logging
import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import IO

# Two threads that exchange the descriptor at once would each restore what they found, one of them the other's file.
_LOCK = threading.RLock()

_KERAS_HOME = "KERAS_HOME"
_LEGACY_KERAS = "TF_USE_LEGACY_KERAS"
_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# Whoever sets one of these has chosen what TensorFlow logs.
_LOG_VARIABLES = (_LEVEL, "TF_CPP_MAX_VLOG_LEVEL", "TF_CPP_VMODULE")

# What TensorFlow 2.16, 2.19, 2.20 and 2.21 print on Linux even at level 1. Entries of the log begin with
# "E0000 00:00:1795611750.286855   13791 cuda_dnn.cc:8579] ", where 13791 is the thread, or (until 2.20) with
# "2026-11-25 13:02:30.059399: E external/local_xla/xla/stream_executor/cuda/cuda_fft.cc:467] ".
_ENTRY = rb"(?:[WE]\d{4} \S+ +\d+ |[-\d]{10} [:.\d]+: [WE] \S+/)"
_REMARKS = [
    rb"WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR",
    rb"To enable the following instructions: .* rebuild TensorFlow with the appropriate compiler flags\.",
    _ENTRY + rb"cuda_(?:fft|dnn|blas)\.cc:\d+\] Unable to register \w+ factory: .*already been registered",
    _ENTRY + rb"computation_placer\.cc:\d+\] computation placer already registered\..*",
    _ENTRY + rb"py_utils\.cc:\d+\] TF-TRT Warning: Could not find TensorRT",
    # 303: no NVIDIA driver is installed. The errors of a driver that fails have other numbers and are kept.
    _ENTRY + rb"cuda_platform\.cc:\d+\] failed call to cuInit: .*\(303\)",
    # INFO, by its path or its thread; another thread may belong to another library.
    rb"[-\d]{10} [:.\d]+: I (?:tensorflow|external/local_(?:xla|tsl))/.*",
    rb"I\d{4} \S+ +THREAD .*",
]


def load_tensorflow() -> None:
    """Import TensorFlow without its remarks, unless it is loaded or the user has chosen what it logs."""
    if "tensorflow" in sys.modules:
        return
    # TensorFlow reads the level once, during the import (measured: changing or removing it later has no effect). At
    # level 1 it logs no INFO from then on, such as "Converted 74/255 nodes" at the first run of anything in bfloat16,
    # and still every warning and error. In 2.19 and 2.20 these lines obey no level. They also stay where the user
    # has loaded TensorFlow: no option of a session turns them off.
    chosen = _user_chose_log()
    with without_remarks(), without_home_for_keras():
        try:
            if not chosen:
                os.environ[_LEVEL] = "1"
            import tensorflow  # noqa: F401
        finally:
            if not chosen:
                os.environ.pop(_LEVEL, None)


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Keep TensorFlow's remarks at its import, which no setting turns off, from the terminal of a command."""
    os.environ.setdefault(_LEVEL, "3")
    with quiet_stderr(), without_home_for_keras():
        yield


def leave_out_keras() -> None:
    """Let TensorFlow's import leave out Keras, a third of its time, in this process and those that it starts.

    For commands alone, in whose processes nobody else needs it. TensorFlow looks for the older Keras instead, so it
    stays as it is where that is installed, or the user has chosen.
    """
    if importlib.util.find_spec("tf_keras") is None:
        os.environ.setdefault(_LEGACY_KERAS, "1")


@contextlib.contextmanager
def without_home_for_keras() -> Iterator[None]:
    """Where the user has no home folder, keep Keras, which TensorFlow imports, from making one called `~` here."""
    if os.path.expanduser("~") != "~" or _KERAS_HOME in os.environ:  # noqa: PTH111  Path's raises
        yield
        return
    os.environ[_KERAS_HOME] = os.devnull  # in which nothing can be made; Keras lets that pass
    try:
        yield
    finally:
        os.environ.pop(_KERAS_HOME, None)


@contextlib.contextmanager
def without_remarks() -> Iterator[None]:
    """Drop TensorFlow's remarks, unless the user has chosen its log; the rest of standard error appears at the end."""
    if _user_chose_log():
        yield
        return
    thread = threading.get_native_id()

    def show_rest(file: IO[bytes]) -> None:
        file.seek(0)
        # Nobody is left to be told if standard error is a broken pipe.
        with contextlib.suppress(OSError), open(os.dup(2), "wb") as stderr:  # noqa: PTH123
            stderr.write(_without_remarks(file.read(), thread))

    # Not a pipe: native code that fills it up while it holds the interpreter's lock would wait for ever. The price is
    # the delay, and that a process which another thread starts meanwhile keeps writing to the file.
    with _LOCK, _stderr_into(tempfile.TemporaryFile, show_rest):
        yield


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drop everything written to standard error, including by native code and other threads."""
    with _LOCK, _stderr_into(lambda: open(os.devnull, "wb"), lambda file: None):  # noqa: PTH123
        yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop standard error, warnings and logging; restore them and TF_CPP_MIN_LOG_LEVEL at the end."""
    with quiet_stderr(), _no_logging(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _user_chose_log() -> bool:
    return any(name in os.environ for name in _LOG_VARIABLES)


def _without_remarks(text: bytes, thread: int) -> bytes:
    """The text without the lines that are remarks of TensorFlow in the thread of that native id."""
    remarks = b"|".join(_REMARKS).replace(b"THREAD", b"%d" % thread)
    return re.sub(rb"^(?:" + remarks + rb")\r?(?:\n|\Z)", b"", text, flags=re.MULTILINE)


@contextlib.contextmanager
def _stderr_into(open_file: Callable[[], IO[bytes]], at_end: Callable[[IO[bytes]], None]) -> Iterator[None]:
    """Send file descriptor 2 to a new file, restore it, and call at_end(file)."""
    with contextlib.ExitStack() as stack:  # unwinds from the last to the first
        # Standard error may be closed, or no folder may take temporary files: then it stays as it is.
        with contextlib.suppress(OSError):
            stderr = os.dup(2)
            stack.callback(os.close, stderr)
            file = stack.enter_context(open_file())
            stack.callback(at_end, file)
            if not faulthandler.is_enabled():  # else a crash would be silent: its last words are in the file
                faulthandler.enable(stderr, all_threads=False)
                stack.callback(faulthandler.disable)
            os.dup2(file.fileno(), 2)
            stack.callback(os.dup2, stderr, 2)
        yield


@contextlib.contextmanager
def _no_logging() -> Iterator[None]:
    level, variable = logging.root.manager.disable, os.environ.get(_LEVEL)
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)
        if variable is None:  # tf2onnx sets it when it is imported
            os.environ.pop(_LEVEL, None)
        else:
            os.environ[_LEVEL] = variable
