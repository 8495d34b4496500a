"""Ends a worker together with the launcher that started it, however the launcher ends.

A worker calls `end_with_launcher` before anything else, as it is the only one that outlives a launcher's SIGKILL.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

LOST = 75  # exit status of a worker that lost another one, EX_TEMPFAIL of sysexits.h: the same command resumes
KILLED = 137  # exit status 128 + SIGKILL, the convention of shells
_PR_SET_PDEATHSIG = 1  # of Linux's prctl


def end_with_launcher(launcher: int) -> None:
    """Let this process end at once when the process of that number ends; standard input is a pipe that it holds.

    On Linux the kernel kills this process, even a stopped one. Elsewhere, and where the kernel refuses, a thread sees
    that the pipe is closed.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != launcher:  # it ended before the kernel was asked
            os._exit(KILLED)
    threading.Thread(target=_end_with_pipe, name="end with the launcher", daemon=True).start()


def _end_with_pipe() -> None:
    while os.read(0, 1):  # nobody writes
        pass
    os._exit(KILLED)
