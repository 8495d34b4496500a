"""The house: who may import whom, what `import digitcnn` costs, lint, and a plain installation."""

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

import digitcnn

# The way of the data. A module imports only from those above it.
ORDER = [
    *("checks", "quiet", "idx", "datasets", "batches", "images"),
    *("gradients", "layers", "augmentation", "architectures", "schedules", "graph", "summary"),
    *("precision", "recipes", "settings", "bars", "training", "engine"),
    *("records", "checkpoints", "resuming", "pictures", "projector", "tensorboard", "summaries"),
    *("inference_graph", "export", "model", "estimator"),
    *("evaluation", "plots", "run_folders", "runs"),
    *("options", "cli", "__main__"),
]


def imports(module):
    tree = ast.parse((ROOT / "digitcnn" / f"{module}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield from [node.module] if node.module else [alias.name for alias in node.names]
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node.module if isinstance(node, ast.ImportFrom) else node.names[0].name


def test_imports_point_up():
    modules = {file.stem for file in (ROOT / "digitcnn").glob("*.py")} - {"__init__"}
    assert modules == set(ORDER)
    for i, module in enumerate(ORDER):
        assert set(imports(module)) & modules <= set(ORDER[:i]), module


def test_walls():
    for module in ("checks", "quiet", "idx", "datasets", "batches", "images", "evaluation"):
        assert "tensorflow" not in set(imports(module)), "data code knows no TensorFlow"
    for module in ("gradients", "layers", "architectures"):
        assert not re.search(r"\bSession\b|\bfeed_dict\b", (ROOT / "digitcnn" / f"{module}.py").read_text())
    making = [m for m in ORDER if "get_variable(" in (ROOT / "digitcnn" / f"{m}.py").read_text()]
    assert making == ["layers"], "only one file makes variables"


def test_importing_loads_nothing_heavy():
    heavy = {"tensorflow", "keras", "pandas", "matplotlib", "PIL"}
    code = f"import sys, digitcnn; dir(digitcnn); digitcnn.load_mnist; print({heavy} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_using_the_package_switches_nothing_global():
    code = (
        "import tensorflow as tf; from digitcnn import DigitCNN; DigitCNN(fc_3_output_units=8).close();"
        "print(tf.executing_eagerly(), len(tf.compat.v1.get_default_graph().get_operations()))"
    )
    assert (
        subprocess.check_output([sys.executable, "-c", code], text=True, stderr=subprocess.DEVNULL).strip() == "True 0"
    )


def test_public_names_are_there():
    for name in digitcnn.__all__:
        assert getattr(digitcnn, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = digitcnn.nothing


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]])
def test_lint(arguments):
    pytest.importorskip("ruff", reason="ruff is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache", str(ROOT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_a_plain_installation_has_the_bundled_digits(tmp_path):
    """A wheel built from a copy of the tree, unpacked far from the tree."""
    pytest.importorskip("setuptools", reason="setuptools is not installed")
    tree = tmp_path / "tree"
    for part in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "digitcnn", "data"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        tree.mkdir(exist_ok=True)
        copy(ROOT / part, tree / part)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    subprocess.run(build, cwd=tree, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("digitcnn-*.whl"))) as wheel:
        wheel.extractall(tmp_path / "installed")
    shutil.rmtree(tree)
    code = "import digitcnn; print(digitcnn.__file__, len(digitcnn.load_dataset().train_labels))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    file, n = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).split()
    assert Path(file).is_relative_to(tmp_path / "installed") and n == "1437"
