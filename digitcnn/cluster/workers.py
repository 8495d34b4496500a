"""The workers of a training, seen from one of them: they meet, compare their tasks, and exchange bytes."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2

from ..engine.machine import has_gpu
from ..exceptions import ClusterError, UntrainedModelError, WorkerLostError, reason_of
from ..graph.replicas import KEYS_OF_A_STEP, all_reduce
from .hosts import Cluster
from .meeting import Report, check_port_is_free, unreachable, wait_for_all
from .proxies import check_no_proxy

v1 = tf.compat.v1

MAX_PIECE = 1 << 26  # bytes of an exchange: bounds memory
GRACE = 30  # seconds that a call may take beyond its collectives' time-out, before the runtime is taken for stuck
# What TensorFlow raises if another worker's process has ended, was replaced, or does not answer.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.DeadlineExceededError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
)
# The same, if the message has one of these words; else they are faults of this worker.
_PERHAPS_LOST = (tf.errors.InternalError, tf.errors.FailedPreconditionError)
_OF_OTHERS = ("collective", "incarnation", "rpc", "peer", "socket")

T = TypeVar("T")


class Workers:
    """The workers of one training; without a cluster, the one that there is.

    Parameters
    ----------
    cluster : Cluster or None
        Who they are.
    n_devices : int, default 1
        Devices of this process that share its part of a step.
    report : callable, optional
        Takes lines for the user: who is being waited for.
    """

    def __init__(self, cluster: Cluster | None = None, n_devices: int = 1, report: Report = lambda line: None) -> None:
        self.n_devices = n_devices
        self._cluster = cluster if cluster is not None and cluster.n_workers > 1 else None
        self._report = report
        self._calls: queue.SimpleQueue | None = None
        if self._cluster is not None:
            check_no_proxy(self._cluster.hosts)
            self._runtime = _runtime(tuple(self._cluster.hosts), self._cluster.index, n_devices)
            self._sum = self._make_sum()

    @property
    def n(self) -> int:
        """Number of workers."""
        return 1 if self._cluster is None else self._cluster.n_workers

    @property
    def index(self) -> int:
        """Number of this worker, from 0."""
        return 0 if self._cluster is None else self._cluster.index

    @property
    def is_chief(self) -> bool:
        """Whether this is worker 0, which writes checkpoints, logs and history."""
        return self.index == 0

    @property
    def target(self) -> str:
        """Address of this worker's TensorFlow server; '' without a cluster."""
        return "" if self._cluster is None else self._runtime.server.target

    @property
    def timeout(self) -> float:
        """Seconds to wait for a worker that does not answer."""
        return 0.0 if self._cluster is None else self._cluster.timeout

    def config(self, computes_in: str = "float32") -> v1.ConfigProto:
        """The configuration of a session in which collectives run; computes_in: 'float32' or 'bfloat16'."""
        if self._cluster is None:
            return _config(None, self.n_devices)
        config = _config(self._cluster.index, self.n_devices)
        if computes_in == "bfloat16":
            # A server's session fuses operations before it lowers them to bfloat16, and has no kernel for the result.
            config.graph_options.rewrite_options.remapping = rewriter_config_pb2.RewriterConfig.OFF
        return config

    def keys_for_a_step(self) -> int:
        """Return the first of the numbers of a new graph's collectives; all workers must ask as often."""
        if self._cluster is None:
            return 1
        first, *_ = itertools.islice(self._runtime.keys, KEYS_OF_A_STEP)
        return first

    def agree(self, description: dict[str, Any]) -> None:
        """Wait for all workers, and check that all are about to do the same.

        description: JSON values by name. Raises ClusterError that names the worker and what differs from worker 0's,
        WorkerLostError if a worker does not come in time.
        """
        if self._cluster is None:
            return
        wait_for_all(self._cluster, self._report)
        texts = self.gather(json.dumps(description).encode())
        expected, *others = (json.loads(text) for text in texts)
        faults = []
        for number, found in enumerate(others, 1):
            for name in sorted({*expected, *found}):
                if expected.get(name) != found.get(name):
                    faults.append(
                        f"worker {number} ({self._cluster.hosts[number]}): expected {name}={expected.get(name)!r}, as "
                        f"worker 0 has, found {found.get(name)!r}"
                    )
        if faults:
            raise ClusterError("; ".join(faults[:5]) + (" and more" if len(faults) > 5 else ""))

    def gather(self, content: bytes) -> list[bytes]:
        """Return what each worker gave, in the order of their numbers; all of them must call this."""
        if self._cluster is None:
            return [content]
        lengths = self._place(np.array([len(content)], np.int32))[:, 0]
        row = np.zeros(-(-int(lengths.max()) // 4) * 4, np.uint8)
        row[: len(content)] = np.frombuffer(content, np.uint8)
        rows = self._place(row.view(np.int32)).view(np.uint8)
        return [rows[number, :length].tobytes() for number, length in enumerate(lengths)]

    def broadcast(self, content: bytes | None) -> bytes:
        """Return what worker 0 gave; the others give None."""
        if self._cluster is None:
            return content or b""
        given = content or b""
        high, low = self._exchange(np.array(divmod(len(given), 1 << 30), np.int32))
        length, pieces = (int(high) << 30) + int(low), []
        for start in range(0, length, MAX_PIECE):
            row = np.zeros(-(-min(MAX_PIECE, length - start) // 4) * 4, np.uint8)
            piece = np.frombuffer(given[start : start + MAX_PIECE], np.uint8)
            row[: piece.size] = piece
            pieces.append(self._exchange(row.view(np.int32)).tobytes())
        return b"".join(pieces)[:length]

    def part(self) -> None:
        """Wait for the others after the last step. All is saved by then: one that is gone already does no harm."""
        if self._cluster is not None:
            with contextlib.suppress(WorkerLostError):
                self._exchange(np.zeros(1, np.int32))

    def call(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Call a function that runs collectives; raise WorkerLostError if another worker is gone or does not answer.

        Without a cluster, just call it. With one, it runs in a thread of its own, since TensorFlow waits for a worker 0
        that has stopped without end.
        """
        if self._cluster is None:
            return function(*arguments, **options)
        done: queue.SimpleQueue = queue.SimpleQueue()
        if self._calls is None:
            self._calls = queue.SimpleQueue()
            threading.Thread(target=_serve, args=(self._calls,), daemon=True, name="digitcnn collectives").start()
        self._calls.put((done, functools.partial(function, *arguments, **options)))
        try:
            value, error = done.get(timeout=self.timeout + GRACE)
        except queue.Empty:
            self._calls = None  # that thread is stuck
            raise WorkerLostError(self._lost("no answer in time")) from None
        if error is None:
            return value
        cause = error.__cause__ if isinstance(error, UntrainedModelError) else error
        if isinstance(cause, tf.errors.InvalidArgumentError) and "group_size" in str(cause):
            raise ClusterError(
                f"hosts: expected the same list of workers on all of them, found another number: {reason_of(cause)}"
            ) from error
        if isinstance(cause, _LOST) or (
            isinstance(cause, _PERHAPS_LOST) and any(word in str(cause).lower() for word in _OF_OTHERS)
        ):
            raise WorkerLostError(self._lost(reason_of(cause))) from error
        raise error

    def _lost(self, reason: str) -> str:
        gone = unreachable(self._cluster) if self._cluster is not None else []
        who = ", ".join(gone) or "a worker that is still there, or has come back"
        return (
            f"worker {self.index}: expected all {self.n} workers to answer within {self.timeout:g} seconds, lost {who} "
            f"({reason}); start this worker again: with its run folder, worker 0 resumes from the last checkpoint"
        )

    def _place(self, row: np.ndarray) -> np.ndarray:
        """Return the row of each worker, int32 [n_workers, n]; all rows have the same length."""
        rows = np.zeros((self.n, row.size), np.int32)
        rows[self.index] = row
        return self._exchange(rows.ravel()).reshape(rows.shape)

    def _exchange(self, numbers: np.ndarray) -> np.ndarray:
        """Return the sum of an array int32 [n] over all workers."""
        return self.call(self._sum, numbers, np.int32(next(self._runtime.keys)))

    def _make_sum(self) -> Callable[[np.ndarray, np.int32], np.ndarray]:
        graph = tf.Graph()
        with graph.as_default():
            numbers = v1.placeholder(tf.int32, [None])
            key = v1.placeholder(tf.int32, [])
            total = tf.identity(all_reduce(numbers, key, self.n, self.timeout))
        session = v1.Session(self.target, graph=graph, config=self.config())
        return lambda values, number: session.run(total, {numbers: values, key: number})


def _serve(calls: queue.SimpleQueue) -> None:
    while True:
        done, call = calls.get()
        try:
            done.put((call(), None))
        except BaseException as error:  # handed to the thread that asked
            done.put((None, error))
        del done, call


def _config(index: int | None, n_devices: int) -> v1.ConfigProto:
    """The configuration of servers and sessions; index: the worker's number, None without a cluster."""
    config = v1.ConfigProto(allow_soft_placement=True)
    if n_devices > 1 and not has_gpu():
        config.device_count["CPU"] = n_devices  # virtual ones, which share the cores
    if index is not None:
        config.device_filters.append(f"/job:worker/task:{index}")  # the others' devices are not for its sessions
        config.experimental.collective_group_leader = "/job:worker/replica:0/task:0"
    return config


class _Runtime(NamedTuple):
    """TensorFlow's server of this worker, and numbers for collectives, the same on all workers."""

    hosts: tuple[str, ...]
    n_devices: int
    server: tf.distribute.Server
    keys: Iterator[int]


_RUNTIMES: dict[
    str, _Runtime
] = {}  # by this process's addresses: TensorFlow cannot end a server before the process ends


def _runtime(hosts: tuple[str, ...], index: int, n_devices: int) -> _Runtime:
    """Start the server, or return the one that is running; raises ClusterError if its port is in use."""
    if found := _RUNTIMES.get(hosts[index]):
        if (found.hosts, found.n_devices) != (hosts, n_devices):
            raise ClusterError(
                f"{hosts[index]}: expected the workers {', '.join(found.hosts[:5])} with devices={found.n_devices}, "
                "for which this process listens there, found others; start a new process"
            )
        return found
    check_port_is_free(hosts[index])
    spec = tf.train.ClusterSpec({"worker": list(hosts)})
    try:
        config = _config(index, n_devices)
        server = tf.distribute.Server(spec, job_name="worker", task_index=index, config=config)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise ClusterError(f"{hosts[index]}: expected an address to listen on, found: {reason_of(error)}") from error
    _RUNTIMES[hosts[index]] = _Runtime(hosts, n_devices, server, itertools.count(1))
    return _RUNTIMES[hosts[index]]
