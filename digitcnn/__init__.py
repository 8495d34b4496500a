"""digitcnn: see and own the TensorFlow graph that reads handwritten digits.

The names below are imported when they are first used, so `import digitcnn` loads no TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .version import __version__

_MODULES = {
    "DigitCNN": "model",
    "DigitClassifier": "estimator",
    "Ensemble": "ensemble.ensemble",
    "ARCHITECTURES": "graph.architectures",
    "RECIPES": "recipes",
    "Cluster": "cluster.hosts",
    "Standardization": "data.standardization",
    "batch_generator": "data.batches",
    "Dataset": "data.datasets",
    "download": "data.download",
    "load_dataset": "data.datasets",
    "load_mnist": "data.datasets",
    "read_idx": "data.idx",
    "write_idx": "data.idx",
    "load_digit": "handwriting.digit",
    "find_digits": "handwriting.page",
    "load_picture": "handwriting.pictures",
    "load_pictures": "handwriting.pictures",
    "predict_file": "bulk.predict_file",
    "Answer": "reading.answers",
    "Reader": "reading.reader",
    "Reading": "reading.answers",
    "limit_threads": "engine.threads",
    "accuracy_interval": "report.intervals",
    "plot_calibration": "report.figures",
    "plot_confusion": "report.figures",
    "plot_doubts": "report.doubts",
    "plot_filters": "report.figures",
    "plot_history": "report.plots",
    "plot_predictions": "report.plots",
    "plot_rejection": "report.doubts",
    "CheckpointError": "exceptions",
    "ClusterError": "exceptions",
    "DownloadError": "exceptions",
    "FolderInUseError": "exceptions",
    "IDXError": "exceptions",
    "NoDigitError": "exceptions",
    "PictureError": "exceptions",
    "ResumeError": "exceptions",
    "UntrainedModelError": "exceptions",
    "WorkerLostError": "exceptions",
}
_WITH_TENSORFLOW = ("model", "estimator", "ensemble.ensemble", "reading.reader", "bulk.predict_file", "engine.threads")
__all__ = ["__version__", *_MODULES]

if TYPE_CHECKING:
    from .bulk.predict_file import predict_file
    from .cluster.hosts import Cluster
    from .data.batches import batch_generator
    from .data.datasets import Dataset, load_dataset, load_mnist
    from .data.download import download
    from .data.idx import read_idx, write_idx
    from .data.standardization import Standardization
    from .engine.threads import limit_threads
    from .ensemble.ensemble import Ensemble
    from .estimator import DigitClassifier
    from .exceptions import (
        CheckpointError,
        ClusterError,
        DownloadError,
        FolderInUseError,
        IDXError,
        NoDigitError,
        PictureError,
        ResumeError,
        UntrainedModelError,
        WorkerLostError,
    )
    from .graph.architectures import ARCHITECTURES
    from .handwriting.digit import load_digit
    from .handwriting.page import find_digits
    from .handwriting.pictures import load_picture, load_pictures
    from .model import DigitCNN
    from .reading.answers import Answer, Reading
    from .reading.reader import Reader
    from .recipes import RECIPES
    from .report.doubts import plot_doubts, plot_rejection
    from .report.figures import plot_calibration, plot_confusion, plot_filters
    from .report.intervals import accuracy_interval
    from .report.plots import plot_history, plot_predictions


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _MODULES[name]
    if module in _WITH_TENSORFLOW:
        from ._quiet import load_tensorflow  # here, as `import digitcnn` loads nothing that it need not

        load_tensorflow()
    return getattr(importlib.import_module(f".{module}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
