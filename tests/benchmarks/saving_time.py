"""Times of saving, of checkpoints and of restoring of two versions of the package: does a change cost time?

    git worktree add ../before 1234abc
    python tests/benchmarks/saving_time.py ../before --rounds 30

Two processes, one of either version, take turns, so that both meet the same load of the disk. In each round each saves
T1's network over its earlier self, writes ten checkpoints of which two stay, and loads. Printed are the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
N_CHECKPOINTS = 10


def serve(architecture: str) -> None:
    """Measure once for each line of the input, in a temporary folder."""
    from digitcnn import DigitCNN, load_dataset

    digits = load_dataset("bundled")
    few = digits.train_images[:100], digits.train_labels[:100]
    with tempfile.TemporaryDirectory(dir=".") as folder, DigitCNN(architecture=architecture, batchsize=10) as cnn:
        cnn.train(few, steps=3, verbose=False)
        cnn.save(1, folder)
        for number, _ in enumerate(sys.stdin):
            times = {}
            start = time.perf_counter()
            cnn.save(1, folder)
            times["save"] = time.perf_counter() - start
            start = time.perf_counter()
            cnn.load(1, folder)
            times["load"] = time.perf_counter() - start
            start = time.perf_counter()
            options = {"checkpoint_dir": f"{folder}/{number}", "checkpoint_every": 1, "max_to_keep": 2}
            cnn.train(few, steps=N_CHECKPOINTS - 1, verbose=False, **options)
            times["checkpoint, with a training step"] = (time.perf_counter() - start) / N_CHECKPOINTS
            print(json.dumps({name: 1000 * seconds for name, seconds in times.items()}), flush=True)


def start_version(folder: Path, architecture: str) -> subprocess.Popen:
    """A process that measures the package in this folder."""
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, "--serve", "--architecture", architecture, "."]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=environment, text=True, **pipes)


def main() -> None:
    """Print a table of medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="checkout of the other version")
    parser.add_argument("--architecture", default="cnn", help="network to save (default: cnn, of 13 MB)")
    parser.add_argument("--rounds", type=int, default=30, help="default: 30")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.architecture)
        return
    if not (arguments.other / "digitcnn").is_dir():
        sys.exit(f"{arguments.other}: expected a checkout with a folder digitcnn, found none")
    processes = [start_version(folder, arguments.architecture) for folder in (HERE, arguments.other.resolve())]
    found: list[list[dict[str, float]]] = [[], []]
    for number in range(arguments.rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            process = processes[which]
            process.stdin.write("\n")
            process.stdin.flush()
            found[which].append(json.loads(process.stdout.readline()))
    for process in processes:
        process.communicate()
    print("| ms | this version | the other | ratio of medians |\n| --- | ---: | ---: | ---: |")
    for what in found[0][0]:
        this, other = (statistics.median(row[what] for row in rows) for rows in found)
        print(f"| {what} | {this:.1f} | {other:.1f} | {this / other:.2f} |")


if __name__ == "__main__":
    main()
