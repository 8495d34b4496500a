"""A search of four jobs, and what tests of searches ask about processes."""

import csv
import subprocess
import time
from pathlib import Path

# Each of the four trainings takes about a second on a core of its own, so that one can be killed in its course.
SEARCH = ["search", "--grid", "learning_rate=1e-3,1e-2", "architecture=softmax", "--seeds", "1", "2"]
SEARCH += ["--epochs", "60", "--threads", "1"]
SECONDS = 300  # that a process may take until it does something, on a busy machine


def rows(folder):
    with (Path(folder) / "results.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def children(number):
    """The processes that this one has started, by their numbers."""
    found = subprocess.run(["pgrep", "-P", str(number)], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


def command_of(number):
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().decode()
    except OSError:
        return ""


def is_alive(number):
    try:
        status = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_for(condition, what):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)
