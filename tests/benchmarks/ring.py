"""A step of a training on several workers, simulated message by message: computing, then a ring all-reduce.

All workers add up one vector, the gradients. In a ring of n workers it is cut into n chunks; each worker sends to the
next one 2 (n - 1) times, first chunks to which it added its own, then finished ones, so that it sends 2 (n - 1) / n of
the vector, the least possible (Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms for clusters of
workstations", J. Parallel Distrib. Comput. 69, 2009). TensorFlow's CollectiveReduceV2 with the hint "ring" does so.

`step_cost.py` has the numbers of a machine and of networks, and prints what follows from them.
"""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """A link from each worker to the next one: bits per second, and seconds until the first bit arrives."""

    bits_per_second: float
    latency: float


@dataclass(frozen=True)
class Messages:
    """What the processes of the two ends spend on a message, in seconds: for each one, and for each byte of it."""

    seconds_each: float
    seconds_per_byte: float


@dataclass(frozen=True)
class Compute:
    """Seconds that a worker computes in a step: for any number of rows, and for each row of the batch.

    Of a step, jitter is the mean of what is added to this, as a part of it, with an exponential distribution.
    """

    fixed: float
    per_row: float
    jitter: float = 0.0

    @classmethod
    def through(cls, rows_and_seconds: tuple[tuple[int, float], tuple[int, float]]) -> Compute:
        """The line through two measured steps; never negative, as the noise of a measurement may have it."""
        (few, short), (many, long) = sorted(rows_and_seconds)
        per_row = max(0.0, (long - short) / (many - few))
        return cls(max(0.0, long - per_row * many), min(per_row, long / many))

    def seconds(self, rows: int) -> float:
        """Without jitter."""
        return self.fixed + self.per_row * rows


def rows_of_worker(batch: int, n: int) -> int:
    """Rows that the worker with the most of them computes: the training splits a batch as evenly as it can."""
    return -(-batch // n)


def hop_seconds(n: int, n_bytes: float, network: Network, messages: Messages) -> tuple[float, float]:
    """Seconds that a chunk occupies the link to the next worker, and seconds after that until it has arrived."""
    chunk = n_bytes / n
    on_link = messages.seconds_each + chunk * (8 / network.bits_per_second + messages.seconds_per_byte)
    return on_link, network.latency


def ring_seconds(n: int, n_bytes: float, network: Network, messages: Messages) -> float:
    """The closed formula: 2 (n - 1) hops of a chunk, one after the other, if nobody is late."""
    return 2 * (n - 1) * sum(hop_seconds(n, n_bytes, network, messages))


def step_seconds(n: int, batch: int, n_bytes: float, compute: Compute, network: Network, messages: Messages) -> float:
    """The closed formula of a step."""
    return compute.seconds(rows_of_worker(batch, n)) + ring_seconds(n, n_bytes, network, messages)


@dataclass
class Ring:
    """The simulation: n workers that take steps, each of which ends with an all-reduce of n_bytes in a ring.

    A worker begins a step when it has all chunks of the step before; nothing else holds the workers together. A link
    carries one message at a time, both directions of a worker at once. Equal seeds give equal results.
    """

    n: int
    n_bytes: float
    compute: Compute
    network: Network
    messages: Messages
    seed: int = 0

    def run(self, batch: int, steps: int = 1) -> float:
        """Return the mean seconds of a step until the last worker has finished `steps` of them."""
        self._rows = rows_of_worker(batch, self.n)
        self._hops = 2 * (self.n - 1)
        self._on_link, self._latency = hop_seconds(self.n, self.n_bytes, self.network, self.messages)
        self._random = random.Random(self.seed)
        self._events: list[tuple] = []
        self._link_free = [0.0] * self.n
        self._computed = [-1] * self.n  # the last step whose gradients a worker has
        self._waiting: dict[tuple[int, int], list[int]] = defaultdict(list)  # hops that came before the gradients
        finished = [0] * self.n
        now = 0.0
        for worker in range(self.n):
            self._begin(now, worker, 0)
        while self._events:
            now, worker, step, hop = heapq.heappop(self._events)
            if hop < 0:  # the gradients are computed
                self._computed[worker] = step
                arrived = self._waiting.pop((worker, step), [])
                if self._hops:
                    self._send(now, worker, step, 0)
            elif self._computed[worker] < step:
                self._waiting[worker, step].append(hop)
                continue
            else:
                arrived = [hop]
            for hop in arrived:
                if hop + 1 < self._hops:
                    self._send(now, worker, step, hop + 1)
            if (arrived and arrived[-1] == self._hops - 1) or not self._hops:
                finished[worker] += 1
                if finished[worker] < steps:
                    self._begin(now, worker, step + 1)
        return now / steps

    def _begin(self, now: float, worker: int, step: int) -> None:
        seconds = self.compute.seconds(self._rows)
        if self.compute.jitter:
            seconds *= 1 + self._random.expovariate(1 / self.compute.jitter)
        heapq.heappush(self._events, (now + seconds, worker, step, -1))

    def _send(self, now: float, worker: int, step: int, hop: int) -> None:
        self._link_free[worker] = max(now, self._link_free[worker]) + self._on_link
        arrival = self._link_free[worker] + self._latency
        heapq.heappush(self._events, (arrival, (worker + 1) % self.n, step, hop))
