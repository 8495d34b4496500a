"""The results of a search: ranked for the terminal, and as CSV. No TensorFlow here."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .jobs import Failure, Job, Result
from .plan import value_text

MAX_SHOWN = 20  # rows in a terminal; results.csv has all jobs

Outcomes = Mapping[str, Result | Failure]  # by the digests of the jobs


@dataclass(frozen=True)
class Row:
    """A combination of settings with what its jobs, of all seeds and folds, have reached."""

    settings: dict[str, Any]
    accuracies: list[float]
    losses: list[float]
    n_failed: int

    @property
    def mean(self) -> float:
        """Mean accuracy; below that of any other if no job is done."""
        return statistics.fmean(self.accuracies) if self.accuracies else -1.0

    @property
    def std(self) -> float | None:
        """Standard deviation of the accuracies, of the sample; None for fewer than two."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None

    @property
    def loss(self) -> float:
        """Mean loss, NaN if no job is done or a training diverged."""
        return statistics.fmean(self.losses) if self.losses else float("nan")


def ranked(jobs: list[Job], outcomes: Outcomes, searched: list[str]) -> list[Row]:
    """The combinations, best mean accuracy first; of equal ones, the lower loss first."""
    rows: dict[tuple[Any, ...], Row] = {}
    for job in jobs:
        settings = {name: job.settings[name] for name in searched}
        row = rows.setdefault(tuple(settings.values()), Row(settings, [], [], 0))
        outcome = outcomes.get(job.digest)
        if isinstance(outcome, Result):
            row.accuracies.append(outcome.accuracy)
            row.losses.append(outcome.loss)
        elif outcome is not None:
            rows[tuple(settings.values())] = Row(settings, row.accuracies, row.losses, row.n_failed + 1)
    return sorted(rows.values(), key=lambda row: (-row.mean, row.loss if row.loss == row.loss else float("inf")))


def table_lines(rows: list[Row]) -> list[str]:
    """A table of the best rows, in columns."""
    searched = list(rows[0].settings)
    cells = [[*searched, "accuracy", "std", "loss", "runs"]]
    for row in rows[:MAX_SHOWN]:
        numbers = [f"{row.mean:.2%}", "-" if row.std is None else f"{row.std:.2%}", f"{row.loss:.4f}"]
        failed = f", {row.n_failed} failed" if row.n_failed else ""
        runs = f"{len(row.accuracies)}{failed}"
        cells.append([*map(value_text, row.settings.values()), *(numbers if row.accuracies else "---"), runs])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    return lines if len(rows) <= MAX_SHOWN else [*lines, f"... and {len(rows) - MAX_SHOWN:,} more"]


def results_csv(jobs: list[Job], outcomes: Outcomes, searched: list[str]) -> bytes:
    """A row for each job that is done, in the order of the jobs; nothing in it depends on when or where it was done."""
    names = ["job", *searched, "seed", "fold", "accuracy", "loss", "steps", "weights_sha256", "error"]
    lines = []
    for number, job in enumerate(jobs, 1):
        outcome = outcomes.get(job.digest)
        if outcome is None:
            continue
        begin = [number, *(value_text(job.settings[name]) for name in searched), job.seed, job.fold or ""]
        if isinstance(outcome, Result):
            lines.append([*begin, outcome.accuracy, outcome.loss, outcome.steps, outcome.weights_sha256, ""])
        else:
            lines.append([*begin, "", "", "", "", outcome.error])
    return _csv([names, *lines])


def times_csv(jobs: list[Job], outcomes: Outcomes) -> bytes:
    """Seconds and worker of each job that is done."""
    lines = [
        [number, outcome.seconds, outcome.worker]
        for number, job in enumerate(jobs, 1)
        if isinstance(outcome := outcomes.get(job.digest), Result)
    ]
    return _csv([["job", "seconds", "worker"], *lines])


def _csv(lines: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode("utf-8")
