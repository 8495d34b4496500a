"""Runs jobs on the workers of a Dask cluster.

By Dask's own futures: joblib's backend for Dask waits for ever for a job that the scheduler gave up (joblib 1.6).
"""

from __future__ import annotations

import contextlib
import logging
import queue
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError

from .._validation import describe_os_error
from ..exceptions import warn_user
from ..version import __version__
from .cores import describe_worker
from .jobs import Failure, Job, Outcome, Place
from .worker import run_job

try:
    from distributed import Client, Future, KilledWorker
except ImportError as error:
    raise ImportError(f"digitcnn search --dask needs Dask, pip install 'digitcnn[dask]': {error}") from error

SECONDS = 10  # that a scheduler may take to answer, and its first worker to be there


@contextlib.contextmanager
def connect(address: str) -> Iterator[Client]:
    """A client of the scheduler at an address such as 'tcp://10.0.0.1:8786', with at least one worker that fits.

    Raises OSError or ValueError with a sentence.
    """
    if not address:
        raise ValueError(
            "--dask: expected the address of a Dask scheduler, such as tcp://10.0.0.1:8786, found an empty one"
        )
    try:
        client = Client(address, timeout=SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        found = describe_os_error(error) if isinstance(error, OSError) else str(error)
        raise OSError(
            f"--dask: expected the address of a Dask scheduler, such as tcp://10.0.0.1:8786, found {address!r}, where "
            f"none answers within {SECONDS} seconds ({found}); `dask scheduler` starts one"
        ) from error
    with _without_tracebacks(), client:
        try:
            client.wait_for_workers(1, timeout=SECONDS)
        except TimeoutError as error:
            raise OSError(
                f"--dask: expected at least one worker at {address}, found none within {SECONDS} seconds; "
                f"`dask worker {address}` starts one"
            ) from error
        yield client


@contextlib.contextmanager
def _without_tracebacks() -> Iterator[None]:
    """Keep off standard error what Dask logs when a scheduler is lost; `run_on_cluster` says it in a sentence."""
    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def threads_per_job(client: Client) -> int:
    """TensorFlow's threads for each job: the cores of a machine over the jobs that it does at once, the fewest of all.

    Raises OSError or ValueError if a worker lacks this package, or has another version.
    """
    try:
        found = client.run(describe_worker)
    except Exception as error:  # what a worker raises that lacks the package has several types
        raise OSError(
            f"--dask: expected digitcnn {__version__} on each worker, found one that cannot run it: {error}; install "
            "it there, in the same version"
        ) from error
    at_once = Counter[str]()
    for worker, n in client.nthreads().items():
        if worker in found:
            host, _, version = found[worker]
            at_once[host] += n
            if version != __version__:
                raise ValueError(f"--dask: expected digitcnn {__version__} on each worker, found {version} on {worker}")
    return max(1, min(n_cores // at_once[host] for host, n_cores, _ in found.values() if at_once[host]))


def run_on_cluster(jobs: Iterable[Job], place: Place, client: Client) -> Iterator[tuple[Job, Outcome]]:
    """Yield each job with its outcome, as it is done; Dask does a job again whose worker has ended.

    Closing the iterator cancels the jobs that have not begun. Raises OSError if the scheduler is gone.
    """
    name = f"digitcnn-search-{secrets.token_hex(4)}"  # another search on this cluster has keys of its own
    address = client.scheduler_info()["address"]
    submitted = {
        # A result is whole or not there: a job that is done twice ends with the same one.
        client.submit(run_job, job, place, key=f"{name}-{job.digest}", pure=False): job
        for job in jobs
    }
    done: queue.SimpleQueue[Future] = queue.SimpleQueue()
    try:
        for future in submitted:
            future.add_done_callback(done.put)
        for _ in range(len(submitted)):
            future = _next_done(done, client, address)
            job = submitted[future]
            if future.status == "finished":
                yield job, _result(future, address)
            elif future.status == "error":
                yield job, _failure_of(future, address)
            else:  # cancelled, as Dask does when it has lost the scheduler
                raise OSError(_lost(address))
            future.release()  # so that Dask keeps no result that is recorded
    finally:
        if client.status == "running":
            with contextlib.suppress(OSError):
                client.cancel(list(submitted))


@contextlib.contextmanager
def _lost_as_a_sentence(address: str) -> Iterator[None]:
    """Raise OSError with a sentence if the scheduler is lost while something is fetched from it."""
    try:
        yield
    # `run_job` returns its failures, so these are the connection's: Dask cancels the futures of a scheduler that is
    # gone, and its FutureCancelledError is a CancelledError, no OSError.
    except (OSError, CancelledError) as error:
        raise OSError(_lost(address)) from error


def _result(future: Future, address: str) -> Outcome:
    """What a job that is done ended with. Raises OSError if the scheduler is lost while it is fetched."""
    with _lost_as_a_sentence(address):
        return future.result()


def _next_done(done: queue.SimpleQueue[Future], client: Client, address: str) -> Future:
    """Wait for a job; say so where it is waited for in vain, as without any worker. Raises OSError."""
    while True:
        try:
            return done.get(timeout=SECONDS)
        except queue.Empty:
            if client.status != "running":
                raise OSError(_lost(address)) from None
            if not client.nthreads():
                warn_user(f"--dask: the cluster at {address} has no worker any more; waiting for one")


def _lost(address: str) -> str:
    return (
        f"--dask: expected the scheduler to stay, found the connection to {address} lost; what is done is recorded: "
        "start the search again once a scheduler is there"
    )


def _failure_of(future: Future, address: str) -> Failure:
    """Why a job has no result. Raises OSError if the scheduler is lost while that is fetched."""
    with _lost_as_a_sentence(address):
        error = future.exception()
    if isinstance(error, KilledWorker):
        return Failure("Dask gave it up, as its worker process ended each time: was it killed, or is memory too small?")
    return Failure(f"{type(error).__name__}: {error}")
