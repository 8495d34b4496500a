"""Prepares a training, new or resumed, and runs it, for `DigitCNN.train`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from ..cluster.workers import Workers
from ..data.arrays import LabelledImages
from ..data.standardization import Standardization, check_scaling
from ..engine.machine import this_machine
from ..graph.architectures import ARCHITECTURES
from ..graph.augmentation import Augmentation
from ..graph.inspection import graph_sha256
from ..saving.checkpoint_folder import CheckpointFolder
from ..saving.model_parts import ModelParts
from ..saving.record import Plan
from ..settings import Settings, settings_dict
from ..tensorboard.training_log import TrainingLog
from .loop import TrainingLoop
from .options import TrainingOptions
from .shared_state import take_state_of_chief


class Trainer:
    """Trains one model with one set of options, alone or together with other workers."""

    def __init__(
        self,
        model: ModelParts,
        options: TrainingOptions,
        update_history: Callable[[dict[str, float]], None],
        workers: Workers,
        graph: tf.Graph,
    ):
        """update_history: takes the row of each epoch. graph: the model's own, which a shared step is made from."""
        self._model, self._options, self._update_history = model, options, update_history
        self._engine, self._state, self._settings = model.engine, model.state, model.settings
        self._workers, self._graph = workers, graph
        self.has_begun = False  # whether the model is the training's

    def train(self, training_set: LabelledImages, validation_set: LabelledImages | None) -> None:
        """Train from new weights, from where the model stands, or from a checkpoint. Raises as `DigitCNN.train`."""
        options, workers = self._options, self._workers
        self._engine.check_takes(training_set.labels)
        n_rows = -(-min(self._settings.batchsize, len(training_set)) // workers.n)
        self._engine.check_batch(n_rows, "batchsize", is_training=True)
        standardization = None
        if workers.is_chief and not options.resume:
            standardization = self._choose_standardization(training_set, validation_set)
        log = TrainingLog(options.log_folder, options.named_summaries, self._engine)
        folder = CheckpointFolder(options.checkpoint_folder, options.max_to_keep, resumes=options.resume)
        with folder as checkpoints, log:
            plan = self._plan(training_set, validation_set) if checkpoints.is_on or workers.n > 1 else None
            own = plan
            saved = checkpoints.load_newest(self._model, plan) if plan and options.resume else None
            if saved is not None:
                plan, last_step = saved, saved.last_step
                if self._engine.global_step() >= last_step:
                    return  # complete
                self._engine.averages.set_aside()  # where the folder is one of the best checkpoint
                self._open_epoch(len(training_set))
            elif workers.is_chief:
                if checkpoints.is_on:
                    checkpoints.check_empty()
                if options.resume:  # there was nothing to resume
                    standardization = self._choose_standardization(training_set, validation_set)
                last_step = self._begin(len(training_set), standardization)
                plan = plan and dataclasses.replace(plan, last_step=last_step)
            if plan and own and workers.n > 1:
                workers.agree(self._description(own))  # not the checkpoint's: it may be of another version
                last_step = take_state_of_chief(self._model, plan, workers)
            self.has_begun = True
            log.begin(self._settings_and_length(), self._state.standardization, training_set, validation_set, last_step)
            loop = TrainingLoop(
                model=self._model,
                options=options,
                training_set=training_set,
                validation_set=validation_set,
                log=log,
                checkpoints=checkpoints,
                plan=plan if checkpoints.is_on else None,
                workers=workers,
                update_history=self._update_history,
            )
            loop.run(last_step)
            log.finish()
            workers.part()

    def _description(self, plan: Plan) -> dict[str, Any]:
        """What must be the same on all workers, by name."""
        here = {name: plan.machine[name] for name in ("digitcnn", "tensorflow", "numpy", "code", "graph")}
        asked = {name: value for name, value in vars(plan).items() if name not in ("machine", "last_step")}
        return {"class": self._model.class_name} | here | settings_dict(self._settings) | asked

    def _plan(self, training_set: LabelledImages, validation_set: LabelledImages | None) -> Plan:
        options = self._options
        return Plan(
            initialize=options.initialize,
            epochs=None if options.steps else options.epochs,
            steps=options.steps,
            computes_in=self._engine.computes_in,
            training_set=training_set.sha256(),
            validation_set=None if validation_set is None else validation_set.sha256(),
            machine=this_machine()
            | {
                "graph": graph_sha256(self._graph),
                "workers": self._workers.n,
                "devices": self._workers.n_devices,
            },
        )

    def _choose_standardization(
        self, training_set: LabelledImages, validation_set: LabelledImages | None
    ) -> Standardization | None:
        """Statistics for a training that is not resumed, after checking that both sets fit them."""
        if self._options.initialize:
            standardization = fit_standardization(self._settings, training_set.images)
        else:
            self._engine.check_trained()
            standardization = self._state.standardization
        check_scaling(training_set.images, standardization, "training_set")
        if validation_set is not None:
            check_scaling(validation_set.images, standardization, "validation_set")
        return standardization

    def _begin(self, n_images: int, standardization: Standardization | None) -> int:
        """Begin a training, from new weights if `initialize`; returns the global step at which it ends."""
        options, state = self._options, self._state
        if options.initialize:
            self._engine.initialize()
            state.reset(standardization)
        self._engine.averages.begin()
        first_step = self._open_epoch(n_images)
        last_step = state.progress.epoch_start + options.epochs * state.progress.batches_per_epoch
        if options.steps:
            last_step = first_step + options.steps
        if first_step == 0:
            self._engine.set_schedule(last_step)
        return last_step

    def _open_epoch(self, n_images: int) -> int:
        """Begin an epoch, or continue the open one; returns the global step."""
        step = self._engine.global_step()
        self._state.progress.open_epoch(step, n_images, self._settings.batchsize)
        return step

    def _settings_and_length(self) -> dict:
        """The hyperparameters that TensorBoard shows."""
        options = self._options
        settings = {name: value for name, value in settings_dict(self._settings).items() if name != "epochs"}
        return settings | ({"steps": options.steps} if options.steps else {"epochs": options.epochs})


def fit_standardization(settings: Settings, images: np.ndarray, *, are_warped: bool = False) -> Standardization | None:
    """Statistics by which a model trained on these images standardizes raw pixels; None for scaled floats.

    are_warped: whether the images themselves are warped, and not only by the graph.
    """
    if images.dtype != np.uint8:
        return None
    if ARCHITECTURES[settings.architecture].scaling == "unit":
        return dataclasses.replace(Standardization.unit(images.shape[1]), highest=int(images.max()))
    # Warps move strokes between pixels, so that all pixels need the same statistics.
    per_pixel = not (are_warped or Augmentation.of(settings))
    return Standardization.fit(images, per_pixel=per_pixel, image_shape=settings.image_shape)
