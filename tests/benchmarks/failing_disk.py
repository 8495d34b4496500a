"""A file system that fails at a chosen change, and models that are saved and read without a session.

Each change of the file system that Python makes is a point: a rename, a deletion, a new folder, a file opened for
writing, a flush. `Disk(fault, at)` lets one of them fail. What TensorFlow writes is written here by Python, so that it
has points too; what it would read are bytes, which are compared.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from digitcnn.data.standardization import Standardization
from digitcnn.engine.averages import Averages
from digitcnn.engine.state import Progress
from digitcnn.saving.checkpoint import open_model
from digitcnn.saving.record import VARIABLE_FILES, Plan, Record
from digitcnn.saving.writing import write_checkpoint
from digitcnn.settings import Settings, settings_dict

FAULTS = ("kill", "EIO", "EIO for ever", "ENOSPC", "Ctrl-C", "Ctrl-C after", "Ctrl-C twice")
_CHANGES = ("replace", "rename", "unlink", "remove", "rmdir", "mkdir", "fsync", "open", "chmod")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class KilledError(BaseException):
    """The process has ended: whatever it does from here on has no effect."""


@dataclass
class Disk(contextlib.AbstractContextManager):
    """Counts the changes of the file system; the one with number `at` (from 1) meets a fault."""

    fault: str = ""
    at: int = 0
    n_changes: int = 0
    _before: dict = field(default_factory=dict)

    def __enter__(self):
        self._before = {(os, name): getattr(os, name) for name in _CHANGES}
        self._before |= {(io, "open"): io.open, (builtins, "open"): builtins.open}
        for (module, name), function in self._before.items():
            setattr(module, name, self._counted(name, function, is_stream=module is not os))
        return self

    def __exit__(self, *_):
        for (module, name), function in self._before.items():
            setattr(module, name, function)

    def _counted(self, name, function, *, is_stream):
        def call(*arguments, **options):
            if name == "open":
                how = arguments[1] if len(arguments) > 1 else options.get("flags", options.get("mode", "r"))
                if not (set(how) & set("wxa+") if is_stream else how & _WRITES):
                    return function(*arguments, **options)
            self.n_changes += 1
            is_after = self._fail(name)
            result = None if name == "fsync" else function(*arguments, **options)  # a flush takes milliseconds
            if is_after:
                if name == "open":  # nobody has it to close
                    result.close() if is_stream else os.close(result)
                raise KeyboardInterrupt
            return result

        return call

    def _fail(self, name):
        """Raise, if this change is to fail; return whether it is to be interrupted after it."""
        since = self.n_changes - self.at
        if since < 0 or not self.at:
            return False
        if self.fault == "kill":
            raise KilledError
        if self.fault == "EIO for ever" or (self.fault == "EIO" and since == 0):
            raise OSError(errno.EIO, "Input/output error")
        if self.fault == "ENOSPC" and name not in ("unlink", "remove", "rmdir"):
            raise OSError(errno.ENOSPC, "No space left on device")
        if (self.fault == "Ctrl-C" and since == 0) or (self.fault == "Ctrl-C twice" and since < 2):
            raise KeyboardInterrupt
        return self.fault == "Ctrl-C after" and since == 0


PLAN = Plan(
    initialize=True,
    epochs=9,
    steps=None,
    computes_in="float32",
    training_set="0" * 64,
    validation_set=None,
    machine={},
    last_step=99,
)


class MadeModel:
    """What a CheckpointFolder needs of a model, with bytes in place of variables."""

    class_name = "DigitCNN"
    settings = Settings(architecture="softmax", random_seed=3, image_shape=(2, 2))  # few numbers for JSON

    def __init__(self, content: str, accuracy: float = 0.5):
        self.files = {suffix: f"{content}{suffix}".encode() * 9 for suffix in (*VARIABLE_FILES, ".meta")}
        self.accuracy = accuracy
        self.engine = SimpleNamespace(saver=self, session=None, averages=Averages(None, None))

    def save(self, _session, prefix: str):
        """As TensorFlow's Saver."""
        for suffix, content in self.files.items():
            Path(f"{prefix}{suffix}").write_bytes(content)
        Path(prefix).with_name("checkpoint").write_text(f'model_checkpoint_path: "{Path(prefix).name}"\n')

    def record(self, plan=None):
        """Everything but the variables."""
        return Record(
            class_name=self.class_name,
            settings=settings_dict(self.settings),
            progress=Progress(epoch=1),
            history=[{"Epoch": 1, "Loss": 0.5, "Accuracy": self.accuracy}],
            standardization=Standardization.unit(4),
            plan=plan,
        )

    def write(self, prefix, record):
        """As ModelParts.write."""
        write_checkpoint(self.engine, prefix, record)

    def load(self, saved):
        """As ModelParts.load: takes over the bytes."""
        self.files = saved.read(1 << 20)


def content_of(path, epoch=None):
    """What a reader finds: the bytes of the variables; None if there is no such model."""
    try:
        with open_model(path, epoch) as saved:
            return saved.read(1 << 20)
    except FileNotFoundError:
        return None


def variables_of(model):
    """The bytes that a reader of the model must find."""
    return {suffix: model.files[suffix] for suffix in VARIABLE_FILES}


def everything_in(folder, *, with_locks=False):
    """Names and bytes of all files, but for locks."""
    return {
        str(file.relative_to(folder)): file.is_file() and file.read_bytes()
        for file in sorted(Path(folder).rglob("*"))
        if with_locks or not file.name.startswith(".lock")
    }
