"""Predictions of few images by a copy of the graph that has the weights as constants, while they do not change.

A run with variables reads each weight anew, and brings it into the order that a convolution needs; TensorFlow does that
once for a constant. The copy has the same operations, so that predictions are the same to the bit, and nobody has to
know which of the two made them. That holds as long as nothing is fused: a fused product of constants has another
kernel, which rounds otherwise. So predictions of many images, which need the fused ones, are not made here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2

from ..graph.inspection import model_variables, variable_size
from .session import NamedSession

v1 = tf.compat.v1

# A copy takes 0.1 to 0.4 s to make, and saves 0.1 to 0.5 ms of a prediction.
CALLS = 500  # with the same weights; the last of them makes it
MAX_WEIGHTS = 25_000_000  # numbers, of which a copy has one more set or two


@dataclass
class Frozen:
    """A copy of the graph with the weights of one moment.

    Parameters
    ----------
    session : NamedSession
        The session of the copy; its tensors have the names of the graph's.
    version : int
        The variables' version in the session that has them.
    n_calls : int, default 0
        Predictions that were made by it.
    callables : dict
        What Calls runs, by its keys.
    """

    session: NamedSession
    version: int
    n_calls: int = 0
    callables: dict[tuple, Callable] = field(default_factory=dict)


class Constants:
    """Decides whether a prediction runs with constants, and has the copy.

    Parameters
    ----------
    session : NamedSession
        Has the variables, and counts what may change them.
    config : ConfigProto
        The configuration of that session.
    outputs : sequence of str
        Names of the operations that a prediction fetches.
    """

    def __init__(self, session: NamedSession, config: v1.ConfigProto, outputs: Sequence[str]):
        self._session, self._outputs = session, list(outputs)
        self._config = v1.ConfigProto()
        self._config.CopyFrom(config)
        # The copy has nothing for it to rewrite, and it says so each time.
        rewrites = self._config.graph_options.rewrite_options
        rewrites.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.OFF
        self._is_possible = sum(map(variable_size, model_variables(session.graph))) <= MAX_WEIGHTS
        self._lock = threading.Lock()  # held while a copy is made
        self._seen, self._n_calls = -1, 0  # calls since the variables had that version
        self._n_before = CALLS  # so many of them make a copy; more, where copies were made in vain
        self._frozen: Frozen | None = None

    def for_call(self) -> Frozen | None:
        """Return the copy for a prediction, or None if it is to read the variables."""
        version, frozen = self._session.version, self._frozen
        if frozen is not None and frozen.version == version:
            frozen.n_calls += 1
            return frozen
        if not self._is_possible:
            return None
        if version != self._seen:
            self.forget()
            self._seen, self._n_calls = version, 0
        self._n_calls += 1
        if self._n_calls < self._n_before or not self._lock.acquire(blocking=False):
            return None
        try:
            self._frozen = frozen = self._freeze(version)
        except Exception:
            # Whatever it was, a prediction needs no copy: by variables it ends, or has an error of its own.
            self._is_possible = False
            return None
        finally:
            self._lock.release()
        if not self._is_possible:  # closed meanwhile
            self.close()
            return None
        return frozen

    def forget(self) -> None:
        """Free the memory of a copy whose weights are no longer those of the model."""
        frozen, self._frozen = self._frozen, None
        if frozen is not None and frozen.n_calls < self._n_before:
            self._n_before *= 2

    def close(self) -> None:
        """Free the copy, and make no other."""
        self._is_possible, frozen, self._frozen = False, self._frozen, None
        if frozen is not None:
            frozen.session.close()

    def _freeze(self, version: int) -> Frozen | None:
        """Copy the graph with the variables of this version; return None if they changed meanwhile."""
        definition = constants_for_variables(self._session, self._outputs)
        if self._session.version != version:
            return None
        with tf.Graph().as_default() as copy:
            tf.import_graph_def(definition, name="")
        copy.finalize()
        return Frozen(NamedSession(graph=copy, config=self._config), version)


def constants_for_variables(session: NamedSession, outputs: list[str]) -> v1.GraphDef:
    """Return the part of a session's graph that operations depend on, with constants in place of variables.

    outputs: names of the operations.
    """
    # Here, as these are not TensorFlow's public functions, whose remark that they are old cannot be turned off.
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_from_session_graph
    from tensorflow.python.util import deprecation

    reader = SimpleNamespace(run=session.read, graph=session.graph)  # `run` would count as a change
    with deprecation.silence():
        return convert_variables_to_constants_from_session_graph(reader, session.graph.as_graph_def(), outputs)
