"""What `digitcnn search` does with the outcomes of its jobs, and what it prints of them."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any

from ..search.folder import TENSORBOARD, SearchFolder
from ..search.jobs import Failure, Job, Lost, Outcome, Result
from ..search.plan import Plan, text_of
from ..search.table import ranked, results_csv, table_lines, times_csv
from ..search.trials import Trials
from ..settings import declarations
from .output import remark, say, shell_quoted


class Results:
    """Records the outcomes of a search as they come, and reports them."""

    def __init__(self, plan: Plan, jobs: list[Job], folder: SearchFolder, *, is_quiet: bool):
        self._plan, self._jobs, self._folder, self._is_quiet = plan, jobs, folder, is_quiet
        self._numbers = {job.digest: number for number, job in enumerate(jobs, 1)}
        self._failures: dict[str, Failure] = {}
        self._trials = Trials(folder.path / TENSORBOARD, plan)
        for job in jobs:  # of a search that was killed between a result and its trial
            if job.digest in folder.results:
                self._trials.write(self._numbers[job.digest], job, folder.results[job.digest])

    def collect(self, outcomes: Iterator[tuple[Job, Outcome]]) -> None:
        """Take all outcomes; an interruption is reported, and raised again."""
        try:
            for job, outcome in outcomes:
                if isinstance(outcome, Lost):
                    remark(f"{self._name(job)}: its worker process ended; the job is done again")
                elif isinstance(outcome, Failure):
                    self._failures[job.digest] = outcome
                    remark(f"{self._name(job)}: failed: {outcome.error}")
                else:
                    self._take(job, outcome)
        except BaseException as error:
            with contextlib.suppress(OSError):  # the first error is the one to report
                self._write_tables()
            if not isinstance(error, Exception):
                remark("", "Interrupted")
            done = f"{len(self._folder.results):,} of {len(self._jobs):,} jobs"
            remark(f"{done} are recorded in {self._folder.path}; the same command resumes")
            raise

    def _take(self, job: Job, result: Result) -> None:
        self._warn_of_other_machine(job, result)
        self._folder.record(job, result)
        self._trials.write(self._numbers[job.digest], job, result)
        if not self._is_quiet:
            n_done = len(self._folder.results) + len(self._failures)
            say(
                f"[{n_done}/{len(self._jobs)}] {self._name(job)}: validation accuracy {result.accuracy:.2%}, "
                f"loss {result.loss:.4f}, {result.seconds:.1f} s"
            )

    def _warn_of_other_machine(self, job: Job, result: Result) -> None:
        first = next(iter(self._folder.results.values()), result).machine
        known = [other.machine for other in self._folder.results.values()]
        if result.machine != first and result.machine not in known:
            different = [name for name, value in result.machine.items() if value != first.get(name)]
            remark(
                f"digitcnn: warning: {self._name(job)}: {result.worker} differs from the first worker in "
                f"{', '.join(different)}: results may differ in rounding"
            )

    def _name(self, job: Job) -> str:
        settings = text_of({name: job.settings[name] for name in self._plan.searched})
        return f"{settings}, seed {job.seed}" + (f", fold {job.fold}" if job.fold else "")

    def _outcomes(self) -> dict[str, Result | Failure]:
        return {**self._failures, **self._folder.results}

    def _write_tables(self) -> None:
        path, outcomes = self._folder.path, self._outcomes()
        self._folder.write(path / "results.csv", results_csv(self._jobs, outcomes, self._plan.searched))
        self._folder.write(path / "times.csv", times_csv(self._jobs, outcomes))

    def finish(self, arguments: argparse.Namespace, recipe: str | None) -> int:
        """Write the tables, and print the best settings; returns the exit status."""
        self._write_tables()
        rows = ranked(self._jobs, self._outcomes(), self._plan.searched)
        say(*table_lines(rows))
        if not arguments.quiet and rows[0].accuracies:
            say(f"All results are in {self._folder.path}: look at results.csv.", "Next:")
            say(f"  tensorboard --logdir {shell_quoted(self._folder.path)}    see the trials, under HPARAMS")
            if command := train_command(arguments, recipe, rows[0].settings):
                say(f"  {command}    train with the best")
        if self._failures:
            remark(f"digitcnn: error: expected a result of each job, found {len(self._failures):,} that failed")
        return 1 if self._failures else 0


def train_command(arguments: argparse.Namespace, recipe: str | None, settings: dict[str, Any]) -> str | None:
    """The command that trains with the best settings; None if `digitcnn train` has no option for one of them."""
    words = ["digitcnn", "train"]
    options = {
        "--data": arguments.data,
        "--data-dir": arguments.data_dir,
        "--recipe": recipe,
        "--architecture": arguments.architecture,
        "--epochs": arguments.epochs,
        "--steps": arguments.steps,
    }
    for name, value in settings.items():
        flag = declarations()[name].flag
        if flag is None:
            return None
        options[flag] = value
    for option, value in options.items():
        if value is not None:
            words += [option, shell_quoted(str(value))]
    return " ".join(words)
