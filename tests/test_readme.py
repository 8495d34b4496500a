"""Every README is right: its Python runs, its commands parse, its links, files and tests exist."""

import re
import shlex
from pathlib import Path

import matplotlib
import pytest
from conftest import ROOT

from digitcnn import DigitCNN, __version__
from digitcnn.cli.main import parse

FOLDERS = (".", "examples", "data/bundled", "tests", "tests/benchmarks")
FILES = sorted(
    file.relative_to(ROOT).as_posix()
    for pattern in (*(f"{folder}/*.md" for folder in FOLDERS), "digitcnn/*/README.md")
    for file in ROOT.glob(pattern)
)
MAX_LINES, MAX_CHARACTERS, MAX_COLUMNS = 200, 100, 4
# What a comment after a print says that it prints, if it begins so.
PRINTED = re.compile(r"^ *print\(.*\)  # (\(\d[^)]*\)|True\b|\d+$|[\w./-]+/model\.ckpt-\d+)", re.MULTILINE)


def read(file):
    return (ROOT / file).read_text(encoding="utf-8")


def blocks(text, language):
    """The code blocks of a language, each with the number of the line that it begins after."""
    found = re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in found]


def without_blocks(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def commands(text):
    """The commands of a file's console blocks, and those that its prose and tables quote."""
    for _, block in blocks(text, "console"):
        for line in block.splitlines():
            for command in line.split(" && "):
                if words := shlex.split(command, comments=True):
                    yield words
    for quoted in re.findall(r"`(python [a-z]+/[^`]*|digitcnn [a-z]+ [^`]*-[^`]*)`", without_blocks(text)):
        yield shlex.split(quoted)


def slug(heading):
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_the_readmes_are_found():
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md", "tests/FAULTS.md"} <= set(FILES)
    for folder in ("data", "export", "graph", "saving", "tensorboard"):
        assert f"digitcnn/{folder}/README.md" in FILES


@pytest.mark.parametrize("file", [file for file in FILES if blocks(read(file), "python")])
def test_python_blocks_run_in_order(file, capsys):
    """All blocks of a file share one namespace, in an empty folder."""
    matplotlib.use("agg")  # opens no windows
    namespace = {"__name__": "readme"}
    try:
        for line, block in blocks(read(file), "python"):
            exec(compile("\n" * line + block, file, "exec"), namespace)
            output = capsys.readouterr().out
            for expected in PRINTED.findall(block):
                assert expected in output, f"{file}:{line}"
    finally:
        for value in namespace.values():
            if isinstance(value, DigitCNN):
                value.close()
    if file == "README.md":
        assert len(namespace["labels"]) == 360


def test_printed_comments_are_checked():
    """The pattern finds what a block says that it prints."""
    assert PRINTED.findall("    print(a.shape)  # (2, 24)\nprint(a == b)  # True\nprint(a)  # 'auto', or else") == [
        "(2, 24)",
        "True",
    ]
    for file in ("README.md", "examples/README.md", "digitcnn/graph/README.md", "digitcnn/saving/README.md"):
        assert PRINTED.findall(read(file)), file


def test_setup_commands_are_those_of_ci():
    commands = [f"({block.strip()})" for _, block in blocks(read("README.md"), "console")[:2]]
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-2:] == commands


@pytest.mark.parametrize("file", FILES)
def test_commands_have_the_options_that_they_name(file):
    """Each `digitcnn` command is parsed; each program and file that is started exists, with its options."""
    for words in commands(read(file)):
        line = shlex.join(words)
        program, arguments = Path(words[0]).name, words[1:]
        if program == "digitcnn":
            parse(arguments)  # exits if it does not know one
        elif program == "python" and arguments[0] != "-m":
            source = read(arguments[0])
            for option in [word for word in arguments if word.startswith("--")]:
                assert f'"{option}"' in source, line
        elif program == "python":
            assert arguments[1] in ("pytest", "ruff"), line
            for path in [word for word in arguments[2:] if "/" in word]:
                assert (ROOT / path).exists(), line
            if "-k" in arguments:  # it must select something
                selected = arguments[arguments.index("-k") + 1]
                assert re.search(rf"def test_\w*{selected}", read(arguments[2])), line
        elif program == "jupyter":
            assert (ROOT / arguments[1]).is_file(), line
        else:
            assert program in ("pip", "python3", "tensorboard"), line


def test_programs_are_started_somewhere():
    started = {Path(words[0]).name for file in FILES for words in commands(read(file))}
    assert {"digitcnn", "python", "pip", "jupyter", "tensorboard"} <= started


@pytest.mark.parametrize("file", FILES)
def test_every_named_test_and_file_exists(file):
    text = without_blocks(read(file))
    tests = "".join(test.read_text(encoding="utf-8") for test in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in tests, name
    for path in re.findall(r"`((?:tests|examples|data|digitcnn|\.github|\.ci)/[\w/.*]+)`", text):
        assert list(ROOT.glob(path)), path
    tracked = {found.name for folder in ("digitcnn", "examples", "tests") for found in (ROOT / folder).rglob("*.*")}
    tracked |= {found.name for found in ROOT.glob("*.*")}
    for name in re.findall(r"`([\w.-]+\.(?:py|ipynb|md|yaml))`", text):
        assert name in tracked or file.endswith("benchmarks/README.md"), name  # which names files of peers


@pytest.mark.parametrize("file", FILES)
def test_links_resolve(file):
    text = without_blocks(read(file))
    assert set(re.findall(r"\]\[(\w+)\]", text)) <= set(re.findall(r"^\[(\w+)\]: http", text, re.MULTILINE))
    for link in re.findall(r"""(?:\]\(|src=")((?!http)[^)"]+)""", text):
        path, _, anchor = link.partition("#")
        target = (ROOT / file).parent / path if path else ROOT / file
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", without_blocks(target.read_text(encoding="utf-8")), re.MULTILINE)
            assert anchor in map(slug, headings), link


@pytest.mark.parametrize("file", FILES)
def test_tables_are_narrow(file):
    for row in re.findall(r"^\|.*\|$", without_blocks(read(file)), re.MULTILINE):
        columns = row.replace("\\|", "").count("|") - 1
        assert columns <= MAX_COLUMNS, row


def test_the_readme_is_short():
    lines = read("README.md").splitlines()
    assert len(lines) <= MAX_LINES
    assert [line for line in lines if len(line) > MAX_CHARACTERS] == []


def test_the_changelog_has_this_version():
    headings = re.findall(r"^## \[(.*)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased" and __version__ in headings[1:]
