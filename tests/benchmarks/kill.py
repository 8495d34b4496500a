"""Kill `digitcnn train` at random moments, resume it until it completes, and compare the results bit by bit.

    python tests/benchmarks/kill.py --runs 50
    python tests/benchmarks/kill.py --runs 8 --what softmax same strided batchnorm fast accurate

Each run is killed by SIGKILL, at most twice, at a moment drawn uniformly from the duration of an uninterrupted run,
its start and its test included, and is resumed by `--resume`. The last line of the output (SHA-256 of the weights),
history.csv and the SHA-256 of the checkpoint's files, which have Adam's state and the moving averages of batch
normalization, must equal those of the uninterrupted run. Exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPES = ("tutorial", "fast", "accurate")
MAX_KILLS = 2  # of a run


def command(what: str, run: Path, arguments) -> list[str]:
    """The command that starts a run or, if it has started, resumes it."""
    program = [sys.executable, "-m", "digitcnn", "train", "--quiet"]
    if (run / "settings.json").exists():
        return [*program, "--resume", str(run)]
    kind = "--recipe" if what in RECIPES else "--architecture"
    length = ["--steps", str(arguments.steps), "--checkpoint-every", str(arguments.checkpoint_every)]
    return [*program, kind, what, "--data", arguments.data, "--seed", "27", *length, "--run", str(run)]


def outcome(run: Path, output: str) -> dict[str, object]:
    """The results of a run, which must be equal."""
    settings = json.loads((run / "settings.json").read_text())
    records = sorted(run.glob("model.ckpt-*.json"), key=lambda file: int(file.stem.rpartition("-")[2]))
    record = json.loads(records[-1].read_text())
    return {
        "last line": output.splitlines()[-1],
        "weights": settings["weights_sha256"],
        "test": settings["test"],
        "history": (run / "history.csv").read_text(),
        **{name: record[name] for name in ("files", "progress", "history", "settings")},
    }


def where(run: Path, output: str) -> str:
    """How far a process was when it was killed."""
    if output:
        return "after the end"
    if not (run / "settings.json").exists():
        return "before the run's folder was described"
    if not list(run.glob("model.ckpt-*.json")):
        return "before the first checkpoint"
    if list(run.glob("**/.model.ckpt-*")):
        return "while a checkpoint was written or removed"
    return "between checkpoints, or in testing"


def run_killed(what: str, run: Path, arguments, seconds: float, moments: random.Random) -> tuple[str, list[str]]:
    """The output of the process that completed the run, and where those before it were killed."""
    places = []
    while True:
        process = subprocess.Popen(command(what, run, arguments), stdout=subprocess.PIPE, text=True)
        if len(places) < MAX_KILLS:
            try:
                output, _ = process.communicate(timeout=moments.uniform(0, seconds))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                places.append(where(run, process.communicate()[0]))
                continue
        else:
            output, _ = process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"{run}: exit status {process.returncode} after {places}")
        return output, places


def main() -> int:
    """Print a line for each kind of training; return 1 if a bit differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", nargs="+", default=["cnn"], help="architectures and recipes (default: cnn)")
    parser.add_argument("--runs", type=int, default=50, help="of each (default: 50)")
    parser.add_argument("--data", default="bundled", help="data set (default: bundled)")
    parser.add_argument("--steps", type=int, default=200, help="of each run (default: 200)")
    parser.add_argument("--checkpoint-every", type=int, default=2, help="steps (default: 2)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the moments (default: 1)")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    n_different = 0
    for what in arguments.what:
        moments, places, n_equal, n_kills = random.Random(f"{arguments.seed}/{what}"), collections.Counter(), 0, 0
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            uninterrupted = Path(folder) / "uninterrupted"
            done = subprocess.run(
                command(what, uninterrupted, arguments), stdout=subprocess.PIPE, text=True, check=True
            )
            seconds, expected = time.perf_counter() - start, outcome(uninterrupted, done.stdout)
            for number in range(arguments.runs):
                run = Path(folder) / str(number)
                output, killed = run_killed(what, run, arguments, seconds, moments)
                found = outcome(run, output)
                different = [name for name in expected if expected[name] != found[name]]
                if different:
                    print(f"{what}, run {number}, killed {killed}: {', '.join(different)} differ", flush=True)
                    n_different += 1
                n_equal += not different
                n_kills += len(killed)
                places.update(killed)
        print(f"{what}: {n_equal} of {arguments.runs} runs equal to the uninterrupted run, {n_kills} kills", flush=True)
        for place, n in places.most_common():
            print(f"  {n:4} {place}", flush=True)
    return int(n_different > 0)


if __name__ == "__main__":
    sys.exit(main())
