"""DigitCNN behind scikit-learn's interface. Needs scikit-learn, the extra `sklearn`."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ._validation import MAX_COUNT, check_bool, check_real, check_whole
from .data.arrays import check_image_shape, infer_image_shape
from .data.standardization import Standardization
from .graph.architectures import ARCHITECTURES
from .model import DigitCNN
from .settings import declarations

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        f"DigitClassifier needs scikit-learn 1.6 or later, pip install 'digitcnn[sklearn]': {error}"
    ) from error

MIN_STEPS = 500  # of a training whose length is not given: ten epochs are few steps on few images
# Settings of DigitCNN that the estimator chooses itself; all others are its own arguments, passed on as they are.
_CHOSEN = ("epochs", "random_seed", "image_shape", "n_classes")


class DigitClassifier(ClassifierMixin, BaseEstimator):
    """A scikit-learn classifier of images whose network is a DigitCNN.

    X is [n, height, width], [n, height, width, 1], or [n, pixels] as scikit-learn's own tools need it: of
    square images, of the `image_shape` that is given, else a row of so many pixels. Its numbers may be of any
    scale, since they are standardized by the training set's mean of each pixel and one standard deviation.
    y [n] has any labels.

    architecture: one of digitcnn.ARCHITECTURES, or 'auto': 'cnn' for images of at least 16x16 pixels, 'same'
    for at least 4x4, else 'softmax'. epochs: None are 10, or as many as make 500 steps, if that is more.
    precision: float32, in which the prediction for an image does not depend on which are predicted with it
    but for rounding; 'auto' is faster where the CPU has bfloat16. Other settings are DigitCNN's.
    random_state: int, RandomState or None, which new weights, shuffles, dropout and warps follow.
    warm_start: `fit` goes on from where the last one ended, where batchsize, dropout and shuffle may be others.
    early_stopping: keep `validation_fraction` of the images, of each class alike, to validate on; stop when in
    `n_iter_no_change` epochs the accuracy on them has not risen by more than `tol`, and keep the weights of the
    best epoch. verbose: as in DigitCNN.train.

    Attributes, after `fit`: classes_ [n_classes]; cnn_, the DigitCNN, with all its methods; standardization_, a
    digitcnn.Standardization; history_, a DataFrame of Epoch, Loss, Accuracy up to the last epoch; n_iter_, its
    length; image_shape_; n_features_in_, and feature_names_in_ where X has names. Copies, also those that joblib
    sends to other processes, have a network of their own.

    If X has raw pixels, whole numbers in 0..255, then so does `cnn_`, wherever it is saved or exported to: it
    standardizes them itself. Of other numbers it takes what `standardization_` makes of them.
    """

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
        rotation: float = 0.0,
        scaling: float = 0.0,
        shift: float = 0.0,
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
        self.rotation = rotation
        self.scaling = scaling
        self.shift = shift
        self.random_state = random_state
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.verbose = verbose

    def fit(self, X, y) -> DigitClassifier:
        """Train on images X and labels y [n]. Raises TypeError or ValueError, and then keeps an earlier network."""
        goes_on = check_bool("warm_start", self.warm_start) and hasattr(self, "cnn_")
        epochs = None if self.epochs is None else check_whole("epochs", self.epochs, 1, MAX_COUNT)
        with self._as_it_was_if_refused():
            X, y, classes = self._check_training(X, y, None, goes_on=goes_on)
            if epochs is None:
                steps_per_epoch = -(-len(X) // check_whole("batchsize", self.batchsize))
                epochs = max(10, -(-MIN_STEPS // steps_per_epoch))
            seed, validation = self._seed(goes_on=goes_on), None
            if check_bool("early_stopping", self.early_stopping):
                X, y, validation = self._split(X, y, seed)
            self._begin(X, classes, seed, goes_on=goes_on)
            if validation is None:
                self.cnn_.train((self._scale(X), y), initialize=False, epochs=epochs, verbose=self.verbose)
                self.history_ = self.cnn_.history
            else:
                training, validation = (self._scale(X), y), (self._scale(validation[0]), validation[1])
                self._train_until_no_better(training, validation, epochs, goes_on=goes_on)
            self.n_iter_ = len(self.history_)
        return self

    def partial_fit(self, X, y, classes=None) -> DigitClassifier:
        """Train one epoch on X and y, from where the last call ended.

        classes: all labels that there will be; needed in the first call, whose images are also what those of
        all calls are standardized by. Raises as `fit` does.
        """
        goes_on = hasattr(self, "cnn_")
        if not goes_on and classes is None:
            raise ValueError("classes: expected all labels in the first call of partial_fit, found None")
        with self._as_it_was_if_refused():
            X, y, classes = self._check_training(X, y, classes, goes_on=goes_on)
            self._begin(X, classes, self._seed(goes_on=goes_on), goes_on=goes_on)
            self.cnn_.train((self._scale(X), y), initialize=False, epochs=1, verbose=self.verbose)
            self.history_ = self.cnn_.history
            self.n_iter_ = len(self.history_)
        return self

    def predict(self, X) -> np.ndarray:
        """The labels of images X, [n] of the type of `classes_`. Raises NotFittedError, TypeError or ValueError."""
        indices = self._predict(X, return_proba=False)
        return self.classes_[indices]

    def predict_proba(self, X) -> np.ndarray:
        """Probabilities, float64 [n, classes], in the order of `classes_`. Raises as `predict` does."""
        probabilities = self._predict(X, return_proba=True).astype(np.float64)
        return probabilities / probabilities.sum(axis=1, keepdims=True)  # their sum was 1 in float32 only

    def _predict(self, X, *, return_proba: bool) -> np.ndarray:
        check_is_fitted(self)
        X = self._check(X, reset=False)
        if X.dtype != np.uint8 or self.cnn_.standardization is None:
            X = self._standardized(X)
        # Past DigitCNN's own door, which takes raw pixels alone where it was trained on them.
        return self.cnn_._engine.predict(X, self.cnn_.standardization, return_proba=return_proba)

    @contextlib.contextmanager
    def _as_it_was_if_refused(self) -> Iterator[None]:
        before = vars(self).copy()
        try:
            yield
        except Exception:  # an interruption leaves what was learnt
            vars(self).clear()
            vars(self).update(before)
            raise

    def _check(self, X, y="no_validation", *, reset: bool):
        """X as [n, pixels], uint8 if it has raw pixels, else float32; and y, if it is given, as it is."""
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

    def _check_training(self, X, y, classes, *, goes_on: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Images, labels as places among the classes, and these."""
        X, y = self._check(X, y, reset=not goes_on)
        check_classification_targets(y)
        found = np.unique(y if classes is None else classes)
        known = self.classes_ if goes_on else found
        if not set(found.tolist()) <= set(known.tolist()) or not set(y.tolist()) <= set(known.tolist()):
            raise ValueError(f"y: expected labels of the classes {known}, found {np.union1d(found, np.unique(y))}")
        if len(known) < 2:
            raise ValueError(f"y: expected at least two classes, found 1 class: {known[0]!r}")
        return X, np.searchsorted(known, y), known

    def _seed(self, *, goes_on: bool) -> int:
        if goes_on:
            return self.cnn_.random_seed
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _split(self, X: np.ndarray, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, tuple]:
        """What early stopping trains on, and what it validates on."""
        if self.schedule != "constant":
            raise ValueError(f"schedule: expected 'constant' with early_stopping, found {self.schedule!r}")
        fraction = check_real(
            "validation_fraction", self.validation_fraction, "a fraction between 0 and 1", lambda part: 0 < part < 1
        )
        try:
            X, X_validation, y, y_validation = train_test_split(X, y, test_size=fraction, stratify=y, random_state=seed)
        except ValueError as error:
            raise ValueError(f"validation_fraction: expected some images of each class, found: {error}") from error
        return X, y, (X_validation, y_validation)

    def _begin(self, X: np.ndarray, classes: np.ndarray, seed: int, *, goes_on: bool) -> None:
        """A new network for images like these, with its first weights; or the one that there is."""
        settings: dict[str, Any] = {name: getattr(self, name) for name in declarations() if name not in _CHOSEN}
        if self.architecture == "auto":
            side = min(self.image_shape_)
            fitting = [name for name in ("cnn", "same", "softmax") if side >= ARCHITECTURES[name].min_side]
            settings["architecture"] = fitting[0]
        if goes_on:
            for name, value in settings.items():
                if declarations()[name].is_settable:
                    setattr(self.cnn_, name, value)
                elif value != getattr(self.cnn_, name):
                    raise ValueError(
                        f"{name}: expected {getattr(self.cnn_, name)!r}, with which this network was begun, found "
                        f"{value!r}; a fit without warm_start makes a new one"
                    )
            return
        self.cnn_ = DigitCNN(**settings, random_seed=seed, image_shape=self.image_shape_, n_classes=len(classes))
        # A warp carries a stroke from one pixel to another: they must mean the same there.
        is_warped = self.rotation or self.scaling or self.shift
        mean = np.full(X.shape[1], X.mean()) if is_warped else X.mean(axis=0, dtype=np.float64)
        self.classes_, self.standardization_ = classes, Standardization(mean, float(X.std(dtype=np.float64)) or 1.0)
        self.cnn_.standardization = self.standardization_ if X.dtype == np.uint8 else None
        self.cnn_.sess.run(self.cnn_.init_op)

    def _standardized(self, X: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            scaled = self.standardization_(X)
        if not np.isfinite(scaled).all():
            raise ValueError("X: expected numbers like those of the training, found some that are far from them")
        return scaled

    def _scale(self, X: np.ndarray) -> np.ndarray:
        """What the network is trained on: raw pixels as they are, or standardized floats."""
        if self.cnn_.standardization is None:
            return self._standardized(X)
        if X.dtype != np.uint8:
            raise ValueError("X: expected whole numbers in 0..255, as in the first training, found others")
        return X

    def _train_until_no_better(self, training: tuple, validation: tuple, epochs: int, *, goes_on: bool) -> None:
        n_iter_no_change = check_whole("n_iter_no_change", self.n_iter_no_change)
        tol = check_real("tol", self.tol, "a number of at least 0", lambda tol: tol >= 0)
        best = to_beat = self.cnn_.evaluate(*validation)["accuracy"] if goes_on else -1.0
        since = 0
        with tempfile.TemporaryDirectory() as folder:
            self.cnn_.save(0, folder)
            for _ in range(epochs):
                self.cnn_.train(training, validation, initialize=False, epochs=1, verbose=self.verbose)
                accuracy = self.cnn_.history["Accuracy"].iloc[-1]
                if accuracy > best:
                    best = accuracy
                    self.cnn_.save(0, folder)
                since = 0 if accuracy > to_beat + tol else since + 1
                to_beat = max(to_beat, accuracy)
                if since == n_iter_no_change:
                    break
            self.history_ = self.cnn_.history
            self.cnn_.load(0, folder)

    def __getstate__(self) -> dict[str, Any]:
        """A copy's: of the network, the files that `save` writes."""
        state = dict(super().__getstate__())
        if "cnn_" in state:
            with tempfile.TemporaryDirectory() as folder:
                state["cnn_"].save(0, folder)
                state["cnn_"] = {file.name: file.read_bytes() for file in Path(folder).iterdir()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "cnn_" in state:
            with tempfile.TemporaryDirectory() as folder:
                for name, content in state["cnn_"].items():
                    (Path(folder) / name).write_bytes(content)
                state = state | {"cnn_": DigitCNN.restore(folder)}
        super().__setstate__(state)
