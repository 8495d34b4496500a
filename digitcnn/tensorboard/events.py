"""Files of events for TensorBoard: the graph, and whatever else is written while training."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from pathlib import Path

import tensorflow as tf

v1 = tf.compat.v1


def write_graph(graph: tf.Graph, logdir: str | os.PathLike) -> None:
    """Write the graph's structure into `logdir`, for TensorBoard's Graphs tab. Raises OSError."""
    with EventFiles(logdir) as events:
        events.write("", graph_def=serialized_graph(graph))


def serialized_graph(graph: tf.Graph) -> bytes:
    """The graph as TensorBoard is to draw it: all of its nodes with their shapes, without its library.

    TensorBoard draws the branches of a tf.cond, which are functions of the library, as more boxes beside the graph.
    """
    drawn = graph.as_graph_def(add_shapes=True)
    drawn.ClearField("library")
    return drawn.SerializeToString()


class _EventFile:
    """A file of events, written at once.

    TensorFlow's FileWriter hands events to a thread, whose errors, as on a full disk, end in a traceback.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # As TensorFlow names them, but that two writers within a second do not overwrite each other.
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{time.time_ns()}"
        self._writer = tf.io.TFRecordWriter(str(folder / name))
        self.write(file_version="brain.Event:2")

    def write(self, **content) -> None:
        """An event of now, of the fields of TensorFlow's Event. Raises OSError."""
        event = v1.Event(wall_time=time.time(), **content)
        try:
            self._writer.write(event.SerializeToString())
            self._writer.flush()
        except Exception as error:  # a full disk is told by several types
            raise OSError(f"could not write for TensorBoard into {self._folder}: {error}") from error

    def close(self) -> None:
        self._writer.close()


class EventFiles:
    """Events in sub-folders of `logdir`, which TensorBoard takes for runs and overlays.

    A context manager. A run's file is made with its first event; without a logdir, none is.
    """

    def __init__(self, logdir: str | os.PathLike | None):
        self._logdir = logdir and Path(logdir)
        self._files: dict[str, _EventFile] = {}
        self._start: int | None = None

    def start_at(self, step: int) -> None:
        """Have TensorBoard forget what earlier files of the same runs have from this step on."""
        self._start = step

    @property
    def is_on(self) -> bool:
        """Whether anything is written at all."""
        return self._logdir is not None

    def write(self, run: str, **content) -> None:
        """An event of now in the sub-folder `run` ('' for logdir itself), of TensorFlow's Event. Raises OSError."""
        if self._logdir is None:
            return
        if run not in self._files:
            self._files[run] = _EventFile(self._logdir / run)
            if run and self._start is not None:
                start = v1.SessionLog(status=v1.SessionLog.START)
                self._files[run].write(step=self._start, session_log=start)
        self._files[run].write(**content)

    def scalars(self, run: str, step: int, **scalars: float) -> None:
        """Scalars by their tags at the global step `step`. Raises OSError."""
        values = [v1.Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self.write(run, step=step, summary=v1.Summary(value=values))

    def __enter__(self) -> EventFiles:
        """Makes the folder. Raises OSError if that cannot be done, or nothing can be written into it."""
        if self._logdir is not None:
            try:
                self._logdir.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self._logdir):
                    pass
            except OSError as error:
                raise OSError(f"{self._logdir}: expected a folder to write into, found: {error.strerror}") from error
        return self

    def __exit__(self, *_) -> None:
        for file in self._files.values():
            file.close()
