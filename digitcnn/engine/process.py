"""Detects a process that was forked after TensorFlow had started: its threads are gone there, and a run never ends.

That is what os.fork, multiprocessing's "fork", joblib's "multiprocessing" and gunicorn's preload_app make.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from tensorflow.python.eager import context

_WAY_OUT = (
    "spawn the process (multiprocessing.get_context('spawn'), joblib's 'loky', gunicorn without preload_app) and "
    "restore a saved model in it, or fork before the first model is made"
)
_THREADS = Path("/proc/self/task")  # Linux's: an entry for each thread, TensorFlow's too

_first_process: int | None = None  # of this module's first session; a forked child inherits it


def check_new_session() -> None:
    """Raise RuntimeError if TensorFlow had started before this process was forked."""
    global _first_process
    process = os.getpid()
    if _first_process is None and not _has_lost_threads():
        _first_process = process
    if _first_process != process:
        raise RuntimeError(
            f"a new model: expected a process in which TensorFlow can run, found {process}, forked from one in which "
            f"it had already run, without its threads; {_WAY_OUT}"
        )


def has_started() -> bool:
    """Return whether TensorFlow has made its threads in this process, so that their number is final."""
    return _first_process is not None or bool(getattr(context.context_safe(), "_initialized", False))


def check_process(process: int) -> None:
    """Raise RuntimeError unless this is the process of that number, which made the session."""
    if (here := os.getpid()) != process:
        raise RuntimeError(
            f"this model: expected the process that made it, {process}, found {here}, forked from it without "
            f"TensorFlow's threads; {_WAY_OUT}"
        )


def _has_lost_threads() -> bool:
    """Return whether TensorFlow's eager mode has started, but none of its threads is here; False where unknown."""
    eager = context.context_safe()
    if not getattr(eager, "_initialized", False):
        return False
    try:
        n_threads = len(list(_THREADS.iterdir()))
    except OSError:
        return False
    return n_threads <= threading.active_count()
