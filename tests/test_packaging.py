"""What is published: the source distribution, the wheel, their metadata, and the checks on other machines."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from ruamel.yaml import YAML

from digitcnn import __version__

WORKFLOW = ROOT / ".github" / "workflows" / "tests.yml"
PRE_COMMIT = ROOT / ".pre-commit-config.yaml"


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read_yaml(file):
    return YAML(typ="safe").load(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source distribution, and the wheel that is built from it alone; the tree is gone then."""
    folder = tmp_path_factory.mktemp("built")
    tree = folder / "tree"
    tree.mkdir()
    for part in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / part, tree / part)
    for part in ("digitcnn", "data/bundled", "data/pretrained", "examples", "tests"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(tree))
    shutil.rmtree(tree)
    [sdist], [wheel] = folder.glob("digitcnn-*.tar.gz"), folder.glob("digitcnn-*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The environment of a process that sees the installed wheel instead of the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", str(folder), str(built[1]))
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    code = "import digitcnn; print(digitcnn.__file__)"
    file = run(sys.executable, "-c", code, env=environment, cwd=tmp_path_factory.mktemp("empty"))
    assert Path(file.strip()).is_relative_to(folder)
    return environment


def test_sdist_has_code_data_and_examples(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    code = {str(file.relative_to(ROOT).as_posix()) for file in (ROOT / "digitcnn").rglob("*.py")}
    assert code <= names
    data = {f"data/bundled/{file.name}" for file in (ROOT / "data" / "bundled").iterdir()}
    examples = {f"examples/{file.name}" for file in (ROOT / "examples").iterdir() if file.is_file()}
    assert len(data) == 5 and data | examples <= names
    assert {"LICENSE", "README.md", "setup.py", "pyproject.toml", "digitcnn/py.typed"} <= names
    assert {"digitcnn/report/report.html", "digitcnn/demo/page.html"} <= names


def test_wheel_has_code_and_data_alone(built):
    with zipfile.ZipFile(built[1]) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"digitcnn", f"digitcnn-{__version__}.dist-info"}
    assert {"digitcnn/py.typed", "digitcnn/report/report.html", "digitcnn/demo/page.html"} <= set(names)
    assert "digitcnn/bundled/train-images-idx3-ubyte.gz" in names
    assert {"digitcnn/examples/digits.ipynb", "digitcnn/examples/retrain.py"} <= set(names)


def test_metadata(built):
    with zipfile.ZipFile(built[1]) as archive:
        metadata = Parser().parsestr(archive.read(f"digitcnn-{__version__}.dist-info/METADATA").decode())
        assert f"digitcnn-{__version__}.dist-info/licenses/LICENSE" in archive.namelist()
    assert (metadata["Name"], metadata["Version"]) == ("digitcnn", __version__)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata["Requires-Python"].split(",")) == {">=3.10", "<3.14"}
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().startswith("# digitcnn")
    assert "Typing :: Typed" in metadata.get_all("Classifier") and "MNIST" in metadata["Keywords"]
    extras = {"benchmark", "dask", "gpu", "heic", "notebook", "onnx", "search", "sklearn", "test", "tflite"}
    assert set(metadata.get_all("Provides-Extra")) == extras
    assert not {"Home-page", "Project-URL", "Author-email"} & set(metadata), "no address that nobody answers"


TRAIN_AND_READ = """
from digitcnn.cli.main import main
assert main("train --architecture softmax --steps 3 --run run".split()) == main(["predict", "photo.jpg"]) == 0
"""


@pytest.fixture(scope="module")
def used(installed, write_digit, tmp_path_factory):
    """The folder of a process that trained with the installed wheel, then read the one picture; what it printed."""
    folder = tmp_path_factory.mktemp("used")
    paper = np.full((200, 200), 225, np.uint8)
    write_digit(paper, 3, 60, 50)
    Image.fromarray(paper).save(folder / "photo.jpg")
    return folder, run(sys.executable, "-c", TRAIN_AND_READ, env=installed, cwd=folder)


def test_installed_package_trains(used):
    folder, printed = used
    assert "weights sha256: " in printed and (folder / "run" / "model.ckpt-3.index").is_file()
    assert {path.name for path in folder.iterdir()} == {"photo.jpg", "run"}


def test_installed_package_reads_a_picture(used):
    """With the weights that ship; nothing is downloaded."""
    assert used[1].splitlines()[-1].startswith("photo.jpg: 3  prob")


def test_installed_examples_are_copied_and_start(installed):
    run(sys.executable, "-m", "digitcnn", "examples", "mine", env=installed)
    assert {path.name for path in Path("mine").iterdir()} == {
        file.name for file in (ROOT / "examples").iterdir() if file.is_file()
    }
    assert "usage: retrain.py" in run(sys.executable, "mine/retrain.py", "--help", env=installed)


def test_installed_demo_finds_its_page(installed):
    code = "from digitcnn.demo.app import PAGE; print(PAGE.read_text(encoding='utf-8')[:15])"
    assert run(sys.executable, "-c", code, env=installed) == "<!doctype html>\n"


def test_workflow_follows_the_published_schema(tmp_path):
    check = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows")
    assert "ok" in run(*check, str(WORKFLOW))
    broken = tmp_path / "tests.yml"
    broken.write_text(WORKFLOW.read_text(encoding="utf-8").replace("runs-on:", "runs_on:"), encoding="utf-8")
    assert subprocess.run([*check, str(broken)], capture_output=True, check=False).returncode == 1


def test_workflow_runs_the_two_commands_of_the_readme():
    job = read_yaml(WORKFLOW)["jobs"]["tests"]
    commands = [step["run"] for step in job["steps"] if "run" in step]
    blocks = re.findall(r"^```console\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    assert [command.replace("${{ matrix.bin }}", ".venv/bin") for command in commands] == [
        block.strip() for block in blocks[:2]
    ]
    matrix = job["strategy"]["matrix"]
    assert [(entry["os"], entry["bin"]) for entry in matrix["include"]] == [
        ("ubuntu-latest", ".venv/bin"),
        ("macos-latest", ".venv/bin"),
        ("windows-latest", ".venv/Scripts"),
    ]
    assert matrix["os"] == [entry["os"] for entry in matrix["include"]], "an entry adds to a system, and makes no job"


def test_workflow_has_the_supported_versions_of_python(built):
    with zipfile.ZipFile(built[1]) as archive:
        metadata = archive.read(f"digitcnn-{__version__}.dist-info/METADATA").decode()
    versions = re.findall(r"^Classifier: Programming Language :: Python :: (3\.\d+)$", metadata, re.M)
    assert versions == ["3.10", "3.11", "3.12", "3.13"]
    assert read_yaml(WORKFLOW)["jobs"]["tests"]["strategy"]["matrix"]["python"] == versions


def test_pre_commit_hooks_are_pinned_and_those_of_the_tests():
    repositories = read_yaml(PRE_COMMIT)["repos"]
    [local] = [repository["hooks"] for repository in repositories if repository["repo"] == "local"]
    for repository in repositories:
        assert repository["repo"] == "local" or re.fullmatch(r"v\d+\.\d+\.\d+", repository["rev"])
        assert all("id" in hook for hook in repository["hooks"])
    assert [hook["entry"].split()[:4] for hook in local[:2]] == [
        ["python", "-m", "ruff", "check"],
        ["python", "-m", "ruff", "format"],
    ]
    for hook in local:
        assert {"id", "name", "entry", "language"} <= set(hook) and hook["language"] == "system"
    [schema] = [hook for hook in local if hook["id"] == "github-workflows"]
    files = [path.relative_to(ROOT).as_posix() for path in WORKFLOW.parent.iterdir()]
    assert files and all(re.search(schema["files"], name) for name in files)
    run(sys.executable, *schema["entry"].split()[1:], str(WORKFLOW))
