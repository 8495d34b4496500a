"""Predict ten million images from disk: memory, kills, and speed beside `predict`'s own.

    python tests/benchmarks/bulk.py
    python tests/benchmarks/bulk.py --images 1000000 --architecture cnn --kills 3

Writes an IDX file of so many different images (the bundled digits, shifted, with noise; 7.84 GB for ten million) into
a folder of its own, which is removed at the end, and

1. predicts it by `digitcnn predict --data`, and samples the process's memory: the resident set (VmRSS) and its part
   that is no file's (RssAnon), at 10% of the images and at the highest afterwards;
2. does so again, killed by SIGKILL at random places and resumed, and compares the bytes of both outputs;
3. predicts a part with the weights that ship, in one process, in turn by `DigitCNN.predict` from memory and by
   `predict_file`, and compares medians.

Exits with 1 if the outputs differ, if memory grows by 100 MB or more, or if `predict_file` is over 10% slower.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from digitcnn import DigitCNN, load_dataset, predict_file
from digitcnn._files import sha256_of
from digitcnn.bulk.output import read_progress

CHUNK = 100_000  # images that are made at once
MAX_GROWTH = 100 << 20  # bytes
MIN_SPEED = 0.9  # of predict's own


def write_images(file: Path, n: int) -> None:
    """Write n different images as an IDX file."""
    digits = load_dataset("bundled")
    known = np.concatenate([digits.train_images, digits.test_images]).reshape(-1, 28, 28)
    rng = np.random.default_rng(1)
    with file.open("wb") as stream:
        stream.write(struct.pack(">4B3I", 0, 0, 8, 3, n, 28, 28))
        for start in range(0, n, CHUNK):
            chosen = known[rng.integers(0, len(known), min(CHUNK, n - start))]
            noise = rng.integers(0, 8, chosen.shape, dtype=np.uint8)
            shift = tuple(rng.integers(-2, 3, 2))
            stream.write(np.roll(np.minimum(chosen, 247) + noise, shift, axis=(1, 2)).data)


def memory_of(process: int) -> tuple[int, int]:
    """VmRSS and RssAnon of a process, in bytes; zeros once it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    sizes = {
        name: int(size.split()[0]) << 10 for name, _, size in (line.partition(":") for line in lines) if "kB" in size
    }
    return sizes.get("VmRSS", 0), sizes.get("RssAnon", 0)


def n_recorded(out: Path) -> int:
    """How many images are recorded."""
    record = read_progress(out)
    return record.progress.n_done if record else 0


def predict_undisturbed(command: list[str], out: Path, n: int) -> int:
    """Predict all; print speed and memory, and return by how many bytes VmRSS grew after a tenth of the images."""
    start, samples = time.perf_counter(), []
    process = subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.PIPE, text=True)
    while process.poll() is None:
        if n_recorded(out) >= n // 10 and (found := memory_of(process.pid))[0]:
            samples.append(found)
        time.sleep(0.2)
    print(process.communicate()[0].strip(), f"({time.perf_counter() - start:.0f} s with the start)", flush=True)
    if process.returncode:
        raise SystemExit(f"exit status {process.returncode}")
    if not samples:
        print("memory: not sampled, as so few images took too short")
        return 0
    growth = []
    for name, sizes in zip(("VmRSS", "RssAnon"), zip(*samples, strict=True), strict=True):
        growth.append(max(sizes) - sizes[0])
        text = f"{sizes[0] / 2**20:.1f} MB after a tenth, at most {growth[-1] / 2**20:.1f} MB more later"
        print(f"{name}: {text}, {len(sizes)} samples", flush=True)
    return growth[0]


def predict_killed(command: list[str], out: Path, n: int, kills: int) -> None:
    """Predict all, killed so many times at random places."""
    moments = random.Random(n)
    for place in sorted(moments.randrange(n // 20, n - n // 20) for _ in range(kills)):
        process = subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.DEVNULL)
        while process.poll() is None and n_recorded(out) < place:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        print(f"killed with {n_recorded(out):,} images recorded", flush=True)
    print(subprocess.run([*command, "--out", str(out)], stdout=subprocess.PIPE, text=True, check=True).stdout.strip())


def speed_ratio(model: DigitCNN, data: Path, n: int, rounds: int) -> float:
    """Predict n images in turn by `predict` and `predict_file`; return the ratio of the medians."""
    with data.open("rb") as stream:
        stream.seek(16)
        X = np.fromfile(stream, np.uint8, n * 784).reshape(n, 784)
    part, out = data.with_name("part.npy"), data.with_name("speed.npy")
    np.save(part, X)
    model.predict(X[:1000], verbose=False)
    runs = {
        "predict": lambda: model.predict(X, return_proba=True, verbose=False),
        "predict_file": lambda: predict_file(model, part, out, verbose=False),
    }
    rates: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            run()
            rates[name].append(n / (time.perf_counter() - start))
            cpu[name].append((time.process_time() - start_cpu) / n)
        for file in (out, out.with_name(out.name + ".json")):
            file.unlink()
    for name, found in rates.items():
        spread = f"{min(found):,.0f} to {max(found):,.0f}, {rounds} rounds of {n:,}"
        used = f"{statistics.median(cpu[name]) * 1e6:.0f} us of CPU time an image"
        print(f"{name}: {statistics.median(found):,.0f} images/s ({spread}), {used}", flush=True)
    return statistics.median(rates["predict_file"]) / statistics.median(rates["predict"])


def main() -> int:
    """Print what was measured; return 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000_000, help="default: 10000000")
    parser.add_argument("--architecture", default="softmax", help="which is trained shortly first (default: softmax)")
    parser.add_argument("--kills", type=int, default=2, help="default: 2")
    parser.add_argument("--speed-images", type=int, default=10_000, help="of the third part (default: 10000)")
    parser.add_argument("--rounds", type=int, default=7, help="of the third part (default: 7)")
    parser.add_argument("--folder", help="where to work (default: the system's folder for temporary files)")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    misses = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        data, run, whole, pieces = (Path(name, part) for part in ("images", "model", "whole.npy", "pieces.npy"))
        with DigitCNN(architecture=arguments.architecture, random_seed=1) as model:
            model.train(load_dataset("bundled").split(0)[0], epochs=1, verbose=False)
            model.save(path=run)
        write_images(data, arguments.images)
        print(f"{arguments.images:,} images, {data.stat().st_size / 1e9:.2f} GB; {arguments.architecture}", flush=True)
        command = [sys.executable, "-m", "digitcnn", "predict", "--data", str(data), "--run", str(run)]
        if predict_undisturbed(command, whole, arguments.images) >= MAX_GROWTH:
            misses.append("memory")
        predict_killed(command, pieces, arguments.images, arguments.kills)
        if sha256_of(whole) != sha256_of(pieces):
            misses.append("bytes")
        print(f"sha256 {sha256_of(whole)}, {sha256_of(pieces)} after {arguments.kills} kills", flush=True)
        with DigitCNN.pretrained() as model:
            ratio = speed_ratio(model, data, min(arguments.images, arguments.speed_images), arguments.rounds)
        print(f"predict_file to predict, medians: {ratio:.3f}")
        if ratio < MIN_SPEED:
            misses.append("speed")
    print(f"missed: {', '.join(misses)}" if misses else "all aims met")
    return int(bool(misses))


if __name__ == "__main__":
    sys.exit(main())
