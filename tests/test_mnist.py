"""Published results on the real MNIST; skipped unless DIGITCNN_DATA names a folder that has it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from digitcnn import DigitCNN, Standardization


@pytest.fixture(scope="module")
def published(mnist):
    """T1 after two epochs, with the defaults on 50,000 images."""
    with DigitCNN(epochs=2, random_seed=27) as cnn:
        cnn.train(*mnist.split(10_000), verbose=False)
        yield cnn


def test_t1_reaches_the_published_accuracy_in_two_epochs(mnist, published):
    """The tutorial reports 0.971 after epoch 1 and 0.983 after epoch 2."""
    first, second = published.history["Accuracy"]
    assert 0.965 <= first <= 0.977 and second >= 0.977
    measured = published.evaluate(mnist.test_images, mnist.test_labels)
    assert measured["accuracy"] >= 0.977 and measured["global_step"] == 1000
    labels = published.predict(mnist.test_images)
    assert np.mean(labels == mnist.test_labels) == measured["accuracy"]


def test_exports_agree_on_the_test_images(mnist, published, monkeypatch, tmp_path):
    """Float exports agree to 1e-5 in each probability, int8 in 99.5% of the labels; a fifth of the test images."""
    for module in ("ai_edge_litert", "tf2onnx", "onnxruntime"):
        pytest.importorskip(module, reason=f"{module} is not installed (pip install 'digitcnn[onnx,tflite]')")
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "benchmarks"))
    from exports import compare

    published.save(path="published")
    with DigitCNN(precision="float32") as cnn:  # the weights are float32 in either precision
        cnn.load(path="published")
        rows = list(compare(cnn, mnist.test_images[::5], mnist.train_images[::120], tmp_path))
    assert [format for format, *_ in rows] == ["savedmodel", "tflite", "tflite-int8", "onnx"]
    for format, _, difference, same in rows:
        assert same >= 0.995 if format == "tflite-int8" else difference < 1e-5, (format, difference, same)


def test_standardization_matches_mnists_known_statistics(mnist):
    """Mean 33.318 and standard deviation 78.567, which are 0.1307 and 0.3081 of 255."""
    fitted = Standardization.fit(mnist.train_images)
    assert round(float(fitted.mean.mean()) / 255, 4) == 0.1307 and round(fitted.std / 255, 4) == 0.3081
    np.testing.assert_allclose(fitted.mean, mnist.train_images.mean(axis=0), rtol=1e-6)
    assert fitted.std == np.float32(np.std(mnist.train_images))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_training_run_stays_within_memory(mnist):
    """A run on all of MNIST, with validation, test and plots, takes under 1.3 GB."""
    # getrusage would not do: ru_maxrss starts with the size of the parent process.
    code = (
        "from digitcnn.cli.main import main\n"
        "assert main(['train', '--data', 'mnist', '--steps', '20', '--quiet', '--seed', '1']) == 0\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    output = subprocess.check_output([sys.executable, "-c", code], text=True, stderr=subprocess.DEVNULL)
    assert int(output.split()[-1]) * 1024 < 1.3e9
