"""The house: who may import whom, what `import digitcnn` costs, and lint."""

import ast
import graphlib
import re
import subprocess
import sys

import pytest
from conftest import ROOT

import digitcnn

# The way of the data, by folder: a file imports from its own folder and from floors below its own.
FLOORS = (
    {"_content", "_text", "_validation", "_json", "_quiet", "_progress", "_files", "version", "exceptions"},
    {"data", "handwriting"},
    {"settings", "recipes"},
    {"graph"},
    {"engine"},
    {"cluster"},
    {"saving", "tensorboard", "export", "report"},
    {"training"},
    {"model"},
    {"estimator", "reading", "bulk"},
    {"runs", "search"},
    {"ensemble"},
    {"demo"},
    {"cli"},
    {"__main__"},
)
PACKAGE = ROOT / "digitcnn"
# Public signatures that stand: the tutorial's, and those that 0.1.0 had.
STANDING_SIGNATURES = {
    *(("model", name) for name in ("train", "predict")),
    ("estimator", "__init__"),
    ("ensemble.ensemble", "predict"),  # as DigitCNN's
    ("ensemble.ensemble", "distill"),  # five of its arguments are those of DigitCNN.train
    ("data.batches", "batch_generator"),
    ("data.standardization", "fit"),
    # The layers' wrappers have T1's arguments, and its keywords.
    *(("graph.layers", name) for name in ("conv", "fc", "batch_norm")),
}
FILES = {
    ".".join(file.relative_to(PACKAGE).with_suffix("").parts): file
    for file in sorted(PACKAGE.rglob("*.py"))
    if file.name != "__init__.py" and file != PACKAGE / "batches.py"  # forwards the pickles of 0.1.0
}


def imported(name):
    """What a file imports: modules of the package by their names in FILES, others by their full names."""
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = ".".join([*name.split(".")[: -node.level], *(node.module or "").split(".")]).strip(".")
            yield from [base] if base in FILES else [f"{base}.{alias.name}".strip(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def floor_of(name):
    return next(number for number, rooms in enumerate(FLOORS) if name.split(".")[0] in rooms)


@pytest.mark.parametrize("name", FILES)
def test_imports_point_down(name):
    for other in set(imported(name)) & set(FILES):
        is_own_folder = "." in name and name.split(".")[0] == other.split(".")[0]
        is_private_helper = floor_of(name) == floor_of(other) == 0
        # The rooms of data and handwriting know each other: pictures are data.
        is_neighbour = floor_of(name) == floor_of(other) and ("." not in name + other or floor_of(name) == 1)
        assert floor_of(other) < floor_of(name) or is_own_folder or is_private_helper or is_neighbour, other


def test_no_circles_between_files():
    graph = {name: set(imported(name)) & set(FILES) for name in FILES}
    assert tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


def test_each_room_is_on_one_floor():
    assert {name.split(".")[0] for name in FILES} == set().union(*FLOORS)


def test_contributing_tells_the_floors():
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("## Order of imports")[2]
    lines = [line.strip().partition("  ")[0] for line in text.splitlines() if line.startswith("    ")]
    told = [set(line.split(", ")) for line in lines[: len(FLOORS) - 1]]
    assert told == list(FLOORS[:-1])


def test_no_merge_was_left_half_done():
    marker = re.compile(r"^(<{7} |={7}$|>{7} )", re.MULTILINE)
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    for name in listed.splitlines():
        if name.endswith((".py", ".md", ".toml", ".yaml", ".sh", ".html")):
            assert not marker.search((ROOT / name).read_text(encoding="utf-8")), name


def test_walls():
    without_tensorflow = [
        *(name for name in FILES if name.split(".")[0] in ("data", "handwriting", "report", "settings", "recipes")),
        *("graph.architectures", "graph.schedules", "export.formats", "tensorboard.summaries", "cli.parser"),
    ]
    for name in without_tensorflow:
        assert not any(module.partition(".")[0] == "tensorflow" for module in imported(name)), name
    for name in (name for name in FILES if name.startswith("graph.")):
        code = without_docstrings(FILES[name])
        assert "feed_dict" not in code and "Session(" not in code, "the graph knows no session"
    making = [name for name, file in FILES.items() if "get_variable(" in file.read_text(encoding="utf-8")]
    assert making == ["graph.layers"], "only one file makes variables"
    steering = [name for name, file in FILES.items() if "add_to_collection(" in file.read_text(encoding="utf-8")]
    assert steering == ["graph.layers"], "only TensorFlow's own collections, for its own readers"
    assert re.findall(r"add_to_collection\((.*?),", FILES["graph.layers"].read_text(encoding="utf-8")) == [
        "v1.GraphKeys.UPDATE_OPS"
    ]


def without_docstrings(file):
    """A file's code, without comments, docstrings and blank lines."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            node.body[0] = ast.Pass()
    return ast.unparse(tree)


def test_the_command_line_prints_in_one_place():
    """Where strangers' text is escaped; `summary()` prints for the user of a model."""
    calls = {name: ast.walk(ast.parse(file.read_text(encoding="utf-8"))) for name, file in FILES.items()}
    printing = {
        name
        for name, nodes in calls.items()
        if any(isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "tqdm.write") for node in nodes)
    }
    assert printing == {"cli.output", "model", "_progress"}


@pytest.mark.parametrize("name", FILES)
def test_files_are_short(name):
    """At most 300 lines of code as it is written; docstrings, comments and blank lines are not counted."""
    source = FILES[name].read_text(encoding="utf-8")
    docstrings = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            docstrings |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(source.splitlines(), 1)
    code = [line for number, line in lines if number not in docstrings and line.strip() and line.strip()[0] != "#"]
    assert len(code) <= 300


def test_internal_functions_take_few_arguments():
    """At most seven, and booleans by keyword only; the public signatures that stand keep theirs."""
    for name, file in FILES.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef) or (name, node.name) in STANDING_SIGNATURES:
                continue
            by_position = [*node.args.posonlyargs, *node.args.args]
            arguments = [a.arg for a in (*by_position, *node.args.kwonlyargs) if a.arg not in ("self", "cls")]
            assert len(arguments) <= 7, f"{name}.{node.name}"
            booleans = [a.arg for a in by_position if a.annotation and ast.unparse(a.annotation) == "bool"]
            assert not booleans, f"{name}.{node.name}: {booleans}"


def test_importing_loads_nothing_heavy():
    heavy = {"tensorflow", "keras", "pandas", "matplotlib", "PIL", "scipy"}
    code = f"import sys, digitcnn; dir(digitcnn); digitcnn.load_mnist; print({heavy} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_using_the_package_switches_nothing_global():
    import tensorflow as tf

    assert tf.executing_eagerly()  # although digitcnn is imported
    graph = tf.compat.v1.get_default_graph()
    before = len(graph.get_operations())
    digitcnn.DigitCNN(fc_3_output_units=8).close()
    assert tf.executing_eagerly() and tf.compat.v1.get_default_graph() is graph
    assert len(graph.get_operations()) == before


def test_public_names_are_there():
    for name in digitcnn.__all__:
        assert getattr(digitcnn, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = digitcnn.nothing


def test_types():
    """mypy, as pyproject.toml configures it."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    command = [sys.executable, "-m", "mypy", "--no-incremental", "--no-error-summary"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]])
def test_lint(arguments):
    pytest.importorskip("ruff", reason="ruff is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache", str(ROOT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
