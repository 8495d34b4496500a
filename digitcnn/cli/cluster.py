"""Options of `train` for several machines and devices, and the cluster that they or the environment name."""

from __future__ import annotations

import argparse
import os
from typing import Any

from .._quiet import quiet_import
from ..cluster.hosts import SLURM_TASKS, TF_CONFIG, TIMEOUT, Cluster
from ..cluster.worker_process import LOST
from ..exceptions import ClusterError

ALONE = "none"  # in place of addresses: this process alone, whatever the environment says


def add_options(train: argparse.ArgumentParser) -> None:
    """Add the group of options to the parser of `train`."""
    group = train.add_argument_group(
        "several machines or devices",
        "All workers run the same command, each with its own --index. Worker 0 writes the run folder, and continues "
        f"the run that is there. Exit status {LOST}: another worker was lost; start this one again. The workers talk "
        "without authentication and encryption, and listen on all interfaces: private networks or tunnels only.",
    )
    group.add_argument(
        "--cluster",
        metavar="HOSTS",
        help="addresses HOST:PORT of all workers, with commas between them (default: from TF_CONFIG or, in a Slurm "
        f"step of several tasks, from Slurm's variables; {ALONE} for this process alone)",
    )
    group.add_argument("--index", type=_whole, metavar="I", help="number of this worker in HOSTS, from 0")
    group.add_argument(
        "--worker-timeout",
        type=_seconds,
        metavar="SECONDS",
        help="seconds to wait for a worker that does not answer, more than worker 0 takes to save (default: "
        f"{TIMEOUT:g})",
    )
    group.add_argument(
        "--devices",
        type=_whole,
        metavar="N",
        help="GPUs of this machine, or virtual devices of its CPU, that share each batch (default: 1)",
    )


def cluster_of(arguments: argparse.Namespace) -> Cluster | None:
    """The cluster that `train` is to join, if any. Raises ValueError, ClusterError."""
    timeout = TIMEOUT if arguments.worker_timeout is None else arguments.worker_timeout
    if arguments.cluster is None:
        if arguments.index is not None:
            raise ValueError("--index: expected --cluster HOSTS beside it, found none")
        with quiet_import():  # TensorFlow reads these variables
            cluster = Cluster.from_environment(timeout)
        source = TF_CONFIG if os.environ.get(TF_CONFIG) else SLURM_TASKS
        source += f" (--cluster {ALONE} trains alone)"
    elif arguments.cluster == ALONE:
        return None
    else:
        if arguments.index is None:
            raise ValueError("--cluster: expected --index I beside it, the number of this worker from 0; found none")
        source = "--cluster"
        try:
            cluster = Cluster([host.strip() for host in arguments.cluster.split(",")], arguments.index, timeout)
        except ValueError as error:
            raise ClusterError(f"--cluster, --index: {error}") from error
    if cluster is None or cluster.n_workers == 1:
        return cluster
    missing = []
    if arguments.resume is None:
        missing = [option for option in ("seed", "run") if getattr(arguments, _NAMES[option]) is None]
    if missing:
        raise ValueError(
            f"{source}: expected --seed N and --run DIR beside it, the same on all {cluster.n_workers} workers, so "
            f"that each of them can be started again; found no {' and no '.join(f'--{name}' for name in missing)}"
        )
    return cluster


_NAMES = {"seed": "random_seed", "run": "run"}


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected a whole number, found {text!r}")
    return int(text)


def _seconds(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number of seconds, found {text!r}") from None
