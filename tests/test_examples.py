"""The examples and the notebook run; each script from a clean start once."""

import contextlib
import io
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from digitcnn import DigitCNN, load_dataset, write_idx

EXAMPLES = ROOT / "examples"
NOTEBOOK = EXAMPLES / "digits.ipynb"


def run(name, *arguments):
    """What an example prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_here(name, *arguments):
    """What an example prints as the main program of this process, where TensorFlow is loaded already."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return printed.getvalue()


@pytest.mark.parametrize("name", sorted(file.name for file in EXAMPLES.glob("*.py")))
def test_help_is_quiet_and_loads_nothing_heavy(name):
    code = (
        "import atexit, runpy, sys\n"
        "atexit.register(lambda: print('loaded:', *sys.modules))\n"
        f"sys.argv = [{name!r}, '--help']\n"
        f"runpy.run_path({str(EXAMPLES / name)!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    text, modules = done.stdout.split("loaded: ")
    assert text.startswith(f"usage: {name} ") and "--data" in text
    assert "digitcnn" in modules.split() or name == "custom_graph.py"
    assert not {"tensorflow", "pandas", "sklearn", "matplotlib"} & set(modules.split())


@pytest.mark.parametrize(
    ("accuracies", "chosen"),
    [
        ([0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92], 7),  # still rises: the last
        ([0.8, 0.9, 0.94, 0.96, 0.94, 0.9, 0.8, 0.7], 4),  # a peak
        ([0.9, 0.99, 0.9, 0.9, 0.95, 0.96, 0.96, 0.96, 0.95, 0.94], 7),  # a single high value does not count
        ([0.7, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8], 6),  # of equally good epochs, the last
        ([0.97] * 30, 30),
        ([1 / 3, 0.1, 0.2, 0.7, 0.5] * 3 + [0.0], 13),  # the same sum in other orders, with other rounding errors
        ([0.5], 1),
        ([0.5, 0.4], 2),  # too few to tell
    ],
)
def test_choose_epochs(accuracies, chosen):
    choose_epochs = runpy.run_path(str(EXAMPLES / "retrain.py"))["choose_epochs"]
    assert choose_epochs(accuracies) == chosen
    assert choose_epochs([round(239 * accuracy) for accuracy in accuracies]) == chosen, "counts are as good"


def test_retrain_chooses_then_retrains():
    options = ["--architecture", "softmax", "--epochs", "3", "--seeds", "1", "2"]
    output = run_here("retrain.py", *options, "--run", "both")
    assert output.count("1198 images to train on, 239 to choose by") == 2
    choose_epochs = runpy.run_path(str(EXAMPLES / "retrain.py"))["choose_epochs"]
    for seed in (1, 2):
        folder = Path("both") / f"seed-{seed}"
        tried = pd.read_csv(folder / "choosing.csv")
        chosen = choose_epochs(list(tried["Accuracy"]))
        assert len(tried) == 3 and f"Seed {seed}: {chosen} epochs on all 1437" in output
        with DigitCNN.restore(folder) as cnn:
            assert (cnn.epochs, cnn.random_seed, len(cnn.history)) == (chosen, seed, chosen)
            assert cnn.global_step == chosen * 15, "all 1437 images, 100 in a step"
        test = json.loads((folder / "settings.json").read_text())["test"]
        assert f"Seed {seed}: test accuracy {test['accuracy']:.2%} (95% interval" in output
    assert "2 seeds: mean test accuracy" in output


def test_retrain_recipe_has_its_own_length():
    output = run_here("retrain.py", "--recipe", "fast")
    assert "choose" not in output and "Seed 27: 2 epochs on all 1437" in output
    [folder] = Path("logs").iterdir()
    assert folder.name.endswith("-bundled-fast") and not (folder / "choosing.csv").exists()
    description = json.loads((folder / "settings.json").read_text())
    assert description["recipe"] == "fast" and description["settings"]["schedule"] == "one_cycle"
    assert (description["n_training"], description["n_validation"]) == (1437, 0)


def test_retrain_any_architecture_without_choosing():
    output = run("retrain.py", "--architecture", "softmax", "--epochs", "2", "--retrain-only", "--run", "run")
    assert "choose" not in output and "Seed 27: 2 epochs on all 1437" in output
    assert {"settings.json", "history.csv", "training_curve.png"} <= {path.name for path in Path("run").iterdir()}


def test_retrain_bad_arguments_exit_without_traceback(capsys):
    Path("full").mkdir()
    Path("full", "letter.txt").write_text("mine")
    for arguments in (["--data", "mnst"], ["--epochs", "0", "--run", "new"], ["--run", "full"]):
        with pytest.raises(SystemExit, match="^error: "):  # a text: Python prints it and exits with status 1
            run_here("retrain.py", *arguments)
        assert capsys.readouterr().out == "", "nothing is trained"
    assert not Path("new").exists()


def test_compare_graphs():
    rows = run("compare_graphs.py", "--steps", "2").splitlines()
    assert len(rows) == 7 and rows[2].startswith("| cnn | 1,111,946 | 2 steps |")
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["cnn", "softmax", "same", "strided", "batchnorm"]


def test_images_of_another_size():
    """A folder of them is a data set for every example."""
    rng = np.random.default_rng(3)
    for part, n in (("train", 120), ("t10k", 24)):
        write_idx(f"{part}-images-idx3-ubyte", rng.integers(0, 256, (n, 20, 16), dtype=np.uint8))
        write_idx(f"{part}-labels-idx1-ubyte", np.arange(n, dtype=np.uint8) % 12)
    assert "Saved as" in run_here("custom_graph.py", "--data", ".", "--epochs", "1")
    options = ["--data", ".", "--epochs", "1", "--retrain-only", "--run", "run"]
    assert "Seed 27: test accuracy" in run_here("retrain.py", *options)
    settings = json.loads(Path("run/settings.json").read_text())["settings"]
    assert settings["architecture"] == "cnn", "the default"
    options = ["--data", ".", "--architectures", "softmax", "strided", "--steps", "1"]
    assert run_here("compare_graphs.py", *options).count("| 1 steps |") == 2


def test_custom_graph():
    output = run("custom_graph.py", "--epochs", "2", "--save", "model")
    assert "block_2/conv_1          [batch, 14, 14, 32]            9,248" in output
    assert "Saved as model/model.ckpt-2\nRestored: <ResidualCNN, own graph, " in output
    assert output.endswith("trained 2 epochs, 24 steps> with the same predictions\n")
    # Without shortcuts it is another graph with as many parameters.
    plain = run_here("custom_graph.py", "--epochs", "1", "--plain")
    assert "Restored: <PlainCNN, own graph, 239,946 parameters" in plain
    assert output.split("Epoch 01")[1][:60] != plain.split("Epoch 01")[1][:60]


def test_grid_search():
    """A smaller search than the script's default; the small learning rates are the worst."""
    output = run("grid_search.py", "--folds", "2", "--epochs", "6", "--save", "model")
    table = [line.split() for line in output.splitlines() if re.match(r" +0(\.5)? +0\.0", line)]
    assert len(table) == 4 and {row[1] for row in table[:2]} == {"0.001"}
    assert all(0.85 < float(row[2]) < 1 for row in table)
    assert 0.9 < float(re.search(r"test accuracy (.*)%", output)[1]) / 100 < 1
    with DigitCNN.restore("model") as found:
        assert found.learning_rate == 1e-3


def run_all_cells(client, notebook):
    """The output of each code cell by its id, with '<picture>' for each picture."""
    for index, cell in enumerate(notebook.cells):
        client.execute_cell(cell, index)  # raises CellExecutionError, which has the cell's traceback
    printed = {}
    for cell in notebook.cells:
        texts = []
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                # Matplotlib warns if listing the fonts takes over 5 s, as it may with the tests' empty cache.
                is_font_list = output.text.startswith("Matplotlib is building the font cache")
                assert output.name == "stdout" or is_font_list, output.text
                if is_font_list:
                    continue
                texts.append(output.text)
            else:
                texts.append("<picture>" if "image/png" in output.data else output.data["text/plain"])
        printed[cell.id] = "".join(texts)
    return printed


def check_story(printed):
    for cell in ("look", "averages", "easy-fives", "hard-fives", "standardize", "history", "mistakes", "doubt"):
        assert "<picture>" in printed[cell], cell
    for cell in ("filters", "activations", "handwriting"):
        assert "<picture>" in printed[cell], cell
    assert "by hand: True" in printed["standardize"]
    assert "no weights yet" in printed["build"] and "trained 30 epochs" in printed["retrain"]
    assert printed["parameters"] == "(832, 51264, 1049600, 10250)"
    assert "Epoch 30: " in printed["train"]
    assert "the same predictions: True" in printed["save"] and "trained 30 epochs" in printed["save"]
    found = re.search(r"network: +([\d.]+)%.* ([\d.]+)% to ([\d.]+)%\nnearest average: ([\d.]+)%", printed["test"])
    network, low, high, average = map(float, found.groups())
    assert low < network < high
    return network, average


@pytest.fixture(scope="module")
def notebook_runs(kernel_name, tmp_path_factory):
    """The folder where the notebook ran; its outputs on the bundled digits, then on MNIST by one changed line.

    As a user does it, in one kernel. Some of MNIST's digits, or without DIGITCNN_DATA some bundled digits under that
    name.
    """
    folder, data = tmp_path_factory.mktemp("notebook"), tmp_path_factory.mktemp("data")
    known = os.environ.get("DIGITCNN_DATA", "")
    source = load_dataset("mnist" if (Path(known) / "mnist").is_dir() else "bundled", known or None)
    (data / "mnist").mkdir()
    for part, images, labels, n in (
        ("train", source.train_images, source.train_labels, 301),
        ("t10k", source.test_images, source.test_labels, 151),
    ):
        write_idx(data / "mnist" / f"{part}-images-idx3-ubyte", images[:n].reshape(n, 28, 28))
        write_idx(data / "mnist" / f"{part}-labels-idx1-ubyte", labels[:n])
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    load = next(cell for cell in notebook.cells if cell.id == "load")
    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(notebook, kernel_name=kernel_name, timeout=600, resources=resources)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIGITCNN_DATA", str(data))
        with client.setup_kernel():
            bundled = run_all_cells(client, notebook)
            load.source = load.source.replace('data = "bundled"\n', 'data = "mnist"\n')
            assert 'data = "mnist"' in load.source
            yield folder, bundled, run_all_cells(client, notebook)


def test_notebook_on_the_bundled_digits(notebook_runs):
    folder, printed, _ = notebook_runs
    network, average = check_story(printed)
    assert 90 < network < 99 and network > average + 3
    assert {path.name for path in folder.iterdir()} == {"logs", "digitCNN-model", "handwriting"}
    assert len(list((folder / "handwriting").glob("*.png"))) == 10
    [run_folder] = (folder / "logs").glob("bundled-*")
    assert {path.name for path in run_folder.iterdir() if path.is_dir()} == {"train", "validation"}


def test_notebook_on_mnist_by_one_changed_line(notebook_runs):
    folder, _, printed = notebook_runs
    network, _ = check_story(printed)
    assert network > 60
    assert printed["load"] == "training: (301, 784) uint8 (301,)\ntest:     (151, 784) uint8 (151,)\n"
    assert sorted(path.name.partition("-")[0] for path in (folder / "logs").iterdir()) == ["bundled", "mnist"]


def test_notebook_finds_the_tensorboard_of_its_environment(tmp_path):
    """The cell alone: Jupyter's own environment may have no `tensorboard` on its path, or another one."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    [source] = [cell.source for cell in notebook.cells if cell.id == "tensorboard"]
    program = Path(sys.executable).with_name("tensorboard.exe" if os.name == "nt" else "tensorboard")
    if not program.exists():
        pytest.skip(f"{program}: TensorBoard is installed elsewhere")
    code = f"import os, sys\nfrom pathlib import Path\n{source}\nprint(os.environ['TENSORBOARD_BINARY'])"
    environment = {name: value for name, value in os.environ.items() if name != "TENSORBOARD_BINARY"}
    for given, expected in (({}, str(program)), ({"TENSORBOARD_BINARY": "other"}, "other")):
        printed = subprocess.check_output([sys.executable, "-c", code], env=environment | given, text=True)
        assert printed.splitlines() == [f"{expected} --logdir logs", expected]


def test_notebook_is_stored_without_outputs():
    """Outputs would change with each run, and go stale; the cells have names for ids."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert nbformat.writes(notebook) + "\n" == text, "written as Jupyter writes it, so that saving it changes nothing"
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in ids), ids
    for cell in notebook.cells:
        assert not cell.metadata, cell.id
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None, cell.id
            assert "%tensorboard" not in cell.source, "it would go on running"
    assert text.count('bundled\\"\\n') == 1
