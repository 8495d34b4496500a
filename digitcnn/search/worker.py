"""What a worker process does: one training after another, each a pure function of its job."""

from __future__ import annotations

import dataclasses
import functools
import os
import socket
import time
from pathlib import Path

# From the package, which loads TensorFlow without its log: a worker imports this module first.
from .. import DigitCNN
from ..data.arrays import LabelledImages
from ..data.datasets import Dataset, load_dataset
from ..engine.machine import this_machine
from ..engine.threads import limit_threads
from ..exceptions import reason_of
from .folds import split_fold
from .jobs import Failure, Job, Place, Result

# What rounding depends on, besides the number of threads, which is the same for all jobs.
_ROUNDING = ("tensorflow", "numpy", "system", "cpu", "vector_units", "gpu", "digitcnn", "code")


def run_job(job: Job, place: Place) -> Result | Failure:
    """Train and validate; what goes wrong is a Failure, so that the other jobs go on."""
    try:
        limit_threads(job.threads)
        return train_job(job, load_data(place, job.data_sha256))
    except Exception as error:
        return failure_of(error)


def train_job(
    job: Job,
    dataset: Dataset,
    *,
    verbose: bool | str = False,
    checkpoint_dir: Path | None = None,
    checkpoint_every: int | None = None,
) -> Result:
    """Train and validate, with TensorFlow's threads as they are; raises as `DigitCNN.train`.

    Parameters
    ----------
    job : Job
        What to train.
    dataset : Dataset
        The data set that it names.
    verbose : bool or str, default False
        As for `DigitCNN.train`.
    checkpoint_dir : Path, optional
        Folder of checkpoints, from which a training that was killed is resumed.
    checkpoint_every : int, optional
        Steps between checkpoints, besides those after each epoch.
    """
    started = time.perf_counter()
    training, validation = _split(job, dataset)
    model = DigitCNN(**job.settings, random_seed=job.seed, image_shape=dataset.image_shape, n_classes=dataset.n_classes)
    with model:
        model.train(
            _pair(training),
            _pair(validation),
            steps=job.steps,
            verbose=verbose,
            checkpoint_dir=checkpoint_dir,
            checkpoint_every=checkpoint_every,
            resume=checkpoint_dir is not None,
        )
        measured = model.evaluate(*_pair(validation), verbose=False)
        machine = this_machine()
        return Result(
            accuracy=measured["accuracy"],
            loss=measured["loss"],
            steps=int(measured["global_step"]),
            weights_sha256=model.weights_sha256(),
            history=[[float(number) for number in row] for row in model.history.to_numpy()],
            machine={name: machine[name] for name in _ROUNDING} | {"computes_in": model.computes_in},
            seconds=round(time.perf_counter() - started, 3),
            worker=f"{socket.gethostname()} {os.getpid()}",
        )


def failure_of(error: Exception) -> Failure:
    """The failure that an error is."""
    reason = reason_of(error) or "no reason given"
    # A sentence of ours stands for itself; of others, the type says more than the words.
    return Failure(reason if "expected" in reason else f"{type(error).__name__}: {reason}")


@functools.lru_cache(maxsize=1)  # a worker does many jobs of one search
def load_data(place: Place, sha256: str) -> Dataset:
    """The data set, from where it lay when the search began if that is here too, else by its name."""
    folder = Path(place.folder)
    is_here = folder.is_dir() and folder.name == place.name
    data_dir = str(folder.parent) if is_here else place.data_dir if Path(place.data_dir or "").is_dir() else None
    dataset = load_dataset(place.name, data_dir)
    if (found := dataset.sha256()) != sha256:
        raise ValueError(
            f"{dataset.folder}: expected the images and labels with which this began (sha256 {sha256[:12]}), "
            f"found others on {socket.gethostname()} (sha256 {found[:12]})"
        )
    return dataclasses.replace(dataset, test_images=dataset.test_images[:0].copy())  # they are not kept in memory


def _split(job: Job, dataset: Dataset) -> tuple[LabelledImages, LabelledImages]:
    images, labels = dataset.train_images, dataset.train_labels
    if job.n_folds is not None and job.fold is not None:
        return split_fold(images, labels, job.n_folds, job.fold)
    n = len(images) - (job.n_validation or 0)
    return LabelledImages(images[:n], labels[:n]), LabelledImages(images[n:], labels[n:])


def _pair(examples: LabelledImages):
    return examples.images, examples.labels
