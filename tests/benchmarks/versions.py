"""Times of two versions of the package, interleaved: does a change cost speed?

    git worktree add ../before 1234abc
    python tests/benchmarks/versions.py ../before --data mnist

Each round starts a process with either version, and each process measures T1's network: training steps,
predictions of 10,000 images and of one. Printed are the medians over the rounds and their ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
UNITS = {"training": "images/s", "prediction": "images/s", "one image": "ms"}


def measure(data: str, n_steps: int) -> dict[str, float]:
    """Images per second in training and prediction, and milliseconds for one image, of the importable version."""
    import numpy as np

    from digitcnn import DigitCNN, load_dataset

    digits = load_dataset(data)
    X, y = digits.train_images[:10_000], digits.train_labels[:10_000]
    with DigitCNN(random_seed=27) as cnn:
        cnn.train((X, y), steps=20, verbose=False)  # a cold start
        start = time.perf_counter()
        cnn.train((X, y), steps=n_steps, initialize=False, verbose=False)
        training = n_steps * cnn.batchsize / (time.perf_counter() - start)
        X = np.resize(X, (10_000, X.shape[1]))
        cnn.predict(X, verbose=False)
        start = time.perf_counter()
        cnn.predict(X, verbose=False)
        prediction = len(X) / (time.perf_counter() - start)
        cnn.predict(X[:1])
        times = []
        for _ in range(300):
            start = time.perf_counter()
            cnn.predict(X[:1])
            times.append(1000 * (time.perf_counter() - start))
    return {"training": training, "prediction": prediction, "one image": statistics.median(times)}


def measure_version(folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """`measure` in a process that imports the package from this folder."""
    command = [sys.executable, __file__, "--measure", "--data", arguments.data, "--steps", str(arguments.steps), "."]
    environment = {**os.environ, "PYTHONPATH": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"}
    output = subprocess.check_output(command, env=environment, text=True, stderr=subprocess.DEVNULL)
    return json.loads(output.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="checkout of the other version")
    parser.add_argument("--data", default="bundled", help="data set's name, or a folder of IDX files")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100, help="training steps to time")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.data, arguments.steps)))
        return
    if not (arguments.other / "digitcnn").is_dir():
        sys.exit(f"{arguments.other}: expected a checkout with a folder digitcnn, found none")
    found: dict[str, list[dict[str, float]]] = {"this version": [], "the other": []}
    for number in range(arguments.rounds):
        for name, folder in zip(found, (HERE, arguments.other.resolve()), strict=True):
            found[name].append(measure_version(folder, arguments))
            print(f"round {number + 1}, {name}: {found[name][-1]}", flush=True)
    print("| | this version | the other | ratio of medians |\n| --- | ---: | ---: | ---: |")
    for what, unit in UNITS.items():
        this, other = (statistics.median(row[what] for row in rows) for rows in found.values())
        print(f"| {what}, {unit} | {this:.4g} | {other:.4g} | {this / other:.3f} |")


if __name__ == "__main__":
    main()
