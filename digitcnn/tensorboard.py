"""What TensorBoard shows: the graph, and scalars while training."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

v1 = tf.compat.v1


def write_graph(graph: tf.Graph, logdir: str | os.PathLike) -> None:
    """Write the graph's structure into `logdir`, for TensorBoard's Graphs tab."""
    with _as_os_error(logdir):
        writer = _file_writer(graph, logdir)
        writer.add_graph(graph)
        writer.close()


@contextlib.contextmanager
def _as_os_error(logdir: str | os.PathLike) -> Iterator[None]:
    """What TensorFlow says of a disk, as Python does."""
    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(f"could not write for TensorBoard into {logdir}: {error.message}") from error


def _file_writer(graph: tf.Graph, logdir: str | os.PathLike) -> v1.summary.FileWriter:
    with graph.as_default():  # it refuses to work in eager mode
        # Its own file names count in seconds: a second writer within one would overwrite the first.
        return v1.summary.FileWriter(str(logdir), filename_suffix=f".{time.time_ns()}")


class ScalarWriters:
    """Scalars in `logdir`/train and `logdir`/validation, which TensorBoard overlays.

    A context manager. A run's files are made with its first scalar; without a logdir, none are.
    """

    def __init__(self, graph: tf.Graph, logdir: str | os.PathLike | None):
        self._graph, self._logdir = graph, logdir and Path(logdir)
        self._writers = {}

    @property
    def is_on(self) -> bool:
        """Whether scalars are written at all."""
        return self._logdir is not None

    def add(self, run: str, step: int, **scalars: float) -> None:
        """Write scalars of `run` ('train' or 'validation') at the global step `step`."""
        if self._logdir is None:
            return
        with _as_os_error(self._logdir):
            if run not in self._writers:
                self._writers[run] = _file_writer(self._graph, self._logdir / run)
            values = [v1.Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
            self._writers[run].add_summary(v1.Summary(value=values), step)
            self._writers[run].flush()

    def __enter__(self) -> ScalarWriters:
        return self

    def __exit__(self, *_) -> None:
        for writer in self._writers.values():
            with contextlib.suppress(tf.errors.OpError):  # told when it was written
                writer.close()
