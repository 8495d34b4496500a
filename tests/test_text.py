"""Text of strangers as it is shown: nothing in it acts on a terminal, a page or a plot."""

import pickle
import warnings

import pytest

from digitcnn import CheckpointError, Dataset, DownloadError, PictureError
from digitcnn._text import printable, printable_lines
from digitcnn._validation import explain_os_errors
from digitcnn.exceptions import DigitCNNWarning, warn_user

HOSTILE = {
    "\x1b[31mred": "\\x1b[31mred",
    "name\nTest accuracy 100%": "name\\nTest accuracy 100%",
    "a\r\tb\x00\x7f\x9b": "a\\r\\tb\\x00\\x7f\\x9b",
    "\u202egnp.exe\u2066": "\\u202egnp.exe\\u2066",
    "line\u2028paragraph\u2029": "line\\u2028paragraph\\u2029",
    "\udcff\ud800": "\\xff\\ud800",
    "\ufeff\U000e0041": "\\ufeff\\U000e0041",
}


@pytest.mark.parametrize("text", HOSTILE)
def test_signs_that_act_are_escaped(text):
    assert printable(text) == HOSTILE[text] == printable(printable(text))
    assert printable(text).encode()


@pytest.mark.parametrize("text", ["café 日本 عربى", "a\u00a0b\u202fc", "👩\u200d🔬 e\u0301 é", "a\\nb $x$ <b>"])
def test_ordinary_text_stays(text):
    assert printable(text) == text


def test_lines_of_the_program_stay_lines():
    assert printable_lines("first:\nhttp://x\x1b\n  last\n") == "first:\n  http://x\\x1b\n  last"


@pytest.mark.parametrize("kind", [PictureError, CheckpointError])
def test_messages_of_errors_are_printable(kind):
    error = kind("model\x1b[2J.json: expected x, found y\nforged")
    assert str(error) == "model\\x1b[2J.json: expected x, found y\\nforged"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert "\x1b" not in str(DownloadError("could not get it:\nhttp://x\x1b")) + repr(error)
    with (
        pytest.raises(FileNotFoundError, match=r"^no\\x1b: expected a file, found nothing there$"),
        explain_os_errors("no\x1b", "a file"),
    ):
        raise FileNotFoundError(2, "No such file", "no\x1b")


def test_warnings_and_reprs_are_printable(digits):
    with pytest.warns(DigitCNNWarning, match=r"^a\\x1bb$"):
        warn_user("a\x1bb")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        named = Dataset("red\x1b\n", digits.folder, *[digits.test_images, digits.test_labels] * 2)
    assert "\x1b" not in repr(named) and "\n" not in repr(named)
