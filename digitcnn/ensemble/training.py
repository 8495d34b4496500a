"""Trains the members of an ensemble, each resumable, in this process or in several; a finished one never again."""

from __future__ import annotations

import os
from collections.abc import Generator

from .._progress import write_line
from .._validation import MAX_COUNT, check_text_path, check_whole
from ..data.datasets import Dataset, load_dataset
from ..exceptions import warn_user
from ..search.cores import n_cores
from ..search.jobs import Failure, Job, Lost, Outcome, Result, place_of
from ..training.options import verbosity
from .folder import RECORD, SavedMember, write_record
from .plan import EnsemblePlan
from .training_record import describe, member_folder, open_training, read_result, read_training, write_result
from .worker import Work, threads_here, use_threads


def train_members(
    path: str | os.PathLike,
    data: Dataset | str | os.PathLike,
    plan: EnsemblePlan,
    *,
    n_jobs: int = 1,
    threads: int | None = None,
    checkpoint_every: int | None = None,
    verbose: bool | str = True,
) -> list[Result]:
    """Train all members into a folder, or those that a kill has left, and record the ensemble.

    Parameters
    ----------
    path : path
        The ensemble's folder.
    data : Dataset, str or path
        What to train on.
    plan : EnsemblePlan
        Which members.
    n_jobs : int, default 1
        Members that are trained beside each other, in processes of their own; 1 trains in this process.
    threads : int, optional
        TensorFlow's threads for each; default as before, else the cores of this machine over `n_jobs`.
    checkpoint_every : int, optional
        Steps between checkpoints, besides those after each epoch.
    verbose : bool or str, default True
        As for `DigitCNN.train`.

    Returns
    -------
    list of Result
        Of each member.

    Raises
    ------
    ResumeError
        If the folder has the training of another ensemble: what differs.
    ChildProcessError
        If a member could not be trained in its own process: why. The others are recorded.
    """
    folder = check_text_path("folder", path)
    n_jobs = check_whole("n_jobs", n_jobs, 1, MAX_COUNT)
    shown = verbosity(verbose)
    if checkpoint_every is not None:
        checkpoint_every = check_whole("checkpoint_every", checkpoint_every, 1, MAX_COUNT)
    recorded = read_training(folder)
    if threads is not None:
        threads = check_whole("threads", threads, 1, MAX_COUNT)
    elif recorded is not None:
        threads = recorded["threads"]
    else:
        threads = threads_here() if n_jobs == 1 else max(1, n_cores() // n_jobs)
    dataset = data if isinstance(data, Dataset) else load_dataset(os.fspath(data))
    jobs = plan.jobs(dataset, threads)
    with open_training(folder, describe(plan, dataset, jobs)):
        numbers = {job.digest: number for number, job in enumerate(jobs, 1)}
        folders = {digest: member_folder(folder, number) for digest, number in numbers.items()}
        found = {digest: read_result(folders[digest], job) for job in jobs for digest in [job.digest]}
        results = {digest: result for digest, result in found.items() if result is not None}
        waiting = [job for job in jobs if job.digest not in results]
        work = Work(place_of(dataset), {digest: str(own) for digest, own in folders.items()}, checkpoint_every)
        failures: dict[int, Failure] = {}
        outcomes = (
            _train_here(waiting, work, dataset, numbers, verbose) if n_jobs == 1 else _outcomes(waiting, work, n_jobs)
        )
        try:
            for job, outcome in outcomes:
                number = numbers[job.digest]
                if isinstance(outcome, Lost):
                    warn_user(f"member {number}: its process ended; it is resumed")
                elif isinstance(outcome, Failure):
                    failures[number] = outcome
                else:
                    write_result(folders[job.digest], job, outcome)
                    results[job.digest] = outcome
                    if "lines" in shown:
                        write_line(
                            f"Member {number} of {len(jobs)}: validation accuracy {outcome.accuracy:.2%}, "
                            f"{outcome.steps:,} steps, {outcome.seconds:.1f} s"
                        )
        finally:
            outcomes.close()  # ends the processes
        if failures:
            text = "; ".join(f"member {number}: {failure.error}" for number, failure in sorted(failures.items()))
            raise ChildProcessError(f"{folder}: expected all {len(jobs)} members trained, found {text}")
        done = [results[job.digest] for job in jobs]
        saved = [
            SavedMember(folders[job.digest].name, result.steps, result.weights_sha256)
            for job, result in zip(jobs, done, strict=True)
        ]
        if waiting or not (folder / RECORD).exists():
            write_record(folder, plan.rule, saved)
        return done


def _train_here(
    jobs: list[Job], work: Work, dataset: Dataset, numbers: dict[str, int], verbose: bool | str
) -> Generator[tuple[Job, Outcome], None, None]:
    """Train one member after another in this process."""
    if jobs:
        use_threads(jobs[0].threads)
    for job in jobs:
        if "lines" in verbosity(verbose):
            name = job.settings["architecture"]
            write_line(f"Member {numbers[job.digest]} of {len(numbers)}: {name!r}, seed {job.seed}")
        yield job, work.train(job, dataset, verbose=verbose)


def _outcomes(jobs: list[Job], work: Work, n_jobs: int) -> Generator[tuple[Job, Outcome], None, None]:
    from ..search.local import run_here  # here, as one process alone needs no joblib

    return run_here(jobs, work, n_jobs)
