"""A session in which a variable's name fetches its value."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

from ..exceptions import UntrainedModelError
from ..graph.inspection import find_operation
from .memory import is_out_of_memory
from .process import check_new_session, check_process

v1 = tf.compat.v1

CLOSED = "this model is closed: DigitCNN.restore(...) makes a new one from a saved model"
NO_MEMORY = "expected enough memory for a batch, found too little; give a smaller batchsize (predict: batch_size)"


class NamedSession(v1.Session):
    """A Session in which a variable's name fetches its value, as in TensorFlow 1.

    `version` is a number that changes with every run that may change variables: all but those by `read`, and those of
    Calls outside of training.

    In TensorFlow 2, `conv_1/_weights:0` is the handle of the variable, whose bytes mean nothing. It raises
    RuntimeError in a process forked from its own, and UntrainedModelError, which is one, once it is closed.
    """

    def __init__(self, graph: tf.Graph, config: v1.ConfigProto, target: str = ""):
        """Make a session of a graph in this process; raise RuntimeError if TensorFlow cannot run in it.

        target: address of the TensorFlow server that runs it; '' for none.
        """
        self._process = os.getpid()
        self._session = None  # for __del__, if what follows raises
        self.version = 0
        check_new_session()
        super().__init__(target, graph=graph, config=config)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, by the model or by hand."""
        return self._closed

    def check_usable(self) -> None:
        """Raise UntrainedModelError if the session is closed, RuntimeError in another process than its own."""
        check_process(self._process)
        if self._closed:
            raise UntrainedModelError(CLOSED)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Check before a run; explain what TensorFlow raises in it if another thread closes it, or memory ends."""
        self.check_usable()
        try:
            yield
        except Exception as error:
            if self._closed:
                raise UntrainedModelError(CLOSED) from error
            if is_out_of_memory(error):
                raise MemoryError(NO_MEMORY) from error
            raise

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Count a run that may change variables, before and after, so that none that overlaps it is overlooked."""
        self.version += 1
        try:
            yield
        finally:
            self.version += 1

    def run(self, fetches, feed_dict=None, options=None, run_metadata=None):
        """Run as tf.compat.v1.Session.run.

        Parameters
        ----------
        fetches, feed_dict, options, run_metadata
            As there; `fetches` may also name variables.
        """
        with self.running(), self.changing():
            return super().run(self._values(fetches), feed_dict, options, run_metadata)

    def read(self, fetches):
        """Fetch what changes no variable, in the structure of `fetches`."""
        with self.running():
            return super().run(self._values(fetches))

    def make_callable(self, fetches, feed_list=None, accept_options=False):
        """Make a callable as tf.compat.v1.Session.make_callable."""
        with self.running():
            run = super().make_callable(self._values(fetches), feed_list, accept_options)

        def counted(*arguments, **options):
            with self.running(), self.changing():
                return run(*arguments, **options)

        return counted

    def partial_run(self, handle, fetches, feed_dict=None):
        """Run as tf.compat.v1.Session.partial_run."""
        with self.running(), self.changing():
            return super().partial_run(handle, fetches, feed_dict)

    def close(self) -> None:
        """Close as tf.compat.v1.Session.close; in a forked process, whose parent has the session, free nothing."""
        if os.getpid() == self._process:
            super().close()
        self._closed = True

    def __del__(self, getpid=os.getpid) -> None:
        if getpid() == self._process:
            super().__del__()

    def _values(self, fetches):
        """Return fetches of the same structure, with each handle of a variable replaced by its value."""
        if isinstance(fetches, dict):
            return {key: self._values(fetch) for key, fetch in fetches.items()}
        if type(fetches) in (list, tuple):
            return type(fetches)(map(self._values, fetches))
        name = fetches if isinstance(fetches, str) else getattr(fetches, "name", None)
        if isinstance(fetches, (str, tf.Tensor)) and name is not None and name.endswith(":0"):
            handle = find_operation(self.graph, name[:-2])
            if handle is not None and handle.type == "VarHandleOp":
                return f"{handle.name}/Read/ReadVariableOp:0"
        return fetches
