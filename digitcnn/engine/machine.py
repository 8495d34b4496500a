"""What the rounding of a training depends on besides its data and settings."""

from __future__ import annotations

import functools
import os
import platform
from typing import Any

import numpy as np
import tensorflow as tf

from .._quiet import without_remarks
from .precision import cpu_name

# Variables of the environment by which TensorFlow chooses its kernels and threads.
_SWITCHES = ("TF_ENABLE_ONEDNN_OPTS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@functools.cache
def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU. The first listing of devices logs a missing driver as an error."""
    with without_remarks():
        return bool(tf.config.list_physical_devices("GPU"))


def this_machine() -> dict[str, Any]:
    """What the rounding of a training depends on besides its plan, by name."""
    try:
        n_cpus = len(os.sched_getaffinity(0))  # as TensorFlow counts its threads
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
