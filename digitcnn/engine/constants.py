"""Predictions of few images by a copy of the graph that has the weights as constants, while they do not change.

A run with variables reads each weight anew, and brings it into the order that a convolution needs; TensorFlow does that
once for a constant. The copy has the same operations, and its session the same configuration, so that predictions are
the same to the bit, and nobody has to know which of the two made them. That holds as long as nothing is fused: a fused
product of constants has another kernel, which rounds otherwise. So predictions of many images, which need the fused
ones, are not made here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_from_session_graph

from .session import NamedSession

v1 = tf.compat.v1

# A copy takes 0.1 to 0.4 s to make, and saves 0.1 to 0.3 ms of a prediction.
CALLS = 200  # with the same weights, after which it is made
MAX_BYTES = 100_000_000  # of weights, which a copy has once more or twice


@dataclass
class Frozen:
    """A copy of the graph with the weights of one moment.

    Parameters
    ----------
    session : NamedSession
        The session of the copy; its tensors have the names of the graph's.
    version : int
        The variables' version in the session that has them.
    callables : dict
        What Engine runs, by its keys.
    """

    session: NamedSession
    version: int
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
        self._session, self._config, self._outputs = session, config, list(outputs)
        variables = session.graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)
        n_bytes = sum(variable.shape.num_elements() * variable.dtype.size for variable in variables)
        self._is_possible = n_bytes <= MAX_BYTES
        self._lock = threading.Lock()  # held while a copy is made
        self._seen, self._n_calls = -1, 0  # calls since the variables had that version
        self._frozen: Frozen | None = None

    def for_call(self) -> Frozen | None:
        """Return the copy for a prediction, or None if it is to read the variables."""
        version, frozen = self._session.version, self._frozen
        if frozen is not None and frozen.version == version:
            return frozen
        if not self._is_possible:
            return None
        if version != self._seen:
            self._seen, self._n_calls, self._frozen = version, 0, None
        self._n_calls += 1
        if self._n_calls < CALLS or not self._lock.acquire(blocking=False):
            return None
        try:
            self._frozen = self._freeze(version)
        finally:
            self._lock.release()
        return self._frozen

    def close(self) -> None:
        """Free the copy."""
        self._is_possible, frozen, self._frozen = False, self._frozen, None
        if frozen is not None:
            frozen.session.close()

    def _freeze(self, version: int) -> Frozen | None:
        """Copy the graph with the variables of this version; return None if they changed meanwhile."""
        graph = self._session.graph
        reader = SimpleNamespace(run=self._session.read, graph=graph)  # `run` would count as a change
        # The public function of v1.graph_util is this one with a remark that it is old.
        definition = convert_variables_to_constants_from_session_graph(reader, graph.as_graph_def(), self._outputs)
        if self._session.version != version:
            return None
        with tf.Graph().as_default() as copy:
            tf.import_graph_def(definition, name="")
        copy.finalize()
        return Frozen(NamedSession(graph=copy, config=self._config), version)
