"""Runs jobs in processes of this machine, by joblib's executor loky.

Not by joblib.Parallel: one lost process ends all of its jobs, and with n_jobs=1 it computes in the process that asks.
"""

from __future__ import annotations

import warnings
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait

from .jobs import Failure, Job, Lost, Outcome, Result
from .process import begin_process

try:
    from joblib.externals.loky import ProcessPoolExecutor
except ImportError as error:
    raise ImportError(
        f"several processes at once need joblib 1.4 or later, pip install 'digitcnn[search]': {error}"
    ) from error

MAX_LOSSES = 3  # of a job's worker process

Work = Callable[[Job], Result | Failure]


def run_here(jobs: Iterable[Job], work: Work, n_workers: int) -> Generator[tuple[Job, Outcome], None, None]:
    """Yield each job with its outcome, as it is done; one whose process ended is Lost, and comes again.

    After the last loss it is a Failure. Closing the iterator ends the processes. work: what a process does with a job;
    it is pickled.
    """
    waiting, suspects, losses = deque(jobs), deque[Job](), Counter[str]()
    while waiting or suspects:
        # A job that was lost twice runs alone, so that a job that ends its process is not confused with its neighbours.
        queue, n_beside = (waiting, n_workers) if waiting else (deque([suspects.popleft()]), 1)
        for job in (yield from _run_until_loss(queue, work, n_beside)):
            losses[job.digest] += 1
            times = losses[job.digest]
            if times == MAX_LOSSES:
                yield job, Failure(f"its worker process ended {times} times: was it killed, or is memory too small?")
                continue
            (suspects if times == MAX_LOSSES - 1 else waiting).append(job)
            yield job, Lost(times)


def _run_until_loss(queue: deque[Job], work: Work, n_workers: int) -> Generator[tuple[Job, Outcome], None, list[Job]]:
    """Run the queue's jobs; return those in work when a process ended, which stops all, or none at the queue's end."""
    executor = ProcessPoolExecutor(max_workers=min(n_workers, len(queue)), initializer=begin_process)
    running: dict[Future, Job] = {}
    is_killed = True  # unless all is done: nobody waits for a job that is of no use
    try:
        while queue or running:
            # No more than there are processes, so that it is known which jobs a lost process may have had.
            while queue and len(running) < n_workers:
                job = queue.popleft()
                try:
                    running[_submit(executor, job, work)] = job
                except BrokenExecutor:  # since the last look
                    return [job, *running.values()]
            lost = []
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                try:
                    outcome = future.result()
                except BrokenExecutor:
                    lost.append(job)
                else:
                    yield job, outcome
            if lost:
                return [*lost, *running.values()]
        is_killed = False
        return []
    finally:
        executor.shutdown(wait=True, kill_workers=is_killed)


def _submit(executor: ProcessPoolExecutor, job: Job, work: Work) -> Future:
    with warnings.catch_warnings():
        # It replaces a process that has grown by 300 MB, which costs no job.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
        return executor.submit(work, job)
