"""When a session's network has the moving averages as its weights; without averages, all of this does nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from ..graph.averages import AverageOps
from .session import NamedSession


class Averages:
    """The moving averages of a session's network.

    Parameters
    ----------
    session : NamedSession
        The session.
    ops : AverageOps or None
        The graph's operations; None if it has no averages.
    """

    def __init__(self, session: NamedSession, ops: AverageOps | None):
        self._session, self._ops = session, ops

    @property
    def variables(self) -> tuple[tf.Variable, ...]:
        """The averages, which are the plain weights while averages are in use."""
        return self._ops.variables if self._ops else ()

    @property
    def names(self) -> set[str]:
        """Names of all variables that only the averages need."""
        return {variable.op.name for variable in (*self._ops.variables, *self._ops.counters)} if self._ops else set()

    def begin(self) -> None:
        """Begin the averages of a training with the weights; after an interruption, go on with those that there are."""
        if self._ops:
            self._session.run(self._ops.begin)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Exchange weights and averages within a `with` block, to the bit, however it ends."""
        try:
            self._exchange(are_used=True)
            yield
        finally:  # of an exchange, too, that an interruption follows at once
            self.set_aside()

    def set_aside(self) -> None:
        """Give the network its plain weights, unless it has them."""
        self._exchange(are_used=False)

    def _exchange(self, *, are_used: bool) -> None:
        if self._ops:
            self._session.run(self._ops.exchange, {self._ops.in_use: are_used})

    def take(self) -> None:
        """End a training: the weights become their averages."""
        if self._ops:
            self._session.run(self._ops.take)
