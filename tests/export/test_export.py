"""Exports, run on real digits by their runtimes and compared with the exported model."""

import gc
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from benchmarks.runtimes import NEEDED, RUNTIMES
from conftest import ROOT

from digitcnn import ARCHITECTURES, DigitCNN, UntrainedModelError
from digitcnn.cli.main import main
from digitcnn.export.formats import FORMATS

v1 = tf.compat.v1
FLOATS = [name for name in FORMATS if name != "tflite-int8"]


def export_or_skip(model, path, format, **arguments):
    skip_without(format)
    return model.export(path, format, **arguments)


def skip_without(format):
    extra = format.partition("-")[0]
    for module in NEEDED[format]:
        pytest.importorskip(module, reason=f"{module} is not installed (pip install 'digitcnn[{extra}]')")


@pytest.fixture(scope="module")
def model(digits):
    """A function that returns a model of an architecture or class, trained for some steps."""
    made = {}

    def make(architecture="cnn", kind=DigitCNN):
        if (architecture, kind) not in made:
            settings = {"batchsize": 100 if architecture == "cnn" else 20, "learning_rate": 1e-3, "random_seed": 1}
            one = kind(architecture=architecture, precision="float32", **settings)
            steps = 30 if architecture == "cnn" else 8  # enough to distinguish digits
            one.train((digits.train_images, digits.train_labels), steps=steps, verbose=False)
            made[architecture, kind] = one
        return made[architecture, kind]

    yield make
    for one in made.values():
        one.close()


@pytest.fixture(scope="module")
def pictures(digits):
    """60 test digits as uint8 [n, 28, 28]."""
    return digits.test_images[:60].reshape(-1, 28, 28)


def check(one, path, format, images, scaled=None):
    """Assert probabilities within 1e-5 and equal labels, in batches of several sizes."""
    run = RUNTIMES[format](path)
    X = images if scaled is None else scaled
    expected, expected_labels = one.predict(X, return_proba=True), one.predict(X)
    for n in (len(images), 1, 7):
        probabilities, labels = run(images[:n])
        assert probabilities.dtype == np.float32 and probabilities.shape == (n, 10)
        np.testing.assert_allclose(probabilities, expected[:n], rtol=0, atol=1e-5)
        assert labels.dtype == np.int32 and np.array_equal(labels, expected_labels[:n])


# `compact` is `slim` with more channels; what `same` has besides T1's layers is in `batchnorm`.
DIFFERENT = [name for name in ARCHITECTURES if name not in ("compact", "same")]


@pytest.mark.parametrize("format", FLOATS)
@pytest.mark.parametrize("architecture", DIFFERENT)
def test_every_architecture_in_every_runtime(architecture, format, model, pictures):
    one = model(architecture)
    path = export_or_skip(one, "a model", format)
    assert path == "a model" and [file.name for file in Path().iterdir()] == ["a model"]
    check(one, path, format, pictures)


def test_exported_graph_has_only_inference(model):
    """It has only the operations from pixels to outputs, under the tutorial's names."""
    one = model("batchnorm")
    path = one.export("exported")
    with v1.Session(graph=tf.Graph()) as session, logging_off():
        v1.saved_model.load(session, ["serve"], path)
        operations = session.graph.get_operations()
        weights = session.run("conv_1/_weights:0")
    np.testing.assert_array_equal(weights, one.sess.run("conv_1/_weights:0"))
    allowed = "Placeholder Const Cast Reshape Sub RealDiv Identity Conv2D BiasAdd Relu FusedBatchNormV3 MaxPool MatMul"
    allowed += " Softmax ArgMax StridedSlice"
    assert {operation.type for operation in operations} <= set(allowed.split())
    assert not any(operation.device for operation in operations)
    assert [operation.name for operation in operations if operation.type == "Placeholder"] == ["pixels"]
    names = {operation.name for operation in operations}
    assert {"tf_x", "input_x_2dimages", "bn_6/normalized", "dropout_layer", "probabilities", "labels"} <= names


class logging_off:
    """Without TensorFlow's advice to replace its loaders of TensorFlow 1."""

    def __enter__(self):
        logging.disable(logging.CRITICAL)

    def __exit__(self, *_):
        logging.disable(logging.NOTSET)


def test_t2_export_loads_by_tutorial_names(model, digits):
    """Load it by the tag and names of its tutorial, on pixels in 0..1; and by signature."""
    one = model("softmax")
    expected = one.predict(digits.test_images, return_proba=True)
    scaled = (digits.test_images / 255).astype(np.float32)
    path = one.export("served")
    with v1.Session(graph=tf.Graph()) as session, logging_off():
        v1.saved_model.load(session, ["serve"], path)
        found = session.run("myOutput:0", {"myInput:0": scaled})
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    signature = tf.saved_model.load(path).signatures["scaled"]
    found = signature(myInput=tf.constant(scaled))
    assert set(found) == {"myOutput", "labels"}
    np.testing.assert_allclose(found["myOutput"], expected, rtol=0, atol=1e-6)


def test_scaled_signature_takes_floats(model, digits):
    one = model("strided")  # whose probabilities have a scope
    signature = tf.saved_model.load(one.export("exported")).signatures["scaled"]
    found = signature(tf_x=tf.constant(one.standardization(digits.test_images)))
    expected = one.predict(digits.test_images, return_proba=True)
    np.testing.assert_allclose(found["probabilities"], expected, rtol=0, atol=1e-5)


TOOL = """
import sys
from tensorflow.python.tools import saved_model_cli

words = sys.argv[1:]
cut = words.index("--")
for command in (["show", *words[:cut]], ["run", *words[cut + 1 :]]):
    sys.argv = ["saved_model_cli", *command]
    try:
        saved_model_cli.main()
    except SystemExit as ended:
        assert not ended.code, command
"""


def test_saved_model_cli_shows_and_runs_export(model, pictures):
    one = model()
    path = one.export("exported")
    np.save("pixels.npy", pictures[:3])
    signature = ["--dir", path, "--tag_set", "serve", "--signature_def", "serving_default"]
    shown = subprocess.run(
        [sys.executable, "-c", TOOL, *signature, "--", *signature, "--inputs", "pixels=pixels.npy", "--outdir", "out"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    shown = re.sub(r"\s+", " ", shown)
    for line in (
        "inputs['pixels'] tensor_info: dtype: DT_UINT8 shape: (-1, 28, 28)",
        "outputs['labels'] tensor_info: dtype: DT_INT32 shape: (-1)",
        "outputs['probabilities'] tensor_info: dtype: DT_FLOAT shape: (-1, 10)",
    ):
        assert line in shown
    np.testing.assert_array_equal(np.load("out/labels.npy"), one.predict(pictures[:3]))
    np.testing.assert_allclose(np.load("out/probabilities.npy"), one.predict(pictures[:3], True), rtol=0, atol=1e-5)


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_export_runs_without_tensorflow(format, model, pictures):
    one = model()
    path = export_or_skip(one, "exported", format)
    np.save("pixels.npy", pictures)
    code = (
        "import sys; sys.modules['tensorflow'] = None; import numpy as np; from benchmarks.runtimes import RUNTIMES;"
        f"np.save('labels.npy', RUNTIMES['{format}']('{path}')(np.load('pixels.npy'))[1])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)
    np.testing.assert_array_equal(np.load("labels.npy"), one.predict(pictures))


def test_int8_export_is_small_and_close(model, digits):
    one, pictures = model(), digits.test_images.reshape(-1, 28, 28)
    path = export_or_skip(one, "digits.tflite", "tflite-int8", representative=digits.train_images[:300])
    assert Path(path).stat().st_size < 0.3 * Path(one.export("float.tflite", "tflite")).stat().st_size
    run = RUNTIMES["tflite-int8"](path)
    for n in (360, 1):
        probabilities, labels = run(pictures[:n])
        # After so short a training; test_mnist.py has the agreement on MNIST.
        assert np.mean(labels == one.predict(pictures[:n])) >= 0.98
        np.testing.assert_allclose(probabilities, one.predict(pictures[:n], return_proba=True), rtol=0, atol=0.2)
        assert np.all(probabilities * 256 % 1 == 0), "8 bits of probability"


class OwnLayers(DigitCNN):
    """A custom graph with its own switch and two of TensorFlow's dropouts."""

    def build(self):
        tf_x = v1.placeholder(tf.float32, [None, 784], name="tf_x")
        tf_y = v1.placeholder(tf.int32, [None], name="tf_y")
        keep_prob = v1.placeholder(tf.float32, [], name="fc_keep_prob")
        is_training = v1.placeholder(tf.bool, [], name="is_training")
        with tf.device("/CPU:0"):
            net = self.fc_layer(tf_x, "fc_1", 24, tf.nn.relu)
        net = tf.nn.dropout(net, rate=1 - keep_prob)
        net = tf.cond(is_training, lambda: tf.nn.dropout(net, rate=0.3), lambda: net)
        logits = self.fc_layer(self.hidden(net), "fc_2", 10)
        tf.nn.softmax(logits, name="probabilities")
        labels = tf.argmax(logits, axis=1, output_type=tf.int32, name="labels")
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf_y, logits=logits)
        loss = tf.reduce_mean(losses, name="cross_entropy_loss")
        v1.train.AdamOptimizer(self.learning_rate).minimize(loss, name="train_op")
        tf.equal(labels, tf_y, name="correct_preds")

    def hidden(self, net):
        return net


class Extended(DigitCNN):
    """The package's graph, with dropout and batch normalization, and one more operation."""

    def build(self):
        super().build()
        tf.add_n([tf.nn.l2_loss(variable) for variable in v1.trainable_variables()], name="weight_norm")


@pytest.mark.parametrize("format", FLOATS)
@pytest.mark.parametrize(
    ("kind", "architecture"), [(OwnLayers, "cnn"), (Extended, "cnn"), (Extended, "slim"), (Extended, "softmax")]
)
def test_custom_graph_in_every_runtime(kind, architecture, format, model, pictures):
    one = model(architecture, kind)
    check(one, export_or_skip(one, "exported", format), format, pictures)


def test_exported_custom_graph_has_only_inference(model):
    with v1.Session(graph=tf.Graph()) as session, logging_off():
        v1.saved_model.load(session, ["serve"], model(kind=OwnLayers).export("exported"))
        operations = session.graph.get_operations()
    assert not any(operation.device for operation in operations)
    assert [operation.name for operation in operations if operation.type == "Placeholder"] == ["pixels"]
    assert not any("train_op" in operation.name or "loss" in operation.name for operation in operations)


class NeedsMore(OwnLayers):
    def hidden(self, net):
        return net * v1.placeholder_with_default(1.0, [], name="loudness")


class Strange(OwnLayers):
    def hidden(self, net):
        ones = tf.ones_like(net)
        return net + tf.stop_gradient(tf.math.betainc(ones, ones, tf.sigmoid(net)))


@pytest.mark.parametrize(
    ("kind", "format", "message"),
    [
        (NeedsMore, "savedmodel", "depend on tf_x alone, found that they depend on loudness too"),
        (Strange, "tflite", "format 'tflite': expected operations that it supports, found: "),
        (Strange, "onnx", "format 'onnx': expected operations that it supports, found: "),
    ],
)
def test_unsupported_graph_raises(kind, format, message, model):
    with pytest.raises(ValueError, match=message) as raised:
        export_or_skip(model(kind=kind), "exported", format)
    assert kind is not Strange or "betainc" in str(raised.value).lower()
    assert not list(Path().iterdir())


def test_outputs_independent_of_images_raise(few):
    class Same(OwnLayers):
        def hidden(self, net):
            return tf.ones([100, 24])

    with Same(random_seed=1) as one:
        one.train((few[0][:100], few[1][:100]), epochs=1, verbose=False)
        with pytest.raises(ValueError, match="depend on tf_x alone, found that they do not depend on it"):
            one.export("exported")


@pytest.mark.parametrize("format", FORMATS)
def test_export_of_model_trained_on_floats_takes_floats(format, digits):
    X = (digits.train_images / 255).astype(np.float64)
    with DigitCNN(architecture="softmax", precision="float32", random_seed=1, learning_rate=0.01) as one:
        one.train((X, digits.train_labels), epochs=3, verbose=False)
        some = {"representative": X[:200]} if format == "tflite-int8" else {}
        path = export_or_skip(one, "exported", format, **some)
        scaled = (digits.test_images / 255).astype(np.float32)
        if not some:
            check(one, path, format, scaled)
        assert np.mean(RUNTIMES[format](path)(scaled)[1] == one.predict(scaled)) >= 0.98


def test_export_leaves_model_and_process_unchanged(few, capfd, monkeypatch):
    """The model predicts and trains; no graph, session, file, setting or output is left."""
    monkeypatch.setenv("TMPDIR", str(Path("tmp").absolute()))
    monkeypatch.setattr(tempfile, "tempdir", None)
    Path("tmp").mkdir()
    with DigitCNN(conv_1_output_channels=4, conv_2_output_channels=8, fc_3_output_units=16, random_seed=3) as one:
        one.train(few, epochs=1, verbose=False)
        before, names = one.weights_sha256(), len(one.g.get_operations())
        environment, filters, level = dict(os.environ), list(warnings.filters), logging.root.manager.disable
        graphs = []
        for turn in ("1", "2"):
            for format in FORMATS:
                some = {"representative": few[0]} if format == "tflite-int8" else {}
                export_or_skip(one, Path(turn) / format, format, **some)
            gc.collect()
            graphs.append(sum(isinstance(thing, tf.Graph) for thing in gc.get_objects()))
        assert graphs[0] == graphs[1]
        assert capfd.readouterr() == ("", "")
        assert (dict(os.environ), list(warnings.filters), logging.root.manager.disable) == (environment, filters, level)
        assert not v1.get_default_graph().get_operations() and tf.executing_eagerly()
        assert one.weights_sha256() == before and len(one.g.get_operations()) == names
        one.predict(few[0])
        one.train(few, epochs=1, initialize=False, verbose=False)
        assert one.weights_sha256() != before
        graph = weakref.ref(one.g)
    assert not list(Path("tmp").iterdir())
    del one
    gc.collect()
    assert graph() is None


@pytest.mark.parametrize(
    ("error", "message", "path", "arguments"),
    [
        (
            ValueError,
            "format: expected one of savedmodel, tflite, tflite-int8, onnx, found 'h5'",
            "x",
            {"format": "h5"},
        ),
        (ValueError, "format: expected 'onnx' for x.onnx, found 'savedmodel'", "x.onnx", {}),
        (ValueError, "representative: expected a few hundred training images", "x", {"format": "tflite-int8"}),
        (ValueError, "representative: expected images for 'tflite-int8' only", "x", {"representative": [[0] * 784]}),
        (
            ValueError,
            "representative: expected raw pixels",
            "x",
            {"format": "tflite-int8", "representative": np.zeros([1, 784])},
        ),
        (TypeError, "path: expected a path", 3, {}),
        (FileExistsError, "taken: expected nothing there", "taken", {}),
        (FileExistsError, "folder: expected nothing there", "folder", {"format": "tflite"}),
        (NotADirectoryError, "taken/x: expected a folder to write into, found a file", "taken/x", {}),
    ],
)
def test_bad_arguments_raise_and_write_nothing(error, message, path, arguments, model):
    Path("taken").write_text("mine")
    Path("folder").mkdir()
    with pytest.raises(error, match=re.escape(message)):
        model("softmax").export(path, **arguments)
    assert Path("taken").read_text() == "mine" and len(list(Path().rglob("*"))) == 2


def test_export_of_untrained_or_closed_model_raises():
    with DigitCNN(architecture="softmax") as one, pytest.raises(UntrainedModelError, match="no weights yet"):
        one.export("exported")
    with pytest.raises(UntrainedModelError, match="closed"):
        one.export("exported")
    assert not list(Path().iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limits on the size of files")
@pytest.mark.parametrize("format", FORMATS)
def test_export_to_full_disk_raises(format, model, few):
    import resource

    one, limits = model("softmax"), resource.getrlimit(resource.RLIMIT_FSIZE)
    some = {"representative": few[0]} if format == "tflite-int8" else {}
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
        with pytest.raises(OSError, match="could not export to exported: "):
            export_or_skip(one, "exported", format, **some)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert not list(Path().iterdir())
    export_or_skip(one, "exported", format, **some)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody may write into: Linux's /proc")
def test_export_to_unwritable_folder_raises(model):
    with pytest.raises(OSError, match="could not export to /proc/exported: "):
        model("softmax").export("/proc/exported")


@pytest.mark.parametrize("found", ["missing", "broken"])
def test_export_without_tf2onnx_raises(found, model, monkeypatch, capsys):
    if found == "missing":
        monkeypatch.setitem(sys.modules, "tf2onnx", None)
    else:  # as onnx 1.19 with the ml_dtypes of TensorFlow 2.16
        Path("tf2onnx.py").write_text("import sys; sys.nothing")
        monkeypatch.delitem(sys.modules, "tf2onnx", raising=False)
        monkeypatch.syspath_prepend(".")
    one = model("softmax")
    with pytest.raises(ImportError, match=r"pip install 'digitcnn\[onnx\]'"):
        one.export("x.onnx", "onnx")
    one.save(path="saved")
    assert main(["export", "--run", "saved", "--format", "onnx", "x.onnx"]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and "digitcnn[onnx]" in printed.err
    assert not Path("x.onnx").exists()


def test_export_command(finished_run, digits, capsys):
    run, pictures = Path("logs", "a run"), digits.test_images.reshape(-1, 28, 28)
    shutil.copytree(finished_run[0], run)
    with DigitCNN.restore(run) as one:
        expected = one.predict(pictures)
    for format in FORMATS:
        skip_without(format)
        assert main(["export", "--format", format, f"out/{format}"]) == 0
        printed = capsys.readouterr()
        assert re.fullmatch(rf"out/{format}: {run} as {format}, [\d,]+ bytes\n", printed.out) and printed.err == ""
        labels = RUNTIMES[format](f"out/{format}")(pictures)[1]
        assert np.mean(labels == expected) >= (0.97 if format == "tflite-int8" else 1)
    assert main(["export", "--run", str(run), "--format", "savedmodel", "out/savedmodel"]) == 1
    assert "expected nothing there" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without asking it")
def test_terminated_export_leaves_nothing(model):
    skip_without("onnx")
    model().save(path="run")
    command = [sys.executable, "-m", "digitcnn", "export", "--run", "run", "--format", "onnx", "x.onnx"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        while not list(Path().glob(".export-*")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        process.terminate()
        assert process.wait(60) == 143
    assert [file.name for file in Path().iterdir()] == ["run"]


def test_export_predicts_ten_thousand_images_at_once(model, digits):
    one = model("softmax")
    path = one.export("exported")
    X = np.resize(digits.test_images, (10_000, 28, 28))
    assert np.array_equal(RUNTIMES["savedmodel"](path)(X)[1], one.predict(X))


def test_export_in_two_threads(model):
    """Each writes its file, and the process's standard error and logging are as before."""
    one, before = model("softmax"), (os.fstat(2), logging.root.manager.disable)
    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(one.export, f"{turn}.tflite", "tflite") for turn in range(4)]
    assert [Path(future.result()).stat().st_size > 30_000 for future in made] == [True] * 4
    assert (os.fstat(2), logging.root.manager.disable) == before
