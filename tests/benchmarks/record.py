"""The record: accuracy of each row over many runs, by a protocol that looks at the test set once a run.

    python tests/benchmarks/record.py --data mnist --out record
    python tests/benchmarks/record.py --data mnist --out choice --choose --rows fast "fast epochs=2" --seeds 5

Settings are chosen with --choose, which trains on all but the last 10,000 training images and tests on those. Without
it, a run trains on all training images and is tested by its last line. The number of epochs is fixed before, no
checkpoint is chosen. Each run has a folder; the same command goes on after a kill, which costs an epoch at most, and
does no run twice. Rows are run in turn, the distilled one last, so that the tutorial's own loop, a row like the
others, is timed on the same machine in the same hours; the table compares medians of whole runs. A whole loop takes
minutes, so the tutorial's loop also trains for an epoch before and after each run: 30 of these are a second estimate
of its time, good for a fifth. A run that was interrupted counts for accuracy and not for time. Without --rows, all are
run: the recipes, two more kinds of networks that vote with them, the distilled network, the tutorial's loop, and the
peers' examples, which have no checkpoints and are run five times at most.
With --untimed, nothing is timed: several of these commands, each with other seeds and TF_NUM_INTRAOP_THREADS=1, share
the cores and do more runs an hour; the table has the times of the timed runs.
The row `distilled` comes last, as it needs the runs of its teachers; its seconds leave theirs out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from contestants import TutorialLoop
from record_peers import PEERS
from record_rows import ROWS, Distilled, read_row
from record_table import MIN_MEMBERS, MIXTURE, write_table

from digitcnn import RECIPES, load_dataset

N_VALIDATION = 10_000
MAX_PEER_RUNS = 5  # of each: their medians and means are compared, and they take hours
TUTORIAL_EPOCHS = RECIPES["tutorial"].settings["epochs"]


class Clock:
    """Times an epoch of the tutorial's own loop."""

    def __init__(self, training_set):
        X, self.y = training_set
        mean, std = X.mean(axis=0, dtype=np.float32), np.float32(X.std())
        self.X, self.loop = (X - mean) / std, TutorialLoop(seed=1)
        self.loop.start(self.X, self.y)

    def tutorial_seconds(self) -> float:
        """30 epochs' seconds, by one epoch now."""
        started = time.perf_counter()
        self.loop.train_epoch(self.X, self.y)
        return TUTORIAL_EPOCHS * (time.perf_counter() - started)


def run(row: Any, seed: int, folder: Path, data: argparse.Namespace, clock: Clock | None) -> None:
    """Train to the end from where the folder stands, then test once."""
    clock = None if folder.exists() else clock
    folder.mkdir(parents=True, exist_ok=True)
    beside = [clock.tutorial_seconds()] if clock else []
    started = time.perf_counter()
    with row.trained(seed, data.training_set, folder) as (predict, facts):
        seconds = time.perf_counter() - started
        X, y = data.test_set
        probabilities = predict(X)  # the one look
    accuracy = float((probabilities.argmax(axis=1) == y).mean())
    beside += [clock.tutorial_seconds()] if clock else []
    times = {"seconds": seconds if clock else None, "tutorial_seconds": statistics.mean(beside) if clock else None}
    np.save(folder / "probabilities.npy", probabilities)
    new = folder / "run.json.new"
    new.write_text(
        json.dumps({"row": row.name, "about": row.about, "seed": seed, "accuracy": accuracy} | times | facts, indent=1)
    )
    new.replace(folder / "run.json")
    print(f"{row.name}, seed {seed}: {accuracy:.2%} after {seconds:.1f} s", flush=True)


def load(name: str, folder: str | None, *, choose: bool) -> argparse.Namespace:
    """The images to train on and those to test on."""
    dataset = load_dataset(name, folder)
    if choose:
        n_validation = min(N_VALIDATION, len(dataset.train_labels) // 6)
        training_set, test_set = dataset.split(n_validation)
    else:
        training_set = dataset.train_images, dataset.train_labels
        test_set = dataset.test_images, dataset.test_labels
    return argparse.Namespace(training_set=training_set, test_set=test_set)


def is_complete(row: Any, folder: Path) -> bool:
    """Whether a folder has a whole run of a row; end the program if it has one of other settings."""
    file = folder / "run.json"
    if not file.exists():
        return False
    if (found := json.loads(file.read_text()).get("about")) != row.about:
        sys.exit(f"{file}: expected a run of {row.about}, found one of {found}; give another --out")
    return True


def check_folder(folder: Path, about: dict) -> None:
    """Note what the folder is for; refuse one that is for something else."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "record.json"
    if file.exists() and json.loads(file.read_text()) != about:
        sys.exit(f"--out: expected a folder of {about}, found one of {file.read_text()}")
    file.write_text(json.dumps(about))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--choose", action="store_true", help="test on the last training images, never the test set")
    parser.add_argument(
        "--rows",
        nargs="+",
        default=[*ROWS, *PEERS],
        metavar="ROW",
        help=f"{', '.join([*ROWS, *PEERS])} or 'RECIPE NAME=VALUE ...' (default: all)",
    )
    parser.add_argument("--seeds", type=int, default=MIN_MEMBERS, help=f"of each row (default: {MIN_MEMBERS})")
    parser.add_argument("--first-seed", type=int, default=1, help="(default: 1)")
    parser.add_argument("--untimed", action="store_true", help="time nothing, as others run on the same cores")
    arguments = parser.parse_args()
    try:
        rows = [read_row(text) for text in arguments.rows]
    except ValueError as error:
        parser.error(str(error))
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for row in rows:  # before anything is made
        row.check(arguments.out, seeds, [other.name for other in rows])
    for name in dict.fromkeys([*(row.name for row in rows), *MIXTURE]):
        for file in sorted((arguments.out / name).glob("*/run.json")):
            is_complete(read_row(name) if name in MIXTURE else next(r for r in rows if r.name == name), file.parent)
    data = load(arguments.data, arguments.data_dir, choose=arguments.choose)
    check_folder(arguments.out, {"data": arguments.data, "choose": arguments.choose})
    clock = None
    distilled = [row for row in rows if isinstance(row, Distilled)]
    for part in ([row for row in rows if row not in distilled], distilled):
        for seed, row in itertools.product(seeds, part):  # rows in turn
            if row.name in PEERS and seed >= seeds.start + MAX_PEER_RUNS:
                continue
            folder = arguments.out / row.name / str(seed)
            if not is_complete(row, folder):
                clock = clock or (None if arguments.untimed else Clock(data.training_set))
                run(row, seed, folder, data, clock)
    write_table(arguments.out, [row.name for row in rows], data.test_set[1])


if __name__ == "__main__":
    main()
