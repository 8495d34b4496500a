"""T1's network in this package and in its peers: speed, latency, start, memory, and accuracy beside them.

    python tests/benchmarks/speed.py --data mnist --png speed.png

Each contestant has a process of its own and waits while the others work. In each of five rounds, in turn, they train
on the same fifth of the training set, predict the same 10,000 images, and predict one image at a time; the tables
have medians. The rounds are interleaved so that a noisy machine affects all alike, and five make an epoch. Peers that
are not installed are skipped (`pip install keras torch jax`; Keras comes with TensorFlow).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from contestants import CONTESTANTS, MORE
from matplotlib.figure import Figure

from digitcnn import load_dataset

ROUNDS = 5
# Multiplications and additions of T1's graph for an image: 576*25*32 + 64*800*64 + 1024*1024 + 1024*10
# multiply-adds forward and, as is usual, twice that backward, although the gradient of the images, 3% of the whole,
# is not computed.
PREDICTION_FLOP = 2 * (576 * 25 * 32 + 64 * 800 * 64 + 1024 * 1024 + 1024 * 10)
TRAINING_FLOP = 3 * PREDICTION_FLOP
PEAK = "matrix product"


class Peak:
    """Speed of TensorFlow's matrix products of 2048x2048, in GFLOP/s of the median call."""

    def __init__(self, seed: int):
        import tensorflow as tf

        draw = tf.random.stateless_normal([2048, 2048], [seed, 0])
        self.product = tf.function(lambda a, b: tf.matmul(a, b)[0, 0])
        self.matrices = {name: tf.cast(draw, name) for name in ("float32", "bfloat16")}

    def measure(self) -> dict[str, float]:
        found = {}
        for name, matrix in self.matrices.items():
            seconds = [self._seconds(matrix) for _ in range(12)][2:]
            found[name] = 2 * 2048**3 / statistics.median(seconds) / 1e9
        return found

    def _seconds(self, matrix):
        start = time.perf_counter()
        self.product(matrix, matrix).numpy()
        return time.perf_counter() - start


def peak_memory() -> float:
    """Peak memory of this process, in bytes; NaN where the system does not report it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


class Worker:
    """A contestant, and the data in its format."""

    def __init__(self, name: str, arguments: argparse.Namespace):
        dataset = load_dataset(arguments.data, arguments.data_dir)
        self.X, self.X_test = dataset.train_images, dataset.test_images
        self.y, self.y_test = dataset.train_labels, dataset.test_labels
        start = time.perf_counter()
        if name == PEAK:
            self.measure = Peak(arguments.seed).measure
            return
        self.contestant = {**CONTESTANTS, **MORE}[name](arguments.seed)
        imported = time.perf_counter() - start
        if not self.contestant.takes_pixels:
            mean, std = self.X.mean(axis=0, dtype=np.float32), np.float32(self.X.std())
            self.X, self.X_test = (self.X - mean) / std, (self.X_test - mean) / std
        start = time.perf_counter()
        self.contestant.start(self.X, self.y)
        self.start_up = {"import": imported, "first step": time.perf_counter() - start}

    def begin(self) -> dict[str, float]:
        return self.start_up

    def train(self, part: int) -> float:
        """Images per second on one of the parts of the training set."""
        rows = slice(part * len(self.X) // ROUNDS, (part + 1) * len(self.X) // ROUNDS)
        X, y = self.X[rows], self.y[rows]
        start = time.perf_counter()
        self.contestant.train_epoch(X, y)
        return len(X) / (time.perf_counter() - start)

    def predict(self) -> float:
        """Images per second, without the first call, which may compile."""
        self.contestant.predict(self.X_test)
        start = time.perf_counter()
        self.contestant.predict(self.X_test)
        return len(self.X_test) / (time.perf_counter() - start)

    def predict_one(self) -> float:
        """Seconds for one image, the median over about a second of calls."""
        seconds, begin = [], time.perf_counter()
        while len(seconds) < 20 or time.perf_counter() - begin < 1:
            image = self.X_test[len(seconds) % 1000][None]
            start = time.perf_counter()
            self.contestant.predict(image)
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds[10:])

    def finish(self) -> dict[str, float]:
        accuracy = float(np.mean(self.contestant.predict(self.X_test) == self.y_test))
        return {"accuracy": accuracy, "memory": peak_memory()}


def work(name: str, line: Connection, arguments: argparse.Namespace) -> None:
    """Run a worker: answer the parent's requests until it sends None."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the libraries' messages about the CPU
    try:
        worker = Worker(name, arguments)
    except ImportError as error:
        line.send(f"{error.name or error} is not installed")
        return
    except Exception as error:
        line.send(f"it fails: {error!r}")
        return
    line.send(None)
    while request := line.recv():
        method, *values = request
        line.send(getattr(worker, method)(*values))


class Process:
    """The process of a worker: `ask(method, *arguments)` calls it; `missing` says why it did not start, or is None."""

    def __init__(self, name: str, arguments: argparse.Namespace):
        spawn = multiprocessing.get_context("spawn")  # a new interpreter, to time the imports
        self.line, theirs = spawn.Pipe()
        self.process = spawn.Process(target=work, args=(name, theirs, arguments))
        self.process.start()
        theirs.close()
        self.missing = self.line.recv()

    def ask(self, *request):
        self.line.send(request)
        return self.line.recv()

    def stop(self) -> None:
        if self.missing is None:
            self.line.send(None)
        self.process.join()


def race(names: list[str], arguments: argparse.Namespace) -> tuple[list[dict[str, float]], dict[str, dict]]:
    """Return measured peaks, a dict per round, and for each contestant lists of figures by name."""
    processes, results = {}, {}
    for name in names:
        process = Process(name, arguments)
        if process.missing:
            print(f"{name}: skipped, {process.missing}", flush=True)
            process.stop()
            continue
        processes[name], results[name] = process, process.ask("begin") | {"train": [], "predict": [], "predict_one": []}
    if not processes:
        return [], {}
    peaks, peak = [], Process(PEAK, arguments)
    for part in range(ROUNDS):
        peaks.append(peak.ask("measure"))
        for name, process in processes.items():
            for figure, *values in (("train", part), ("predict",), ("predict_one",)):
                results[name][figure].append(process.ask(figure, *values))
        print(f"round {part + 1} of {ROUNDS}", flush=True)
    for name, process in processes.items():
        results[name] |= process.ask("finish")
        process.stop()
    peak.stop()
    return peaks, results


HEADER = (
    "| | training, images/s | of the peak | prediction of 10,000, images/s | of the peak | one image, ms "
    "| import and build, s | first step, s | memory, MB | accuracy after the epoch |\n" + "| --- |" + " ---: |" * 9
)


def medians(result: dict) -> dict[str, float]:
    """The median of each figure."""
    return {name: statistics.median(value) if isinstance(value, list) else value for name, value in result.items()}


def table(peaks: dict[str, float], results: dict[str, dict]) -> str:
    """A Markdown table with a row for each contestant; shares are of the peak in its own precision."""
    lines = [HEADER]
    for name, row in results.items():
        peak = peaks[computes_in(name)] * 1e9
        lines.append(
            f"| {name} | {row['train']:,.0f} | {row['train'] * TRAINING_FLOP / peak:.0%} "
            f"| {row['predict']:,.0f} | {row['predict'] * PREDICTION_FLOP / peak:.0%} | {row['predict_one'] * 1e3:.2f} "
            f"| {row['import']:.1f} | {row['first step']:.1f} | {row['memory'] / 1e6:,.0f} | {row['accuracy']:.2%} |"
        )
    return "\n".join(lines)


def computes_in(name: str) -> str:
    """The number type in which a contestant computes products."""
    if name.endswith("auto"):
        from digitcnn.engine.precision import resolve_precision

        return resolve_precision("auto")
    return "bfloat16" if "bfloat16" in name else "float32"


def ratios(raw: dict[str, dict]) -> str:
    """Ratios of this package's figures to each peer's, medians over the rounds."""
    lines = []
    for ours in (name for name in raw if name.startswith("digitcnn")):
        for peer in (name for name in raw if not name.startswith("digitcnn")):
            of_rounds = {
                figure: statistics.median(a / b for a, b in zip(raw[ours][figure], raw[peer][figure], strict=True))
                for figure in ("train", "predict", "predict_one")
            }
            lines.append(
                f"{ours} to {peer}: training {of_rounds['train']:.2f} times as fast, prediction "
                f"{of_rounds['predict']:.2f}, one image {1 / of_rounds['predict_one']:.2f}"
            )
    return "\n".join(lines)


def draw(results: dict[str, dict], path: str) -> None:
    """Three bar charts side by side."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    titles = ("training, images/s", "prediction, images/s", "one image, ms (logarithmic)")
    keys = ("train", "predict", "predict_one")
    names = list(results)[::-1]
    for ax, title, key in zip(figure.subplots(1, 3, sharey=True), titles, keys, strict=True):
        values = [results[name][key] * (1e3 if key == "predict_one" else 1) for name in names]
        bars = ax.barh(names, values, color=["tab:blue" if "digitcnn" in name else "tab:gray" for name in names])
        ax.bar_label(bars, fmt="{:,.2f}" if key == "predict_one" else "{:,.0f}", padding=3)
        ax.set_title(title)
        ax.margins(x=0.3)
        ax.spines[["top", "right"]].set_visible(False)
        if key == "predict_one":
            ax.set_xscale("log")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description="T1's network in this package and in its peers.")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--contestants", nargs="+", choices=[*CONTESTANTS, *MORE], default=list(CONTESTANTS))
    parser.add_argument("--png", help="file to draw the figures to")
    arguments = parser.parse_args()
    rounds, raw = race(arguments.contestants, arguments)
    if not raw:
        return
    peaks = {name: statistics.median(found[name] for found in rounds) for name in rounds[0]}
    results = {name: medians(result) for name, result in raw.items()}
    print(f"\n{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores, {ROUNDS} rounds")
    print(", ".join(f"{name} matrix product {peak:,.0f} GFLOP/s" for name, peak in peaks.items()), end="\n\n")
    print(table(peaks, results), end="\n\n")
    print(ratios(raw))
    if arguments.png:
        draw(results, arguments.png)


if __name__ == "__main__":
    main()
