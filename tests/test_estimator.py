"""DigitClassifier with scikit-learn's checks and tools."""

import gzip
import inspect
import pickle
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from digitcnn import DigitClassifier, DigitCNN
from digitcnn.settings import declarations

# Small and quick, yet with everything that a graph can have.
SMALL = {"architecture": "strided", "fc_3_output_units": 64, "epochs": 6, "batchsize": 50, "random_state": 3}
# The quickest, where it does not matter what the graph has.
LEAST = {"architecture": "softmax", "learning_rate": 1e-2, "epochs": 6, "batchsize": 50, "random_state": 3}

CHECKS = parametrize_with_checks([DigitClassifier(epochs=100)])  # the default for few images takes five times as long


# As a list, since scikit-learn 1.7 has a generator there, of which pytest warns since 9.1.
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)
def test_scikit_learn_estimator_checks(estimator, check):
    """All of scikit-learn's checks; those of array API libraries skip unless SCIPY_ARRAY_API is set."""
    check(estimator)


@pytest.fixture(scope="module")
def some(digits):
    """400 training images and 100 test images, with labels."""
    X, y = digits.train_images[:500], digits.train_labels[:500]
    return X[:400], y[:400], X[400:], y[400:]


@pytest.fixture(scope="module")
def fitted(some):
    return DigitClassifier(**SMALL).fit(some[0], some[1])


@pytest.fixture(scope="module")
def of_one_epoch(fitted, some):
    """The probabilities of the test images after one epoch on raw pixels."""
    return clone(fitted).set_params(epochs=1).fit(some[0], some[1]).predict_proba(some[2])


def test_fitted_attributes(fitted, some):
    _, _, X_test, y_test = some
    assert fitted.n_features_in_ == 784 and fitted.image_shape_ == (28, 28) and fitted.n_iter_ == 6
    np.testing.assert_array_equal(fitted.classes_, np.arange(10))
    assert list(fitted.history_["Epoch"]) == [1, 2, 3, 4, 5, 6]
    assert fitted.score(X_test, y_test) > 0.6
    assert isinstance(fitted.cnn_, DigitCNN) and fitted.cnn_.architecture == "strided"
    probabilities = fitted.predict_proba(X_test)
    assert probabilities.dtype == np.float64 and probabilities.shape == (100, 10)
    np.testing.assert_array_equal(fitted.classes_[probabilities.argmax(axis=1)], fitted.predict(X_test))


def test_cnn_takes_raw_pixels(fitted, some):
    """So that the best network of a grid search can be saved and exported."""
    X_test = some[2]
    np.testing.assert_array_equal(fitted.cnn_.predict(X_test), fitted.predict(X_test))
    with DigitCNN.restore(fitted.cnn_.save(path="m")) as again:
        np.testing.assert_array_equal(again.predict(X_test), fitted.predict(X_test))


@pytest.mark.parametrize(
    "as_it_comes", [np.float64, np.int64, lambda X: X.reshape(-1, 28, 28), lambda X: X.reshape(-1, 28, 28, 1)]
)
def test_pixels_of_any_type_and_shape_are_equal(fitted, of_one_epoch, some, as_it_comes):
    X, y, X_test, _ = some
    np.testing.assert_array_equal(fitted.predict_proba(as_it_comes(X_test)), fitted.predict_proba(X_test))
    again = clone(fitted).set_params(epochs=1).fit(as_it_comes(X), y)
    np.testing.assert_array_equal(again.predict_proba(X_test), of_one_epoch)


def test_fractional_pixels_are_standardized_alike(fitted, some):
    X_test = some[2][:20]
    np.testing.assert_allclose(fitted.predict_proba(X_test + 1e-9), fitted.predict_proba(X_test), atol=1e-5)


@pytest.mark.parametrize("scale", [1 / 255, 1000.0, -3.0])
def test_pixels_of_any_scale(fitted, some, scale):
    X, y, X_test, y_test = some
    scaled = DigitClassifier(**SMALL).fit(X * scale, y)
    if scale > 0:
        np.testing.assert_allclose(scaled.predict_proba(X_test * scale), fitted.predict_proba(X_test), atol=1e-3)
    assert scaled.score(X_test * scale, y_test) > 0.6


@pytest.mark.parametrize("settings", [{"architecture": "softmax"}, {"fc_3_output_units": 128}])
def test_integers_of_small_range_are_standardized(settings):
    """Pixels in 0..1 or 0..16 must not be read as dark images of 0..255."""
    X, y = load_digits(return_X_y=True)
    X = (X > 7).astype(int)
    model = DigitClassifier(epochs=6, batchsize=50, random_state=3, **settings).fit(X[:1000], y[:1000])
    assert model.score(X[1000:], y[1000:]) > 0.75
    again = clone(model).fit(X[:1000] + 1e-7, y[:1000])
    assert abs(again.score(X[1000:] + 1e-7, y[1000:]) - model.score(X[1000:], y[1000:])) < 0.05


def test_cnn_of_scaled_floats_takes_standardized_floats(some):
    X, y, X_test, _ = some
    model = DigitClassifier(**SMALL).fit(X / 255, y)
    np.testing.assert_array_equal(model.cnn_.predict(model.standardization_(X_test / 255)), model.predict(X_test / 255))
    with pytest.raises(ValueError, match="expected floats scaled as the training set was, found raw pixels"):
        model.cnn_.predict(X_test)


def test_numbers_beyond_float32_raise(fitted, some):
    for huge in (1e39, 1e38):  # the second is too large only once divided by the standard deviation
        X = some[2][:3] / 255 * 1e-3
        model = fitted if huge == 1e39 else DigitClassifier(**SMALL | {"epochs": 1}).fit(some[0] / 255 * 1e-3, some[1])
        X[0, 0] = huge
        with pytest.raises(ValueError, match="X: expected numbers"):
            model.predict_proba(X)


def test_labels_of_any_type(some):
    X, y, X_test, y_test = some
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    named = DigitClassifier(**LEAST).fit(X, names[y])
    assert set(named.classes_) == set(names) and named.score(X_test, names[y_test]) > 0.6
    few = np.isin(y, (3, 8))
    two = DigitClassifier(**LEAST).fit(X[few], y[few])
    np.testing.assert_array_equal(two.classes_, [3, 8])
    assert two.cnn_.n_classes == 2 and two.predict_proba(X).shape == (400, 2)


def test_random_state_determines_training(some):
    X, y, X_test, _ = some
    settings = SMALL | {"epochs": 2, "rotation": 5.0}
    one, other = (DigitClassifier(**settings).fit(X, y).predict_proba(X_test) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    third = DigitClassifier(**settings | {"random_state": 4}).fit(X, y).predict_proba(X_test)
    assert np.abs(third - one).max() > 1e-3
    for random_state in (np.random.RandomState(0), None):
        DigitClassifier(**LEAST | {"random_state": random_state}).fit(X, y)


def test_images_of_8x8_pixels():
    X, y = load_digits(return_X_y=True)
    small = DigitClassifier(epochs=4, fc_3_output_units=64, random_state=3).fit(X[:1000], y[:1000])
    assert small.image_shape_ == (8, 8) and small.cnn_.architecture == "same"
    assert small.score(X[1000:], y[1000:]) > 0.8


def test_image_shape(some):
    X, y, *_ = some
    wide = X.reshape(-1, 28, 28)[:, 4:24]
    for given, settings in ((wide, {}), (wide.reshape(400, -1), {"image_shape": (20, 28)})):
        assert DigitClassifier(**LEAST, **settings).fit(given, y).cnn_.image_shape == (20, 28)
    row = DigitClassifier(epochs=1).fit(wide.reshape(400, -1), y)
    assert row.image_shape_ == (1, 560) and row.cnn_.architecture == "softmax"
    with pytest.raises(ValueError, match=r"image_shape: expected height x width of 560 pixels, found \(20, 20\)"):
        DigitClassifier(image_shape=(20, 20)).fit(wide.reshape(400, -1), y)
    with pytest.raises(ValueError, match=r"X: expected images of \(20, 20\) pixels, found \(20, 28\)"):
        DigitClassifier(image_shape=(20, 20)).fit(wide, y)
    with pytest.raises(ValueError, match=r"X: expected images of \(1, 560\) pixels, found \(20, 28\)"):
        row.predict(wide)
    with pytest.raises(ValueError, match=r"at least 16 for the architecture 'cnn'.*found \(1, 560\)"):
        DigitClassifier(architecture="cnn").fit(wide.reshape(400, -1), y)
    with pytest.raises(ValueError, match="found shape"):
        DigitClassifier().fit(np.zeros((400, 5, 5, 3)), y)
    with pytest.raises(ValueError, match=r"Found array with 0 sample"):
        DigitClassifier().fit(np.zeros((0, 5, 5)), [])
    assert DigitClassifier(**LEAST, image_shape=[20, 28]).fit(wide.tolist(), y).image_shape_ == (20, 28)
    long = DigitClassifier(epochs=1).fit(np.eye(30, 1_500), np.arange(30) % 3)
    assert long.image_shape_ == (1, 1_500)


def test_partial_fit(some):
    X, y, X_test, y_test = some
    model = DigitClassifier(**LEAST)
    with pytest.raises(ValueError, match="classes: expected all labels"):
        model.partial_fit(X, y)
    for _ in range(6):
        for part in (slice(0, 200), slice(200, 400)):
            model.partial_fit(X[part], y[part], classes=np.arange(10))
    assert model.score(X_test, y_test) > 0.6 and model.cnn_.global_step == 6 * 8
    with pytest.raises(ValueError, match="y: expected labels of the classes"):
        model.partial_fit(X, y, classes=np.arange(11))
    with pytest.raises(ValueError, match="y: expected labels of the classes"):
        model.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="X: expected whole numbers in 0..255, as in the first training"):
        model.partial_fit(X / 255, y)
    assert model.cnn_.global_step == 6 * 8


def test_warm_start(some):
    X, y, X_test, _ = some
    whole = DigitClassifier(**SMALL).fit(X, y)
    halves = DigitClassifier(**SMALL | {"epochs": 3}, warm_start=True)
    halves.fit(X, y).fit(X, y)
    np.testing.assert_array_equal(halves.predict_proba(X_test), whole.predict_proba(X_test))
    assert halves.n_iter_ == 6
    assert halves.set_params(warm_start=False).fit(X, y).n_iter_ == 3


def test_warm_start_with_other_settings(some):
    X, y, *_ = some
    model = DigitClassifier(**SMALL, warm_start=True).fit(X, y)
    model.set_params(dropout=0.1, batchsize=20, epochs=1).fit(X, y)  # settable settings
    assert (model.cnn_.dropout, model.cnn_.batchsize, model.n_iter_) == (0.1, 20, 7)
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match="learning_rate: expected 0.001, with which this network was made, found 0.05"):
        model.set_params(learning_rate=0.05).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), before)


def masked(array):
    return np.ma.masked_equal(array, array.ravel()[0])


UNUSABLE = {
    "masked images": (
        lambda X: masked(X),
        lambda y: y,
        "X: expected images, found a masked array; give what its filled",
    ),
    "masked 3D": (lambda X: masked(X.reshape(-1, 8, 8)), lambda y: y, "X: expected images, found a masked array"),
    "a list of masked": (lambda X: list(masked(X)), lambda y: y, "X: expected images, found a masked array"),
    "masked labels": (lambda X: X, masked, "y: expected labels, found a masked array"),
    "truth values": (lambda X: X > 5, lambda y: y, r"X: expected numbers, found truth values; give numpy.asarray\(X"),
    "object labels": (
        lambda X: X,
        lambda y: y.astype(object),
        r"y: .*objects .*; give numpy.asarray\(y\).astype\('int'\)",
    ),
    "mixed labels": (lambda X: X, lambda y: np.where(y > 4, "x", y.astype(object)), r"y: .*astype\('str'\)"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_images_and_labels_of_unusable_types_raise(some, kind):
    change_X, change_y, message = UNUSABLE[kind]
    X, y, *_ = some
    model = DigitClassifier(**LEAST | {"epochs": 1})
    for call in (model.fit, lambda X, y: model.partial_fit(X, y, classes=np.unique(np.asarray(y).astype(str)))):
        with pytest.raises((TypeError, ValueError), match=message):
            call(change_X(X), change_y(y))
    assert not hasattr(model, "cnn_")


@pytest.mark.parametrize("kind", ["object labels", "mixed labels"])
def test_hints_for_labels_can_be_followed(some, kind):
    X, y, *_ = some
    y = UNUSABLE[kind][1](y)
    model = DigitClassifier(**LEAST | {"epochs": 1})
    with pytest.raises(ValueError) as raised:
        model.fit(X, y)
    model.fit(X, eval(str(raised.value).rpartition(" give ")[2], {"numpy": np, "y": y}))


REFUSED = {
    "another learning rate": ({"learning_rate": 0.5}, lambda X, y: (X, y)),
    "a wrong dropout": ({"dropout": 2}, lambda X, y: (X, y)),
    "unknown labels": ({}, lambda X, y: (X, y + 90)),
    "floats": ({}, lambda X, y: (X / 3, y)),
    "a wrong tol": ({"early_stopping": True, "tol": -1}, lambda X, y: (X, y)),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_warm_start_changes_nothing(some, kind):
    parameters, change = REFUSED[kind]
    X, y, *_ = some
    model = DigitClassifier(**LEAST | {"epochs": 1}, warm_start=True).fit(X, y)
    before, digest = model.cnn_.settings, model.cnn_.weights_sha256()
    model.set_params(batchsize=7, shuffle=False, **parameters)
    for call in (model.fit, model.partial_fit):
        if kind == "a wrong tol" and call == model.partial_fit:
            continue  # which has no early stopping
        with pytest.raises((TypeError, ValueError)):
            call(*change(X, y))
        assert model.cnn_.settings == before and model.cnn_.weights_sha256() == digest
        assert model.n_iter_ == len(model.cnn_.history) == 1


def test_early_stopping(some):
    X, y, X_test, y_test = some
    settings = SMALL | {"epochs": 40, "learning_rate": 3e-3}
    model = DigitClassifier(**settings, early_stopping=True, n_iter_no_change=2, validation_fraction=0.2).fit(X, y)
    accuracies = model.history_["Accuracy"]
    assert 3 <= model.n_iter_ < 40 and len(accuracies) == model.n_iter_
    assert accuracies.iloc[-2:].max() <= accuracies.iloc[:-2].max()  # no rise in the last two epochs
    assert len(model.cnn_.history) == accuracies.idxmax() + 1  # the weights are those of the best epoch
    assert model.score(X_test, y_test) > 0.6
    with pytest.raises(ValueError, match="schedule: expected 'constant' with early_stopping"):
        clone(model).set_params(schedule="one_cycle").fit(X, y)
    with pytest.raises(ValueError, match="average_decay: expected 0 with early_stopping, found 0.9"):
        clone(model).set_params(average_decay=0.9).fit(X, y)
    with pytest.raises(ValueError, match="validation_fraction: expected a fraction between 0 and 1, found 2"):
        clone(model).set_params(validation_fraction=2).fit(X, y)
    with pytest.raises(ValueError, match="validation_fraction: expected some images of each class, found: "):
        clone(model).fit(X[:20], y[:20])


def test_early_stopping_keeps_best_epoch_with_large_tol(some):
    X, y, *_ = some
    settings = SMALL | {"epochs": 30, "learning_rate": 3e-3}
    model = DigitClassifier(**settings, early_stopping=True, n_iter_no_change=4, tol=0.5, warm_start=True).fit(X, y)
    assert len(model.cnn_.history) == model.history_["Accuracy"].idxmax() + 1 > 1
    best = model.history_["Accuracy"].max()
    model.fit(X, y)  # resumes from the best epoch, and keeps it if no epoch is better
    kept = model.cnn_.history["Accuracy"].iloc[-1]
    assert kept >= best and kept == model.history_["Accuracy"].max()


def test_default_epochs_for_few_images(some):
    X, y, X_test, y_test = some
    model = DigitClassifier(architecture="softmax", random_state=3).fit(X, y)
    assert model.cnn_.global_step == 500 and model.score(X_test, y_test) > 0.7


def test_pickled_copies_are_complete_and_independent(fitted, some):
    X, y, X_test, _ = some
    before = fitted.predict_proba(X_test)
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict_proba(X_test), before)
    pickle.loads(pickle.dumps(fitted)).partial_fit(X, y)
    np.testing.assert_array_equal(fitted.predict_proba(X_test), before)
    both = [model.partial_fit(X, y).predict_proba(X_test) for model in (copy, pickle.loads(pickle.dumps(fitted)))]
    np.testing.assert_array_equal(*both)  # the copies have Adam's state
    with pytest.raises(NotFittedError):
        clone(fitted).predict(X_test)


ELSEWHERE = """
import sys, joblib, numpy, digitcnn
sys.modules["sklearn"] = None
digitcnn.DigitCNN
try:
    digitcnn.DigitClassifier
except ImportError as error:
    print(error)
del sys.modules["sklearn"]
print(joblib.load("fitted.joblib").predict_proba(numpy.load("X.npy")).tobytes().hex())
"""


@pytest.fixture(scope="module")
def elsewhere(fitted, some, tmp_path_factory):
    """What another process prints: first without scikit-learn, then where it has it and a file of joblib."""
    folder = tmp_path_factory.mktemp("elsewhere")
    joblib.dump(fitted, folder / "fitted.joblib")
    np.save(folder / "X.npy", some[2])
    return subprocess.check_output([sys.executable, "-c", ELSEWHERE], cwd=folder, text=True).splitlines()


def test_joblib_file_predicts_in_another_process(elsewhere, fitted, some):
    assert bytes.fromhex(elsewhere[-1]) == fitted.predict_proba(some[2]).tobytes()


def test_without_scikit_learn(elsewhere):
    assert elsewhere[0].startswith("DigitClassifier needs scikit-learn 1.6 or later, pip install 'digitcnn[sklearn]'")


def test_pickle_of_version_0_1_0_loads():
    """It was made by 0.1.0 with NumPy 2 and pandas 3, by gzip.compress(pickle.dumps(model, protocol=4)) of
    model = DigitClassifier(architecture="softmax", epochs=2, random_state=3).fit(X, y), with X and y as below.
    """
    if np.lib.NumpyVersion(np.__version__) < "2.0.0" or int(pd.__version__.partition(".")[0]) < 3:
        pytest.skip("a pickle of NumPy 2 and pandas 3, whose arrays earlier versions cannot read")
    content = gzip.decompress((ROOT / "tests" / "saving" / "classifier-0.1.0.pickle.gz").read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)  # scikit-learn may be another version
        model = pickle.loads(content)
    X = np.random.default_rng(0).integers(0, 256, (40, 4, 4)).astype(np.uint8)
    y = np.where(X[:, :2].sum(axis=(1, 2)) > X[:, 2:].sum(axis=(1, 2)), "top", "bottom")
    digest = "414f0d8b94d0987d1772cb2066610f193f64920aeb007d386acba35eb45b2499"
    assert model.cnn_.weights_sha256() == digest
    assert model.predict(X[:6]).tolist() == ["bottom", "top", "top", "bottom", "top", "top"]
    n_epochs, n_steps = model.n_iter_, model.cnn_.global_step
    model.set_params(warm_start=True).fit(X, y)
    assert (model.n_iter_, model.cnn_.global_step) == (n_epochs + 2, 2 * n_steps)
    assert model.cnn_.weights_sha256() != digest


def test_signature_has_every_setting():
    """With DigitCNN's defaults, except those that the docstring says are different."""
    parameters = inspect.signature(DigitClassifier).parameters
    found = {name: parameters[name].default for name in declarations() if name in parameters}
    cnn = inspect.signature(DigitCNN).parameters
    expected = {name: cnn[name].default for name in declarations() if name not in ("random_seed", "n_classes")}
    own = {"architecture": "auto", "learning_rate": 1e-3, "precision": "float32", "epochs": None, "image_shape": None}
    assert found == expected | own
    assert {name for name in own if own[name] == expected[name]} == set()


def test_model_selection(some):
    X, y, X_test, y_test = some
    scores = cross_val_score(DigitClassifier(**LEAST), X, y, cv=3)
    assert scores.shape == (3,) and scores.min() > 0.5
    grid = {"learning_rate": [1e-7, 2e-3], "batchsize": [25, 50]}
    search = GridSearchCV(DigitClassifier(**LEAST), grid, cv=3).fit(X, y)
    assert search.best_params_["learning_rate"] == 2e-3 and search.score(X_test, y_test) > 0.6
    mean = dict(zip(map(str, search.cv_results_["params"]), search.cv_results_["mean_test_score"], strict=True))
    assert min(score for name, score in mean.items() if "0.002" in name) > max(
        score for name, score in mean.items() if "1e-07" in name
    )


def test_cross_validation_in_two_processes(some):
    X, y, *_ = some
    scores = cross_val_score(DigitClassifier(**LEAST), X, y, cv=2, n_jobs=2)
    np.testing.assert_allclose(scores, cross_val_score(DigitClassifier(**LEAST), X, y, cv=2), atol=0.02)


def test_pipeline_and_calibration(some):
    X, y, X_test, y_test = some
    pipeline = make_pipeline(StandardScaler(), DigitClassifier(**LEAST)).fit(X, y)
    assert pipeline.score(X_test, y_test) > 0.6
    calibrated = CalibratedClassifierCV(DigitClassifier(**LEAST), cv=2).fit(X, y)
    assert calibrated.score(X_test, y_test) > 0.6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs: expected a whole number"),
        ({"batchsize": 1.5}, "batchsize: expected a whole number"),
        ({"dropout": 1.0}, "dropout: expected a probability of dropping"),
        ({"architecture": "vgg"}, "architecture: expected one of"),
        ({"warm_start": "yes"}, "warm_start: expected True or False"),
        ({"early_stopping": 1}, "early_stopping: expected True or False"),
        ({"early_stopping": True, "tol": -1.0}, "tol: expected a number of at least 0"),
        ({"architecture": "softmax", "conv_1_output_channels": 3}, "expected their defaults"),
    ],
)
def test_bad_settings(fitted, some, settings, message):
    """`fit` checks them, as in scikit-learn; an earlier network stays as it was."""
    X, y, X_test, _ = some
    model = pickle.loads(pickle.dumps(fitted)).set_params(**settings)
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(X[:, :400], y)
    assert vars(model).keys() == vars(fitted).keys()
    np.testing.assert_array_equal(model.predict_proba(X_test), fitted.predict_proba(X_test))
