"""DigitCNN: one tf.Graph and one Session that a person sees and owns."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from ._text import printable
from ._validation import MAX_COUNT, check_bool, check_text_path, check_whole, did_you_mean, explain_os_errors
from .cluster.hosts import Cluster, Place
from .data.arrays import LabelledImages, as_images
from .data.standardization import Standardization, check_scaling
from .engine.engine import BATCH_SIZE, Engine
from .engine.machine import has_gpu
from .engine.precision import can_bfloat16, resolve_precision
from .engine.shifts import Shifts, evaluate_shifted, predict_shifted
from .engine.state import ModelState, check_history
from .exceptions import CheckpointError, UntrainedModelError
from .export.inference_graph import InferenceGraph, freeze, rebuild
from .export.writer import check_target, write_export
from .graph.architectures import check_known_names
from .graph.builder import build_graph
from .graph.finishing import finish_graph
from .graph.inspection import count_parameters, layers_with_variables
from .graph.layers import Layer, Layers, layer_method
from .graph.table import state_text, summary_html, summary_text
from .recipes import FINE_TUNING, recipe_settings
from .saving.checkpoint import open_model
from .saving.foreign import find_foreign, import_variables
from .saving.layout import checkpoint_prefix, record_file
from .saving.model_parts import ModelParts
from .saving.pretrained import load_pretrained, read_pretrained
from .saving.record_file import is_training_checkpoint
from .settings import MAX_TO_KEEP, Settings, declarations, parameters_text, settings_dict, shaping_settings
from .tensorboard.events import write_graph
from .training.options import TrainingOptions, verbosity
from .training.start import start_training

DEFAULT_FOLDER = "./digitCNN-model/"  # the tutorial's


class DigitCNN(Settings):
    """A network for handwritten digits, in a TensorFlow graph and session of its own.

    Parameters
    ----------
    {settings}

    Attributes
    ----------
    g : tf.Graph
        The graph, closed to additions.
    sess : tf.compat.v1.Session
        Its session; it also fetches variables by their names.
    init_op, saver : tf.Operation, tf.compat.v1.train.Saver
        Initialize all variables; save and restore them.
    history : pandas.DataFrame
        Epoch, Loss (mean over the training samples) and Accuracy (0..1 on the validation set, else NaN).
    standardization : Standardization or None
        What raw pixels go through; None if the training data came as scaled floats.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong: which one, what was expected and what was found.

    Notes
    -----
    Subclass and override `build` to make a graph of your own; the wrappers `conv_layer`, `fc_layer` and so on are
    for that, and overriding one has no effect on the built-in architectures. Settings may be read as attributes;
    `batchsize`, `epochs`, `dropout` and `shuffle` may also be set. Floats that you scaled are warped as they are,
    so scale them with one mean for all pixels. `from_recipe` has settings that go well together.

    Threads may predict and evaluate at once, also while one of them trains: with the weights of that moment, which
    may be in the middle of a step. A second `train`, `save`, `load` or `export` raises RuntimeError meanwhile. After
    `close`, calls that still run raise UntrainedModelError. TensorFlow's threads do not survive a fork: in a process
    forked from the one that made the first model, every call that computes raises RuntimeError.

    Examples
    --------
    >>> from digitcnn import DigitCNN, load_dataset
    >>> digits = load_dataset("bundled")
    >>> training, validation = digits.split(239)
    >>> cnn = DigitCNN(architecture="softmax", epochs=2, learning_rate=1e-3, random_seed=27)
    >>> cnn.train(training, validation, verbose=False)
    >>> cnn.predict(digits.test_images[:4]).dtype
    dtype('int32')
    >>> list(cnn.history["Epoch"]), cnn.global_step
    ([1, 2], 24)
    >>> cnn.close()
    """

    __doc__ = (__doc__ or "").replace("{settings}", parameters_text())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        for name in kwargs:
            if name not in declarations():
                hint = did_you_mean(name, list(declarations())) or f"; expected one of {', '.join(declarations())}"
                raise TypeError(f"{type(self).__name__}: unknown setting {name!r}{hint}")
        super().__init__(*args, **kwargs)

    functools.update_wrapper(__init__, Settings.__init__)  # so that the signature is that of the settings

    def __post_init__(self) -> None:
        super().__post_init__()
        check_known_names(self)
        computes_in = resolve_precision(self.precision, has_gpu=has_gpu())
        self._state = ModelState()
        self._layers = Layers(precision=computes_in)
        self.g = tf.Graph()
        with self.g.as_default():
            tf.compat.v1.set_random_seed(self.random_seed)
            self.build()
            handles = finish_graph(self.g, self, self._layers.made)
        self.init_op, self.saver = handles.init_op, handles.saver
        self._engine = Engine(self.g, handles, computes_in, may_freeze=not (self._has_own_graph or has_gpu()))
        self.sess = self._engine.session

    def __setattr__(self, name: str, value: Any) -> None:
        """Check a setting that is changed later; refuse one that the graph was built with."""
        declaration = declarations().get(name)
        if declaration is not None and "sess" in vars(self):
            if not declaration.is_settable:
                raise AttributeError(f"{name} is built into the graph: make a new DigitCNN({name}={value!r}, ...)")
            value = declaration.check(name, value)
        super().__setattr__(name, value)

    def build(self) -> None:
        """Build the graph, in `g`, which is the default graph here. Override it to make your own.

        Your graph needs the placeholders `tf_x` float32 [None, 784] and `tf_y` int32 [None], `probabilities`
        float32 [None, 10] (784 and 10, or what image_shape and n_classes make of them), `cross_entropy_loss` []
        and the operation `train_op`; `fc_keep_prob` [] if it has dropout, `is_training` bool [] if it has batch
        normalization. `labels` int32 [None], `correct_preds` bool [None] and `accuracy` [] are added where you
        make none. Settings that your graph does not use, such as schedule and label smoothing, have no effect.
        The constructor raises ValueError for a graph that lacks a name, or is of other sizes.

        Examples
        --------
        >>> import tensorflow as tf
        >>> class Linear(DigitCNN):
        ...     def build(self):
        ...         tf_x = tf.compat.v1.placeholder(tf.float32, [None, 784], name="tf_x")
        ...         tf_y = tf.compat.v1.placeholder(tf.int32, [None], name="tf_y")
        ...         logits = self.fc_layer(tf_x, "fc_1", 10)
        ...         tf.nn.softmax(logits, name="probabilities")
        ...         losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf_y, logits=logits)
        ...         loss = tf.reduce_mean(losses, name="cross_entropy_loss")
        ...         tf.compat.v1.train.AdamOptimizer(self.learning_rate).minimize(loss, name="train_op")
        >>> with Linear(random_seed=27) as linear:
        ...     linear.n_parameters
        7850
        """
        build_graph(self, self._layers)

    conv_layer = layer_method("DigitCNN.conv_layer", Layers.conv)
    fc_layer = layer_method("DigitCNN.fc_layer", Layers.fc)
    max_pool_layer = layer_method("DigitCNN.max_pool_layer", Layers.max_pool)
    dropout_layer = layer_method("DigitCNN.dropout_layer", Layers.dropout)
    batch_norm_layer = layer_method("DigitCNN.batch_norm_layer", Layers.batch_norm)

    @classmethod
    def from_recipe(cls, recipe: str, **settings: Any) -> DigitCNN:
        """Make a model with the settings of a recipe.

        Parameters
        ----------
        recipe : str
            'tutorial', 'fast' or 'accurate' (digitcnn.RECIPES).
        **settings
            Arguments of the constructor, which replace the recipe's.

        Returns
        -------
        DigitCNN
            A new model without weights.

        Raises
        ------
        ValueError
            If there is no such recipe, and as the constructor.
        """
        return cls(**(recipe_settings(recipe) | settings))

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments as they are now, by name."""
        return settings_dict(self)

    @property
    def history(self) -> pd.DataFrame:
        """Epoch, Loss and Accuracy of each epoch."""
        return self._state.history

    @history.setter
    def history(self, rows: pd.DataFrame) -> None:
        self._state.history = check_history(rows)

    @property
    def standardization(self) -> Standardization | None:
        """What raw pixels go through."""
        return self._state.standardization

    @standardization.setter
    def standardization(self, standardization: Standardization | None) -> None:
        if not isinstance(standardization, (Standardization, type(None))):
            raise TypeError(f"standardization: expected a Standardization or None, found {standardization!r}")
        n_pixels = math.prod(self.image_shape)
        if standardization is not None and standardization.mean.size != n_pixels:
            raise ValueError(f"standardization: expected {n_pixels} means, found {standardization.mean.size}")
        self._state.standardization = standardization

    @property
    def computes_in(self) -> str:
        """What products are computed in on this machine: 'float32' or 'bfloat16'."""
        return self._engine.computes_in

    @property
    def global_step(self) -> int:
        """Training steps taken since initialization. Raises UntrainedModelError if there are no weights."""
        return self._engine.global_step()

    @property
    def n_parameters(self) -> int:
        """How many numbers the network consists of: trained ones, and batch normalization's averages."""
        return count_parameters(self.g)

    def weights_sha256(self) -> str:
        """Return the SHA-256 of all trained variables in the order of their names.

        Returns
        -------
        str
            64 hexadecimal digits, of the values alone, as little-endian numbers in C order.

        Raises
        ------
        UntrainedModelError
            If the model has no weights.
        """
        return self._engine.weights_sha256()

    def summary(self) -> None:
        """Print a table of layers, output shapes and parameter counts."""
        print(summary_text(self.g, self._made_layers, self._title))

    def __repr__(self) -> str:
        return printable(f"<{self._title}, {self.n_parameters:,} parameters, {self._state_text}>")

    def _repr_html_(self) -> str:
        return summary_html(self.g, self._made_layers, f"{self._title}, {self._state_text}", self.settings)

    @property
    def _made_layers(self) -> list[Layer]:
        return layers_with_variables(self.g, self._layers.made)

    @property
    def _has_own_graph(self) -> bool:
        return type(self).build is not DigitCNN.build

    @property
    def _title(self) -> str:
        what = "own graph" if self._has_own_graph else f"architecture {self.architecture!r}"
        return f"{type(self).__name__}, {what}"

    @property
    def _state_text(self) -> str:
        if "sess" not in vars(self):  # a `build()` that shows its model
            return "not built yet"
        try:
            step = self.global_step
            return (
                self._state.origin if step == 0 and self._state.origin else state_text(self._state.progress.epoch, step)
            )
        except UntrainedModelError:
            return "closed" if self._engine.is_closed else "no weights yet"
        except (RuntimeError, tf.errors.CancelledError):  # TensorFlow's errors for a session that was closed
            return "closed"

    @property
    def _parts(self) -> ModelParts:
        settings = Settings(**settings_dict(self))
        return ModelParts(type(self).__name__, settings, self._engine, self._state)

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
        cluster: Cluster | None = None,
        devices: int = 1,
    ) -> None:
        """Train, from new weights or from where this model stands.

        Parameters
        ----------
        training_set : tuple of (array, array)
            (X, y). X: images [n, 784], [n, 28, 28] or [n, 28, 28, 1] (or of the model's `image_shape`), either raw
            pixels, whole numbers 0..255, which the model standardizes by the statistics of the training set from
            now on, or floats that you scaled. y: labels [n] in 0..n_classes-1, or the probabilities of the classes,
            floats [n, n_classes] of which each row sums to 1; the loss is the cross-entropy with them.
        validation_set : tuple of (array, array), optional
            The same kind of images; their accuracy is measured after each epoch.
        initialize : bool, default True
            Start from new weights; False continues, in the middle of an epoch too.
        epochs : int, optional
            Passes over the training set; default the constructor's.
        steps : int, optional
            Batches, instead of epochs. An epoch that is left unfinished has a fractional number in `history`, and
            is finished by the next call with `initialize=False`.
        verbose : bool or str, default True
            True, False, 'lines' or 'bar' (in a terminal or a notebook).
        logdir : path, optional
            Folder for TensorBoard: loss, accuracy, learning rate, images per second and the settings.
        summaries : collection of str, default ()
            More to write, each of which takes time: 'histograms' of weights and activations, 'images' of misread
            digits and filters, 'projector', points of the last hidden layer, 'trace', time and memory of the
            operations in one step. What the graph does not have is left out with a warning.
        checkpoint_dir : path, optional
            Folder, made if need be, for a checkpoint model.ckpt-STEP after each epoch; best/ in it has the one
            with the best validation accuracy.
        checkpoint_every : int, optional
            Steps between more checkpoints.
        max_to_keep : int, default 2
            Newest checkpoints that stay.
        resume : bool, default False
            Continue from the newest whole checkpoint, so that weights and `history` end exactly as those of an
            uninterrupted training; start anew where there is none, and only load where training is complete.
        cluster : Cluster, optional
            The workers that train together: each calls this with the same arguments, data and settings, but its own
            index. A batch is shared among them, so that the weights are those of one process but for rounding;
            batch normalization takes each worker's own images. Worker 0 alone reads and writes the folders, and
            shows lines; all have the trained model in the end. A training that is complete is loaded by worker 0 alone.
        devices : int, default 1
            GPUs of this machine, or virtual devices of its CPU, that share the batch in the same way.

        Raises
        ------
        TypeError, ValueError
            If an argument is wrong; nothing is changed then, nor by the next five.
        UntrainedModelError
            If `initialize` is False and the model has no weights, or if it is closed.
        CheckpointError
            If all checkpoints to resume from are damaged.
        ResumeError
            If settings or data are not those of the training to resume.
        FolderInUseError
            If another process trains into the folder.
        FileExistsError
            If the folder already has saved models and `resume` is False.
        OSError
            If a folder, a checkpoint or an event cannot be written.
        RuntimeError
            If another thread trains this model, or in a process forked from the model's own.
        MemoryError
            If a batch cannot fit into memory (known before anything is changed), or does not.
        ClusterError
            If the workers cannot train together: an address, a port in use, or what differs from worker 0's.
        WorkerLostError
            If another worker has ended or does not answer; this model is then as it was before. In a new process on
            each machine, `resume=True` continues from the last checkpoint.
        KeyboardInterrupt, SystemExit
            After Ctrl-C or, with a checkpoint_dir, SIGTERM: the step is finished and a checkpoint written first.
            The model stays usable, and `initialize=False` continues with the next batch.

        Notes
        -----
        With several workers or devices, a graph like this one trains in a session of its own; this one gets the weights
        at the end. The loss of a graph of your own must be a mean over the batch there, each variable be updated by one
        of TensorFlow's optimizers, and gradients are averaged after what you do to them, such as clipping.

        The loss that is reported has no label smoothing. A one-cycle schedule lasts as long as the first call;
        steps after its end train at its last rate, a thousandth of the peak.

        With `average_decay`, the accuracy in `history` and best/ are those of the moving averages of the weights. They
        become the weights after the last step; an interrupted model has the optimizer's own until it trains on.
        """
        if epochs is not None and steps is not None:
            raise ValueError("epochs, steps: expected one of them, found both")
        options = TrainingOptions(
            epochs=self.epochs if epochs is None else epochs,
            steps=steps,
            initialize=initialize,
            verbose=verbose,
            logdir=logdir,
            summaries=summaries,
            checkpoint_dir=checkpoint_dir,
            checkpoint_every=checkpoint_every,
            max_to_keep=max_to_keep,
            resume=resume,
            place=Place(cluster, devices),
        )
        self._engine.check_open()
        training = self._labelled(training_set, "training_set", may_be_soft=True)
        validation = None if validation_set is None else self._labelled(validation_set, "validation_set")
        with self._engine.training():
            start_training(self._parts, self._build_again, options, self.update_history, (training, validation))

    def _build_again(self, graph: tf.Graph, layers: Layers) -> None:
        """Build the network in another graph, which is the default graph, with other layers."""
        twin = object.__new__(type(self))
        vars(twin).update({name: own for name, own in vars(self).items() if name != "sess"}, g=graph, _layers=layers)
        twin.build()

    def _labelled(self, pair: tuple, name: str, *, may_be_soft: bool = False) -> LabelledImages:
        return LabelledImages.check(pair, name, self.image_shape, self.n_classes, may_be_soft=may_be_soft)

    def update_history(self, entry: Mapping[str, float] | Sequence[float]) -> None:
        """Add a row to `history`.

        Parameters
        ----------
        entry : mapping or sequence of three numbers
            Epoch, Loss and Accuracy, by name or in this order.

        Raises
        ------
        TypeError, ValueError
            For anything else.
        """
        self._state.add_row(entry)

    def predict(
        self,
        X: Any,
        return_proba: bool = False,
        *,
        batch_size: int = BATCH_SIZE,
        verbose: bool | str = True,
        shifts: int = 0,
    ) -> np.ndarray:
        """Predict the class of each image.

        Parameters
        ----------
        X : array of shape (n, 784), (n, 28, 28) or (n, 28, 28, 1), or of the model's `image_shape`
            Raw pixels 0..255, or floats scaled as in training.
        return_proba : bool, default False
            Return class probabilities instead of labels.
        batch_size : int, default 1000
            Images in the graph at once.
        verbose : bool or str, default True
            True or 'bar' show a bar if it takes longer than a second.
        shifts : int, default 0
            If above 0, predict by the mean of the probabilities of the image and its four copies shifted by so many
            pixels up, down, left and right, which takes five times as long.

        Returns
        -------
        ndarray of int32, shape (n,), or of float32, shape (n, n_classes)
            Labels, or probabilities that sum to 1 for each image.

        Raises
        ------
        TypeError, ValueError
            If an argument is wrong; if X is not an array of such images, or not of the kind that the model was trained
            on.
        UntrainedModelError, MemoryError
            If the model has no weights; if a batch does not fit into memory.

        Warns
        -----
        DigitCNNWarning
            If pixels have another range than in training, as 0..16 or 0..1 where training had 0..255: if the
            highest of at least ten images is at most 16, and less than a quarter of the training's highest; or if
            that one is at most 16, and less than a quarter of the highest here.
        """
        X = as_images(X, image_shape=self.image_shape)
        self._check_scaling(X)
        return predict_shifted(
            self._engine,
            X,
            self.standardization,
            Shifts.check(shifts, self.image_shape),
            return_proba=check_bool("return_proba", return_proba),
            batch_size=check_whole("batch_size", batch_size),
            show_bar="bar" in verbosity(verbose),
        )

    def evaluate(self, X: Any, y: Any, *, verbose: bool | str = True, shifts: int = 0) -> dict[str, float]:
        """Measure accuracy and loss on labelled images.

        Parameters
        ----------
        X, y : array
            Images as `predict` takes them, and labels [n].
        verbose : bool or str, default True
            True or 'bar' show a bar if it takes longer than a second.
        shifts : int, default 0
            As `predict` has it.

        Returns
        -------
        dict
            'accuracy', the share of correct predictions; 'loss', the mean cross-entropy; 'global_step'.

        Raises
        ------
        TypeError, ValueError, UntrainedModelError
            As `predict`, which also says when there is a warning.
        """
        examples = self._labelled((X, y), "X, y")
        self._check_scaling(examples.images)
        moved, show_bar = Shifts.check(shifts, self.image_shape), "bar" in verbosity(verbose)
        return evaluate_shifted(self._engine, examples, self.standardization, moved, show_bar=show_bar)

    def _check_scaling(self, X: np.ndarray) -> None:
        try:
            check_scaling(X, self.standardization, "X")
        except ValueError:
            self._engine.check_trained()  # without weights, there is no scaling to speak of
            raise

    def export_logs(self, path: str | os.PathLike = "./logs/") -> None:
        """Write the graph for TensorBoard; weights are not touched.

        Parameters
        ----------
        path : path, default './logs/'
            Folder to write into, made if need be.

        Raises
        ------
        OSError
            If the folder cannot be written.
        """
        write_graph(self.g, check_text_path("path", path))

    def export(self, path: str | os.PathLike, format: str = "savedmodel", *, representative: Any = None) -> str:
        """Write the trained model for another runtime.

        Parameters
        ----------
        path : path
            Folder ('savedmodel') or file to write, where nothing is yet.
        format : str, default 'savedmodel'
            'savedmodel', 'tflite', 'tflite-int8' (a quarter as large, in 8-bit whole numbers) or 'onnx'.
        representative : array, optional
            Some hundred training images, for 'tflite-int8', which takes the ranges in each layer from them.

        Returns
        -------
        str
            The path.

        Raises
        ------
        TypeError, ValueError
            If an argument is wrong, or the format cannot express the graph.
        UntrainedModelError, RuntimeError
            If the model has no weights; if another thread trains it.
        FileExistsError, OSError
            If something is at the path, or it cannot be written; nothing is left there then.
        ImportError
            If the format needs an extra: which one.

        Notes
        -----
        An exported model takes `pixels`, uint8 [n, height, width], and gives `probabilities` float32
        [n, n_classes] and `labels` int32 [n]; standardization is in it, nothing of the training is. It computes in
        float32. A model that was trained on floats takes such floats: `tf_x` (T2: `myInput`), float32 [n, pixels];
        so does the signature 'scaled' of every SavedModel. A graph of your own is exported with its dropout off.
        The process's standard error, logging and warnings are silent while it converts, some seconds.
        """
        target = check_target(path, format, representative)
        self._engine.check_trained()
        self._engine.check_not_training("export")
        if representative is not None:
            representative = as_images(representative, "representative", self.image_shape)
            check_scaling(representative, self.standardization, "representative")
        return write_export(self._inference_graph(), target, format, representative)

    def _inference_graph(self) -> InferenceGraph:
        if self._has_own_graph:
            return freeze(self.sess, self._engine.names, self.image_shape, self.standardization)
        return rebuild(self.sess, self, self.standardization)

    def save(self, epoch: int | None = None, path: str | os.PathLike = DEFAULT_FOLDER) -> str:
        """Save the whole model: settings, standardization, history, global step, weights and Adam's state.

        Parameters
        ----------
        epoch : int, optional
            Number to find it by; default the finished epochs.
        path : path, default './digitCNN-model/'
            Folder, made if need be.

        Returns
        -------
        str
            `path`/model.ckpt-`epoch`.

        Raises
        ------
        FileExistsError
            If a training's checkpoint has that name.
        OSError
            If it cannot be written.
        UntrainedModelError, RuntimeError
            If the model has no weights; if another thread trains it.
        """
        epoch = self._state.progress.epoch if epoch is None else check_whole("epoch", epoch, 0, MAX_COUNT)
        self._engine.check_trained()
        self._engine.check_not_training("save")
        prefix = checkpoint_prefix(check_text_path("path", path), epoch)
        if is_training_checkpoint(prefix):
            raise FileExistsError(f"{prefix}: expected a name to save to, found a checkpoint of a training")
        with explain_os_errors(prefix.parent, "a folder that can be written"):
            prefix.parent.mkdir(parents=True, exist_ok=True)
        saver = self._parts
        saver.write(prefix, saver.record())
        return str(prefix)

    def load(self, epoch: int | None = None, path: str | os.PathLike = DEFAULT_FOLDER) -> None:
        """Load what `save` wrote into this model, whose architecture and sizes must be the same.

        This model keeps its other settings, such as the learning rate.

        Parameters
        ----------
        epoch : int, optional
            Number that it was saved by; default the last saved.
        path : path, default './digitCNN-model/'
            Folder, or what `save` returned.

        Raises
        ------
        FileNotFoundError, CheckpointError
            If there is no such model, or it does not fit; nothing is changed then.
        RuntimeError
            If another thread trains this model.
        """
        with open_model(path, epoch) as saved:
            self._engine.check_not_training("load")
            self._parts.load(saved)

    @classmethod
    def restore(cls, path: str | os.PathLike = DEFAULT_FOLDER, epoch: int | None = None) -> DigitCNN:
        """Make a new model of what `save` wrote, with everything as it was, but for bfloat16 on a machine without it.

        Parameters
        ----------
        path : path, default './digitCNN-model/'
            Folder, or what `save` returned.
        epoch : int, optional
            Number that it was saved by; default the last saved.

        Returns
        -------
        DigitCNN
            A model with a `build()` of its own is restored by its own class, which must take these settings.

        Raises
        ------
        FileNotFoundError, CheckpointError
            If there is no such model, or it cannot be loaded.
        """
        with open_model(path, epoch) as saved:
            record, file = saved.record, record_file(saved.prefix)
            record.check_fits(file, cls.__name__)
            if record.settings["precision"] == "bfloat16" and not can_bfloat16(has_gpu=has_gpu()):
                record.settings["precision"] = "auto"  # the weights are float32, whatever they were trained with
            try:
                model = cls(**record.settings)
            except (TypeError, ValueError) as error:
                raise CheckpointError(f"{file}: expected settings of {cls.__name__}, found: {error}") from error
            try:
                model._parts.load(saved)
            except BaseException:
                model.close()
                raise
        return model

    @classmethod
    def pretrained(cls, **settings: Any) -> DigitCNN:
        """Make a model with the weights that ship with digitcnn, ready to predict or to be trained further.

        They were trained on MNIST (see `digitcnn/pretrained/README.md`). Its predictions are for images in MNIST's
        form, which `load_digit` makes of a photo.

        Parameters
        ----------
        **settings
            Arguments of the constructor for further training, `train(..., initialize=False)`; default
            recipes.FINE_TUNING. The weights determine architecture and sizes.

        Returns
        -------
        DigitCNN
            A trained model.

        Raises
        ------
        TypeError, ValueError
            If a setting is wrong, or is one that the weights determine.
        CheckpointError
            If the files are missing from the installation, or damaged.

        Examples
        --------
        >>> from digitcnn import DigitCNN, load_dataset
        >>> digits = load_dataset("bundled")
        >>> with DigitCNN.pretrained() as cnn:
        ...     cnn.predict(digits.test_images[:5]).tolist() == digits.test_labels[:5].tolist()
        True
        """
        shipped = read_pretrained()
        # Schedule and averages shape no variable of the network.
        for name in {"architecture", *shaping_settings()} - {"schedule", "average_decay"}:
            if name not in settings:
                continue
            if declarations()[name].check(name, settings[name]) != shipped.settings[name]:
                expected, found = shipped.settings[name], settings[name]
                raise ValueError(f"{name}: expected {expected!r}, which the weights determine, found {found!r}")
        model = cls(**(shipped.settings | FINE_TUNING | settings))
        load_pretrained(model._parts, shipped)
        return model

    @classmethod
    def import_checkpoint(cls, path: str | os.PathLike, **settings: Any) -> DigitCNN:
        """Make a model with the weights of a checkpoint that another program wrote, such as T1 in TensorFlow 1.

        Variables are found by their names, `conv_1/_weights` and so on (`sess` and `g` have them). Those that
        predictions need must be there in their shapes; global_step and Adam's state are read where they are there.

        Parameters
        ----------
        path : path
            The checkpoint, './model/model.ckpt-30', one of its files, or a folder: then the last one saved in it.
        **settings
            Arguments of the constructor: the architecture and sizes that it was trained with, where they are not T1's.

        Returns
        -------
        DigitCNN
            A trained model. It takes floats, scaled as they were in training; set `standardization`, for T1
            ``Standardization.fit(X_train)`` of all raw pixels that it was fitted on, and it takes raw pixels.

        Raises
        ------
        FileNotFoundError
            If there is no checkpoint; the message says what is there.
        CheckpointError
            If it is damaged or lacks variables: which ones.
        TypeError, ValueError
            If a setting is wrong.
        """
        prefix = find_foreign(path)
        model = cls(**settings)
        try:
            import_variables(model._parts, prefix)
        except BaseException:
            model.close()
            raise
        return model

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse pickle and copy, which would not have the session's weights."""
        raise TypeError(
            "DigitCNN: a model cannot be copied or pickled; save it and restore it: save(...), DigitCNN.restore(...)"
        )

    def close(self) -> None:
        """Free the session and its weights. What was saved stays; the graph can still be looked at.

        Calls that run in other threads raise UntrainedModelError.
        """
        self._engine.close()

    def __enter__(self) -> DigitCNN:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
