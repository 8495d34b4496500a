"""Docstrings of everything public: NumPy's sections that agree with the signatures, and examples that run."""

import ast
import doctest
import importlib
import inspect

import pytest
from conftest import ROOT
from numpydoc.docscrape import FunctionDoc
from numpydoc.validate import validate

import digitcnn

# numpydoc's checks: first line, Parameters (all of them, in order, with types and texts), Returns.
CHECKS = {
    *("GL01", "GL03", "GL05", "GL06", "GL07", "GL08", "SS01", "SS02", "SS03", "SS04"),
    *("PR01", "PR02", "PR03", "PR04", "PR05", "PR06", "PR07", "PR09", "PR10", "RT01", "RT03", "RT04"),
}
PACKAGE = ROOT / "digitcnn"
MODULES = [
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for file in sorted(PACKAGE.rglob("*.py"))
    if file.name not in ("__init__.py", "__main__.py")
]


def is_own(value):
    """Whether a member of a class is public API of this package, not inherited from scikit-learn or pandas."""
    function = inspect.unwrap(getattr(value, "fget", None) or getattr(value, "__func__", value))
    return inspect.isfunction(function) and function.__module__.startswith("digitcnn")


def public_objects():
    """Every public name, and the public methods and properties of its class, by their import paths."""
    for name in digitcnn.__all__:
        thing = getattr(digitcnn, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            yield f"digitcnn.{name}"
        if inspect.isclass(thing) and not issubclass(thing, Exception):
            members = inspect.getmembers_static(thing)
            yield from (f"digitcnn.{name}.{member}" for member, value in members if member[0] != "_" and is_own(value))


@pytest.mark.parametrize("path", [*public_objects()])
def test_public_docstring_has_numpy_sections(path):
    found = [f"{code}: {text}" for code, text in validate(path)["errors"] if code in CHECKS]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", MODULES)
def test_parameters_of_internal_docstrings_are_those_of_the_signature(name):
    """Where a function has a Parameters section; and one of four or more parameters has one."""
    file = ROOT / (name.replace(".", "/") + ".py")
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef):
            continue
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        names = [argument.arg for argument in arguments if argument.arg not in ("self", "cls")]
        text = ast.get_docstring(node) or ""
        if "Parameters\n---" not in text:
            stands_for_another = text.startswith("As tf.")
            assert node.name[0] == "_" or len(names) < 4 or stands_for_another, f"{node.name}: no Parameters section"
            continue
        entries = FunctionDoc(None, doc=text)["Parameters"]
        documented = [part.strip() for entry in entries for part in entry.name.split(",")]
        assert [entry for entry in documented if entry[0] != "*"] == names, node.name


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    module = importlib.import_module(name)
    results = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert results.failed == 0


def test_public_examples():
    """The calls that are not obvious have one."""
    for name in (
        "DigitCNN",
        "DigitClassifier",
        "load_dataset",
        "batch_generator",
        "accuracy_interval",
        "Standardization",
    ):
        assert ">>>" in getattr(digitcnn, name).__doc__, name
