"""What `step_cost.py` measures, each in processes of its own: single steps, the collective alone, trainings."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

STEPS = 50  # of a group, or of an epoch: a time is the mean of a group, and the result the median of the groups
GROUPS = 5  # after one that is not counted
DEADLINE = 300.0  # seconds

Data = tuple[str, "str | None", str]  # name, folder, precision


def in_processes(function: Callable[..., float], calls: list[tuple]) -> list[float]:
    """Call a function in as many new processes at once, and return what each returned."""
    spawn = multiprocessing.get_context("spawn")
    lines, processes = [], []
    try:
        for arguments in calls:
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_answer, args=(theirs, function, arguments))
            process.start()
            theirs.close()
            lines.append(ours)
            processes.append(process)
        results = []
        for line in lines:
            if not line.poll(DEADLINE):
                raise TimeoutError(f"{function.__name__}: expected a result within {DEADLINE:g} seconds, found none")
            results.append(line.recv())
        return results
    finally:
        for process in processes:
            process.join(10)
            process.kill()


def _answer(line: Connection, function: Callable[..., float], arguments: tuple) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the libraries' messages about the CPU
    line.send(function(*arguments))
    line.close()
    os._exit(0)  # TensorFlow's server waits for workers that are gone


def _some_images(data: Data, n: int) -> tuple[np.ndarray, np.ndarray]:
    from digitcnn import load_dataset

    dataset = load_dataset(*data[:2])
    rows = np.resize(np.arange(len(dataset.train_images)), n)
    return dataset.train_images[rows], dataset.train_labels[rows]


def _median_of_groups(step: Callable[[], Any]) -> float:
    """Seconds of a step."""
    means = []
    for _ in range(GROUPS + 1):
        start = time.perf_counter()
        for _ in range(STEPS):
            step()
        means.append((time.perf_counter() - start) / STEPS)
    return statistics.median(means[1:])


def single_steps(data: Data, batch: int, cores: list[int]) -> float:
    """Seconds of T1's training step alone: no loop, no shuffle, no log."""
    os.sched_setaffinity(0, cores)  # before TensorFlow counts them
    from digitcnn import DigitCNN

    X, y = _some_images(data, batch)
    with DigitCNN(random_seed=1, batchsize=batch, precision=data[2]) as model:
        model.train((X, y), epochs=1, verbose=False)
        engine, standardization = model._engine, model._parts.state.standardization
        return _median_of_groups(lambda: engine.train_step(X, y, standardization, 0.0))


def ring_alone(hosts: list[str], index: int, n: int) -> float:
    """Seconds of the collective operation over float32 [n]."""
    import tensorflow as tf

    from digitcnn import Cluster
    from digitcnn.cluster.workers import Workers
    from digitcnn.graph.replicas import STEP_KEY, all_reduce

    workers = Workers(Cluster(hosts, index, timeout=60))
    graph = tf.Graph()
    with graph.as_default():
        total = all_reduce(tf.ones([n]), tf.constant(STEP_KEY), len(hosts), workers.timeout)
    workers.agree({"numbers": n})
    with tf.compat.v1.Session(workers.target, graph=graph, config=workers.config()) as session:
        seconds = _median_of_groups(session.make_callable(total.op))
        workers.part()
    return seconds


def training(data: Data, batch: int, hosts: list[str] | None, index: int) -> float:
    """Seconds of a step in the training loop, from the times between the ends of epochs."""
    from digitcnn import Cluster, DigitCNN

    ends = []

    class Timed(DigitCNN):
        def update_history(self, entry):
            ends.append(time.perf_counter())
            super().update_history(entry)

    X, y = _some_images(data, STEPS * batch)
    cluster = None if hosts is None else Cluster(hosts, index, timeout=60)
    with Timed(random_seed=1, batchsize=batch, precision=data[2]) as model:
        model.train((X, y), epochs=GROUPS + 1, verbose=False, cluster=cluster)
    return statistics.median(np.diff(ends)) / STEPS
