"""The helpers behind the error messages: suggestions, and the system's errors as sentences."""

import errno
import os
import re

import pytest

from digitcnn._validation import did_you_mean, explain_os_errors
from digitcnn.data.datasets import DATASET_NAMES, load_dataset

ARGUMENTS = ("batchsize", "epochs", "learning_rate", "random_seed", "conv_1_output_channels", "conv_2_output_channels")


@pytest.mark.parametrize(
    ("value", "suggestion"),
    [
        ("batch_size", "batchsize"),
        ("epoch", "epochs"),
        ("seed", "random_seed"),
        ("Epochs", "epochs"),
        ("learningrate", "learning_rate"),
    ],
)
def test_did_you_mean_suggests_the_closest_name(value, suggestion):
    assert did_you_mean(value, ARGUMENTS) == f"; did you mean {suggestion!r}?"


def test_did_you_mean_names_all_that_begin_with_the_word():
    expected = "; did you mean 'emnist-digits', 'emnist-letters' or 'emnist-balanced'?"
    assert did_you_mean("emnist", DATASET_NAMES) == did_you_mean("EMNIST", DATASET_NAMES) == expected
    with pytest.raises(ValueError, match=f"found 'emnist'{re.escape(expected)}"):
        load_dataset("emnist")


@pytest.mark.parametrize("value", ["zzz", "", "x", None, 5, ["epochs"], "1"])
def test_did_you_mean_is_silent_without_a_close_name(value):
    assert did_you_mean(value, ARGUMENTS) == ""


@pytest.mark.parametrize(
    ("number", "kind", "found"),
    [
        (errno.ENOENT, FileNotFoundError, "nothing there"),
        (errno.EACCES, PermissionError, "no permission to access it"),
        (errno.EPERM, PermissionError, "no permission to access it"),
        (errno.EISDIR, IsADirectoryError, "a folder"),
        (errno.ENOSPC, OSError, os.strerror(errno.ENOSPC)[0].lower() + os.strerror(errno.ENOSPC)[1:]),
    ],
)
def test_system_errors_become_sentences_of_the_same_type(number, kind, found):
    with pytest.raises(kind) as caught, explain_os_errors("a/b", "a file", "; look for it"):
        raise OSError(number, os.strerror(number), "a/b")
    assert str(caught.value) == f"a/b: expected a file, found {found}; look for it"
    assert type(caught.value) is kind and caught.value.errno == number


def test_sentences_are_not_explained_twice():
    error = FileNotFoundError("a: expected a folder, found a file")
    with pytest.raises(FileNotFoundError) as caught, explain_os_errors("b", "an IDX file"):
        raise error
    assert caught.value is error
    with pytest.raises(FileNotFoundError, match="^inner: expected x, found nothing there$"):  # noqa: SIM117
        with explain_os_errors("outer", "y"), explain_os_errors("inner", "x"):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", "inner")
