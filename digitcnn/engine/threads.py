"""TensorFlow's threads in this process: how many, on which the rounding of a training depends, and what they do."""

from __future__ import annotations

import os

import tensorflow as tf

from .._quiet import without_remarks
from .._validation import MAX_COUNT, check_whole
from .process import has_started

# The thread that runs a graph does its share of a convolution or product, where it would wait for two others to be
# woken: one image takes 0.6 to 0.7 of the time, a training step no more. What each thread computes stays the same, and
# so do the bits. TensorFlow reads this at its first such operation; there is no setting of a session for it.
CALLER_COMPUTES = "TF_ONEDNN_THREADPOOL_USE_CALLER_THREAD"


def let_caller_compute() -> None:
    """Set oneDNN's threads for short operations, unless the environment variable `CALLER_COMPUTES` says something.

    It holds for the process and for those that it starts.
    """
    os.environ.setdefault(CALLER_COMPUTES, "1")


def limit_threads(n_threads: int) -> None:
    """Set how many threads TensorFlow computes with in this process.

    Call it before the first model of the process, as in each worker of Dask, so that several processes do not fight
    for the same cores. Trainings with the same number of threads end with the same bits; with another number, their
    rounding differs.

    Parameters
    ----------
    n_threads : int
        Threads, at least 1, within an operation and for operations beside each other.

    Raises
    ------
    TypeError, ValueError
        If it is no whole number of at least 1.
    RuntimeError
        If TensorFlow has started with another number.

    Examples
    --------
    In each worker of a Dask cluster: ``client.run(digitcnn.limit_threads, 1)``.
    """
    n_threads = check_whole("n_threads", n_threads, 1, MAX_COUNT)
    with without_remarks():  # it lists the devices
        found = tf.config.threading.get_intra_op_parallelism_threads()
    if found == n_threads:
        return
    if has_started():
        raise RuntimeError(
            f"n_threads: expected a process in which TensorFlow has {n_threads} threads or has not started, found one "
            f"in which it has {found or 'as many threads as cores'}; restart the process"
        )
    tf.config.threading.set_intra_op_parallelism_threads(n_threads)
    tf.config.threading.set_inter_op_parallelism_threads(n_threads)
