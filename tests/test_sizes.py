"""Image sizes and numbers of classes other than MNIST's, from IDX files to predictions."""

import dataclasses
import json
import math

import numpy as np
import pytest

from digitcnn import (
    ARCHITECTURES,
    CheckpointError,
    DigitCNN,
    IDXError,
    load_dataset,
    load_picture,
    plot_predictions,
    write_idx,
)
from digitcnn.cli.main import main
from digitcnn.data.arrays import infer_image_shape


def bars(n, height, width, n_classes, seed=3):
    """Return images of one bright row or column each, and its number as the label; rows count first."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    X = rng.integers(0, 60, (n, height, width)).astype(np.uint8)
    for image, label in zip(X, y, strict=True):
        if label < height:
            image[label] = 255
        else:
            image[:, label - height] = 255
    return X, y.astype(np.uint8)


@pytest.mark.parametrize(
    ("architecture", "image_shape"),
    [("same", (9, 13)), ("strided", (12, 17)), ("tapered", (10, 13))],  # the others are trained, not saved, below
)
def test_train_save_and_predict_other_sizes(architecture, image_shape):
    """Sides are odd and different, so that swapping height and width fails."""
    n_classes = sum(image_shape) - 5
    X, y = bars(6 * n_classes, *image_shape, n_classes)
    settings = {"rotation": 3.0, "shift": 1.0} if architecture == "tapered" else {"conv_2_output_channels": 8}
    with DigitCNN(
        architecture=architecture,
        image_shape=image_shape,
        n_classes=n_classes,
        batchsize=n_classes,
        learning_rate=1e-2,
        dropout=0.0,
        random_seed=3,
        **settings,
    ) as model:
        model.train((X, y), (X, y), epochs=2, verbose=False)
        probabilities = model.predict(X.reshape(len(X), -1), return_proba=True)
        assert probabilities.shape == (len(X), n_classes)
        assert model.standardization.mean.shape == (math.prod(image_shape),)
        prefix = model.save()
    with DigitCNN.restore(prefix) as again:
        assert again.image_shape == image_shape and again.n_classes == n_classes
        np.testing.assert_array_equal(again.predict(X[..., None], return_proba=True), probabilities)


def test_load_model_of_another_size_raises():
    X, y = bars(30, 5, 7, 6)
    with DigitCNN(architecture="softmax", image_shape=(5, 7), n_classes=6) as model:
        model.train((X, y), steps=1, verbose=False)
        model.save()
    with (
        DigitCNN(architecture="softmax", n_classes=6) as other,
        pytest.raises(CheckpointError, match=r"expected image_shape=\(28, 28\) as in this model, found \(5, 7\)"),
    ):
        other.load(path="digitCNN-model")


def test_other_sizes_are_learned():
    X, y = bars(1_200, 9, 13, 22)
    with DigitCNN(architecture="same", image_shape=(9, 13), n_classes=22, learning_rate=1e-3, random_seed=1) as model:
        model.train((X[:1_100], y[:1_100]), epochs=6, verbose=False)
        assert model.evaluate(X[1_100:], y[1_100:])["accuracy"] > 0.95


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_min_side_is_accepted_and_smaller_raises(name):
    """Images of min_side train and predict; one pixel less raises an error."""
    side = ARCHITECTURES[name].min_side
    with DigitCNN(architecture=name, image_shape=(side, side + 1), n_classes=3) as model:
        model.train((np.eye(side, side + 1, dtype=np.uint8)[None].repeat(3, axis=0), [0, 1, 2]), steps=1, verbose=False)
        assert model.predict(np.zeros((1, side, side + 1), np.uint8)).shape == (1,)
        shapes = [tensor.shape for op in model.g.get_operations() for tensor in op.outputs if op.type == "MaxPool"]
        assert all(0 not in shape.as_list() for shape in shapes)
    if side > 1:
        with pytest.raises(ValueError, match=f"image_shape: expected .* at least {side} .*{name}.*softmax"):
            DigitCNN(architecture=name, image_shape=(side, side - 1))


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if ARCHITECTURES[name].min_side > 1])
def test_below_min_side_layers_are_empty(name, monkeypatch):
    """Without the check of min_side, TensorFlow raises an error or builds layers without pixels."""
    side = ARCHITECTURES[name].min_side - 1
    monkeypatch.setitem(ARCHITECTURES, name, dataclasses.replace(ARCHITECTURES[name], min_side=1))
    try:
        model = DigitCNN(architecture=name, image_shape=(side, side))
    except ValueError:
        return
    with model:
        shapes = [op.outputs[0].shape for op in model.g.get_operations() if op.type in ("Conv2D", "MaxPool")]
        assert any(0 in shape.as_list() for shape in shapes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_shape": 28}, r"image_shape: expected \(height, width\) in pixels, found 28"),
        ({"image_shape": (28, 28, 1)}, "image_shape: expected"),
        ({"image_shape": (28, 28.0)}, "image_shape: expected a whole number in 1..65536, found 28.0"),
        ({"image_shape": (300, 300)}, "image_shape: expected at most 65536 pixels in all, found 300 x 300"),
        (
            {"image_shape": (256, 256), "fc_3_output_units": 4096},
            "conv_2_output_channels, fc_3_output_units: expected fewer, for images of .* found 64 and 4096",
        ),
        ({"n_classes": 1}, "n_classes: expected a whole number in 2.."),
        ({"n_classes": "10"}, "n_classes: expected a whole number"),
        ({"image_shape": (16, 40), "shift": 9.0}, "shift: expected pixels in 0..8, found 9.0"),
    ],
)
def test_bad_sizes_raise(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        DigitCNN(**settings)


def test_data_of_another_size_raise(few):
    X, y = few
    with DigitCNN(architecture="same", image_shape=(8, 8), n_classes=4) as model:
        with pytest.raises(
            ValueError, match=r"expected shape \[n, 64\], \[n, 8, 8\] or \[n, 8, 8, 1\], found \[130, 784"
        ):
            model.train((X, y), verbose=False)
        with pytest.raises(ValueError, match=r"make the model for them: image_shape=\(7, 9\)"):
            model.predict(np.zeros((2, 7, 9), np.uint8))
        with pytest.raises(ValueError, match="expected labels 0..3, found"):
            model.train((np.zeros((130, 64), np.uint8), y), verbose=False)


def test_custom_graph_of_another_size_raises():
    class Own(DigitCNN):
        pass

    with Own(architecture="softmax", image_shape=(5, 7), n_classes=3) as model:
        assert model.g.get_tensor_by_name("myInput:0").shape == (None, 35)

    import tensorflow as tf

    v1 = tf.compat.v1

    class Fixed(DigitCNN):
        def build(self):
            x = v1.placeholder(tf.float32, [None, 784], name="tf_x")
            y = v1.placeholder(tf.int32, [None], name="tf_y")
            logits = self.fc_layer(x, "fc_1", 10)
            tf.nn.softmax(logits, name="probabilities")
            labels = tf.argmax(logits, axis=1, output_type=tf.int32, name="labels")
            loss = tf.reduce_mean(logits, name="cross_entropy_loss")
            v1.train.AdamOptimizer().minimize(loss, name="train_op")
            tf.equal(labels, y, name="correct_preds")

    Fixed().close()
    with pytest.raises(
        ValueError, match=r"build\(\): expected tf_x of shape \[None, 1024\], since image_shape=\(32, 32\)"
    ):
        Fixed(image_shape=(32, 32))
    with pytest.raises(ValueError, match=r"expected probabilities of shape \[None, 11\], since n_classes=11"):
        Fixed(n_classes=11)


@pytest.mark.parametrize(("shape", "found"), [((3, 5, 7), (5, 7)), ((3, 5, 7, 1), (5, 7)), ((3, 49), (7, 7))])
def test_infer_image_shape(shape, found):
    assert infer_image_shape(np.zeros(shape)) == found
    for wrong in ((3, 50), (3,), (3, 5, 7, 3), (3, 0)):
        with pytest.raises(ValueError, match="found shape"):
            infer_image_shape(np.zeros(wrong))


def write_set(folder, height, width, n_classes, test_height=None):
    folder.mkdir()
    for part, n, rows in (("train", 300, height), ("t10k", 40, test_height or height)):
        X, y = bars(n, rows, width, n_classes)
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", X)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", y)


def test_command_line_on_images_of_another_size(tmp_path, capsys):
    """Train, evaluate and predict a picture on the command line, from IDX files."""
    write_set(tmp_path / "bars", 12, 20, 14)
    dataset = load_dataset(tmp_path / "bars")
    assert dataset.image_shape == (12, 20) and dataset.n_classes == 14 and dataset.train_images.shape == (300, 240)
    assert main(["train", "--data", str(tmp_path / "bars"), "--run", "run", "--quiet"]) == 1
    assert "image_shape: expected a height and width of at least 16" in capsys.readouterr().err
    options = ["--architecture", "same", "--epochs", "1", "--run", "run", "--quiet"]
    assert main(["train", "--data", str(tmp_path / "bars"), *options]) == 0
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())["settings"]
    assert settings["image_shape"] == [12, 20] and settings["n_classes"] == 14
    assert main(["evaluate", "--run", "run"]) == 0

    from PIL import Image

    Image.fromarray(dataset.test_images[0].reshape(12, 20)).save("bar.png")
    np.testing.assert_array_equal(load_picture("bar.png", (12, 20)), dataset.test_images[0])
    assert main(["predict", "bar.png", "--run", "run"]) == 0
    assert main(["evaluate", "--run", "run", "--data", "bundled"]) == 1
    assert "expected shape [n, 240]" in capsys.readouterr().err


def test_load_dataset_of_two_sizes_raises(tmp_path):
    write_set(tmp_path / "two", 12, 20, 14, test_height=15)
    with pytest.raises(IDXError, match="t10k-images.*expected 40 x 12 x 20 elements, found 40 x 15 x 20"):
        load_dataset(tmp_path / "two")
    write_set(tmp_path / "mnist", 12, 20, 5)
    with pytest.raises(IDXError, match="expected 300 x 28 x 28 elements"):
        load_dataset("mnist", tmp_path)


def test_load_dataset_has_at_least_ten_classes(tmp_path):
    write_set(tmp_path / "few", 28, 28, 3)
    assert load_dataset(tmp_path / "few").n_classes == 10


def test_save_and_restore_largest_images():
    """The largest model that can be built can be saved and restored."""
    X, y = bars(4, 256, 256, 4)
    settings = {"architecture": "strided", "image_shape": (256, 256), "fc_3_output_units": 8, "n_classes": 4}
    with DigitCNN(**settings) as model:
        model.train((X, y), steps=1, verbose=False)
        with DigitCNN.restore(model.save()) as again:
            np.testing.assert_array_equal(again.standardization.mean, model.standardization.mean)


def test_export_other_sizes():
    import tensorflow as tf

    X, y = bars(60, 9, 13, 12)
    with DigitCNN(architecture="same", image_shape=(9, 13), n_classes=12, precision="float32", random_seed=1) as model:
        model.train((X, y), epochs=1, verbose=False)
        path = model.export("bars")
        answers = tf.saved_model.load(path).signatures["serving_default"](pixels=tf.constant(X))
        np.testing.assert_allclose(answers["probabilities"], model.predict(X, return_proba=True), atol=1e-5)


def test_plot_predictions_of_other_sizes():
    from matplotlib.figure import Figure

    X, y = bars(6, 5, 7, 3)
    axes = plot_predictions(X, y, y, Figure(), n_rows=1, n_columns=2)
    assert axes[0, 0].images[0].get_array().shape == (5, 7)
