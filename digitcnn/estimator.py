"""DigitClassifier: a DigitCNN with scikit-learn's interface. Needs scikit-learn, the extra `sklearn`."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

# From the package, which loads TensorFlow without its log: a process that unpickles an estimator, such as a worker of
# joblib, imports this module first.
from . import DigitCNN
from ._validation import MAX_COUNT, check_bool, check_not_masked, check_real, check_whole
from .data.arrays import check_image_shape, infer_image_shape
from .data.standardization import Standardization, warn_of_another_range
from .graph.architectures import ARCHITECTURES
from .graph.augmentation import Augmentation
from .settings import declarations, fill_parameters

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        f"DigitClassifier needs scikit-learn 1.6 or later, pip install 'digitcnn[sklearn]': {error}"
    ) from error

MIN_STEPS = 500  # of a training without `epochs`: ten epochs of few images are too few steps
# Settings of DigitCNN that the estimator decides; all others are arguments of its own, passed on unchanged.
_CHOSEN = ("epochs", "random_seed", "image_shape", "n_classes")


class DigitClassifier(ClassifierMixin, BaseEstimator):
    """A scikit-learn classifier of images whose network is a DigitCNN.

    Parameters
    ----------
    architecture : str, default 'auto'
        A key of digitcnn.ARCHITECTURES, or 'auto': 'cnn' for images of at least 16x16 pixels, 'same' for at least
        4x4, else 'softmax'.
    image_shape : tuple of int or None, default None
        Height and width of the images, in pixels, if X is [n, pixels]. None takes images for square and, if the
        number of pixels is no square, for a single row.
    {batchsize}
    epochs : int or None, default None
        Passes over the training images. None is 10, or as many as make 500 steps if that is more.
    learning_rate : float, default 0.001
        Learning rate of Adam; with a schedule, its peak.
    {conv_1_output_channels}
    {conv_2_output_channels}
    {dropout}
    {fc_3_output_units}
    {shuffle}
    precision : str, default 'float32'
        Number type of convolutions and matrix products: 'float32', in which the prediction for an image depends on
        the other images of the call by rounding only, 'bfloat16', or 'auto', which is faster on a CPU with bfloat16.
    {schedule}
    {label_smoothing}
    {average_decay}
    {rotation}
    {scaling}
    {shift}
    {shear}
    {stretch}
    {cutout}
    random_state : int, RandomState or None, default None
        Source of the seed of initial weights, shuffling, dropout, augmentation and the split for early stopping.
    warm_start : bool, default False
        Whether `fit` resumes where the last one ended; `batchsize`, `dropout` and `shuffle` may have changed.
    early_stopping : bool, default False
        Whether to stop when the accuracy on held-out images no longer rises, and keep the weights of the best epoch.
    validation_fraction : float, default 0.1
        Share of the images, of each class alike, that early stopping holds out, 0 < validation_fraction < 1.
    n_iter_no_change : int, default 10
        Epochs without a rise after which early stopping ends the training.
    tol : float, default 0.0001
        Smallest difference of accuracy (0..1) that counts as a rise.
    verbose : bool or str, default False
        What to show, as in DigitCNN.train.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    cnn_ : DigitCNN
        The trained network, with all its methods.
    standardization_ : Standardization
        The training set's mean of each pixel (of all pixels, with augmentation) and standard deviation.
    history_ : pandas.DataFrame
        Epoch, Loss and Accuracy (on the held-out images, else NaN) of every epoch, also those after the best one.
    n_iter_ : int
        Number of rows of `history_`.
    image_shape_ : tuple of int
        Height and width of the images, in pixels.
    n_features_in_ : int
        Pixels of an image.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of X, if it has names.

    Notes
    -----
    Pixels may have any scale: they are standardized by `standardization_`. If all of X is raw pixels, whole numbers
    in 0..255, then `cnn_` takes raw pixels too, also after it is saved or exported. Otherwise `cnn_` takes the
    floats that `standardization_` returns. As in `DigitCNN.predict`, images of another range than the training's are
    reported in a warning. Copies and pickles have a network of their own.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from digitcnn import DigitClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = DigitClassifier(architecture="softmax", random_state=0).fit(X[:1000], y[:1000])
    >>> classifier.image_shape_, classifier.n_iter_
    ((8, 8), 50)
    >>> classifier.score(X[1000:], y[1000:]) > 0.8
    True
    """

    __doc__ = fill_parameters(__doc__)

    # Set by `fit` and `partial_fit`.
    classes_: np.ndarray
    cnn_: DigitCNN
    standardization_: Standardization
    history_: pd.DataFrame
    n_iter_: int
    image_shape_: tuple[int, int]

    def __init__(
        self,
        *,
        architecture: str = "auto",
        image_shape: tuple[int, int] | None = None,
        batchsize: int = 100,
        epochs: int | None = None,
        learning_rate: float = 1e-3,
        conv_1_output_channels: int = 32,
        conv_2_output_channels: int = 64,
        dropout: float = 0.5,
        fc_3_output_units: int = 1024,
        shuffle: bool = True,
        precision: str = "float32",
        schedule: str = "constant",
        label_smoothing: float = 0.0,
        average_decay: float = 0.0,
        rotation: float = 0.0,
        scaling: float = 0.0,
        shift: float = 0.0,
        shear: float = 0.0,
        stretch: float = 0.0,
        cutout: int = 0,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        verbose: bool | str = False,
    ):
        self.architecture = architecture
        self.image_shape = image_shape
        self.batchsize = batchsize
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.conv_1_output_channels = conv_1_output_channels
        self.conv_2_output_channels = conv_2_output_channels
        self.dropout = dropout
        self.fc_3_output_units = fc_3_output_units
        self.shuffle = shuffle
        self.precision = precision
        self.schedule = schedule
        self.label_smoothing = label_smoothing
        self.average_decay = average_decay
        self.rotation = rotation
        self.scaling = scaling
        self.shift = shift
        self.shear = shear
        self.stretch = stretch
        self.cutout = cutout
        self.random_state = random_state
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.verbose = verbose

    def fit(self, X, y) -> DigitClassifier:
        """Train on images and their labels.

        Parameters
        ----------
        X : array of shape (n, height, width), (n, height, width, 1) or (n, pixels)
            Images, with numbers of any scale.
        y : array of shape (n,)
            Labels of at least two classes, of any type that scikit-learn takes.

        Returns
        -------
        DigitClassifier
            This estimator.

        Raises
        ------
        TypeError, ValueError
            If a parameter or the data are wrong; an earlier network stays as it was.
        """
        resumes = check_bool("warm_start", self.warm_start) and hasattr(self, "cnn_")
        epochs = None if self.epochs is None else check_whole("epochs", self.epochs, 1, MAX_COUNT)
        with self._restored_on_error():
            X, y, classes = self._check_training(X, y, None, resumes=resumes)
            if epochs is None:
                steps_per_epoch = -(-len(X) // check_whole("batchsize", self.batchsize))
                epochs = max(10, -(-MIN_STEPS // steps_per_epoch))
            seed, validation = self._seed(resumes=resumes), None
            if check_bool("early_stopping", self.early_stopping):
                X, y, validation = self._split(X, y, seed)
            self._begin(X, classes, seed, resumes=resumes)
            if validation is None:
                self.cnn_.train((self._scale(X), y), initialize=False, epochs=epochs, verbose=self.verbose)
                self.history_ = self.cnn_.history
            else:
                training, validation = (self._scale(X), y), (self._scale(validation[0]), validation[1])
                self._train_with_early_stopping(training, validation, epochs, resumes=resumes)
            self.n_iter_ = len(self.history_)
        return self

    def partial_fit(self, X, y, classes=None) -> DigitClassifier:
        """Train for one epoch, from where the last call ended.

        Parameters
        ----------
        X : array of shape (n, height, width), (n, height, width, 1) or (n, pixels)
            Images. The statistics of the first call's images standardize those of all calls.
        y : array of shape (n,)
            Their labels.
        classes : array of shape (n_classes,), optional
            All labels of all calls; required in the first call.

        Returns
        -------
        DigitClassifier
            This estimator.

        Raises
        ------
        TypeError, ValueError
            If a parameter or the data are wrong; an earlier network stays as it was.
        """
        resumes = hasattr(self, "cnn_")
        if not resumes and classes is None:
            raise ValueError("classes: expected all labels in the first call of partial_fit, found None")
        with self._restored_on_error():
            X, y, classes = self._check_training(X, y, classes, resumes=resumes)
            self._begin(X, classes, self._seed(resumes=resumes), resumes=resumes)
            self.cnn_.train((self._scale(X), y), initialize=False, epochs=1, verbose=self.verbose)
            self.history_ = self.cnn_.history
            self.n_iter_ = len(self.history_)
        return self

    def predict(self, X) -> np.ndarray:
        """Predict the label of each image.

        Parameters
        ----------
        X : array of shape (n, height, width), (n, height, width, 1) or (n, pixels)
            Images, with numbers of the training set's scale.

        Returns
        -------
        ndarray of shape (n,)
            Labels, of the type of `classes_`.

        Raises
        ------
        NotFittedError
            Before any training.
        TypeError, ValueError
            If X is no array of images of the trained shape.
        """
        indices = self._predict(X, return_proba=False)
        return self.classes_[indices]

    def predict_proba(self, X) -> np.ndarray:
        """Predict the probabilities of each image's classes.

        Parameters
        ----------
        X : array of shape (n, height, width), (n, height, width, 1) or (n, pixels)
            Images, with numbers of the training set's scale.

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
            Probabilities, in the order of `classes_`; each row sums to 1.

        Raises
        ------
        NotFittedError
            Before any training.
        TypeError, ValueError
            If X is no array of images of the trained shape.
        """
        probabilities = self._predict(X, return_proba=True).astype(np.float64)
        return probabilities / probabilities.sum(axis=1, keepdims=True)  # float32 rows sum to 1 only roughly

    def _predict(self, X, *, return_proba: bool) -> np.ndarray:
        check_is_fitted(self)
        X = self._check(X, reset=False)
        if X.dtype != np.uint8 or self.cnn_.standardization is None:
            X = self._standardized(X)
        else:
            warn_of_another_range(X, self.standardization_, "X")
        # Not by DigitCNN.predict, which takes only raw pixels if it was trained on them.
        return self.cnn_._engine.predict(X, self.cnn_.standardization, return_proba=return_proba)

    @contextlib.contextmanager
    def _restored_on_error(self) -> Iterator[None]:
        """Put the attributes and the network's settings back if the block raises an error."""
        before = self.__dict__.copy()
        settings = self.cnn_.settings if hasattr(self, "cnn_") else {}
        try:
            yield
        except Exception:  # not KeyboardInterrupt, which keeps what the network has learned
            self.__dict__.clear()
            self.__dict__.update(before)
            for name in settings:
                if declarations()[name].is_settable:
                    setattr(self.cnn_, name, settings[name])
            raise

    def _check(self, X, y="no_validation", *, reset: bool):
        """Return X as [n, pixels], uint8 if it has raw pixels, else float32; and y, if it is given, unchanged."""
        check_not_masked("X", X, "images")
        check_not_masked("y", y, "labels")
        shape = self.image_shape if reset else self.image_shape_
        shape = shape if shape is None else check_image_shape("image_shape", shape)
        if isinstance(X, (list, tuple)):
            X = np.asarray(X)
        if len(getattr(X, "shape", ())) > 2:
            found = infer_image_shape(X)
            if shape not in (None, found):
                raise ValueError(f"X: expected images of {shape} pixels, found {found}")
            shape = found
            X = np.asarray(X).reshape(len(X), math.prod(shape))
        checked = validate_data(self, X, y, reset=reset)
        X = checked[0] if isinstance(checked, tuple) else checked
        if X.dtype.kind == "b":
            raise TypeError("X: expected numbers, found truth values; give numpy.asarray(X).astype('uint8')")
        n_pixels = X.shape[1]
        if shape is None:
            side = math.isqrt(n_pixels)
            shape = (side, side) if side * side == n_pixels else (1, n_pixels)
        if math.prod(shape) != n_pixels:
            raise ValueError(f"image_shape: expected height x width of {n_pixels} pixels, found {shape}")
        if reset:
            self.image_shape_ = shape
        low, high = X.min(), X.max()
        if max(-low, high) > np.finfo(np.float32).max:
            raise ValueError(f"X: expected numbers that float32 can hold, found {low:g}..{high:g}")
        is_raw = low >= 0 and high <= 255 and (X.dtype.kind != "f" or not np.any(X % 1))
        X = X.astype(np.uint8 if is_raw else np.float32, copy=False)
        return (X, checked[1]) if isinstance(checked, tuple) else X

    def _check_training(self, X, y, classes, *, resumes: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return images [n, pixels], labels as indices of the classes, [n], and the sorted classes."""
        X, y = self._check(X, y, reset=not resumes)
        if y.dtype.kind == "O" and type_of_target(y) == "unknown":  # scikit-learn's own words speak of regression
            kind = "str" if any(isinstance(label, str) for label in y) else "int"
            hint = f"give numpy.asarray(y).astype({kind!r})"
            raise ValueError(f"y: expected labels of one type, found objects (Unknown label type); {hint}")
        check_classification_targets(y)
        found = np.unique(y if classes is None else classes)
        known = self.classes_ if resumes else found
        if not set(found.tolist()) <= set(known.tolist()) or not set(y.tolist()) <= set(known.tolist()):
            raise ValueError(f"y: expected labels of the classes {known}, found {np.union1d(found, np.unique(y))}")
        if len(known) < 2:
            raise ValueError(f"y: expected at least two classes, found 1 class: {known[0]!r}")
        return X, np.searchsorted(known, y), known

    def _seed(self, *, resumes: bool) -> int:
        """Return the network's seed: that of the present network, or a new one from `random_state`."""
        if resumes:
            return cast(int, self.cnn_.random_seed)  # a model draws one for None
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _split(self, X: np.ndarray, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, tuple]:
        """Split off the images that early stopping validates on: training X, training y, (X, y) for validation."""
        if self.schedule != "constant":
            raise ValueError(f"schedule: expected 'constant' with early_stopping, found {self.schedule!r}")
        if self.average_decay:  # each epoch is a training of its own, whose averages become the weights
            raise ValueError(f"average_decay: expected 0 with early_stopping, found {self.average_decay!r}")
        fraction = check_real(
            "validation_fraction", self.validation_fraction, "a fraction between 0 and 1", lambda part: 0 < part < 1
        )
        try:
            X, X_validation, y, y_validation = train_test_split(X, y, test_size=fraction, stratify=y, random_state=seed)
        except ValueError as error:
            raise ValueError(f"validation_fraction: expected some images of each class, found: {error}") from error
        return X, y, (X_validation, y_validation)

    def _begin(self, X: np.ndarray, classes: np.ndarray, seed: int, *, resumes: bool) -> None:
        """Make a network for such images, with initial weights; or update the settings of the present one."""
        settings: dict[str, Any] = {name: getattr(self, name) for name in declarations() if name not in _CHOSEN}
        if self.architecture == "auto":
            side = min(self.image_shape_)
            fitting = [name for name in ("cnn", "same", "softmax") if side >= ARCHITECTURES[name].min_side]
            settings["architecture"] = fitting[0]
        if resumes:
            for name, value in settings.items():
                if declarations()[name].is_settable:
                    setattr(self.cnn_, name, value)
                elif value != getattr(self.cnn_, name):
                    raise ValueError(
                        f"{name}: expected {getattr(self.cnn_, name)!r}, with which this network was made, found "
                        f"{value!r}; warm_start=False makes a new network"
                    )
            return
        self.cnn_ = DigitCNN(**settings, random_seed=seed, image_shape=self.image_shape_, n_classes=len(classes))
        # A warp moves strokes from one pixel to another, so all pixels need the same mean.
        mean = np.full(X.shape[1], X.mean()) if Augmentation.of(self.cnn_) else X.mean(axis=0, dtype=np.float64)
        std = float(X.std(dtype=np.float64)) or 1.0
        self.classes_, self.standardization_ = classes, Standardization(mean, std, float(X.max()))
        self.cnn_.standardization = self.standardization_ if X.dtype == np.uint8 else None
        self.cnn_.sess.run(self.cnn_.init_op)

    def _standardized(self, X: np.ndarray) -> np.ndarray:
        """Return standardized float32 [n, pixels]; raise ValueError if float32 cannot hold them."""
        with np.errstate(over="ignore"):
            scaled = self.standardization_(X)
        if not np.isfinite(scaled).all():
            raise ValueError(
                "X: expected numbers near those of the training set, found some too large for float32 once standardized"
            )
        warn_of_another_range(X, self.standardization_, "X")
        return scaled

    def _scale(self, X: np.ndarray) -> np.ndarray:
        """Return what the network trains on: raw pixels unchanged, or standardized floats."""
        if self.cnn_.standardization is None:
            return self._standardized(X)
        if X.dtype != np.uint8:
            raise ValueError("X: expected whole numbers in 0..255, as in the first training, found other numbers")
        return X

    def _train_with_early_stopping(self, training: tuple, validation: tuple, epochs: int, *, resumes: bool) -> None:
        """Train until the validation accuracy stops rising, then load the weights of the best epoch."""
        n_iter_no_change = check_whole("n_iter_no_change", self.n_iter_no_change)
        tol = check_real("tol", self.tol, "a number of at least 0", lambda tol: tol >= 0)
        best = to_beat = self.cnn_.evaluate(*validation)["accuracy"] if resumes else -1.0
        n_no_rise = 0
        with tempfile.TemporaryDirectory() as folder:
            self.cnn_.save(0, folder)
            for _ in range(epochs):
                self.cnn_.train(training, validation, initialize=False, epochs=1, verbose=self.verbose)
                accuracy = self.cnn_.history["Accuracy"].iloc[-1]
                if accuracy > best:
                    best = accuracy
                    self.cnn_.save(0, folder)
                n_no_rise = 0 if accuracy > to_beat + tol else n_no_rise + 1
                to_beat = max(to_beat, accuracy)
                if n_no_rise == n_iter_no_change:
                    break
            self.history_ = self.cnn_.history
            self.cnn_.load(0, folder)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for copies and pickles, where the network is the files that `save` writes, by name."""
        state = dict(super().__getstate__())
        if "cnn_" in state:
            with tempfile.TemporaryDirectory() as folder:
                state["cnn_"].save(0, folder)
                state["cnn_"] = {file.name: file.read_bytes() for file in Path(folder).iterdir()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the state of a pickle, and restore the network from its files.

        Settings that an earlier version lacked have the values that they had then.
        """
        new = {name: known.before for name, known in declarations().items() if name not in (*_CHOSEN, *state)}
        state = new | state
        if "cnn_" in state:
            with tempfile.TemporaryDirectory() as folder:
                for name, content in state["cnn_"].items():
                    (Path(folder) / name).write_bytes(content)
                state = state | {"cnn_": DigitCNN.restore(folder)}
        super().__setstate__(state)
