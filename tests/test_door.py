"""Bad input: every public function raises an error that names the argument, and changes nothing.

Damaged files are tested elsewhere: models in test_damaged_models.py, IDX files in test_idx.py and test_fuzz.py,
pictures in test_pictures.py, data sets in test_datasets.py and test_download.py, checkpoints in test_resuming.py.
"""

import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import digitcnn
from digitcnn import (
    DigitCNN,
    Standardization,
    accuracy_interval,
    batch_generator,
    download,
    find_digits,
    limit_threads,
    load_dataset,
    load_digit,
    load_mnist,
    load_picture,
    load_pictures,
    plot_calibration,
    plot_confusion,
    plot_doubts,
    plot_filters,
    plot_history,
    plot_predictions,
    plot_rejection,
    predict_file,
    read_idx,
    write_idx,
)

IMAGES = {
    "nothing": (None, TypeError, "found dtype object"),
    "text": ("seven.png", TypeError, r"found dtype <U9; of a picture file, give digitcnn.load_digit\(path\)"),
    "a path": (Path("seven.png"), TypeError, "or let digitcnn.Reader read it$"),
    "smaller images": (np.zeros((3, 8, 8), np.uint8), ValueError, r"image_shape=\(8, 8\), or resize them\)$"),
    "a number": (5, ValueError, r"found \[\]"),
    "a dictionary": ({}, TypeError, "found dtype object"),
    "a generator": ((i for i in range(3)), TypeError, "found dtype object"),
    "none at all": ([], ValueError, r"found \[0\]"),
    "an empty array": (np.zeros((0, 784), np.uint8), ValueError, "at least one image, found none"),
    "ragged": ([[0] * 784, [0] * 783], ValueError, "images of one size, found"),
    "one image": (np.zeros(784, np.uint8), ValueError, r"give it as X\[np.newaxis\]"),
    "too wide": (np.zeros((3, 785), np.uint8), ValueError, r"found \[3, 785\]"),
    "colour": (np.zeros((3, 28, 28, 3), np.uint8), ValueError, r"found \[3, 28, 28, 3\]"),
    "NaN": (np.full((3, 784), np.nan), ValueError, "NaN or infinity in image 0"),
    "infinity": (np.full((3, 28, 28), -np.inf), ValueError, "NaN or infinity in image 0"),
    "beyond float32": (np.full((3, 784), -1e300), ValueError, "numbers that float32 can hold, found -1e"),
    "raw pixels as floats": (np.full((3, 784), 254.0), ValueError, "look like raw pixels; give them as numpy.uint8"),
    "resized pixels": (np.linspace(0, 254.5, 2352).reshape(3, 784), ValueError, "look like raw pixels"),
    "pixels below 0": (np.full((3, 784), -1), ValueError, r"pixels in 0..255, found -1..-1"),
    "pixels above 255": (np.full((3, 784), 2**63, np.uint64), ValueError, "pixels in 0..255"),
    "truth values": (np.zeros((3, 784), bool), TypeError, "found dtype bool"),
    "complex": (np.zeros((3, 784), complex), TypeError, "found dtype complex128"),
    "dates": (np.zeros((3, 784), "M8[s]"), TypeError, "found dtype datetime64"),
    "records": (np.zeros(3, [("a", "i4")]), TypeError, "found dtype"),
    "masked": (
        np.ma.masked_equal(np.ones((3, 784), np.uint8), 1),
        TypeError,
        "found a masked array; give what its filled",
    ),
    "a list of masked ones": (
        [np.ma.masked_equal(np.ones(784), 1)],
        TypeError,
        "found a masked array; give what its fill",
    ),
    "sparse": (scipy.sparse.csr_matrix(np.ones((3, 784))), TypeError, r"found a sparse matrix; give its toarray\(\)"),
    "a frame of objects": (pd.DataFrame({"a": [None] * 3}), TypeError, "found dtype object"),
}
LABELS = {
    "nothing": (None, TypeError, "found dtype object"),
    "text": ("012", TypeError, "found dtype <U3"),
    "too few": ([1], ValueError, "one label for each of 130 images, found 1"),
    "ragged": ([[1], [1, 2]], ValueError, "labels as whole numbers 0..9, found"),
    "one-hot": (np.eye(10, dtype=int)[np.zeros(130, int)], ValueError, "give y.argmax"),
    "a column": (np.zeros((130, 1), int), ValueError, "give y.ravel"),
    "ten": (np.full(130, 10), ValueError, "found 10 at index 0"),
    "below 0": (np.full(130, -1), ValueError, "found -1 at index 0"),
    "between": (np.full(130, 0.5), ValueError, "found 0.5 at index 0"),
    "NaN": (np.full(130, np.nan), ValueError, "found nan at index 0"),
    "infinity": (np.full(130, np.inf), ValueError, "found inf at index 0"),
    "missing": (pd.Series([None] + [1] * 129, dtype="Int64"), ValueError, "found nan at index 0"),
    "huge": ([2**70] * 130, TypeError, "found dtype object"),
    "truth values": (np.zeros(130, bool), TypeError, "found dtype bool"),
    "complex": (np.zeros(130, complex), TypeError, "found dtype complex128"),
    "masked": (np.ma.masked_equal(np.zeros(130, int), 0), TypeError, "found a masked array"),
}


@pytest.fixture(scope="module")
def pair(few):
    """A model trained on raw pixels and one trained on floats; checks at the end that neither has changed."""
    with (
        DigitCNN(fc_3_output_units=8, random_seed=1) as raw,
        DigitCNN(fc_3_output_units=8, random_seed=1) as scaled,
    ):
        raw.train(few, steps=1, verbose=False)
        scaled.train((few[0] / 255 - 0.1, few[1]), steps=1, verbose=False)
        digests = raw.weights_sha256(), scaled.weights_sha256()
        yield raw, scaled
        assert (raw.weights_sha256(), scaled.weights_sha256()) == digests
        assert len(raw.history) == len(scaled.history) == 1 and raw.global_step == scaled.global_step == 1


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("which", [0, 1], ids=["for raw pixels", "for floats"])
def test_bad_images_raise(pair, few, which, kind):
    X, error, message = IMAGES[kind]
    model = pair[which]
    for call, name in (
        (lambda: model.predict(X), "X"),
        (lambda: model.predict(X, return_proba=True), "X"),
        (lambda: model.evaluate(X, few[1]), r"X, y\[0\], the images"),
        (lambda: model.train((X, few[1])), r"training_set\[0\], the images"),
        (lambda: model.train(few, (X, few[1])), r"validation_set\[0\], the images"),
        (lambda: model.train((X, few[1]), initialize=False), r"training_set\[0\], the images"),
    ):
        with pytest.raises(error, match=f"{name}: expected.*{message}"):
            call()
    with pytest.raises((TypeError, ValueError), match="X: expected"):
        Standardization.fit(X)


@pytest.mark.parametrize("kind", LABELS)
def test_bad_labels_raise(pair, few, kind):
    y, error, message = LABELS[kind]
    model = pair[0]
    for call, name in (
        (lambda: model.evaluate(few[0], y), r"X, y\[1\], the labels"),
        (lambda: model.train((few[0], y)), r"training_set\[1\], the labels"),
        (lambda: model.train(few, (few[0], y)), r"validation_set\[1\], the labels"),
    ):
        with pytest.raises(error, match=f"{name}: expected.*{message}"):
            call()


class Tensor:
    """Refuses to become an array, as PyTorch's tensors with a gradient do."""

    def __array__(self, *_, **__):
        raise RuntimeError("Use tensor.detach().numpy() instead.")


def test_tensor_that_refuses_conversion_raises(pair, few):
    with pytest.raises(TypeError, match=r"X: expected images of one size, found Tensor: Use tensor.detach\(\).numpy"):
        pair[0].predict(Tensor())
    with pytest.raises(TypeError, match=r"the labels: expected labels .* found Tensor: Use tensor.detach"):
        pair[0].evaluate(few[0], Tensor())


HINTED_LABELS = {
    "one-hot": lambda y: np.eye(10)[y],
    "a one-hot frame": lambda y: pd.DataFrame(np.eye(10)[y]),
    "one-hot lists": lambda y: np.eye(10)[y].tolist(),
    "a column": lambda y: y[:, None],
    "a frame of one column": lambda y: pd.DataFrame({"label": y}),
    "lists of one": lambda y: y[:, None].tolist(),
    "text": lambda y: y.astype(str),
    "a series of text": lambda y: pd.Series(y).astype(str),
    "a list of text": lambda y: y.astype(str).tolist(),
    "a series of strings": lambda y: pd.Series(y).astype("string"),
    "categories of text": lambda y: pd.Series(y).astype(str).astype("category"),
    "objects": lambda y: y.astype(object),
    "a series of objects": lambda y: pd.Series(y).astype(object),
}


@pytest.mark.parametrize("kind", HINTED_LABELS)
def test_hints_for_labels_can_be_followed(pair, few, kind):
    y = HINTED_LABELS[kind](few[1])
    with pytest.raises((TypeError, ValueError)) as raised:
        pair[0].evaluate(few[0], y)
    hint = str(raised.value).rpartition(" give ")[2]
    followed = eval(hint, {"numpy": np, "y": y})
    assert pair[0].evaluate(few[0], followed) == pair[0].evaluate(*few)


HINTED_IMAGES = {
    "objects": lambda X: X.astype(object),
    "a frame of objects": lambda X: pd.DataFrame(X).astype(object),
    "a frame of nullable integers": lambda X: pd.DataFrame(X).astype("Int64"),
    "text": lambda X: X.astype(str).tolist(),
}


@pytest.mark.parametrize("kind", HINTED_IMAGES)
def test_hints_for_images_can_be_followed(pair, few, kind):
    X = HINTED_IMAGES[kind](few[0][:9])
    with pytest.raises(TypeError, match=r"; give .*astype\('uint8'\)") as raised:
        pair[0].predict(X)
    followed = eval(str(raised.value).rpartition(" give ")[2], {"numpy": np, "X": X})
    assert (pair[0].predict(followed) == pair[0].predict(few[0][:9])).all()


def test_words_as_labels_hint_at_the_classifier(pair, few):
    with pytest.raises(TypeError, match=r"found dtype <U4; digitcnn.DigitClassifier takes labels that are text"):
        pair[0].evaluate(few[0], np.full(130, "nine"))


GOOD = {
    "784 wide": lambda X: X,
    "28x28": lambda X: X.reshape(-1, 28, 28),
    "28x28x1": lambda X: X.reshape(-1, 28, 28, 1),
    "lists": lambda X: X.tolist(),
    "a frame": pd.DataFrame,
    "whole numbers": lambda X: X.astype(np.int64),
    "Fortran's order": np.asfortranarray,
    "every other column of a wider one": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "backwards twice": lambda X: X[::-1][::-1],
    "big-endian": lambda X: X.astype(">u2"),
}


@pytest.mark.parametrize("kind", GOOD)
def test_image_types_and_layouts_give_equal_predictions(pair, few, kind):
    expected = pair[0].predict(few[0], return_proba=True)
    X = GOOD[kind](few[0])
    if isinstance(X, np.ndarray):
        X = X.view()
        X.setflags(write=False)
    np.testing.assert_array_equal(pair[0].predict(X, return_proba=True), expected)


PATHS = {
    "nothing": (None, TypeError, "expected a path, found None"),
    "a number": (5, TypeError, "expected a path, found 5"),
    "bytes": (b"x", TypeError, "expected a path, found b'x'"),
    "an empty one": ("", ValueError, "expected a path, found an empty one"),
}


@pytest.mark.parametrize("kind", PATHS)
def test_bad_paths_raise(pair, few, tmp_path, kind):
    path, error, message = PATHS[kind]
    model = pair[0]
    calls = {
        "path": [
            lambda: model.save(path=path),
            lambda: model.load(path=path),
            lambda: DigitCNN.restore(path),
            lambda: model.export_logs(path),
            lambda: model.export(path),
            lambda: read_idx(path),
            lambda: write_idx(path, few[0]),
            lambda: load_mnist(path),
            lambda: load_picture(path),
            lambda: load_pictures([path]),
        ],
        "name": [lambda: load_dataset(path)],
    }
    if path is not None:
        calls["data_dir"] = [lambda: load_dataset("bundled", path), lambda: download("mnist", path)]
        calls["logdir"] = [lambda: model.train(few, logdir=path)]
        calls["checkpoint_dir"] = [lambda: model.train(few, checkpoint_dir=path)]
    for name, of_that_name in calls.items():
        for call in of_that_name:
            with pytest.raises(error, match=f"^{name}: {message}"):
                call()
    assert list(tmp_path.iterdir()) == []


ARGUMENTS = {
    "predict, batch_size": (lambda m, few: m.predict(few[0], batch_size=0), ValueError, "batch_size: expected"),
    "predict, return_proba": (lambda m, few: m.predict(few[0], "yes"), TypeError, "return_proba: expected True or"),
    "predict, shifts": (
        lambda m, few: m.predict(few[0], shifts=28),
        ValueError,
        "shifts: expected a whole number in 0",
    ),
    "evaluate, shifts": (lambda m, few: m.evaluate(*few, shifts=1.5), TypeError, "shifts: expected a whole number"),
    "predict, verbose": (lambda m, few: m.predict(few[0], verbose="much"), ValueError, "verbose: expected"),
    "train, initialize": (lambda m, few: m.train(few, None, "no"), TypeError, "initialize: expected True or False"),
    "train, epochs": (lambda m, few: m.train(few, epochs=10**30), ValueError, "epochs: expected a whole number in 1.."),
    "train, steps": (lambda m, few: m.train(few, steps=2**31), ValueError, "steps: expected a whole number in 1.."),
    "train, no pair": (lambda m, few: m.train(few[0]), TypeError, "training_set: expected a pair"),
    "save, epoch": (lambda m, few: m.save(epoch=2**31), ValueError, "epoch: expected a whole number in 0.."),
    "import_checkpoint, path": (lambda m, few: DigitCNN.import_checkpoint(5), TypeError, "path: expected a path"),
    "import_checkpoint, setting": (
        lambda m, few: DigitCNN.import_checkpoint("m", magic=1),
        (TypeError, FileNotFoundError),
        "magic|expected a checkpoint of TensorFlow",
    ),
    "restore, epoch": (lambda m, few: DigitCNN.restore("m", "x"), TypeError, "epoch: expected a whole number"),
    "update_history, None": (lambda m, few: m.update_history(None), TypeError, "entry: expected Epoch, Loss, Accuracy"),
    "update_history, 4": (lambda m, few: m.update_history([1, 2, 3, 4]), TypeError, "entry: expected Epoch, Loss"),
    "update_history, names": (lambda m, few: m.update_history({"a": 1}), ValueError, "entry: expected Epoch, Loss"),
    "update_history, text": (lambda m, few: m.update_history("abc"), TypeError, "entry.Epoch: expected a number"),
    "history, list": (lambda m, few: setattr(m, "history", [1]), TypeError, "history: expected a DataFrame of Epoch"),
    "history, columns": (
        lambda m, few: setattr(m, "history", pd.DataFrame({"Epoch": [1]})),
        ValueError,
        "history: expected Epoch, Loss, Accuracy, found Epoch",
    ),
    "standardization, type": (
        lambda m, few: setattr(m, "standardization", (0, 255)),
        TypeError,
        "standardization: expected a Standardization or None",
    ),
    "standardization, size": (
        lambda m, few: setattr(m, "standardization", Standardization(np.zeros(9), 1)),
        ValueError,
        "standardization: expected 784 means, found 9",
    ),
    "DigitCNN, batchsize": (lambda m, few: DigitCNN(2**31), ValueError, "batchsize: expected a whole number in 1.."),
    "DigitCNN, width": (lambda m, few: DigitCNN(fc_3_output_units=10**6), ValueError, "fc_3_output_units: expected"),
    "DigitCNN, rate": (lambda m, few: DigitCNN(learning_rate=1e-320), ValueError, "learning_rate: .*float32 can hold"),
    "DigitCNN, large rate": (lambda m, few: DigitCNN(learning_rate=1e300), ValueError, "learning_rate: .*float32"),
    "DigitCNN, infinite": (lambda m, few: DigitCNN(learning_rate=float("inf")), ValueError, "learning_rate: expected"),
    "DigitCNN, seed": (lambda m, few: DigitCNN(random_seed=1.0), TypeError, "random_seed: expected a whole number"),
    "DigitCNN, smoothing": (lambda m, few: DigitCNN(label_smoothing=1), ValueError, "label_smoothing: expected"),
    "DigitCNN, rotation": (lambda m, few: DigitCNN(rotation=float("nan")), ValueError, "rotation: expected degrees"),
    "DigitCNN, scaling": (lambda m, few: DigitCNN(scaling=1), ValueError, "scaling: expected a fraction"),
    "DigitCNN, shift": (lambda m, few: DigitCNN(shift=15), ValueError, "shift: expected pixels in 0..14"),
    "DigitCNN, schedule": (lambda m, few: DigitCNN(schedule=[]), ValueError, "schedule: expected one of constant, one"),
    "DigitCNN, precision": (lambda m, few: DigitCNN(precision=None), ValueError, "precision: expected one of"),
    "DigitCNN, sizes": (
        lambda m, few: DigitCNN(architecture="softmax", fc_3_output_units=9),
        ValueError,
        "conv_1_output_channels, conv_2_output_channels, fc_3_output_units: expected their defaults",
    ),
    "export, format": (lambda m, few: m.export("x", "h5"), ValueError, "format: expected one of savedmodel, tflite"),
    "export, representative": (
        lambda m, few: m.export("x", "tflite-int8", representative=few[0][:, :9]),
        ValueError,
        r"representative: expected shape \[n, 784\]",
    ),
    "train, summaries": (
        lambda m, few: m.train(few, logdir="x", summaries=["colours"]),
        ValueError,
        "summaries: expected any of histograms, images, projector, trace, found 'colours'",
    ),
    "from_recipe": (lambda m, few: DigitCNN.from_recipe(["fast"]), ValueError, "recipe: expected one of tutorial"),
    "batch_generator, X": (lambda m, few: batch_generator(5), ValueError, "X: expected an array of samples, found"),
    "batch_generator, ragged": (lambda m, few: batch_generator([[1], [1, 2]]), ValueError, "X: expected an array"),
    "batch_generator, y": (lambda m, few: batch_generator(few[0], 5), ValueError, "y: expected one label for each"),
    "batch_generator, size": (
        lambda m, few: batch_generator(few[0], batch_size=2.5),
        TypeError,
        "batch_size: expected",
    ),
    "batch_generator, seed": (
        lambda m, few: batch_generator(few[0], random_seed=-1),
        ValueError,
        "random_seed: expect",
    ),
    "batch_generator, epoch": (lambda m, few: batch_generator(few[0], epoch=-1), ValueError, "epoch: expected"),
    "batch_generator, start": (lambda m, few: batch_generator(few[0], start=-1), ValueError, "start: expected"),
    "batch_generator, shuffle": (lambda m, few: batch_generator(few[0], shuffle="no"), TypeError, "shuffle: expected"),
    "Standardization, text": (
        lambda m, few: Standardization("x", 1),
        ValueError,
        "mean: expected a number for each pixel",
    ),
    "Standardization, few": (
        lambda m, few: Standardization(np.zeros((2, 9)), 1),
        ValueError,
        r"mean: .* found shape \[2, 9\]",
    ),
    "Standardization, NaN": (lambda m, few: Standardization(np.full(784, np.nan), 1), ValueError, "mean: .*found NaN"),
    "Standardization, std": (lambda m, few: Standardization(np.zeros(784), "1"), TypeError, "std: expected a positive"),
    "Standardization, 0": (lambda m, few: Standardization(np.zeros(784), 0), ValueError, "std: expected a positive"),
    "Standardization.fit, floats": (
        lambda m, few: Standardization.fit(few[0] / 255),
        ValueError,
        "X: expected raw pixels .* found dtype float64",
    ),
    "standardization, shape": (
        lambda m, few: m.standardization(few[0][:, :9]),
        ValueError,
        r"X: expected shape \[n, 784\], found \[130, 9\]",
    ),
    "write_idx, dtype": (lambda m, few: write_idx("x", [1, 2]), TypeError, "array: expected a dtype that IDX has"),
    "write_idx, ragged": (lambda m, few: write_idx("x", [[1], [1, 2]]), ValueError, "array: expected an array, found"),
    "write_idx, a folder": (lambda m, few: write_idx(".", few[0]), IsADirectoryError, "expected the name of a file"),
    "read_idx, a folder": (lambda m, few: read_idx("."), digitcnn.IDXError, "expected an IDX file, found a folder"),
    "load_mnist, type": (
        lambda m, few: load_mnist(".", "test"),
        ValueError,
        "dataset_type: expected 'train' or",
    ),
    "load_dataset, name": (lambda m, few: load_dataset("nist"), ValueError, "data set: expected bundled, mnist"),
    "download, name": (lambda m, few: download(5), ValueError, "data set: expected one that is downloaded"),
    "split": (lambda m, few: load_dataset().split(1.5), TypeError, "n_validation: expected a whole number"),
    "load_pictures, one": (
        lambda m, few: load_pictures("x.png"),
        TypeError,
        "paths: expected several paths",
    ),
    "load_digit": (lambda m, few: load_digit(None), TypeError, "picture: expected an array of pixels"),
    "find_digits": (lambda m, few: find_digits(few[0][:9], turn=45), ValueError, "turn: expected 0, 90, 180 or 270"),
    "pretrained": (
        lambda m, few: DigitCNN.pretrained(architecture="cnn"),
        ValueError,
        "architecture: expected 'tapered', which the weights determine",
    ),
    "plot_confusion": (lambda m, few: plot_confusion([1, 2], [1]), ValueError, "predictions: expected"),
    "plot_doubts": (
        lambda m, few: plot_doubts(few[0], few[1], few[1], [1]),
        ValueError,
        "doubt: expected one for each",
    ),
    "plot_rejection": (lambda m, few: plot_rejection([1], [1], ["x"]), TypeError, "doubt: expected numbers"),
    "plot_calibration": (lambda m, few: plot_calibration([3], 4), ValueError, "probabilities: expected shape"),
    "plot_filters": (lambda m, few: plot_filters("x"), TypeError, "filters: expected numbers"),
    "plot_history": (lambda m, few: plot_history([1, 2]), TypeError, "history: expected a DataFrame"),
    "plot_predictions": (
        lambda m, few: plot_predictions(few[0], few[1], few[1][:9]),
        ValueError,
        "predictions: expected a label for each of 130 images, found",
    ),
    "accuracy_interval": (lambda m, few: accuracy_interval(4, 3), ValueError, "n_correct: expected a whole number"),
    "predict_file": (lambda m, few: predict_file(m, "none.npy", "out.npy"), OSError, "none.npy: expected"),
    "limit_threads": (lambda m, few: limit_threads(0), ValueError, "n_threads: expected a whole number"),
    "limit_threads, type": (lambda m, few: limit_threads(1.5), TypeError, "n_threads: expected a whole number"),
    "limit_threads, late": (lambda m, few: limit_threads(97), RuntimeError, "n_threads: expected a process in which"),
    "accuracy_interval, n": (lambda m, few: accuracy_interval(0, 0), ValueError, "n: expected a whole number"),
    "accuracy_interval, share": (lambda m, few: accuracy_interval(1, 3, 2), ValueError, "confidence: expected"),
}


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_bad_arguments_raise(pair, few, tmp_path, kind):
    call, error, message = ARGUMENTS[kind]
    with pytest.raises(error, match=message):
        call(pair[0], few)
    assert list(Path(tmp_path).iterdir()) == []


def test_every_public_function_is_called_here():
    """This file calls every public function and method that takes arguments."""
    source = Path(__file__).read_text()
    for name in digitcnn.__all__:
        thing = getattr(digitcnn, name)
        if inspect.isfunction(thing):
            assert f"{name}(" in source, name
    for name, method in inspect.getmembers(DigitCNN, inspect.isroutine):
        if name.startswith("_") or name.endswith("_layer"):  # layers have their own tests in test_layers.py
            continue
        takes_arguments = len(inspect.signature(method).parameters) > 0
        if takes_arguments and name not in ("close", "summary", "build", "weights_sha256"):
            assert f".{name}(" in source, name
