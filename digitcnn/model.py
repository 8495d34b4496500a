"""DigitCNN: one tf.Graph and one Session that a person sees and owns."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from ._validation import MOST, check_bool, check_path, check_whole
from .data.arrays import IMAGE_SHAPE, N_CLASSES, as_images, as_labelled_images, sha256_of
from .data.standardization import Standardization, check_scaling
from .engine.engine import BATCH_SIZE, Engine, has_gpu
from .engine.machine import this_machine
from .engine.precision import can_bfloat16, resolve_precision
from .engine.state import Progress
from .exceptions import CheckpointError, UntrainedModelError
from .export.inference_graph import freeze, rebuild
from .export.writer import check_target, write_export
from .graph import layers
from .graph.architectures import ARCHITECTURES, Sizes
from .graph.augmentation import Augmentation
from .graph.builder import build_graph
from .graph.finishing import finish_graph
from .graph.gradients import PRECISION
from .graph.inspection import count_parameters
from .graph.table import state_text, summary_html, summary_text
from .graph.train_step import TrainStep
from .recipes import recipe_settings
from .saving.checkpoint import (
    checkpoint_prefix,
    find_checkpoint,
    is_training_checkpoint,
    read_record,
    record_file,
    restore_variables,
    write_checkpoint,
)
from .saving.checkpoint_folder import CheckpointFolder, check_checkpoint_arguments
from .saving.record import HISTORY_COLUMNS, Plan, Record, history_row
from .settings import Settings
from .tensorboard.events import write_graph
from .tensorboard.training_log import TrainingLog, check_summaries
from .training.loop import MAX_TO_KEEP, run_epochs, verbosity

v1 = tf.compat.v1


class DigitCNN:
    """A network for handwritten digits, in a TensorFlow graph and session of its own.

    batchsize: images in a training step. epochs: passes over the training set in `train`.
    learning_rate: of Adam. conv_1_output_channels, conv_2_output_channels, fc_3_output_units: sizes
    of the layers. dropout: the probability of DROPPING a unit of the dense layer, 0 <= dropout < 1.
    shuffle: a new order of the training set in each epoch. random_seed: what initial weights,
    shuffles and dropout follow; None draws one, which is then this object's `random_seed`.
    architecture: 'cnn' (the tutorial's own), 'softmax', 'same', 'strided', 'batchnorm', or one of ours,
    'compact', 'deep' or 'tapered'.

    What the tutorials do not have: precision, 'float32', 'bfloat16', or 'auto', which takes bfloat16
    where the CPU multiplies it in hardware. schedule: 'constant', or 'one_cycle', in which
    `learning_rate` is the peak. label_smoothing: the share of a label that is spread over all classes.
    rotation (degrees), scaling (a fraction), shift (pixels): how far training images are warped at
    random, which follows the seed too (augmentation.py). Floats that you scaled are warped as they
    stand, so scale them with one mean for all pixels. `from_recipe` has settings that go well together.
    image_shape: height and width of the images, which are grey; n_classes: labels are 0..n_classes-1.

    Attributes: `g` (tf.Graph), `sess` (its Session), `init_op`, `saver`; `history`, a DataFrame of
    Epoch, Loss (mean over the training samples) and Accuracy (on the validation set, else NaN);
    `standardization`, what raw pixels go through, or None if the training data came standardized.

    To make a graph of your own, subclass and override `build()`.
    Raises TypeError or ValueError that names the argument, what was expected and what was found.
    """

    def __init__(
        self,
        batchsize: int = 100,
        epochs: int = 10,
        learning_rate: float = 1e-4,
        conv_1_output_channels: int = 32,
        conv_2_output_channels: int = 64,
        dropout: float = 0.5,
        fc_3_output_units: int = 1024,
        shuffle: bool = True,
        random_seed: int | None = None,
        *,
        architecture: str = "cnn",
        precision: str = "auto",
        schedule: str = "constant",
        label_smoothing: float = 0.0,
        rotation: float = 0.0,
        scaling: float = 0.0,
        shift: float = 0.0,
        image_shape: tuple[int, int] = IMAGE_SHAPE,
        n_classes: int = N_CLASSES,
    ):
        settings = Settings(
            batchsize,
            epochs,
            learning_rate,
            conv_1_output_channels,
            conv_2_output_channels,
            dropout,
            fc_3_output_units,
            shuffle,
            random_seed,
            architecture,
            precision,
            schedule,
            label_smoothing,
            rotation,
            scaling,
            shift,
            image_shape,
            n_classes,
        )
        vars(self).update(vars(settings))
        computes_in = resolve_precision(self.precision, has_gpu())
        self.standardization: Standardization | None = None
        self.history = pd.DataFrame(columns=HISTORY_COLUMNS)
        self._progress = Progress()
        self._architecture = ARCHITECTURES[settings.architecture]

        self.g = tf.Graph()
        with self.g.as_default():
            v1.set_random_seed(self.random_seed)
            v1.add_to_collection(PRECISION, computes_in)
            self.build()
            handles = finish_graph(self.g, self._architecture.names, self._sizes)
        self.init_op, self.saver = handles.init_op, handles.saver
        self._engine = Engine(self.g, handles, computes_in)
        self.sess = self._engine.session

    def __setattr__(self, name: str, value: Any) -> None:
        """Check a setting that is changed later; refuse one that the graph was built with."""
        if name in Settings.__dataclass_fields__ and "sess" in vars(self):
            if name not in Settings.SETTABLE:
                raise AttributeError(f"{name} is built into the graph: make a new DigitCNN({name}={value!r}, ...)")
            value = getattr(Settings(**{**self.settings, name: value}), name)
        super().__setattr__(name, value)

    def build(self) -> None:
        """Build the graph, in `g`, which is the default graph here. Override it to make your own.

        A graph of your own needs the tutorial's names: the placeholders `tf_x` float32 [None, 784]
        and `tf_y` int32 [None]; `probabilities` [None, 10], `labels` int32 [None] (784 and 10, or what
        image_shape and n_classes make of them),
        `cross_entropy_loss` [], `correct_preds` bool [None] and the operation `train_op`;
        `fc_keep_prob` [] if it has dropout, `is_training` bool [] if it has batch normalization.
        The settings that its graph does not use, such as schedule and label smoothing, have no effect.
        The constructor raises ValueError for a graph without one of the names, or of other sizes.
        """
        train_step = TrainStep(self.learning_rate, self.schedule, self.label_smoothing, self._augmentation)
        build_graph(self._architecture, self._sizes, train_step)

    # For a `build()` of one's own.
    conv_layer = staticmethod(layers.conv_layer)
    fc_layer = staticmethod(layers.fc_layer)

    @classmethod
    def from_recipe(cls, recipe: str, **settings: Any) -> DigitCNN:
        """A model with the settings of a recipe: 'tutorial', 'fast' or 'accurate' (digitcnn.RECIPES).

        settings: arguments of the constructor, which come before the recipe's.
        Raises ValueError for another name, and as the constructor does.
        """
        return cls(**(recipe_settings(recipe) | settings))

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments as they are now, by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(Settings)}

    @property
    def _sizes(self) -> Sizes:
        widths = self.conv_1_output_channels, self.conv_2_output_channels, self.fc_3_output_units
        return Sizes(self.image_shape, self.n_classes, *widths)

    @property
    def _has_own_graph(self) -> bool:
        return type(self).build is not DigitCNN.build

    @property
    def _augmentation(self) -> Augmentation:
        return Augmentation(self.rotation, self.scaling, self.shift)

    @property
    def computes_in(self) -> str:
        """What products are computed in on this machine: 'float32' or 'bfloat16'."""
        return self._engine.computes_in

    @property
    def global_step(self) -> int:
        """Training steps taken since initialization. Raises UntrainedModelError before that."""
        return self._engine.global_step()

    @property
    def n_parameters(self) -> int:
        """Numbers that the network consists of: trained ones, and batch normalization's averages."""
        return count_parameters(self.g)

    def weights_sha256(self) -> str:
        """SHA-256, in hex, of all trained variables in the order of their names.

        What is digested is their values alone, each as little-endian numbers in C order.
        Raises UntrainedModelError.
        """
        return self._engine.weights_sha256()

    def summary(self) -> str:
        """Print a table of layers, output shapes and parameter counts, and return its text."""
        text = summary_text(self.g, self._title)
        print(text)
        return text

    def __repr__(self) -> str:
        return f"<{self._title}, {self.n_parameters:,} parameters, {self._state}>"

    def _repr_html_(self) -> str:
        """What a notebook shows of a model."""
        return summary_html(self.g, f"{self._title}, {self._state}", self.settings)

    @property
    def _title(self) -> str:
        what = "own graph" if self._has_own_graph else f"architecture {self.architecture!r}"
        return f"{type(self).__name__}, {what}"

    @property
    def _state(self) -> str:
        if "sess" not in vars(self):  # a `build()` that shows its model
            return "not built yet"
        try:
            return state_text(self._progress.epoch, self.global_step)
        except UntrainedModelError:
            return "closed" if self._engine.is_closed else "no weights yet"
        except (RuntimeError, tf.errors.CancelledError):  # what TensorFlow has for a session that was closed
            return "closed"

    def train(
        self,
        training_set: tuple,
        validation_set: tuple | None = None,
        initialize: bool = True,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        verbose: bool | str = True,
        logdir: str | os.PathLike | None = None,
        summaries: Collection[str] = (),
        checkpoint_dir: str | os.PathLike | None = None,
        checkpoint_every: int | None = None,
        max_to_keep: int = MAX_TO_KEEP,
        resume: bool = False,
    ) -> None:
        """Train, from new weights, or with `initialize=False` on from where this model stands.

        training_set, validation_set: (X, y), X [n, 784], [n, 28, 28] or [n, 28, 28, 1] (or what `image_shape`
        makes of it), y [n] in 0..n_classes-1. X is either raw pixels, whole numbers 0..255, which this model then
        standardizes by the statistics of the training set, here and in all later calls; or floats that you scaled.
        epochs: instead of the constructor's; steps: batches instead of epochs. A last epoch that
        `steps` leaves unfinished has a fractional number in `history`, and is finished by the next
        call with `initialize=False`. A one-cycle schedule lasts as long as the first call: what goes on
        after its end trains at its last rate, a thousandth of the peak. Loss is told without label
        smoothing. verbose: True, False, 'lines' or 'bar' (in a terminal or a notebook).
        logdir: where to write for TensorBoard: loss, accuracy, learning rate, images per second and the settings.
        summaries: what else, each of which takes time: 'histograms' of weights and activations and 'images' of misread
        digits and filters, after each epoch; 'projector', points of the last hidden layer, at the end; 'trace',
        time and memory of the operations in one step. What a graph of your own has not got is left out with a warning.

        checkpoint_dir: a folder, made if need be, for checkpoints model.ckpt-STEP after each epoch and, if it is
        given, every `checkpoint_every` steps. The newest `max_to_keep` stay, and in best/ the one with the
        best validation accuracy. `resume=True` goes on from the newest that is whole, so that the weights and
        `history` are in the end to the bit what they would have been; it begins anew where there is none, and
        loads what there is once the training is complete.

        Interrupted (Ctrl-C, a notebook's stop button), the model stays usable: `history` has the
        finished epochs, and `initialize=False` goes on with the next batch. With a checkpoint_dir, Ctrl-C
        and SIGTERM, which is then SystemExit(143), write a checkpoint first.

        Bad input raises TypeError or ValueError and changes nothing, as do ResumeError where settings or
        data are not those of the training to be resumed, FolderInUseError where another process trains into
        the folder, FileExistsError where another training did, OSError for folders that cannot be written into; at
        most an empty folder and its lock file stay. Raises OSError if a checkpoint or an event cannot be written.
        """
        shown = verbosity(verbose)
        if epochs is not None and steps is not None:
            raise ValueError("epochs, steps: expected one of them, found both")
        initialize = check_bool("initialize", initialize)
        epochs = check_whole("epochs", self.epochs if epochs is None else epochs, 1, MOST)
        steps = None if steps is None else check_whole("steps", steps, 1, MOST)
        logdir = None if logdir is None else check_path("logdir", logdir)
        summaries = check_summaries(summaries, logdir)
        check_checkpoint_arguments(checkpoint_dir, checkpoint_every, max_to_keep, resume)
        self._engine.check_open()
        sizes = self.image_shape, self.n_classes
        X, y = as_labelled_images(training_set, "training_set", *sizes)
        if validation_set is not None:
            validation_set = as_labelled_images(validation_set, "validation_set", *sizes)

        standardization = None if resume else self._check_kinds(X, validation_set, initialize)

        log = TrainingLog(logdir, summaries, self._engine)
        with CheckpointFolder(checkpoint_dir, max_to_keep) as checkpoints, log:
            plan = saved = None
            if checkpoints.is_on:
                sets = sha256_of(X, y), validation_set and sha256_of(*validation_set)
                plan = Plan(initialize, None if steps else epochs, steps, self.computes_in, *sets, this_machine())
            if resume:
                saved = checkpoints.load_newest(type(self).__name__, self.settings, plan, self._load)
            if not saved:
                if checkpoints.is_on:
                    checkpoints.check_empty()
                if resume:  # from nothing, as it turns out
                    standardization = self._check_kinds(X, validation_set, initialize)
                if initialize:
                    self._engine.initialize()
                    self.history = pd.DataFrame(columns=HISTORY_COLUMNS)
                    self._progress, self.standardization = Progress(), standardization
                last_step = self._begin(len(X), epochs, steps)
                plan = plan and dataclasses.replace(plan, last_step=last_step)
            else:
                last_step = saved.plan.last_step
                if self.global_step >= last_step:
                    return
                self._progress.open_epoch(self.global_step, len(X), self.batchsize)
                plan = saved.plan

            settings = {name: value for name, value in self.settings.items() if name != "epochs"}
            settings |= {"steps": steps} if steps else {"epochs": epochs}
            log.begin(settings, self.standardization, (X, y), validation_set, self.global_step, last_step)
            run_epochs(
                lambda X_batch, y_batch: log.train_step(X_batch, y_batch, self.dropout),
                X,
                y,
                shuffle=self.shuffle,
                random_seed=self.random_seed,
                progress=self._progress,
                global_step=self.global_step,
                last_step=last_step,
                on_epoch=lambda epoch: self._finish_epoch(epoch, validation_set, log, shown),
                checkpoint=(lambda: self._checkpoint(checkpoints, plan)) if checkpoints.is_on else None,
                checkpoint_every=checkpoint_every,
                shown=shown,
            )
            log.finish()

    def _begin(self, n_images: int, epochs: int, steps: int | None) -> int:
        """Begin, or go on in, an epoch; the global step at which a training of that length ends."""
        first_step, progress = self.global_step, self._progress
        progress.open_epoch(first_step, n_images, self.batchsize)
        last_step = first_step + steps if steps else progress.epoch_start + epochs * progress.batches_per_epoch
        if first_step == 0:
            self._engine.set_schedule(last_step)
        return last_step

    def _checkpoint(self, checkpoints: CheckpointFolder, plan: Plan) -> None:
        checkpoints.save(
            self.global_step,
            self._record(plan),
            lambda prefix, record: write_checkpoint(self.sess, self.saver, prefix, record),
        )

    def _check_kinds(self, X: np.ndarray, validation_set: tuple | None, initialize: bool) -> Standardization | None:
        """What a training that is not resumed standardizes by, after checking that it suits both sets."""
        if not initialize:
            self._engine.global_step()  # raises if there are no weights to go on with
        standardization = self._fit_standardization(X) if initialize else self.standardization
        check_scaling(X, standardization, "training_set")
        if validation_set is not None:
            check_scaling(validation_set[0], standardization, "validation_set")
        return standardization

    def _fit_standardization(self, X: np.ndarray) -> Standardization | None:
        if X.dtype != np.uint8:
            return None
        if self._architecture.scaling == "unit":
            return Standardization.unit(X.shape[1])
        # A warp carries a stroke from one pixel to another: they must mean the same there.
        return Standardization.fit(X, not self._augmentation, self.image_shape)

    def _finish_epoch(self, epoch, validation_set, log, shown) -> str:
        loss, accuracy = self._progress.mean_loss, float("nan")
        number = f"{epoch:02}" if isinstance(epoch, int) else f"{epoch:.2f}"
        line = f"Epoch {number}: Training Avg. Loss: {loss:7.3f} "
        if validation_set is not None:
            started = time.perf_counter()
            measured = self._engine.evaluate(*validation_set, self.standardization, "bar" in shown)
            log.validated(self.global_step, measured, time.perf_counter() - started)
            accuracy = measured["accuracy"]
            line += f", Validation Acc: {accuracy:7.3f}"
        log.end_epoch(self.global_step, self._progress)
        # An unfinished epoch's row gives way to that of the same epoch, gone on with.
        epochs = self.history["Epoch"]
        self.history = self.history[(epochs <= self._progress.epoch) | (epochs % 1 == 0)]
        self.update_history({"Epoch": epoch, "Loss": loss, "Accuracy": accuracy})
        return line

    def update_history(self, entry: Mapping[str, float] | Sequence[float]) -> None:
        """Add a row to `history`: Epoch, Loss and Accuracy, by name or in this order.

        Raises TypeError or ValueError for anything but three numbers.
        """
        rows = [*self.history.to_dict("records"), history_row(entry)]
        self.history = pd.DataFrame(rows, columns=HISTORY_COLUMNS)

    def predict(
        self, X, return_proba: bool = False, *, batch_size: int = BATCH_SIZE, verbose: bool | str = True
    ) -> np.ndarray:
        """Predict labels, int32 [n]; with `return_proba`, probabilities, float32 [n, n_classes].

        X: any number of images, of the kind that the model was trained on; `batch_size` of them are in
        the graph at once. verbose: True or 'bar' show a bar if it takes longer than a second.
        Raw pixels are standardized by the statistics of the training set.
        Raises TypeError or ValueError for bad input, UntrainedModelError for an untrained model.
        """
        X = as_images(X, image_shape=self.image_shape)
        return_proba = check_bool("return_proba", return_proba)
        self._check_scaling(X)
        batch_size = check_whole("batch_size", batch_size)
        show_bar = "bar" in verbosity(verbose)
        return self._engine.predict(X, self.standardization, return_proba, batch_size, show_bar)

    def evaluate(self, X, y, *, verbose: bool | str = True) -> dict[str, float]:
        """`{'accuracy', 'loss', 'global_step'}` on images X and labels y, as `predict` and `train` take them.

        Accuracy is the share of correct predictions, loss the mean cross-entropy over the samples.
        Raises as `predict` does.
        """
        X, y = as_labelled_images((X, y), "X, y", self.image_shape, self.n_classes)
        self._check_scaling(X)
        return self._engine.evaluate(X, y, self.standardization, "bar" in verbosity(verbose))

    def _check_scaling(self, X: np.ndarray) -> None:
        try:
            check_scaling(X, self.standardization, "X")
        except ValueError:
            self._engine.global_step()  # raises if there are no weights, and so no scaling to speak of
            raise

    def export_logs(self, path: str | os.PathLike = "./logs/") -> None:
        """Write the graph for TensorBoard into the folder `path`; weights are not touched. Raises OSError."""
        write_graph(self.g, check_path("path", path))

    def export(self, path: str | os.PathLike, format: str = "savedmodel", *, representative=None) -> str:
        """Write the trained model for another runtime as `path`, and return that.

        format: 'savedmodel', a folder; 'tflite' or 'onnx', a file; 'tflite-int8', a file a quarter as large that
        computes in 8-bit whole numbers, their ranges taken from `representative`: some hundred images of the
        training set, as `train` takes them.

        An exported model takes `pixels`, uint8 [n, height, width] with any n of at least 1, as they come from a
        picture, and gives `probabilities` float32 [n, n_classes] and `labels` int32 [n]. Standardization is in it;
        nothing of the training is. It computes in float32, whatever `precision` is here. A model that was trained on
        floats which you scaled takes such floats: `tf_x` (T2: `myInput`), float32 [n, pixels]. So does, of every
        SavedModel, the signature 'scaled' beside 'serving_default'; that of T2 gives `myOutput`. A graph of your
        own is exported with its weights as they are, its dropout off.

        Raises ValueError, TypeError, UntrainedModelError, FileExistsError for a path where something is, other
        OSErrors, or ImportError that names the extra to install; nothing is at `path` then. While it converts, some
        seconds, the process's standard error, logging and warnings are silent: the converters cannot be told to be.
        """
        target = check_target(path, format, representative)
        self._engine.global_step()  # raises if there is nothing to export
        if representative is not None:
            representative = as_images(representative, "representative", self.image_shape)
            check_scaling(representative, self.standardization, "representative")
        if self._has_own_graph:
            inference = freeze(self.sess, self._engine.names, self.image_shape, self.standardization)
        else:
            inference = rebuild(self.sess, self._architecture, self._sizes, self.standardization)
        return write_export(inference, target, format, representative)

    def save(self, epoch: int | None = None, path: str | os.PathLike = "./digitCNN-model/") -> str:
        """Save the whole model as `path`/model.ckpt-`epoch`, and return that.

        What is saved: architecture, settings, standardization, history, global step, weights and
        Adam's state. epoch: a number to find it by; without it the finished epochs are counted.
        Raises OSError, FileExistsError for the name of a training's checkpoint, UntrainedModelError.
        """
        epoch = self._progress.epoch if epoch is None else check_whole("epoch", epoch, 0, MOST)
        self._engine.global_step()  # raises if there is nothing to save
        prefix = checkpoint_prefix(check_path("path", path), epoch)
        if is_training_checkpoint(prefix):
            raise FileExistsError(
                f"{prefix}: expected a name to save to, found a checkpoint that a training goes on from"
            )
        prefix.parent.mkdir(parents=True, exist_ok=True)
        write_checkpoint(self.sess, self.saver, prefix, self._record())
        return str(prefix)

    def _record(self, plan: Plan | None = None) -> Record:
        history = self.history.to_dict("records")
        return Record(type(self).__name__, self.settings, self._progress, history, self.standardization, plan)

    def load(self, epoch: int | None = None, path: str | os.PathLike = "./digitCNN-model/") -> None:
        """Load into this model what `save` wrote; without `epoch`, what was saved last.

        The architecture and the layers' sizes must be this model's; its other settings stay.
        Raises FileNotFoundError or CheckpointError, and then changes nothing.
        """
        prefix = find_checkpoint(path, epoch)
        self._load(prefix, read_record(prefix))

    @classmethod
    def restore(cls, path: str | os.PathLike = "./digitCNN-model/", epoch: int | None = None) -> DigitCNN:
        """A new model from a folder that `save` wrote, with everything as it was.

        path: the folder, or what `save` returned. A model with a `build()` of its own is restored by
        its own class, whose constructor must take these settings.
        Raises FileNotFoundError or CheckpointError.
        """
        prefix = find_checkpoint(path, epoch)
        record = read_record(prefix)
        record.check_fits(record_file(prefix), cls.__name__)
        if record.settings["precision"] == "bfloat16" and not can_bfloat16(has_gpu()):
            record.settings["precision"] = "auto"  # the weights are float32, whatever they were trained with
        try:
            model = cls(**record.settings)
        except (TypeError, ValueError) as error:
            file = record_file(prefix)
            raise CheckpointError(f"{file}: expected settings of {cls.__name__}, found: {error}") from error
        try:
            model._load(prefix, record)
        except BaseException:
            model.close()
            raise
        return model

    def _load(self, prefix: Path, record: Record) -> None:
        record.check_fits(record_file(prefix), type(self).__name__, self.settings)
        history = pd.DataFrame(record.history, columns=HISTORY_COLUMNS)
        self._engine.check_open()
        restore_variables(self.sess, self.saver, prefix, record)
        self.history, self._progress, self.standardization = history, record.progress, record.standardization

    def close(self) -> None:
        """Free the session and its weights. What was saved stays; the graph can still be looked at."""
        self._engine.close()

    def __enter__(self) -> DigitCNN:
        return self

    def __exit__(self, *_) -> None:
        self.close()
