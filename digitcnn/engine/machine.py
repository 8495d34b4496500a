"""Describes the machine: what the rounding of a training depends on besides its data and settings."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from .._quiet import without_remarks
from ..version import __version__
from .precision import cpu_name, vector_units
from .threads import CALLER_COMPUTES

# Environment variables that decide TensorFlow's kernels and threads; records of earlier versions have these alone.
_SWITCHES = ("TF_ENABLE_ONEDNN_OPTS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
# Others of these families may: ONEDNN_MAX_CPU_ISA, TF_XLA_FLAGS, TF_USE_CUBLASLT, NVIDIA_TF32_OVERRIDE and so on. Not
# all of TF_: other programs use it too, some of them for secrets, which must not be recorded.
_FAMILIES = (
    *("ONEDNN_", "DNNL_", "OMP_", "KMP_", "MKL_", "XLA_", "CUDNN_", "CUBLAS_", "NVIDIA_TF32"),
    *("TF_XLA_", "TF_MKL_", "TF_ONEDNN_", "TF_CUDNN_", "TF_CUBLAS_", "TF_ENABLE_", "TF_DISABLE_", "TF_USE_", "TF_NUM_"),
    *("TF_DETERMINISTIC", "TF_CONV2D", "TF_MATMUL", "TF_AUTOTUNE", "TF_JITRT", "TF_GRAPPLER", "TF_OVERRIDE"),
)
# These only log, belong to another library, or change who computes but not what. KMP_INIT_AT_FORK is set by importing
# joblib or scikit-learn, KMP_DUPLICATE_LIB_OK by scikit-learn: neither chooses TensorFlow's kernels.
_HARMLESS = (
    CALLER_COMPUTES,
    *("ONEDNN_VERBOSE", "DNNL_VERBOSE", "ONEDNN_JIT_", "DNNL_JIT_", "OMP_DISPLAY", "KMP_WARNINGS", "KMP_VERSION"),
    *("KMP_INIT_AT_FORK", "KMP_DUPLICATE_LIB_OK", "MKL_VERBOSE", "CUDNN_LOG", "CUDNN_FRONTEND_LOG"),
    *("TF_XLA_DEBUG", "TF_USE_LEGACY_KERAS"),
)
_MAX_TEXT = 1_000  # characters of these in a record
# What computes besides the graph: batches, what is fed, the order of the steps.
_PACKAGE = Path(__file__).parents[1]
_COMPUTING = (
    *("data/batches.py", "data/standardization.py", "engine/engine.py", "engine/calls.py", "engine/session.py"),
    *("training/loop.py", "graph/replicas.py", "graph/shard.py"),
)


@functools.cache
def has_gpu() -> bool:
    """Return whether TensorFlow finds a GPU."""
    with without_remarks():  # the first listing of devices logs a missing driver as an error
        return bool(tf.config.list_physical_devices("GPU"))


def this_machine() -> dict[str, Any]:
    """Return versions, CPU, number of CPUs, GPU, threads and environment variables, by name; all of them scalars."""
    try:
        # TensorFlow starts as many threads; it does not ask a container's quota of CPU time.
        n_cpus = len(os.sched_getaffinity(0))
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
        "vector_units": vector_units(),
        "gpu_names": _gpu_names(),
        "threads": tf.config.threading.get_intra_op_parallelism_threads(),  # 0: as many as CPUs
        "environment": _environment(),
        "digitcnn": __version__,
        "code": code_sha256(),
    }


def differences(began: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield (name, before, now) of each difference; what an earlier version did not record is none."""
    for name, value in now.items():
        if name in began and began[name] != value:
            yield name, began[name], value


def _environment() -> str:
    """Return the other environment variables that may change kernels, as "NAME=value NAME=value"; "" for none."""
    names = [name for name in sorted(os.environ) if name.startswith(_FAMILIES) and not name.startswith(_HARMLESS)]
    text = " ".join(f"{name}={os.environ[name]}" for name in names if name not in _SWITCHES)
    return text if len(text) <= _MAX_TEXT else f"sha256 {hashlib.sha256(text.encode(errors='replace')).hexdigest()}"


def _gpu_names() -> str:
    if not has_gpu():
        return ""
    gpus = tf.config.list_physical_devices("GPU")
    return ", ".join(str(tf.config.experimental.get_device_details(gpu).get("device_name")) for gpu in gpus)


def code_sha256() -> str:
    """Return the start of a SHA-256 of the files that decide what the graph is fed, and in which order."""
    digest = hashlib.sha256()
    for name in _COMPUTING:
        digest.update((_PACKAGE / name).read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:12]
