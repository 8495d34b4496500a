"""Find leaks: hundreds of models in one process, then one model for as many steps as T1 takes in an hour.

    python tests/benchmarks/soak.py

Prints resident memory, threads and open files. Exits with 1 if one of them grows after the first 20 models, or while
a model trains: memory by more than 3%, the others at all. Linux only, because it reads /proc.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import threading
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from digitcnn import ARCHITECTURES, RECIPES, DigitCNN, load_dataset


def usage() -> dict[str, int]:
    """Resident memory in MB, threads, Python's threads among them, and open files of this process."""
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "MB": int(status["VmRSS"].split()[0]) // 1024,
        "threads": int(status["Threads"]),
        "Python threads": threading.active_count(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
    }


def show(n: int, what: str) -> dict[str, int]:
    """Print and return the usage."""
    found = usage()
    print(f"{n:8,} {what}: " + ", ".join(f"{value:,} {name}" for name, value in found.items()), flush=True)
    return found


def grows(before: dict[str, int], after: dict[str, int]) -> bool:
    """Whether anything has grown, memory by more than 3%."""
    return after["MB"] > 1.03 * before["MB"] or any(after[name] > before[name] for name in before if name != "MB")


def build_and_close(n: int, training_set: tuple) -> list[dict[str, int]]:
    """Build `n` models of all kinds in turn, train each for a step with a checkpoint, and close it.

    Returns the usage after every 20 models.
    """
    kinds = [("architecture", name) for name in ARCHITECTURES] + [("recipe", name) for name in RECIPES]
    found = []
    for number in range(1, n + 1):
        kind, name = kinds[number % len(kinds)]
        make = DigitCNN.from_recipe(name) if kind == "recipe" else DigitCNN(architecture=name)
        with make as model, tempfile.TemporaryDirectory() as folder:
            model.train(training_set, steps=1, verbose=False, checkpoint_dir=Path(folder) / "run")
            model.predict(training_set[0])
        del make, model
        if number % 20 == 0:
            found.append(show(number, "models"))
    return found


def main() -> int:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=300, help="models to build and close (default: 300)")
    parser.add_argument(
        "--steps",
        type=int,
        default=270_000,
        help="training steps of one model (default: 270000, T1's in an hour at 7,500 images a second)",
    )
    arguments = parser.parse_args()
    dataset = load_dataset("bundled")
    X, y = dataset.train_images, dataset.train_labels
    built = build_and_close(arguments.models, (X[:100], y[:100]))
    part, trained = max(1, arguments.steps // 10), []
    # Small batches and a small dense layer, because only the number of steps matters.
    with DigitCNN(batchsize=8, fc_3_output_units=64, random_seed=1) as model:
        for number in range(0, arguments.steps, part):
            model.train((X, y), steps=part, initialize=number == 0, verbose=False)
            trained.append(show(number + part, "steps"))
    failed = [name for name, found in (("models", built), ("steps", trained)) if found and grows(found[0], found[-1])]
    print("nothing grows" if not failed else f"grows with {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
