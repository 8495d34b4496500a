"""README's Python runs as it stands, and its set-up commands are those of .ci/run."""

import re
import shlex

from conftest import ROOT

from digitcnn.cli.commands import COMMANDS
from digitcnn.cli.parser import build_parser

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_python_blocks_run_in_order(capsys):
    python = blocks("python")
    assert len(python) >= 4
    namespace = {}
    for block in python:
        exec(compile(block, "README.md", "exec"), namespace)
    assert "(2, 24, 24, 32)" in capsys.readouterr().out
    assert len(namespace["labels"]) == 360
    namespace["cnn"].close()


def test_setup_commands_are_those_of_ci():
    commands = [f"({block.strip()})" for block in blocks("console")[:2]]
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-2:] == commands


def test_commands_have_the_options_that_they_name():
    """Each `digitcnn` command is parsed, each program and file that is started is there, with its options."""
    seen = set()
    for line in "\n".join(blocks("console")[2:]).splitlines():
        words = shlex.split(line, comments=True) or ["pip"]  # an empty line, or one that only remarks
        seen.add(words[0])
        if words[0] == "digitcnn":
            build_parser(dict.fromkeys(COMMANDS)).parse_args(words[1:])  # exits if it does not know one
        elif words[:1] == ["python"] and words[1] != "-m":
            source = (ROOT / words[1]).read_text(encoding="utf-8")
            for option in [word for word in words if word.startswith("--")]:
                assert f'"{option}"' in source, line
        elif words[:3] == ["python", "-m", "pytest"]:
            assert (ROOT / words[3]).is_file(), line
        else:
            assert words[0] in ("pip", "jupyter", "tensorboard"), line
    assert {"digitcnn", "python", "pip"} <= seen


def test_every_named_test_and_file_exists():
    tests = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", README):
        assert f"def {name}(" in tests, name
    for path in re.findall(r"`((?:tests|examples|data)/[\w/.]+)`", README):
        assert (ROOT / path).exists(), path
    text = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"""(?:\]\(|src=")((?!http)[^)"#]+)""", text):
        assert (ROOT / link).exists(), link
