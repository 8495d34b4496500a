"""Fixtures: small real data, and MNIST where its files are found."""

import contextlib
import io
import json
import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before any test imports TensorFlow
if "PYTEST_XDIST_WORKER" in os.environ:  # a process a core: more threads would fight for cores (a tenth of the time)
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import numpy as np
import pytest

from digitcnn import load_dataset, write_idx
from digitcnn._quiet import leave_out_keras

leave_out_keras()  # as commands do: processes that tests start then take two thirds of the time to begin
OF_TESTS = ("PYTEST_CURRENT_TEST", "TF_CPP_MIN_LOG_LEVEL", "TF_USE_LEGACY_KERAS")  # environment variables

ROOT = Path(__file__).parents[1]

if "DIGITCNN_DATA" in os.environ:  # tests leave the folder that a relative path starts from
    os.environ["DIGITCNN_DATA"] = str(Path(os.environ["DIGITCNN_DATA"]).resolve())


def pytest_addoption(parser):
    parser.addoption("--screenshots", metavar="DIR", help="save screenshots of the browser tests in this folder")


# The longest files begin first, so that parallel processes end at about the same time.
LONGEST = (
    *("test_resuming_kills.py", "test_resuming_command.py", "test_examples.py", "test_workers.py", "test_search.py"),
    *("test_resuming.py", "test_estimator.py", "test_dask.py", "test_launch.py", "test_member_training.py"),
    *("test_replicas.py", "test_manifests.py", "test_mnist.py", "test_export.py", "test_cli.py", "test_drawing.py"),
    *("test_server.py", "test_checkpoints.py", "test_browser.py", "test_bulk.py", "test_crash_points.py"),
    *("test_averages.py", "test_predict.py", "test_model.py", "test_training.py", "test_benchmarks.py"),
    *("test_readme.py", "test_notebook.py", "test_page.py", "test_digit.py", "test_network.py", "test_launcher.py"),
)


def pytest_collection_modifyitems(items):
    """Sort by file; the order within a file stays."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session", autouse=True)
def signals():
    """Let signals act in tests and subprocesses; a shell or `nohup` that runs the tests has some of them ignored."""
    actions = {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL, "SIGQUIT": signal.SIG_DFL}
    before = {number: signal.signal(number, actions[name]) for name in actions if (number := getattr(signal, name, 0))}
    yield
    for number, action in before.items():
        signal.signal(number, action)


@pytest.fixture(scope="session")
def digits():
    """The bundled data set: raw pixels."""
    return load_dataset("bundled")


@pytest.fixture(scope="session")
def few(digits):
    """130 raw training images with labels: two batches of 50 and one of 30."""
    return digits.train_images[:130], digits.train_labels[:130]


@pytest.fixture(scope="session")
def mnist():
    """The real MNIST, from the folder that DIGITCNN_DATA names; skipped without it."""
    folder = os.environ.get("DIGITCNN_DATA")
    if not folder:
        pytest.skip("DIGITCNN_DATA is not set: no MNIST to check on")
    if not (Path(folder) / "mnist").is_dir():
        pytest.skip(f"{folder}: no folder mnist/ in it")
    return load_dataset("mnist", folder)


RUN_OPTIONS = ("--architecture", "softmax", "--steps", "400", "--seed", "5", "--precision", "float32")


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """The folder of a `digitcnn train` with RUN_OPTIONS, which tests that change it copy, and what the command printed.

    Most of the time goes into its two pictures. It reads drawn digits, and is loaded sooner than the weights that ship.
    """
    from digitcnn.cli.main import main

    folder = tmp_path_factory.mktemp("finished") / "run"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["train", *RUN_OPTIONS, "--quiet", "--run", str(folder)]) == 0
    return folder, printed.getvalue()


@pytest.fixture(scope="session")
def write_digit():
    """A function that writes a digit on paper, uint8 [height, width], changed in place, at (left, top)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tests" / "handwriting")
        from messy import draw_digit

    def write(paper, label, left, top, height=80):
        ink = draw_digit(np.random.default_rng(label), label, height)[: len(paper) - top, : paper.shape[1] - left]
        paper[top : top + ink.shape[0], left : left + ink.shape[1]] -= (170 * ink).astype(np.uint8)

    return write


@pytest.fixture
def rng():
    """A generator with a fixed seed."""
    return np.random.default_rng(5)


@pytest.fixture(scope="session")
def list_of_fonts(tmp_path_factory):
    """A folder where Matplotlib keeps its list of fonts, so that not every process makes one."""
    return str(tmp_path_factory.mktemp("matplotlib"))


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch, list_of_fonts):
    """Give each test, and its subprocesses, an empty working folder and an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLCONFIGDIR", list_of_fonts)
    cache = tmp_path.with_name(tmp_path.name + "-cache")
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(cache))


@pytest.fixture(scope="session")
def kernel_name(tmp_path_factory):
    """A Jupyter kernel of this Python, without settings of the user or of the tests."""
    folder = tmp_path_factory.mktemp("jupyter")
    # A kernel that sees pytest's variable shows nothing that native code writes.
    launch = "import os, runpy\n"
    launch += f"for name in {OF_TESTS}: os.environ.pop(name, None)\n"
    launch += "runpy.run_module('ipykernel_launcher', run_name='__main__')"
    spec = {
        "argv": [sys.executable, "-c", launch, "-f", "{connection_file}"],
        "display_name": "this Python",
        "language": "python",
        "env": {"IPYTHONDIR": str(folder / "ipython")},
    }
    (folder / "kernels" / "this-python").mkdir(parents=True)
    (folder / "kernels" / "this-python" / "kernel.json").write_text(json.dumps(spec))
    with pytest.MonkeyPatch.context() as environment:
        for name in ("JUPYTER_PATH", "JUPYTER_RUNTIME_DIR"):
            environment.setenv(name, str(folder))
        environment.setenv("JUPYTER_PLATFORM_DIRS", "1")  # without it, jupyter_core warns of its future
        yield "this-python"


def environment_of_a_user(**variables):
    """The environment without what the tests set, in which a script's TensorFlow loads Keras, and logs."""
    chosen = ("TF_CPP", "MPLCONFIGDIR", *OF_TESTS)
    return {name: value for name, value in os.environ.items() if not name.startswith(chosen)} | variables


def write_set(folder, joint="-", suffix=".gz", n=6):
    """Write a small data set as IDX files with MNIST's names; return the images of either part, uint8 [n, 28, 28]."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.arange(n * 784).astype(np.uint8).reshape(n, 28, 28)
    for part in ("train", "t10k"):
        write_idx(folder / f"{part}-images{joint}idx3-ubyte{suffix}", images)
        write_idx(folder / f"{part}-labels{joint}idx1-ubyte{suffix}", (np.arange(n) % 10).astype(np.uint8))
    return images
