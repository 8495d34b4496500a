"""Train on two hosts in network namespaces, over a link that is cut, slow, or loses packets; compare the results.

    python tests/benchmarks/network.py
    python tests/benchmarks/network.py --scenarios delay --steps 20

As root on Linux, with `ip` and `tc` (Debian's iproute2). Each host has its own address, 10.77.0.1 and 10.77.0.2, and
runs one worker under `digitcnn launch --workers 1`. The scenarios: an undisturbed link; one that is cut for 20 s in the
middle of the training and restored; 100 ms of delay each way; 1% of packets lost. All must end with status 0 and the
SHA-256 of the weights of the undisturbed link. Exits with 1 if one differs, 3 where namespaces cannot be made.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADDRESSES = ("10.77.0.1", "10.77.0.2")
PORT = 8888
CUT = 20  # seconds
SECONDS = 900  # after which a run counts as hanging
NETEM = {"delay": ["delay", "100ms"], "loss": ["loss", "1%"]}
SCENARIOS = ("undisturbed", "cut", *NETEM)


def shell(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)


@contextmanager
def two_hosts() -> Iterator[tuple[str, str]]:
    """Two namespaces with a link between them; raises OSError or CalledProcessError where they cannot be made."""
    names = (f"digitcnn-{os.getpid()}-0", f"digitcnn-{os.getpid()}-1")
    if not (shutil.which("ip") and shutil.which("tc")):
        raise OSError("no ip and tc")
    try:
        for name in names:
            shell("ip", "netns", "add", name)
        ends = (f"dc{os.getpid()}a", f"dc{os.getpid()}b")
        shell("ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for name, end, address in zip(names, ends, ADDRESSES, strict=True):
            shell("ip", "link", "set", end, "netns", name, "name", "wire")
            shell("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "wire")
            shell("ip", "-n", name, "link", "set", "wire", "up")
            shell("ip", "-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def train(hosts: tuple[str, str], run: Path, arguments, disturb=None) -> tuple[list[int], list[str]]:
    """Train on both hosts; returns the exit statuses and the outputs."""
    command = [sys.executable, "-m", "digitcnn", "launch", "--workers", "1", "--", "train", "--data", arguments.data]
    command += ["--architecture", arguments.what, "--seed", "27", "--steps", str(arguments.steps), "--run", str(run)]
    command += ["--checkpoint-every", "10", "--worker-timeout", str(arguments.timeout)]
    command += ["--precision", arguments.precision]
    command += ["--cluster", ",".join(f"{address}:{PORT}" for address in ADDRESSES)]
    workers = [
        subprocess.Popen(
            ["ip", "netns", "exec", host, *command, "--index", str(index)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index, host in enumerate(hosts)
    ]
    if disturb is not None:
        threading.Thread(target=disturb, daemon=True).start()
    outputs = []
    for worker in workers:
        try:
            outputs.append(worker.communicate(timeout=SECONDS)[0])
        except subprocess.TimeoutExpired:
            worker.terminate()
            outputs.append(worker.communicate()[0] + "HANGS")
    return [worker.returncode for worker in workers], outputs


def digest(output: str) -> str:
    """The SHA-256 of the weights that a worker printed."""
    return "".join(line.rpartition(" ")[2] for line in output.splitlines() if "weights sha256" in line)[-64:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scenarios", nargs="+", default=SCENARIOS, choices=SCENARIOS)
    parser.add_argument("--what", default="compact", help="architecture (default: compact)")
    parser.add_argument("--data", default="bundled", help="(default: bundled)")
    parser.add_argument("--precision", default="auto", help="auto, float32 or bfloat16 (default: auto)")
    parser.add_argument("--steps", type=int, default=100, help="(default: 100)")
    parser.add_argument("--timeout", type=float, default=60, help="seconds that a worker waits (default: 60)")
    arguments = parser.parse_args()
    expected, status = "", 0
    with tempfile.TemporaryDirectory() as folder:
        for scenario in dict.fromkeys(("undisturbed", *arguments.scenarios)):
            run = Path(folder) / scenario
            try:
                with two_hosts() as hosts:
                    if scenario in NETEM:
                        for host in hosts:
                            shell("tc", "-n", host, "qdisc", "add", "dev", "wire", "root", "netem", *NETEM[scenario])
                    told = []

                    def cut(run=run, host=hosts[0], told=told):
                        while not list(run.glob("model.ckpt-*.json")):  # in the middle: the first checkpoint is there
                            time.sleep(0.02)
                        shell("ip", "-n", host, "link", "set", "wire", "down")
                        time.sleep(CUT)
                        shell("ip", "-n", host, "link", "set", "wire", "up")
                        told.append(f", cut for {CUT} s after the first checkpoint")

                    started = time.monotonic()
                    statuses, outputs = train(hosts, run, arguments, cut if scenario == "cut" else None)
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"{scenario}: cannot be made here: {getattr(error, 'stderr', None) or error}", flush=True)
                status = 3
                continue
            found = digest(outputs[0])
            expected = expected or found
            is_equal = statuses == [0, 0] and found == expected != "" and (scenario != "cut" or told)
            seconds = time.monotonic() - started
            restarts = sum(output.count("starting it again") for output in outputs)
            print(
                f"{scenario}{''.join(told)}: {seconds:.0f} s, {restarts} restarts, "
                f"{'equal' if is_equal else f'DIFFERS, statuses {statuses}'}, {found[:16]}",
                flush=True,
            )
            if not is_equal:
                status = 1
                print(*(output[-3000:] for output in outputs), sep="\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
