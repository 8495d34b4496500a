"""What a step on several workers costs: measured on this machine, and predicted for other numbers and networks.

    python tests/benchmarks/step_cost.py --data mnist     # some minutes, on an otherwise idle Linux machine
    python tests/benchmarks/step_cost.py --quick          # the tables alone, from the numbers below

A step takes the time to compute a worker's rows, and the time of a ring all-reduce of all gradients (`ring.py`). In
each round, in turn, processes of their own measure single steps at batch 100 and 50 on all cores, at batch 50 on half
of them, and the collective operation alone between two processes. From these the simulation predicts a training by one
worker and one by two, which are then trained in the same round. Two workers share the cores: each computes as if it had
its half of them alone. The last tables use what was measured, on other networks.
"""

from __future__ import annotations

import argparse
import os
import platform
import socket
import statistics

from ring import Compute, Messages, Network, Ring, step_seconds
from step_cost_parts import Task, in_processes, ring_alone, single_steps, training

from digitcnn import load_dataset

N_FLOATS = 1_111_946 + 3  # T1's gradients, the loss, the correct predictions, who was asked to stop
N_BYTES = 4 * N_FLOATS
BATCH = 100
WORKERS = (1, 2, 8, 64, 512)
MAX_SIMULATED = 64  # beyond, and without jitter, the closed formula, which the simulation equals to 1e-12
# Seconds one way are typical of a data centre's Ethernet, through the kernel's TCP.
NETWORKS = {"1 Gbit/s": Network(1e9, 50e-6), "10 Gbit/s": Network(1e10, 30e-6), "100 Gbit/s": Network(1e11, 20e-6)}
LOOPBACK = Network(float("inf"), 0.0)  # all it costs is the processes' own work
# For the tables without a measurement: a machine of two cores, 73 steps a second at batch 100 (13.7 ms).
COMPUTE = Compute(fixed=2.5e-3, per_row=112e-6)
MESSAGES = Messages(seconds_each=0.3e-3, seconds_per_byte=1e-9)
IMAGES = 60_000
CRITICAL_BATCH = 1_000  # an assumption: nobody has measured it for T1


def predictions(compute: Compute, messages: Messages, per_worker: int | None) -> list[list[str]]:
    """A row of cells for each number of workers: its batch, then for each network the step, speed-up and efficiency.

    per_worker: images of each worker in a step; None shares a batch of 100 among them.
    """
    alone = BATCH / compute.seconds(BATCH)  # images a second
    rows = []
    for n in WORKERS:
        batch = BATCH if per_worker is None else n * per_worker
        cells = [f"{n}" if per_worker is None else f"{n}: {batch:,}"]
        for network in NETWORKS.values():
            if n > MAX_SIMULATED:
                seconds = step_seconds(n, batch, N_BYTES, compute, network, messages)
            else:
                seconds = Ring(n, N_BYTES, compute, network, messages).run(batch)
            speed_up = batch / seconds / alone
            share = speed_up / n
            percent = f"{share:.0%}" if share > 0.1 else f"{100 * share:.2g}%"
            cells.append(f"{seconds * 1e3:.1f} ms, {speed_up:.2f} x, {percent}")
        rows.append(cells)
    return rows


def steps_to_same_loss(batch: int, critical: float = CRITICAL_BATCH) -> float:
    """Steps to a loss, in those of a batch of 100, by McCandlish et al. 2018: S = S_min (1 + B_critical / B)."""
    return (1 + critical / batch) / (1 + critical / BATCH)


def print_table(first: str, rows: list[list[str]], heads: list[str] | None = None) -> None:
    """Print a Markdown table."""
    heads = [first, *(heads or NETWORKS)]
    print(f"| {' | '.join(heads)} |", "| --- |" + " ---: |" * (len(heads) - 1), sep="\n")
    for cells in rows:
        print(f"| {' | '.join(cells)} |")
    print(flush=True)


def print_predictions(compute: Compute, messages: Messages) -> None:
    print(
        f"A step computes {compute.fixed * 1e3:.2f} ms and {compute.per_row * 1e6:.0f} us a row; a message costs "
        f"{messages.seconds_each * 1e3:.2f} ms and {messages.seconds_per_byte * 1e9:.2f} ns a byte; all-reduce of "
        f"{N_BYTES / 1e6:.2f} MB. Cells: time of a step, speed-up in images/s over one worker, efficiency.\n"
    )
    print("One batch of 100, shared\n")
    print_table("workers", predictions(compute, messages, None))
    print("100 images a worker\n")
    print_table("workers: batch", predictions(compute, messages, BATCH))
    print(f"100 images a worker: what is left if batches beyond {CRITICAL_BATCH:,} help no more\n")
    rows = []
    for n in WORKERS[1:]:
        steps = steps_to_same_loss(n * BATCH)
        seconds = step_seconds(n, n * BATCH, N_BYTES, compute, NETWORKS["10 Gbit/s"], messages)
        rows.append([f"{n}: {n * BATCH:,}", f"{-(-IMAGES // (n * BATCH))}", f"{steps:.3g}"])
        rows[-1].append(f"{compute.seconds(BATCH) / (steps * seconds):.2g} x")
    heads = ["steps an epoch", "steps to the same loss", "time to it, 10 Gbit/s"]
    print_table("workers: batch", rows, heads)


def free_addresses(n: int) -> list[str]:
    """Addresses on loopback whose ports were free just now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    addresses = [f"127.0.0.1:{probe.getsockname()[1]}" for probe in probes]
    for probe in probes:
        probe.close()
    return addresses


def measure(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of each round, by name."""
    cores = sorted(os.sched_getaffinity(0))
    half = cores[: max(1, len(cores) // 2)]
    task = Task(arguments.data, arguments.data_dir, arguments.precision, arguments.steps)
    load_dataset(task.data, task.data_dir)  # a mistake shows before any process starts
    measurements = {
        "step of 100": (single_steps, 1, BATCH, cores),
        "step of 50": (single_steps, 1, BATCH // 2, cores),
        "step of 50, half of the cores": (single_steps, 1, BATCH // 2, half),
        "ring, 1 number": (ring_alone, 2, 1),
        "ring": (ring_alone, 2, N_FLOATS),
        "training, one worker": (training, 1, BATCH),
        "training, two workers": (training, 2, BATCH),
    }
    found: dict[str, list[float]] = {name: [] for name in measurements}
    for number in range(arguments.rounds):
        for name, (function, n, *values) in measurements.items():
            hosts = free_addresses(n)
            ends = [] if function is single_steps else [(hosts, index) for index in range(n)]
            calls = [(task, *values, *end) for end in ends or [()]]
            found[name].append(max(in_processes(function, calls)))
            print(f"round {number + 1} of {arguments.rounds}: {name}, {found[name][-1] * 1e3:.2f} ms", flush=True)
    return found


def model_of(seconds: dict[str, float]) -> tuple[Compute, Messages]:
    """What the measured steps and rings say of computing and messages. Two workers send two messages each."""
    small, whole = seconds["ring, 1 number"], seconds["ring"]
    compute = Compute.through(((BATCH // 2, seconds["step of 50"]), (BATCH, seconds["step of 100"])))
    return compute, Messages(small / 2, max(0.0, whole - small) / N_BYTES)


def predict_trainings(seconds: dict[str, float], n_cores: int) -> dict[str, float]:
    """Seconds of a step of the trainings by one worker and by two on this machine."""
    _, messages = model_of(seconds)
    # With a core for both, each has it half of the time.
    shared = seconds["step of 50, half of the cores"] * (2 if n_cores == 1 else 1)
    rings = {1: seconds["step of 100"], 2: shared}
    return {
        f"training, {word}": Ring(n, N_BYTES, Compute(rings[n], 0.0), LOOPBACK, messages).run(BATCH)
        for n, word in ((1, "one worker"), (2, "two workers"))
    }


def print_measured(found: dict[str, list[float]], n_cores: int) -> dict[str, float]:
    """Print medians, predictions, and their errors as the median of the rounds' ratios; return the medians."""
    seconds = {name: statistics.median(values) for name, values in found.items()}
    rounds = [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]
    predicted = [predict_trainings(values, n_cores) for values in rounds]
    rows = []
    for name, median in seconds.items():
        cells = [name, f"{median * 1e3:.2f}", "", ""]
        if name in predicted[0]:
            ratios = [guess[name] / values[name] for guess, values in zip(predicted, rounds, strict=True)]
            cells[2] = f"{statistics.median(guess[name] for guess in predicted) * 1e3:.2f}"
            cells[3] = f"{statistics.median(ratios) - 1:+.0%} ({min(ratios) - 1:+.0%} to {max(ratios) - 1:+.0%})"
        rows.append(cells)
    print()
    print_table("median of the rounds", rows, ["ms", "predicted, ms", "error (all rounds)"])
    pairs = zip(found["training, one worker"], found["training, two workers"], strict=True)
    print(f"Two workers on this machine: {statistics.median(a / b for a, b in pairs):.2f} x the speed of one\n")
    return seconds


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="What a step on several workers costs.")
    parser.add_argument("--quick", action="store_true", help="measure nothing")
    parser.add_argument("--data", default="bundled")
    parser.add_argument("--data-dir")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50, help="of a group; a process measures six groups")
    parser.add_argument("--jitter", type=float, default=0.0, help="of computing, as a part of it")
    parser.add_argument("--seed", type=int, default=1, help="of the jitter")
    arguments = parser.parse_args(argv)
    compute, messages = COMPUTE, MESSAGES
    if not arguments.quick:
        n_cores = len(os.sched_getaffinity(0))
        print(f"{platform.platform()}, Python {platform.python_version()}, {n_cores} cores, {arguments.rounds} rounds")
        compute, messages = model_of(print_measured(measure(arguments), n_cores))
    print_predictions(compute, messages)
    if arguments.jitter:
        print(f"With computing times that are {arguments.jitter:.0%} longer on the mean, of an exponential law\n")
        uneven = Compute(compute.fixed, compute.per_row, arguments.jitter)
        rows = []
        for n in WORKERS[:-1]:
            ring = [Ring(n, N_BYTES, uneven, network, messages, arguments.seed) for network in NETWORKS.values()]
            rows.append([f"{n}", *(f"{each.run(n * BATCH, steps=20) * 1e3:.1f} ms" for each in ring)])
        print_table("workers, 100 images each", rows)


if __name__ == "__main__":
    main()
