"""Trains a model on several workers or devices: in a graph of the same network whose training step is shared."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from ..cluster.hosts import Cluster
from ..cluster.workers import Workers
from ..data.arrays import LabelledImages
from ..engine.engine import Engine
from ..engine.machine import has_gpu
from ..exceptions import ClusterError, WorkerLostError
from ..graph.finishing import finish_graph
from ..graph.layers import Layers
from ..graph.replicas import Replicas
from ..graph.shard import Shard
from ..saving.model_parts import ModelParts
from .options import TrainingOptions
from .trainer import Trainer

v1 = tf.compat.v1

MAX_DEVICES = 64  # of one process


@dataclass(frozen=True)
class Distribution:
    """Among whom a training is distributed.

    Parameters
    ----------
    cluster : Cluster or None
        The workers; None for this process alone.
    n_devices : int
        Devices of this process.
    report : callable
        Takes lines for the user.
    """

    cluster: Cluster | None
    n_devices: int
    report: Callable[[str], None]

    @property
    def is_needed(self) -> bool:
        """Whether there is more than one worker or device."""
        return self.n_devices > 1 or (self.cluster is not None and self.cluster.n_workers > 1)


def train_distributed(
    model: ModelParts,
    build: Callable[[tf.Graph, Layers], None],
    distribution: Distribution,
    options: TrainingOptions,
    update_history: Callable[[dict[str, float]], None],
    sets: tuple[LabelledImages, LabelledImages | None],
) -> None:
    """Train as `Trainer` does, with the others, and leave the weights in the model's own session.

    build: makes the network again, in the graph that is given. The model is as it was before if the workers cannot
    train together, or one of them is lost.
    """
    devices = device_names(distribution.n_devices)
    workers = Workers(distribution.cluster, distribution.n_devices, distribution.report)
    before = copy.deepcopy(vars(model.state))
    if not workers.is_chief:
        options = options.without_files()
    with _shared_engine(model, build, devices, workers) as engine:
        if not options.initialize and workers.is_chief:
            engine.initialize()
            engine.restore(model.engine.variables())
        shared = dataclasses.replace(model, engine=engine)
        try:
            Trainer(shared, options, update_history, workers, model.engine.session.graph).train(*sets)
        except (ClusterError, WorkerLostError):
            vars(model.state).update(before)
            raise
        except BaseException:
            _take_weights(model.engine, engine)
            raise
        _take_weights(model.engine, engine)


def _shared_engine(
    model: ModelParts, build: Callable[[tf.Graph, Layers], None], devices: tuple[str, ...], workers: Workers
) -> Engine:
    """Return the session of a new graph of the model's network, whose step is shared."""
    graph = tf.Graph()
    layers = Layers(precision=model.engine.computes_in)
    with graph.as_default():
        v1.set_random_seed(model.settings.random_seed)
        layers.shard = Shard.placeholder()
        build(graph, layers)
        replicas = Replicas(workers.n, devices, workers.timeout, workers.keys_for_a_step())
        handles = finish_graph(graph, model.settings, layers.made, replicas)
    return Engine(graph, handles, model.engine.computes_in, target=workers.target, config=workers.config())


def _take_weights(own: Engine, shared: Engine) -> None:
    """Copy all variables of the shared graph, if it has values yet, into the model's own session."""
    if shared.has_values():
        own.initialize()
        own.restore(shared.variables())


def device_names(n_devices: int) -> tuple[str, ...]:
    """Names of the devices that share a step: GPUs, or virtual devices of the CPU where there is no GPU.

    Empty for one device, which TensorFlow chooses. Raises ValueError if there are fewer GPUs.
    """
    if n_devices == 1:
        return ()
    if not has_gpu():
        return tuple(f"/CPU:{number}" for number in range(n_devices))
    n_gpus = len(tf.config.list_physical_devices("GPU"))
    if n_devices > n_gpus:
        raise ValueError(f"devices: expected at most {n_gpus}, the GPUs of this machine, found {n_devices}")
    return tuple(f"/GPU:{number}" for number in range(n_devices))
