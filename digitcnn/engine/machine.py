"""Describes the machine: what the rounding of a training depends on besides its data and settings."""

from __future__ import annotations

import functools
import os
import platform
from typing import Any

import numpy as np
import tensorflow as tf

from .._quiet import without_remarks
from .precision import cpu_name

# Environment variables that decide TensorFlow's kernels and threads.
_SWITCHES = ("TF_ENABLE_ONEDNN_OPTS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@functools.cache
def has_gpu() -> bool:
    """Return whether TensorFlow finds a GPU."""
    with without_remarks():  # the first listing of devices logs a missing driver as an error
        return bool(tf.config.list_physical_devices("GPU"))


def this_machine() -> dict[str, Any]:
    """Return versions, CPU, number of CPUs, GPU and environment variables, by name."""
    try:
        n_cpus = len(os.sched_getaffinity(0))  # TensorFlow starts as many threads
    except AttributeError:
        n_cpus = os.cpu_count() or 1
    return {
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "n_cpus": n_cpus,
        "gpu": has_gpu(),
        **{name: os.environ.get(name) for name in _SWITCHES},
    }
