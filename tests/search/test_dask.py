"""`digitcnn search` and scikit-learn's GridSearchCV on a real Dask cluster: a scheduler and two worker processes."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pytest

pytest.importorskip("distributed", reason="dask[distributed] is not installed")

from distributed import Client
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError
from searching import SEARCH, SECONDS, children, rows, wait_for
from sklearn.model_selection import GridSearchCV

from digitcnn import DigitClassifier, limit_threads
from digitcnn.cli.main import main
from digitcnn.search.cluster import run_on_cluster
from digitcnn.search.jobs import Job, Place

# Dask's own: sockets that it leaves to the garbage collector, among others.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a scheduler; the process that keeps two workers of one thread each alive; the scheduler itself."""
    folder = tmp_path_factory.mktemp("cluster")
    place, file = folder, folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    local = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    worker = [*dask, "worker", "--scheduler-file", str(file), "--nworkers", "2", "--nthreads", "1", "--no-dashboard"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": place}
    with (
        subprocess.Popen([*dask, "scheduler", *local, "--scheduler-file", str(file)], **quiet) as scheduler,
        subprocess.Popen(worker, **quiet) as nanny,
    ):
        try:
            wait_for(lambda: file.exists() and file.read_text(), "the scheduler")
            yield json.loads(file.read_text())["address"], nanny, scheduler
        finally:
            nanny.terminate()
            nanny.wait(SECONDS)
            scheduler.terminate()


def kill_a_worker_after_the_first_job(nanny, folder, killed):
    """Kill the process of the worker that has done the first recorded job, by then in another one."""
    wait_for(lambda: list((folder / "jobs").glob("*.json")), "the first job")
    [first, *_] = (folder / "jobs").glob("*.json")
    number = int(json.loads(first.read_text())["result"]["worker"].split()[-1])
    os.kill(number, signal.SIGKILL)
    killed.append(number)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc to see processes in")
def test_search_on_a_cluster_gives_the_sequential_rows_though_a_worker_is_killed(cluster, capsys):
    address, nanny, _ = cluster
    assert main([*SEARCH, "--out", "sequential", "--quiet"]) == 0
    killed = []
    killer = threading.Thread(target=kill_a_worker_after_the_first_job, args=(nanny, Path("out"), killed))
    killer.start()
    status = main([*SEARCH, "--out", "out", "--dask", address])
    killer.join(SECONDS)
    shown = capsys.readouterr()
    assert status == 0, shown.err
    assert len(killed) == 1 and killed[0] not in children(nanny.pid)
    assert Path("out/results.csv").read_bytes() == Path("sequential/results.csv").read_bytes()
    assert len(rows("out")) == 4 and sum(line.startswith("[") for line in shown.out.splitlines()) == 4


def grid_search(digits):
    search = GridSearchCV(
        DigitClassifier(architecture="softmax", epochs=3, random_state=1), {"learning_rate": [1e-3, 1e-2]}, cv=2
    )
    return search.fit(digits.train_images[:300], digits.train_labels[:300])


@pytest.fixture(scope="module")
def sequential(digits):
    return grid_search(digits)


def check_same(found, sequential, digits):
    assert np.abs(found.cv_results_["mean_test_score"] - sequential.cv_results_["mean_test_score"]).max() <= 0.02
    assert found.best_params_ == sequential.best_params_ == {"learning_rate": 1e-2}
    assert found.best_estimator_.score(digits.test_images, digits.test_labels) > 0.6


def test_grid_search_cv_runs_unchanged_on_a_cluster(cluster, sequential, digits):
    with Client(cluster[0]) as client, joblib.parallel_config(backend="dask"):
        client.run(limit_threads, 1)
        check_same(grid_search(digits), sequential, digits)


def test_grid_search_cv_runs_unchanged_in_processes(sequential, digits):
    with joblib.parallel_config(backend="loky", n_jobs=2):
        check_same(grid_search(digits), sequential, digits)


def test_workers_that_have_started_with_other_threads_are_reported(cluster, capsys):
    """Another job of the cluster has used TensorFlow in these processes."""
    arguments = [*SEARCH, "--out", "out", "--dask", cluster[0]]
    with Client(cluster[0]) as client:
        client.run(limit_threads, 1)
    assert main([*arguments[: arguments.index("--threads")], "--threads", "2", *arguments[-4:]]) == 1
    assert "which TensorFlow has 2 threads or has not started, found one in which it has 1" in capsys.readouterr().err
    assert not list(Path("out/jobs").iterdir()) and len(rows("out")) == 4


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "tcp://", "http://127.0.0.1:9"])
def test_no_scheduler_is_a_sentence(address, capsys, monkeypatch):
    monkeypatch.setattr("digitcnn.search.cluster.SECONDS", 1)
    assert main([*SEARCH, "--out", "out", "--dask", address]) == 1
    error = capsys.readouterr().err
    assert "--dask: expected the address of a Dask scheduler" in error and "Traceback" not in error
    assert not Path("out").exists()


@pytest.mark.parametrize("error", [FutureCancelledError("key", "lost"), CommClosedError("lost"), OSError("lost")])
@pytest.mark.parametrize("status", ["finished", "error"])
def test_scheduler_lost_while_a_result_is_fetched_is_a_sentence(error, status):
    """Dask cancels the future or reports the connection, as it happens."""
    job = Job(data_sha256="", settings={}, steps=1, seed=1, fold=None, n_folds=None, n_validation=1, threads=1)

    class Broken:
        def __init__(self):
            self.status = status

        def add_done_callback(self, put):
            put(self)

        def result(self):
            raise error

        exception = result

    client = SimpleNamespace(
        status="closed", submit=lambda *_, **__: Broken(), scheduler_info=lambda: {"address": "tcp://10.0.0.1:8786"}
    )
    place = Place(name="bundled", folder="", data_dir=None)
    with pytest.raises(OSError, match="found the connection to tcp://10.0.0.1:8786 lost; what is done is recorded"):
        list(run_on_cluster([job], place, client))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc to see processes in")
def test_lost_scheduler_ends_the_search_with_a_sentence(cluster, capsys):
    """The last test of the file: it ends the cluster."""
    address, _, scheduler = cluster

    def kill():
        wait_for(lambda: list(Path("out/jobs").glob("*.json")), "the first job")
        scheduler.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    status = main([*SEARCH, "--out", "out", "--dask", address])
    killer.join(SECONDS)
    error = capsys.readouterr().err
    assert status == 1 and "Traceback" not in error
    assert f"expected the scheduler to stay, found the connection to {address} lost" in error
    assert "of 4 jobs are recorded in out; the same command resumes" in error and len(rows("out")) >= 1
