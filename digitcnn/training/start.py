"""Starts a training in the model's own graph or, on several workers or devices, in one whose step is shared."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import tensorflow as tf

from .._progress import write_line
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


def start_training(
    model: ModelParts,
    build: Callable[[tf.Graph, Layers], None],
    options: TrainingOptions,
    update_history: Callable[[dict[str, float]], None],
    sets: tuple[LabelledImages, LabelledImages | None],
) -> None:
    """Train on the training set, validate on the other one; with several workers or devices, in a shared graph.

    If the workers cannot train together, or one of them is lost, the model is as it was before.

    Parameters
    ----------
    model : ModelParts
        What is trained.
    build : callable
        Makes the network again, in the graph that is given.
    options : TrainingOptions
        What `train` was asked for.
    update_history : callable
        Takes the row of each epoch.
    sets : tuple of LabelledImages
        Training set, and validation set or None.
    """
    place = options.place
    if not place.is_shared:
        Trainer(model, options, update_history, Workers(), model.engine.session.graph).train(*sets)
        return
    devices = device_names(place.devices)
    if place.cluster is not None:
        _check_rows(model.settings.batchsize, place.cluster.n_workers)
    workers = Workers(place.cluster, place.devices, write_line if options.shown else lambda line: None)
    before = copy.deepcopy(vars(model.state))
    if not workers.is_chief:
        options = options.without_files()
    with _shared_engine(model, build, devices, workers) as engine:
        if not options.initialize and workers.is_chief:
            engine.restore(model.engine.variables())
        shared = dataclasses.replace(model, engine=engine)
        trainer = Trainer(shared, options, update_history, workers, model.engine.session.graph)
        try:
            trainer.train(*sets)
        except BaseException as error:
            if trainer.has_begun and not isinstance(error, (ClusterError, WorkerLostError)):
                _take_weights(model.engine, engine)
            else:
                vars(model.state).update(before)
            raise
        _take_weights(model.engine, engine)


def _shared_engine(
    model: ModelParts, build: Callable[[tf.Graph, Layers], None], devices: tuple[str, ...], workers: Workers
) -> Engine:
    """Return the session of a new graph of the model's network, whose step is shared."""
    graph, computes_in = tf.Graph(), model.engine.computes_in
    layers = Layers(precision=computes_in)
    with graph.as_default():
        v1.set_random_seed(model.settings.random_seed)
        layers.shard = Shard.placeholder()
        build(graph, layers)
        replicas = Replicas(workers.n, devices, workers.timeout, workers.keys_for_a_step())
        handles = finish_graph(graph, model.settings, layers.made, replicas)
    return Engine(graph, handles, computes_in, target=workers.target, config=workers.config(computes_in))


def _check_rows(batchsize: int, n_workers: int) -> None:
    """Raise ClusterError if a batch has fewer images than there are workers, some of which would idle."""
    if batchsize < n_workers:
        raise ClusterError(f"batchsize: expected at least one image for each of {n_workers} workers, found {batchsize}")


def _take_weights(own: Engine, shared: Engine) -> None:
    """Copy all variables of the shared graph, if it has values yet, into the model's own session."""
    if shared.has_values():
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
