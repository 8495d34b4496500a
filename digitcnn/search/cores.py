"""The cores that jobs share. No TensorFlow here: each worker of a cluster is asked before its first job."""

from __future__ import annotations

import os
import socket

from ..version import __version__


def n_cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def describe_worker() -> tuple[str, int, str]:
    """Host, number of cores, and version of digitcnn, of the process that this runs in."""
    return socket.gethostname(), n_cores(), __version__
