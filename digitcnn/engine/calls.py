"""Runs a graph's tensors and operations by name, past Session.run, whose work for each call takes 0.25 ms."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from ..exceptions import UntrainedModelError
from ..graph.finishing import Handles
from ..graph.inspection import SOFT_LABELS, find_operation, products_before
from ..graph.shard import ROWS, STOP
from .constants import Constants
from .session import NamedSession

v1 = tf.compat.v1

# So few images are predicted in float32, which is faster than casting the weights to bfloat16, without fused kernels,
# and by constants once that pays (constants.py). The fused ones have other kernels for constants, and other bits.
MAX_FEW = 8
NO_WEIGHTS = "this model has no weights yet: call train(...) or load(...) first"

# Passing a step to TensorFlow's inter-op threads and back costs 0.1 ms. A prediction is parallel only within its
# operations, which have threads of their own. A training step with convolutions can compute gradients and updates in
# parallel, for which the threads save a few percent.
_IN_THIS_THREAD = v1.RunOptions(inter_op_thread_pool=-1)
_IN_THREADS = v1.RunOptions()
_TRACED = v1.RunOptions(inter_op_thread_pool=-1, trace_level=v1.RunOptions.FULL_TRACE)


class ShardFeed(NamedTuple):
    """What a worker feeds besides its rows: (first, counted, total) of the batch, and whether to stop all workers."""

    rows: tuple[int, int, int]
    stops: bool = False


class Calls:
    """The runs of one graph.

    Parameters
    ----------
    session : NamedSession
        Has the variables.
    handles : Handles
        The graph's tensors and operations.
    constants : Constants or None
        The copy of the graph with the weights as constants; None if predictions always read the variables.
    """

    def __init__(self, session: NamedSession, handles: Handles, constants: Constants | None):
        self._session, self._names, self._constants = session, handles.names, constants
        # Placeholders to feed besides images and labels, if the graph has them.
        switches = (self._names.keep_prob, self._names.is_training, ROWS, STOP)
        self._switches = [name for name in switches if find_operation(session.graph, name)]
        self._predicted = frozenset(f"{name}:0" for name in (self._names.probabilities, self._names.predictions))
        has_convolutions = any(op.type == "Conv2D" for op in session.graph.get_operations())
        self._training_options = _IN_THREADS if has_convolutions else _IN_THIS_THREAD
        self._callables: dict[tuple, Callable] = {}

    def run(
        self,
        fetches: tuple[str, ...],
        *inputs: np.ndarray,
        keep_prob: float = 1.0,
        is_training: bool = False,
        shard: ShardFeed | None = None,
        trace: v1.RunMetadata | None = None,
    ) -> list[Any]:
        """Run tensors and operations by name, feeding images and, if given, labels; return the tensors' values.

        Parameters
        ----------
        fetches : tuple of str
            Names of tensors ('name:0') and of operations.
        *inputs : array
            Images, float32 [n, pixels], and labels, and soft labels, or the first of these.
        keep_prob : float, default 1.0
            Probability of keeping a unit in dropout.
        is_training : bool, default False
            Whether batch normalization and dropout of a fixed rate work as in training; such a run changes variables.
        shard : ShardFeed, optional
            Which rows of the batch these are, in a graph whose step is shared.
        trace : RunMetadata, optional
            Receives time and memory of each operation, which makes the run slower.

        Raises
        ------
        UntrainedModelError, MemoryError
            If there are no weights or the session is closed; if a batch does not fit into memory.
        """
        is_few = len(inputs) == 1 and len(inputs[0]) <= MAX_FEW
        key = (fetches, len(inputs), is_few, is_training, trace is not None)
        switched = {self._names.keep_prob: np.float32(keep_prob), self._names.is_training: np.bool_(is_training)}
        if ROWS in self._switches:
            rows, stops = shard or ShardFeed((0, 0, 0))
            switched |= {ROWS: np.array(rows, np.int32), STOP: np.float32(stops)}
        changes = self._session.changing() if is_training else contextlib.nullcontext()
        if is_training and self._constants:
            self._constants.forget()  # it would keep its memory through the training
        with self._session.running(), changes:
            session, callables = self._session, self._callables
            if is_few and self._constants and self._predicted.issuperset(fetches):
                frozen = self._constants.for_call()
                if frozen is not None:
                    session, callables = frozen.session, frozen.callables
            run = callables.get(key) or callables.setdefault(key, self._callable_for(session, *key))
            try:
                return run(*inputs, *(switched[name] for name in self._switches), run_metadata=trace)
            except tf.errors.FailedPreconditionError as error:
                raise UntrainedModelError(NO_WEIGHTS) from error

    def _callable_for(
        self, session: NamedSession, fetches: tuple[str, ...], n_inputs: int, *switches: bool
    ) -> Callable:
        """Return a function from arrays to the fetched tensors' values in a session, for `run`'s key."""
        is_few, is_training, is_traced = switches
        fed = [self._names.images, self._names.labels, SOFT_LABELS][:n_inputs] + self._switches
        values = [name for name in fetches if ":" in name]
        targets = [name for name in fetches if ":" not in name]
        if is_few:  # TensorFlow neither rewrites to bfloat16 nor fuses what is run by name
            targets += products_before(session.graph, values)
        options = config_pb2.CallableOptions(
            fetch=values,
            target=targets,
            feed=[f"{name}:0" for name in fed],
            run_options=_TRACED if is_traced else self._training_options if is_training else _IN_THIS_THREAD,
        )
        return session._make_callable_from_options(options)

    def close(self) -> None:
        """Free what was made for the runs."""
        if self._constants:
            self._constants.close()
        self._callables.clear()
