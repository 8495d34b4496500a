"""Names with escapes, line breaks and bytes that are no text, at every way out of the command line."""

import csv
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digitcnn import CheckpointError, DigitCNN
from digitcnn.cli.main import main
from digitcnn.cli.output import shell_quoted

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
NAMES = (
    "\x1b[31mred.png",
    "x.png: 7\nother.png: 1  probability 1.000\n.png",
    "\u202egnp\x7f.png",
    "\udcff.png",
    "日本.png",
)
FORGED = "run\nTest accuracy 100%"


def acts(text):
    """Whether there is anything in a text but lines of signs that are shown."""
    return not all(sign.isprintable() or sign == "\n" for sign in text)


@pytest.fixture
def pictures(tmp_path, write_digit):
    """A folder with a digit under each of the names, and files of such names that are no pictures."""
    folder = tmp_path / "scans"
    folder.mkdir()
    paper = np.full((200, 260), 225, np.uint8)
    write_digit(paper, 2, 90, 50)
    content = io.BytesIO()
    Image.fromarray(paper).save(content, "PNG")
    for name in NAMES:
        (folder / name).write_bytes(content.getvalue())
    for name in NAMES[:2]:
        (folder / f"bad{name}").write_bytes(b"no picture")
    return folder


@pytest.mark.parametrize("form", [[], ["--csv"], ["--json"]])
def test_predict_prints_a_line_for_each_name(pictures, finished_run, form, capsys):
    assert main(["predict", "--run", str(finished_run[0]), *form, str(pictures)]) == 1
    shown = capsys.readouterr()
    assert not acts(shown.out + shown.err)
    assert len(shown.out.splitlines()) == len(NAMES) + (form == ["--csv"])
    assert shown.err.count("\n") == 3 and shown.err.count("digitcnn: error: ") == 2
    assert ("日本" in shown.out) is (form != ["--json"])
    if form == ["--json"]:
        assert {Path(json.loads(line)["file"]).name for line in shown.out.splitlines()} == set(NAMES)
    if form == ["--csv"]:
        assert {row[3] for row in csv.reader(io.StringIO(shown.out))} == {"numbers", "2"}


def test_predict_show_draws_hostile_names(pictures, finished_run, capsys):
    names = [str(pictures / name) for name in NAMES]
    assert main(["predict", "--run", str(finished_run[0]), "--show", "a\x1b[2J.png", *names]) == 0
    assert not acts(capsys.readouterr().err)
    with Image.open("a\x1b[2J.png") as drawn:
        assert drawn.width > 1000


def test_train_evaluate_and_resume_with_hostile_names(capsys, tmp_path):
    train = ["train", "--architecture", "softmax", "--steps", "1", "--run"]
    assert main([*train, FORGED]) == 0
    shown = capsys.readouterr()
    assert "All results are in run\\nTest accuracy 100%: look" in shown.out and "--run $'run\\x0aTest" in shown.out
    assert main(["evaluate", "--run", FORGED, "--report", "rep\x1bort"]) == 0
    out = shown.out + capsys.readouterr().out
    settings = Path(FORGED, "settings.json")
    content = json.loads(settings.read_text()) | {"weights_sha256": "\x1b[2J\nTest accuracy 100%"}
    settings.write_text(json.dumps(content))
    assert main(["train", "--resume", FORGED]) == 1  # it is no SHA-256
    out += capsys.readouterr().err
    assert main([*train, FORGED]) == 1
    out += shown.err + capsys.readouterr().err
    assert not acts(out) and "\nTest accuracy 100%" not in out
    [record] = Path(FORGED).glob("model.ckpt-*.json")
    content = json.loads(record.read_text()) | {"format_version": 2, "class_name": "\x1b[2J\nforged"}
    record.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"found one of \\x1b\[2J\\nforged; load"):
        DigitCNN.restore(FORGED)


def test_a_run_folder_that_is_no_text_is_refused_at_once(capsys, tmp_path):
    assert main(["train", "--architecture", "softmax", "--steps", "1", "--quiet", "--run", "r\udcff"]) == 1
    assert "run: expected a path of UTF-8 text, as TensorFlow takes no other, found r\\xff" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_messages_of_the_parser_are_printable(capsys):
    for argv in (["predict", "a", "--\x1b[31m"], ["\x1b[31m"], ["train", "--run", "r", "--epochs", "\x1b"]):
        with pytest.raises(SystemExit):
            main(argv)
        assert not acts(capsys.readouterr().err)


def test_a_quoted_path_is_what_a_shell_makes_of_it(tmp_path):
    for name in ("plain", "a b", "it's", "e\x1b[31m'\\ $x\n", "\udcff日"):
        done = subprocess.run(["bash", "-c", f"printf %s {shell_quoted(name)}"], capture_output=True, check=True)
        assert os.fsdecode(done.stdout) == name


def run_shell(command, **environment):
    """Run `python ...` as a shell does, with redirections."""
    command = command.replace("python", shlex.quote(sys.executable), 1)
    done = subprocess.run(command, shell=True, capture_output=True, check=False, env=os.environ | environment)
    return done.returncode, done.stdout, done.stderr


def test_closed_streams_decide_nothing():
    """Nothing goes to another stream, no file takes a closed one's number, and the status is the command's."""
    assert run_shell("python -m digitcnn download nothing 2>&-") == (1, b"", b""), "no message on standard output"
    code = "import os; from digitcnn.cli.output import open_streams, say; open_streams(); say(1); "
    code += "open('n', 'w').write(str(os.open(os.devnull, os.O_RDONLY)))"
    assert run_shell(f'python -c "{code}" <&- >&- 2>&-')[0] == 0 and int(Path("n").read_text()) > 2


def test_an_output_that_lacks_signs_decides_nothing():
    code = "from digitcnn.cli.output import open_streams, say, remark; open_streams(); "
    code += "say('caf\xe9', chr(0xDCFF)); remark(chr(26085))"
    done = run_shell(f'python -c "{code}"', PYTHONIOENCODING="ascii")
    assert done == (0, b"caf\\xe9\n\\xff\n", b"\\u65e5\n")


class Full(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


def test_a_full_output_ends_no_training_and_is_told_at_the_end(monkeypatch, capsys, few):
    with DigitCNN(architecture="softmax", random_seed=1) as model, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Full())
        model.train(few, steps=2, verbose="lines")
        assert model.global_step == 2
        patch.setattr(sys, "stdout", None)
        model.train(few, steps=1, verbose="lines", initialize=False)
        patch.setattr(sys, "stdout", Full())
        for command in (["examples", "mine"], ["summary", "--architecture", "softmax"]):
            assert main(command) == 1
            found = capsys.readouterr().err
            assert "error: standard output: expected a place that can be written, found no space left on" in found
