"""Every exception and warning of the package.

ValueError
  IDXError               a file is not the IDX file that was expected
  PictureError           a file cannot be read as a picture
    NoDigitError         a picture holds no digit: it is blank, or noise, or something else
    PictureFolderError   several pictures of a folder cannot be read or have no label
  ClusterError           the workers of a training cannot train together
  ResumeError            the checkpoints belong to another training than the one to resume
  CheckpointError        a model folder cannot be loaded
    DamagedError         its files have changed since they were written
OSError
  DownloadError          no mirror sent a data set's file
  FolderInUseError       another process trains or saves into the folder
  WorkerLostError        another worker of a training does not answer any more
RuntimeError
  UntrainedModelError    the model has no weights yet, or is closed
UserWarning
  DigitCNNWarning        something worth knowing that does not stop the work
"""

from __future__ import annotations

import itertools
import sys
import warnings

from ._text import printable, printable_lines
from ._validation import describe_os_error


class _Printable(Exception):
    """An error whose message names files, and quotes what is in them: it is made printable."""

    def __str__(self) -> str:
        return printable(super().__str__())


class PrintableLinesError(Exception):
    """An error whose message has lines of its own; each of them is made printable."""

    def __str__(self) -> str:
        return printable_lines(Exception.__str__(self))  # not a parent's, which escapes line breaks


class IDXError(_Printable, ValueError):
    """A file is not the IDX file that was expected; the message names it and says what was found."""


class PictureError(_Printable, ValueError):
    """A file cannot be read as a picture; the message names it and says why."""


class NoDigitError(PictureError):
    """A picture holds no digit; the message says what was found."""


class PictureFolderError(PrintableLinesError, PictureError):
    """Several pictures of a folder cannot be read or have no label; the message has a line with each one's fault."""


class ClusterError(_Printable, ValueError):
    """The workers of a training cannot train together; the message names the worker and what differs."""


class ResumeError(_Printable, ValueError):
    """The checkpoints belong to another training than the one to resume; the message says what differs."""


class CheckpointError(_Printable, ValueError):
    """A model folder cannot be loaded; the message says what was expected, what was found, and where."""


class DamagedError(CheckpointError):
    """The files of a saved model have changed since they were written, by a disk error or by hand."""


class DownloadError(PrintableLinesError, OSError):
    """No mirror sent a data set's file; the message has a line with each one's answer and says what to do."""


class FolderInUseError(_Printable, OSError):
    """Another process trains or saves into the folder."""


class WorkerLostError(_Printable, ConnectionError):
    """Another worker of a training does not answer any more, or was asked to stop: start all anew, and resume."""


class UntrainedModelError(RuntimeError):
    """The model has no weights yet, or its session is closed."""


class DigitCNNWarning(UserWarning):
    """Something that does not stop the work, but that the user should know about."""


def warn_user(message: str) -> None:
    """Issue a DigitCNNWarning that points at the line where the user's code called the package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(printable(message), DigitCNNWarning, stacklevel=level)


def reason_of(error: Exception) -> str:
    """The line of an error's message that says what went wrong, without TensorFlow's stack traces around it."""
    if isinstance(error, OSError):
        return describe_os_error(error)
    lines = str(getattr(error, "message", error)).strip().splitlines()
    lines = [line for line in lines if not line.startswith("From /job:")] or [""]  # which process of a cluster says it
    after = [line for before, line in itertools.pairwise(lines) if before.startswith("Node: ")]
    return [*after, lines[0]][0]
