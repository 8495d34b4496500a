"""digitcnn: see and own the TensorFlow graph that reads handwritten digits.

The names below are imported when they are first used, so `import digitcnn` loads no TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_MODULES = {
    "DigitCNN": "model",
    "UntrainedModelError": "engine",
    "CheckpointError": "records",
    "FolderInUseError": "resuming",
    "ResumeError": "records",
    "DigitClassifier": "estimator",
    "ARCHITECTURES": "architectures",
    "RECIPES": "recipes",
    "Standardization": "batches",
    "batch_generator": "batches",
    "Dataset": "datasets",
    "DownloadError": "datasets",
    "download": "datasets",
    "load_dataset": "datasets",
    "load_mnist": "datasets",
    "IDXError": "idx",
    "read_idx": "idx",
    "write_idx": "idx",
}
__all__ = ["__version__", *_MODULES]

if TYPE_CHECKING:
    from .architectures import ARCHITECTURES
    from .batches import Standardization, batch_generator
    from .datasets import Dataset, DownloadError, download, load_dataset, load_mnist
    from .engine import UntrainedModelError
    from .estimator import DigitClassifier
    from .idx import IDXError, read_idx, write_idx
    from .model import DigitCNN
    from .recipes import RECIPES
    from .records import CheckpointError, ResumeError
    from .resuming import FolderInUseError


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
