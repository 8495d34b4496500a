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
