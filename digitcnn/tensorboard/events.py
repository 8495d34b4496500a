"""TensorBoard's event files: write graphs and summaries, and read scalars back."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import tensorflow as tf

from .._validation import explain_os_errors

v1 = tf.compat.v1

_FILE_NAME = "events.out.tfevents"  # the start of the names by which TensorBoard finds them
_FILE_VERSION = "brain.Event:2"


def write_graph(graph: tf.Graph, logdir: str | os.PathLike) -> None:
    """Write the graph's structure into `logdir`, for TensorBoard's Graphs tab. Raises OSError."""
    with EventFiles(logdir) as events:
        events.write("", graph_def=serialized_graph(graph))


def serialized_graph(graph: tf.Graph) -> bytes:
    """Serialize all nodes with their shapes, without the library of functions.

    TensorBoard draws the branches of a tf.cond, which are functions of the library, as extra boxes beside the graph.
    """
    drawn = graph.as_graph_def(add_shapes=True)
    drawn.ClearField("library")
    return drawn.SerializeToString()


def read_scalars(folder: Path, tag: str) -> dict[int, float]:
    """Read a scalar by its global step, in order, from all event files of a run.

    As in TensorBoard, later files win: one that starts at a step replaces all earlier values from there on. A file
    that cannot be read is skipped, and so is all that follows a truncated record.
    """
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    scalars: dict[int, float] = {}
    for file in sorted(folder.glob(f"{_FILE_NAME}.*")):
        try:
            if not file.is_file():  # opening a pipe would wait for a writer
                continue
            for event in LegacyEventFileLoader(str(file)).Load():
                if event.session_log.status == v1.SessionLog.START:
                    scalars = {step: value for step, value in scalars.items() if step < event.step}
                for value in event.summary.value:
                    if value.tag == tag:
                        scalars[event.step] = value.simple_value
        except Exception:  # TensorFlow and protobuf raise errors of several types for files that they did not write
            continue
    return dict(sorted(scalars.items()))


class _EventFile:
    """An event file that is written at once and is complete after each event.

    TensorFlow's FileWriter hands events to a thread, whose errors, as on a full disk, end in a traceback.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # TensorFlow's names, with nanoseconds, so that two writers within a second do not overwrite each other.
        name = f"{_FILE_NAME}.{int(time.time())}.{socket.gethostname()}.{time.time_ns()}"
        self._writer = tf.io.TFRecordWriter(str(folder / name))
        self.write(file_version=_FILE_VERSION)

    def write(self, **content: Any) -> None:
        """Write an event, timed now, with these fields of TensorFlow's Event. Raises OSError."""
        event = v1.Event(wall_time=time.time(), **content)
        try:
            self._writer.write(event.SerializeToString())
            self._writer.flush()
        except Exception as error:  # TensorFlow reports a full disk by several types
            raise OSError(f"could not write for TensorBoard into {self._folder}: {error}") from error

    def close(self) -> None:
        self._writer.close()


class EventFiles:
    """Event files in sub-folders of `logdir`, which TensorBoard shows as runs in one chart.

    A context manager. The first event of a run creates its file; without a logdir, nothing is written.
    """

    def __init__(self, logdir: str | os.PathLike | None) -> None:
        self._logdir = None if logdir is None else Path(logdir)
        self._files: dict[str, _EventFile] = {}
        self._start: int | None = None

    def start_at(self, step: int) -> None:
        """Make TensorBoard drop what earlier files of the same runs have from this step on."""
        self._start = step

    @property
    def is_on(self) -> bool:
        """Whether anything is written at all."""
        return self._logdir is not None

    def write(self, run: str, **content: Any) -> None:
        """Write an event, timed now, into the sub-folder `run` ('' for logdir itself). Raises OSError."""
        if self._logdir is None:
            return
        if run not in self._files:
            self._files[run] = _EventFile(self._logdir / run)
            if run and self._start is not None:
                start = v1.SessionLog(status=v1.SessionLog.START)
                self._files[run].write(step=self._start, session_log=start)
        self._files[run].write(**content)

    def scalars(self, run: str, step: int, **scalars: float) -> None:
        """Write scalars by their tags at a global step. Raises OSError."""
        values = [v1.Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self.write(run, step=step, summary=v1.Summary(value=values))

    def __enter__(self) -> EventFiles:
        """Create the folder. Raises OSError if that, or writing into it, is impossible."""
        if self._logdir is not None:
            with explain_os_errors(self._logdir, "a folder to write into"):
                self._logdir.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self._logdir):
                    pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
