"""Time of an epoch and memory, by the number of training images.

    python tests/benchmarks/scaling.py --data mnist

For each number of images, a process of its own trains for an epoch. It has trained on 1,000 images before, so that
one-time costs do not count. Beyond MNIST's 60,000, images are repeated.
"""

import argparse
import multiprocessing
import time
from pathlib import Path

import numpy as np

from digitcnn import load_dataset

SIZES = (15_000, 30_000, 60_000, 120_000)


def status(field):
    """A size of this process in MB, from Linux's /proc/self/status."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(field))


def measure(n, arguments, line):
    """Send the seconds of an epoch and, in MB, the growth of memory, its peak and the size of the data."""
    import tensorflow as tf  # noqa: F401  so that its import is not measured

    from digitcnn import DigitCNN

    dataset = load_dataset(arguments.data, arguments.data_dir)
    rows = np.resize(np.arange(len(dataset.train_images)), n)
    X, y = dataset.train_images[rows], dataset.train_labels[rows]
    del dataset, rows
    with DigitCNN(random_seed=1, precision=arguments.precision) as model:
        model.train((X[:1000], y[:1000]), epochs=1, verbose=False)  # session, kernels
        before = status("VmRSS:")
        start = time.perf_counter()
        model.train((X, y), epochs=1, verbose=False)
        seconds = time.perf_counter() - start
        line.send((seconds, status("VmRSS:") - before, status("VmHWM:"), X.nbytes / 1e6))


def main():
    parser = argparse.ArgumentParser(description="Time of an epoch and memory, by the number of images.")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    print("| images | s an epoch | images/s | data, MB | peak, MB | grown in the epoch, MB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for n in SIZES:
        receive, send = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(n, arguments, send))
        process.start()
        send.close()  # so that receiving raises an error if the process fails
        seconds, grown, peak, data = receive.recv()
        process.join()
        print(f"| {n:,} | {seconds:.1f} | {n / seconds:,.0f} | {data:.0f} | {peak:,.0f} | {grown:.0f} |", flush=True)


if __name__ == "__main__":
    main()
