"""A worker process of this machine: how it begins, and ends. No TensorFlow before it has begun."""

from __future__ import annotations

import importlib
import os
import signal
import threading
import time

from .._progress import tqdm
from .._quiet import quiet_import

_SECONDS = 1.0  # between two looks at whether the parent process is there


def begin_process() -> None:
    """Prepare a process that a search has started: it leaves Ctrl-C to its parent, and ends if that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # tqdm's own lock is a semaphore, of which Python complains on standard error if the process is killed.
    tqdm.set_lock(threading.RLock())
    threading.Thread(target=_end_with, args=(os.getppid(),), name="parent", daemon=True).start()
    with quiet_import():
        importlib.import_module(".worker", __package__)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:  # on Windows always: there it ends after its job
        time.sleep(_SECONDS)
    os._exit(1)
