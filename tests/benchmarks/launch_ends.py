"""End `digitcnn launch` at random moments in every way there is, and count the workers that are left.

    python tests/benchmarks/launch_ends.py --runs 50
    python tests/benchmarks/launch_ends.py --runs 50 --workers 3 --seconds 20

Linux only: workers are found in /proc by a variable in their environment, whatever became of their parents. A moment
is drawn uniformly from 0 to --seconds after the start, so that some workers have not begun to import. Exits with 1 if a
worker is left after --patience seconds.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MARK = "DIGITCNN_LAUNCH_ENDS"
WAYS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGKILL", "SIGINT twice", "worker stopped, SIGKILL", "reader gone")


def marked(mark: str) -> set[int]:
    """The processes that have this mark in their environment, zombies aside."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.add(int(folder.name))
        except OSError:  # it has ended, or belongs to somebody else
            continue
    return found


def end(process: subprocess.Popen, way: str, mark: str) -> None:
    """End a launcher, as a terminal would for the first signals: its whole process group."""
    if way == "reader gone":
        process.stdout.close()
        process.stderr.close()
        process.send_signal(signal.SIGTERM)  # the workers may have nothing to say for long
    elif way == "SIGINT twice":
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)
    elif way == "worker stopped, SIGKILL":
        for worker in sorted(marked(mark) - {process.pid})[:1]:
            os.kill(worker, signal.SIGSTOP)
        process.kill()
    else:
        os.killpg(process.pid, getattr(signal, way))


def main() -> int:
    """Print a line for each way; return 1 if a worker was left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50, help="in all (default: 50)")
    parser.add_argument("--workers", type=int, default=2, help="of each launcher (default: 2)")
    parser.add_argument("--seconds", type=float, default=15, help="in which the end comes (default: 15)")
    parser.add_argument("--patience", type=float, default=45, help="seconds for the workers to end (default: 45)")
    parser.add_argument("--seed", type=int, default=1, help="seed of ways and moments (default: 1)")
    arguments = parser.parse_args()
    moments, n_left = random.Random(arguments.seed), collections.Counter()
    times: dict[str, list[tuple[int, float]]] = collections.defaultdict(list)
    for number in range(arguments.runs):
        way, mark = WAYS[number % len(WAYS)], secrets.token_hex(8)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            train = ["train", "--epochs", "1000", "--seed", "1", "--run", str(Path(folder) / "run")]
            command = [sys.executable, "-m", "digitcnn", "launch", "--workers", str(arguments.workers), "--", *train]
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, MARK: mark},
                start_new_session=True,
            )
            time.sleep(moments.uniform(0, arguments.seconds))
            start = time.perf_counter()
            n_workers = len(marked(mark) - {process.pid})
            end(process, way, mark)
            while marked(mark) and time.perf_counter() - start < arguments.patience:
                process.poll()
                time.sleep(0.02)
            left = marked(mark)
            times[way].append((n_workers, time.perf_counter() - start))
            print(f"{way}: {n_workers} workers, gone after {times[way][-1][1]:.2f} s", file=sys.stderr, flush=True)
            n_left[way] += len(left)
            for worker in left:
                os.kill(worker, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdout, process.stderr):
                pipe.close()
    for way, found in times.items():
        seconds = sorted(second for _, second in found)
        print(
            f"{way}: {len(found)} launchers with {sum(n for n, _ in found)} workers; all gone after "
            f"{seconds[len(seconds) // 2]:.2f} s in the median, {seconds[-1]:.2f} s at most; {n_left[way]} left"
        )
    return int(any(n_left.values()))


if __name__ == "__main__":
    sys.exit(main())
