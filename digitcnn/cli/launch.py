"""`digitcnn launch`: starts and supervises the workers of one training on this machine."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..cluster.hosts import SLURM_TASKS, TF_CONFIG
from ..cluster.launcher import Launcher, Limits
from ..cluster.lines import Lines
from ..cluster.ports import MAX_PORT, choose_ports
from ..settings import declarations
from .output import remark, say, shell_quoted

EXAMPLES = """examples:
  digitcnn launch --workers 2 -- train --data mnist --recipe fast
  digitcnn launch --workers 2 -- train --resume latest

Everything after -- is the command that each worker runs. The workers share this machine's cores: more of them than
cores make nothing faster. A worker that dies by a signal or loses another one is restarted and resumes from the newest
checkpoint; an error ends all. Ctrl-C and SIGTERM end all, after a last checkpoint; a second Ctrl-C kills them.
"""
MAX_WORKERS = 256
MAX_RESTARTS = 20
HOST = "127.0.0.1"


def add_options(parser: argparse.ArgumentParser, count: Callable[..., Any]) -> None:
    """Add the options of `launch`; `count` converts whole numbers."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.usage = "digitcnn launch --workers N [--port P] [--max-restarts N] -- train [options]"
    parser.add_argument(
        "--workers",
        type=lambda text: count(text, highest=MAX_WORKERS),
        metavar="N",
        required=True,
        help="number of workers; must be 1 where --cluster, TF_CONFIG or Slurm already name the workers of a cluster: "
        "this machine's is supervised then",
    )
    parser.add_argument(
        "--port",
        type=lambda text: count(text, highest=MAX_PORT),
        metavar="P",
        help="first port: the workers listen on P, P + 1 and so on, on all addresses, without authentication "
        "(default: free ones)",
    )
    parser.add_argument(
        "--max-restarts",
        type=lambda text: count(text, lowest=0),
        default=MAX_RESTARTS,
        metavar="N",
        help="restarts of one worker after which all end (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Supervise workers that run `arguments.words`, the command train, parsed as `arguments.train`, until they end."""
    words, train = list(arguments.words), arguments.train
    cluster = _cluster_of(train, os.environ)
    folder, commands = None, {"worker" if train.index is None else str(train.index): words}
    if cluster is None:
        if train.index is not None:
            raise ValueError(f"--index: expected none, as each worker gets its own, found {train.index}")
        hosts = _hosts(arguments.workers, arguments.port)
        words, folder = _complete(words, train, f"{arguments.workers}-workers")
        numbers = map(str, range(arguments.workers))
        commands = {number: [*words, "--cluster", hosts, "--index", number] for number in numbers}
    elif arguments.workers != 1:
        raise ValueError(
            f"--workers: expected 1, as {cluster} names the workers of a cluster, of which this machine has one, found "
            f"{arguments.workers}"
        )
    elif arguments.port is not None:
        raise ValueError(f"--port: expected none, as {cluster} names the ports, found {arguments.port}")
    try:
        return _supervise(commands, Limits(max_restarts=arguments.max_restarts))
    finally:
        if folder is not None:
            with contextlib.suppress(OSError):  # unless something is in it
                folder.rmdir()


def _cluster_of(train: argparse.Namespace, environment: Mapping[str, str]) -> str | None:
    """What names the workers of a cluster that is not the launcher's; None if nothing does."""
    if train.cluster:
        return "--cluster"
    if environment.get(TF_CONFIG):
        return TF_CONFIG
    return SLURM_TASKS if environment.get(SLURM_TASKS, "1") != "1" else None


def _hosts(n: int, port: int | None) -> str:
    """The addresses of n workers, as --cluster takes them."""
    if port is not None and port + n - 1 > MAX_PORT:
        highest = MAX_PORT - n + 1
        raise ValueError(f"--port: expected a number in 1..{highest}, for all workers, found {port}")
    return ",".join(f"{HOST}:{number}" for number in choose_ports(n, port))


def _complete(words: list[str], train: argparse.Namespace, what: str) -> tuple[list[str], Path | None]:
    """The command train with the seed and the run folder that all workers must share; and the folder, if it is new."""
    from ..runs.description import SETTINGS_FILE, read_description
    from ..runs.folders import new_run_folder, run_folder

    if train.resume is not None:
        return [*words, f"--resume={run_folder(train.resume)}"], None  # the last one counts; another run may be latest
    folder, added = None, []
    if train.run is None:
        what = train.start or train.recipe or train.architecture or what
        folder = new_run_folder(None, train.data or "bundled", what)
        added.append(f"--run={folder}")
    if train.random_seed is None:
        is_there = train.run is not None and (Path(train.run) / SETTINGS_FILE).exists()  # to be resumed
        recorded_seed = read_description(train.run)["settings"]["random_seed"] if is_there else None
        added.append(f"--seed={declarations()['random_seed'].check('random_seed', recorded_seed)}")
    if added:
        remark(f"launcher: added for all workers: {' '.join(map(shell_quoted, added))}")
    return [*words, *added], folder


def _supervise(commands: Mapping[str, Sequence[str]], limits: Limits) -> int:
    started = {name: [sys.executable, "-c", _start(), *words] for name, words in commands.items()}
    lines = Lines(say, remark)
    status, is_printed = Launcher(started, lines, limits).run()
    if not is_printed:
        # A thread waits for a reader of the output, which Python would do too, for ever, to end in order.
        os._exit(status)
    if status == 0 and lines.error is not None:  # the training is complete, but what it said is lost
        raise lines.error
    return status


def _start() -> str:
    """The program of a worker: it ends with this process, imports what this process would, and runs the command."""
    # `-m` would import from the working folder first, where a user may have a random.py.
    return (
        f"import sys; sys.path[:] = {sys.path!a}; "
        f"from digitcnn.cluster.worker_process import end_with_launcher; end_with_launcher({os.getpid()}); "
        "from digitcnn.cli.main import main; sys.exit(main())"
    )
