"""Every exception of the package.

ValueError
  IDXError               a file that is not the IDX file that it should be
  PictureError           a file that cannot be read as a picture
  ResumeError            checkpoints of another training than the one to resume
  CheckpointError        a model folder that cannot be loaded
    DamagedError         its files are not as they were written
OSError
  DownloadError          no mirror gave a data set's file
  FolderInUseError       another process trains into the folder
RuntimeError
  UntrainedModelError    the model has no weights yet, or is closed
"""

from __future__ import annotations

import itertools
import sys
import warnings


class IDXError(ValueError):
    """A file that is not the IDX file that it should be: which file, what was expected and what was found."""


class PictureError(ValueError):
    """A file that cannot be read as a picture: which file, and why."""


class ResumeError(ValueError):
    """The checkpoints are of another training than the one to resume: what differs."""


class CheckpointError(ValueError):
    """A model folder that cannot be loaded: what was expected, what was found, and where."""


class DamagedError(CheckpointError):
    """The files of a saved model are not as they were written: a disk or a person has changed them."""


class DownloadError(OSError):
    """No mirror gave a data set's file: what each one answered, and what to do."""


class FolderInUseError(OSError):
    """Another process is training into the folder."""


class UntrainedModelError(RuntimeError):
    """The model has no weights yet, or its session is closed."""


class DigitCNNWarning(UserWarning):
    """Something that does not stop the work, but that the user should know."""


def warn_user(message: str) -> None:
    """Warn at the place where the user's code called the package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, DigitCNNWarning, stacklevel=level - 1)


def reason_of(error: Exception) -> str:
    """The line that says what went wrong; TensorFlow's messages have stacks of their own before or after it."""
    lines = str(getattr(error, "message", error)).strip().splitlines() or [""]
    after = [line for before, line in itertools.pairwise(lines) if before.startswith("Node: ")]
    return [*after, lines[0]][0]
