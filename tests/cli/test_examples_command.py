"""`copy_examples`, which `digitcnn examples DIR` calls."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT

from digitcnn.cli.examples import copy_examples

SOURCES = {file.name: file for file in (ROOT / "examples").iterdir() if file.is_file()}


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", ["new", "new/and/nested"])
def test_copy_examples_into_a_new_folder(tmp_path, name):
    written = copy_examples(name)
    assert [path.name for path in written] == sorted(SOURCES)
    assert {"retrain.py", "custom_graph.py", "digits.ipynb", "kubernetes.yaml", "slurm.sh"} <= set(SOURCES)
    assert contents(tmp_path / name) == {name: source.read_bytes() for name, source in SOURCES.items()}


def test_copy_examples_keeps_other_files(tmp_path):
    (tmp_path / "mine.py").write_text("mine")
    assert len(copy_examples(tmp_path)) == len(SOURCES)
    assert contents(tmp_path)["mine.py"] == b"mine" and len(contents(tmp_path)) == len(SOURCES) + 1


def test_copy_examples_existing_file_raises_and_changes_nothing(tmp_path):
    (tmp_path / "retrain.py").write_text("mine")
    (tmp_path / "digits.ipynb").symlink_to("nowhere")
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match=r"expected none of .*, found digits.ipynb, retrain.py; name another"):
        copy_examples(tmp_path)
    assert contents(tmp_path) == before and {path.name for path in tmp_path.iterdir()} == {"retrain.py", "digits.ipynb"}


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_copy_examples_into_a_file_raises(tmp_path, name):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match=rf"^{re.escape(name)}: expected a folder .*, found a file"):
        copy_examples(name)
    assert contents(tmp_path) == {"file": b"mine"}


def test_copy_examples_bad_path_raises():
    with pytest.raises(TypeError, match="folder: expected a path, found 3"):
        copy_examples(3)


def test_copy_examples_loads_no_tensorflow():
    code = "import sys; from digitcnn.cli.examples import copy_examples; copy_examples('x'); print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "digitcnn.cli.examples" in modules and not {"tensorflow", "pandas", "matplotlib"} & set(modules)
