"""What `step_cost.py` measures, each in processes of its own: single steps, the collective alone, trainings."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

GROUPS = 5  # of steps, after one that is not counted: a result is the median of the groups' means
DEADLINE = 600.0  # seconds for all of them


@dataclass(frozen=True)
class Task:
    """What to train on and how; steps: of a group, and of an epoch."""

    data: str
    data_dir: str | None
    precision: str
    steps: int


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
            result = line.recv()
            if isinstance(result, str):
                raise RuntimeError(f"{function.__name__}: {result}")
            results.append(result)
        return results
    finally:
        for process in processes:
            process.join(10)
            process.kill()


def _answer(line: Connection, function: Callable[..., float], arguments: tuple) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the libraries' messages about the CPU
    try:
        line.send(function(*arguments))
    except Exception as error:
        line.send(f"{type(error).__name__}: {error}")
    line.close()
    os._exit(0)  # TensorFlow's server waits for workers that are gone


def _some_images(task: Task, n: int) -> tuple[np.ndarray, np.ndarray]:
    from digitcnn import load_dataset

    dataset = load_dataset(task.data, task.data_dir)
    rows = np.resize(np.arange(len(dataset.train_images)), n)
    return dataset.train_images[rows], dataset.train_labels[rows]


def _median_of_groups(step: Callable[[], Any], steps: int) -> float:
    """Seconds of a step."""
    means = []
    for _ in range(GROUPS + 1):
        start = time.perf_counter()
        for _ in range(steps):
            step()
        means.append((time.perf_counter() - start) / steps)
    return statistics.median(means[1:])


def single_steps(task: Task, batch: int, cores: list[int]) -> float:
    """Seconds of T1's training step alone: no loop, no shuffle, no log."""
    os.sched_setaffinity(0, cores)  # before TensorFlow counts them
    from digitcnn import DigitCNN

    X, y = _some_images(task, batch)
    with DigitCNN(random_seed=1, batchsize=batch, precision=task.precision) as model:
        model.train((X, y), epochs=1, verbose=False)
        engine, standardization = model._engine, model._parts.state.standardization
        return _median_of_groups(lambda: engine.train_step(X, y, standardization, 0.0), task.steps)


def ring_alone(task: Task, n: int, hosts: list[str], index: int) -> float:
    """Seconds of the collective operation over float32 [n]."""
    import tensorflow as tf

    from digitcnn import Cluster
    from digitcnn.cluster.workers import Workers
    from digitcnn.graph.replicas import all_reduce

    workers = Workers(Cluster(hosts, index, timeout=120))
    graph = tf.Graph()
    with graph.as_default():
        total = all_reduce(tf.ones([n]), tf.constant(workers.keys_for_a_step()), len(hosts), workers.timeout)
    workers.agree({"numbers": n})
    with tf.compat.v1.Session(workers.target, graph=graph, config=workers.config()) as session:
        seconds = _median_of_groups(session.make_callable(total.op), task.steps)
        workers.part()
    return seconds


def training(task: Task, batch: int, hosts: list[str], index: int) -> float:
    """Seconds of a step in the training loop, from the times between the ends of epochs."""
    from digitcnn import Cluster, DigitCNN

    ends = []

    class Timed(DigitCNN):
        def update_history(self, entry):
            ends.append(time.perf_counter())
            super().update_history(entry)

    X, y = _some_images(task, task.steps * batch)
    cluster = Cluster(hosts, index, timeout=120)
    with Timed(random_seed=1, batchsize=batch, precision=task.precision) as model:
        model.train((X, y), epochs=GROUPS + 1, verbose=False, cluster=cluster)
    return statistics.median(np.diff(ends)) / task.steps
