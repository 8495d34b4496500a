"""Kill and stop workers of `digitcnn launch` at random moments, and compare the results with an undisturbed run's.

    python tests/benchmarks/worker_kills.py --kills 20 --stops 5
    python tests/benchmarks/worker_kills.py --kills 2 --stops 0 --workers 2 --what softmax

In each run one worker, worker 0 included, gets SIGKILL, or SIGSTOP and nothing more, at a moment drawn uniformly from
the duration of the undisturbed run, its start and its test included; if the drawn worker does not run at that moment,
another one gets it. A run that ended before its moment is done again. The launcher must end by itself with status 0,
the same SHA-256 of the weights and the same history, and no process may be left. Exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECONDS = 600  # after which a run counts as hanging


def command(arguments, run: Path) -> list[str]:
    """The launcher's command for a new run."""
    train = ["train", "--quiet", "--data", arguments.data, "--architecture", arguments.what, "--seed", "27"]
    train += ["--steps", str(arguments.steps), "--checkpoint-every", str(arguments.checkpoint_every), "--run", str(run)]
    train += ["--rotation", "9", "--worker-timeout", str(arguments.timeout)]
    return [sys.executable, "-m", "digitcnn", "launch", "--workers", str(arguments.workers), "--", *train]


def processes_of(run: Path) -> dict[int, int | None]:
    """The processes whose command line names the run: their numbers, and those of the workers they are."""
    found: dict[int, int | None] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has ended
            continue
        if str(run) in words:
            index = words[words.index("--index") + 1] if "--index" in words else ""
            found[int(folder.name)] = int(index) if index.isdecimal() else None
    return found


def disturb(launcher: subprocess.Popen, run: Path, index: int, number: signal.Signals) -> str | None:
    """Send a signal to a worker, or to the next in number if that one does not run; waits until one does.

    Returns what became of it, or None if the launcher ended first.
    """
    while launcher.poll() is None:
        workers = {worker: process for process, worker in processes_of(run).items() if worker is not None}
        for worker in sorted(workers, key=lambda worker: (worker < index, worker)):
            try:
                os.kill(workers[worker], number)
            except ProcessLookupError:
                continue
            saved = len(list(run.glob("model.ckpt-*.json")))
            return f"{number.name} to worker {worker}, " + (f"{saved} checkpoints there" if saved else "none saved yet")
        time.sleep(0.01)
    return None


def outcome(run: Path, output: str) -> tuple[str, str]:
    """What must be equal."""
    return output.splitlines()[-1].partition("] ")[2], (run / "history.csv").read_text()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="runs with SIGKILL (default: 20)")
    parser.add_argument("--stops", type=int, default=5, help="runs with SIGSTOP (default: 5)")
    parser.add_argument("--workers", type=int, default=3, help="(default: 3)")
    parser.add_argument("--what", default="compact", help="architecture (default: compact)")
    parser.add_argument("--data", default="bundled", help="(default: bundled)")
    parser.add_argument("--steps", type=int, default=120, help="(default: 120)")
    parser.add_argument("--checkpoint-every", type=int, default=15, help="steps (default: 15)")
    parser.add_argument("--timeout", type=float, default=30, help="seconds that a worker waits (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    arguments = parser.parse_args()
    moments, n_equal = random.Random(arguments.seed), 0
    kinds = [None, *[signal.SIGKILL] * arguments.kills, *[signal.SIGSTOP] * arguments.stops]
    with tempfile.TemporaryDirectory() as folder:
        expected, duration, number = None, 0.0, 0
        while number < len(kinds):
            kind = kinds[number]
            run = Path(tempfile.mkdtemp(dir=folder)) / f"run {number}"  # a new folder, as a run may be repeated
            started = time.monotonic()
            launcher = subprocess.Popen(
                command(arguments, run), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            told: str | None = "undisturbed"
            if kind is not None:
                time.sleep(moments.uniform(0, duration))
                told = disturb(launcher, run, moments.randrange(arguments.workers), kind)
            try:
                output, errors = launcher.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                launcher.terminate()
                output, errors = launcher.communicate()
                told = f"{told}, HANGS"
            seconds, left = time.monotonic() - started, processes_of(run)
            if told is None:  # it was over before the signal: no disturbed run, so it is done again
                continue
            try:
                found = outcome(run, output) if launcher.returncode == 0 else None
            except (OSError, IndexError):
                found = None
            if kind is None:
                expected, duration = found, seconds
            is_equal = found is not None and found == expected and not left
            n_equal += is_equal
            status = "equal" if is_equal else f"DIFFERS: status {launcher.returncode}, {len(left)} processes left"
            print(f"{number:3} {seconds:6.1f} s  {told}: {status}", flush=True)
            if not is_equal:
                print(output[-2000:], errors[-4000:], sep="\n", flush=True)
            if expected is None:
                return 1
            number += 1
    n_runs = len(kinds) - 1
    print(f"{n_equal - 1} of {n_runs} equal to the undisturbed run of {arguments.workers} workers, {expected[0]}")
    return 0 if n_equal - 1 == n_runs else 1


if __name__ == "__main__":
    sys.exit(main())
