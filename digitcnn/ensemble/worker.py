"""Trains one member, in this process or in a worker process; it can be killed and resumed at any moment."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from ..data.datasets import Dataset
from ..engine.threads import limit_threads
from ..exceptions import FolderInUseError
from ..search.cores import n_cores
from ..search.jobs import Failure, Job, Place, Result
from ..search.worker import failure_of, load_data, train_job

# In which a worker ends whose parent was killed, on Linux and macOS; until then it holds the member's lock. On Windows
# it goes on to the end of its member.
_SECONDS = 10
_SECONDS_BETWEEN_TRIES = 0.2


def threads_here() -> int:
    """The number of threads that TensorFlow has in this process, or will have."""
    chosen = tf.config.threading.get_intra_op_parallelism_threads() or os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return int(chosen) if str(chosen).isdecimal() and int(chosen) > 0 else n_cores()


def use_threads(n_threads: int) -> None:
    """Let TensorFlow have so many threads; nothing is set where it has them anyway. Raises as `limit_threads`."""
    if n_threads != threads_here():
        limit_threads(n_threads)


@dataclass(frozen=True)
class Work:
    """What all members of an ensemble are trained with, besides their jobs.

    Parameters
    ----------
    place : Place
        Where the data are.
    folders : mapping of str to str
        Folder of each member, by its job's digest.
    checkpoint_every : int, optional
        Steps between checkpoints, besides those after each epoch.
    """

    place: Place
    folders: Mapping[str, str]
    checkpoint_every: int | None = None

    def __call__(self, job: Job) -> Result | Failure:
        """Train a member in a worker process; what goes wrong is a Failure, so that the other members go on."""
        try:
            use_threads(job.threads)
            return self.train(job, load_data(self.place, job.data_sha256))
        except Exception as error:
            return failure_of(error)

    def train(self, job: Job, dataset: Dataset, *, verbose: bool | str = False) -> Result:
        """Train a member, or resume it; raises as `DigitCNN.train`."""
        end = time.monotonic() + _SECONDS
        while True:
            try:
                return train_job(
                    job,
                    dataset,
                    verbose=verbose,
                    checkpoint_dir=Path(self.folders[job.digest]),
                    checkpoint_every=self.checkpoint_every,
                )
            except FolderInUseError:
                if time.monotonic() > end:
                    raise
                time.sleep(_SECONDS_BETWEEN_TRIES)
