"""Search with 12 jobs in sequence, in processes and on a Dask cluster with kills: equal rows, and the speed of each.

    python tests/benchmarks/search.py
    python tests/benchmarks/search.py --kills 4 --epochs 20 --architecture cnn
    python tests/benchmarks/search.py --rounds 3 --kills 0

The cluster is a scheduler and three worker processes of one thread each, started as an operator starts them. SIGKILL
ends a worker that is in mid-job, after the first results and again later; Dask's nanny starts another one. results.csv
must have 12 rows and equal the sequential run's byte for byte. Then the coordinator of a search in processes is killed
by SIGKILL at random moments and started again, until it ends. Exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

N_JOBS = 12
N_WORKERS = 3
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def command(folder: Path, arguments, *options: str) -> list[str]:
    """The command of the search; every way to run it has the same number of threads."""
    grid = ["learning_rate=3e-4,1e-3", "dropout=0,0.5", f"architecture={arguments.architecture}"]
    common = ["--seeds", "1", "2", "3", "--epochs", str(arguments.epochs), "--threads", "1", "--data", arguments.data]
    return [sys.executable, "-m", "digitcnn", "search", "--grid", *grid, *common, "--out", str(folder), *options]


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """The address of a scheduler with three workers, each of which is started anew when it ends."""
    file = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    scheduling = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    working = ["worker", "--scheduler-file", str(file), "--nworkers", str(N_WORKERS), "--nthreads", "1"]
    with (
        subprocess.Popen([*dask, *scheduling], cwd=folder, **QUIET) as scheduler,
        subprocess.Popen([*dask, *working, "--no-dashboard"], cwd=folder, **QUIET) as nanny,
    ):
        while not (file.exists() and file.read_text()):
            time.sleep(0.1)
        try:
            yield json.loads(file.read_text())["address"]
        finally:
            nanny.terminate()
            nanny.wait()
            scheduler.terminate()


def seconds_of(words: list[str]) -> float:
    """Run a command to its end; the seconds that it took."""
    started = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def on_cluster(folder: Path, arguments, address: str, n_kills: int) -> tuple[float, int]:
    """Search on the cluster, and kill a worker after every second result; seconds, and kills."""
    started, killed, n_done = time.perf_counter(), 0, 0
    process = subprocess.Popen(command(folder, arguments, "--dask", address), stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("["):
            n_done += 1
            if n_done % 2 and killed < n_kills:  # the worker of the last result is in its next job
                newest = max((folder / "jobs").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
                with contextlib.suppress(ProcessLookupError):  # it was killed before
                    os.kill(int(json.loads(newest.read_text())["result"]["worker"].split()[-1]), signal.SIGKILL)
                    killed += 1
    if process.wait() != 0:
        raise SystemExit(f"the search on the cluster ended with {process.returncode}")
    return time.perf_counter() - started, killed


def with_killed_coordinators(folder: Path, arguments, seconds: float) -> int:
    """Search in processes; kill the coordinator at random moments, and start it again; the number of kills."""
    moments, n_kills = random.Random(arguments.seed), 0
    while True:
        process = subprocess.Popen(command(folder, arguments, "--jobs", "2"), stdout=subprocess.DEVNULL)
        try:
            if process.wait(moments.uniform(0.1, seconds) if n_kills < arguments.coordinator_kills else None) == 0:
                return n_kills
            raise SystemExit(f"the search ended with {process.returncode}")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            n_kills += 1


def main() -> int:
    """Print a line for each way to run the search; return 1 if a row differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="bundled", help="data set (default: bundled)")
    parser.add_argument("--architecture", default="same", help="network (default: same)")
    parser.add_argument("--epochs", type=int, default=10, help="of each job (default: 10)")
    parser.add_argument("--rounds", type=int, default=1, help="of all ways, in turn (default: 1)")
    parser.add_argument("--kills", type=int, default=2, help="of workers of the cluster (default: 2)")
    parser.add_argument("--coordinator-kills", type=int, default=3, help="of coordinators (default: 3)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the moments (default: 1)")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    seconds: dict[str, list[float]] = {}
    n_different = n_kills = n_coordinators = 0
    with tempfile.TemporaryDirectory() as name:
        for number in range(arguments.rounds):
            folder = Path(name) / str(number)
            folder.mkdir()
            sequential = seconds_of(command(folder / "1", arguments))
            seconds.setdefault("one after another", []).append(sequential)
            seconds.setdefault("2 processes", []).append(seconds_of(command(folder / "2", arguments, "--jobs", "2")))
            with cluster(folder) as address:
                took, killed = on_cluster(folder / "3", arguments, address, arguments.kills)
            seconds.setdefault(f"Dask, {N_WORKERS} workers", []).append(took)
            n_kills += killed
            n_coordinators += with_killed_coordinators(folder / "4", arguments, sequential)
            expected = (folder / "1" / "results.csv").read_bytes()
            n_rows = len(expected.splitlines()) - 1
            for way in "234":
                n_different += (folder / way / "results.csv").read_bytes() != expected or n_rows != N_JOBS
    base = statistics.median(seconds["one after another"])
    for way, found in seconds.items():
        times = ", ".join(f"{second:.1f}" for second in found)
        print(f"{way}: {times} s, {base / statistics.median(found):.2f} times as fast as one after another")
    print(f"{n_kills} workers and {n_coordinators} coordinators killed; {n_different} of {3 * arguments.rounds} differ")
    return int(n_different > 0)


if __name__ == "__main__":
    sys.exit(main())
