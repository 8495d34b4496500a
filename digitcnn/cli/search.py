"""The command `digitcnn search`: its options, and how it runs and reports the jobs."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from .._quiet import quiet_import
from ..search.cores import n_cores
from ..search.jobs import place_of
from ..search.plan import Plan, make_jobs, recipe_of
from ..search.space import SEARCHED, parse_range, parse_values
from ..training.signals import TERMINATED
from .converters import count, path
from .output import say
from .training_options import add_architecture, add_length, add_recipe, add_validation

if TYPE_CHECKING:
    from ..data.datasets import Dataset
    from ..search.folder import SearchFolder
    from ..search.jobs import Job, Place

EXAMPLES = """examples:
  digitcnn search --grid learning_rate=1e-4,1e-3 dropout=0,0.5 --seeds 1 2 3 --jobs 2 --out found
  digitcnn search --data mnist --random 20 --range learning_rate=1e-4..1e-2:log --folds 5 --out found
  digitcnn search --grid architecture=cnn,compact epochs=3 --dask tcp://10.0.0.1:8786 --out found
The same command again resumes: finished jobs are not done again. tensorboard --logdir found shows the trials.
"""
MAX_THREADS = 1024
MAX_WORKERS = 1024
MIN_FOLDS, MAX_FOLDS = 2, 1000


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.usage = "digitcnn search --grid NAME=VALUE,VALUE,... [NAME=...] [--seeds N ...] --out DIR [options]"
    tried = parser.add_argument_group("settings to try")
    tried.add_argument(
        "--grid",
        nargs="+",
        action="extend",
        type=sentence_of(parse_values),
        default=[],
        metavar="NAME=VALUES",
        help="settings and their values, separated by commas; every combination is tried, with every seed and fold. "
        f"Settings: {', '.join(SEARCHED)}",
    )
    tried.add_argument(
        "--range",
        nargs="+",
        action="extend",
        type=sentence_of(parse_range),
        default=[],
        metavar="NAME=LOW..HIGH",
        help="settings and the ranges from which --random draws; LOW..HIGH:log draws evenly by the logarithm",
    )
    tried.add_argument(
        "--random",
        type=count,
        metavar="N",
        help="number of combinations to draw, from the ranges and the values of the grid (default: all of the grid)",
    )
    tried.add_argument(
        "--draw-seed", type=partial(count, lowest=0), default=0, metavar="N", help="seed of the draws (default: 0)"
    )
    add_recipe(tried, "where the other settings come from")
    add_architecture(tried)
    each = parser.add_argument_group("each training")
    add_length(each)
    each.add_argument(
        "--seeds",
        nargs="+",
        type=partial(count, lowest=0),
        default=[1],
        metavar="N",
        help="seeds of initial weights, shuffling, dropout and augmentation (default: 1)",
    )
    validated = each.add_mutually_exclusive_group()
    add_validation(validated, "; the test images are never looked at")
    validated.add_argument(
        "--folds",
        type=partial(count, lowest=MIN_FOLDS, highest=MAX_FOLDS),
        metavar="K",
        help="validate on each of K parts of the training images in turn, with as many images of each class",
    )
    where = parser.add_argument_group("where")
    where.add_argument(
        "--out",
        type=path,
        required=True,
        metavar="DIR",
        help="folder for results.csv, times.csv, the finished jobs and TensorBoard's trials; if it has this search, "
        "that is resumed",
    )
    workers = where.add_mutually_exclusive_group()
    workers.add_argument(
        "--jobs",
        type=partial(count, highest=MAX_WORKERS),
        default=1,
        metavar="J",
        help="trainings beside each other on this machine, each in a process of about 0.6 GB; as many as cores are "
        "usually the fastest (default: 1)",
    )
    workers.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="train on the workers of the Dask cluster whose scheduler is there, such as tcp://10.0.0.1:8786; Dask "
        "has no passwords: in a private network only",
    )
    where.add_argument(
        "--threads",
        type=partial(count, highest=MAX_THREADS),
        metavar="N",
        help="TensorFlow's threads for each training, on which its rounding depends (default: the cores of a machine "
        "over the trainings beside each other; when resumed, as before)",
    )
    where.add_argument("--quiet", action="store_true", help="print only the table")


def sentence_of(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A converter with the parser's own error messages."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def run(arguments: argparse.Namespace) -> int:
    """Do the jobs that are not done, record each, and print the table; returns 1 if some have no result."""
    from ..data.datasets import load_dataset

    plan = _plan(arguments)
    plan.combinations()  # raises before the data are read
    dataset = load_dataset(arguments.data or "bundled", arguments.data_dir)
    make_jobs(plan, dataset, 1)  # raises before TensorFlow is loaded
    with quiet_import():
        from ..search.folder import describe_search, open_search, read_search
        from .search_results import Results

    recorded = read_search(arguments.out)
    with contextlib.ExitStack() as stack:
        stack.enter_context(ending_at_sigterm())
        client, threads = None, arguments.threads or (recorded and recorded["threads"])
        if arguments.dask is not None:
            from ..search.cluster import connect, threads_per_job

            client = stack.enter_context(connect(arguments.dask))
            fitting = threads_per_job(client)  # also checks the workers
            threads = threads or fitting
        threads = threads or max(1, n_cores() // arguments.jobs)
        jobs = make_jobs(plan, dataset, threads)
        description = describe_search(plan, dataset, jobs)
        folder = stack.enter_context(open_search(arguments.out, description, jobs))
        if not arguments.quiet:
            _say_begin(plan, dataset, jobs, folder, threads)
        results = Results(plan, jobs, folder, is_quiet=arguments.quiet)
        waiting = [job for job in jobs if job.digest not in folder.results]
        if waiting:
            outcomes = _outcomes(waiting, place_of(dataset, arguments.data_dir), arguments, client)
            results.collect(stack.enter_context(contextlib.closing(outcomes)))
        return results.finish(arguments, recipe_of(plan, dataset))


def _plan(arguments: argparse.Namespace) -> Plan:
    given = {"--grid": arguments.grid, "--range": arguments.range}
    for option, pairs in given.items():
        names = [name for name, _ in pairs]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{option}: expected each setting once, found {twice[0]} twice; separate values by commas")
    if twice := [seed for seed in arguments.seeds if arguments.seeds.count(seed) > 1]:
        raise ValueError(f"--seeds: expected each seed once, found {twice[0]} twice")
    if arguments.random and not (arguments.grid or arguments.range):
        raise ValueError("--random: expected --range or --grid beside it, found neither")
    return Plan(
        grid=dict(arguments.grid),
        ranges=dict(arguments.range),
        n_random=arguments.random,
        draw_seed=arguments.draw_seed,
        seeds=tuple(arguments.seeds),
        n_folds=arguments.folds,
        n_validation=arguments.validation,
        recipe=arguments.recipe,
        architecture=arguments.architecture,
        epochs=arguments.epochs,
        steps=arguments.steps,
    )


@contextlib.contextmanager
def ending_at_sigterm() -> Iterator[None]:
    """Let SIGTERM end the worker processes too."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _outcomes(waiting: list[Job], place: Place, arguments: argparse.Namespace, client: Any) -> Any:
    if client is not None:
        from ..search.cluster import run_on_cluster

        return run_on_cluster(waiting, place, client)
    with quiet_import():
        from ..search.local import run_here
        from ..search.worker import run_job

    return run_here(waiting, partial(run_job, place=place), arguments.jobs)


def _say_begin(plan: Plan, dataset: Dataset, jobs: list[Job], folder: SearchFolder, threads: int) -> None:
    n_training = len(dataset.train_images)
    n_validation = jobs[0].n_validation
    parts = f"{plan.n_folds} folds" if plan.n_folds else f"the last {n_validation:,} validated on"
    n_done = len(folder.results)
    done = f", {n_done:,} of them done before" if n_done else ""
    say(
        f"Searching on {dataset.name!r}: {n_training:,} training images, {parts}; {len(jobs):,} jobs{done}, each with "
        f"{threads} {'thread' if threads == 1 else 'threads'}"
    )
