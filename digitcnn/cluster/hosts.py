"""The workers of a training, by address: given, or from TF_CONFIG or Slurm's environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .._quiet import load_tensorflow
from .._validation import check_whole
from ..exceptions import ClusterError

TIMEOUT = 120.0  # seconds; more than worker 0 takes to save, or to write an epoch's summaries
MAX_WORKERS = 4_096
MAX_DEVICES = 64  # of one process
PORT = 8_888  # of the first worker on a Slurm node, as in TensorFlow's resolver
TF_CONFIG = "TF_CONFIG"
SLURM_TASKS = "SLURM_STEP_NUM_TASKS"


@dataclass(frozen=True)
class Cluster:
    """The workers of a training, and which of them this process is.

    Every worker is called with the same addresses in the same order, and its own index. Worker 0 writes checkpoints
    and logs. The workers talk over TensorFlow's runtime, which has no authentication and no encryption, and listens on
    all interfaces: use a private network, or a tunnel.

    Parameters
    ----------
    hosts : sequence of str
        An address "HOST:PORT" for each worker; the others connect to it.
    index : int
        Number of this worker, from 0.
    timeout : float, default 120.0
        Seconds to wait for a worker that does not answer, at the start and in a step; more than worker 0 takes to save.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong.

    Examples
    --------
    >>> from digitcnn import Cluster
    >>> Cluster(["10.0.0.1:8888", "10.0.0.2:8888"], index=1).n_workers
    2
    """

    hosts: Sequence[str]
    index: int
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        if isinstance(self.hosts, (str, bytes)) or not isinstance(self.hosts, Sequence):
            raise TypeError(f"hosts: expected a list of addresses 'HOST:PORT', found {self.hosts!r}")
        object.__setattr__(self, "hosts", tuple(map(_check_address, self.hosts)))
        check_whole("hosts: number of workers", len(self.hosts), 1, MAX_WORKERS)
        if twice := [host for host in self.hosts if self.hosts.count(host) > 1]:
            raise ValueError(f"hosts: expected an address for each worker, found {twice[0]!r} twice")
        check_whole("index", self.index, 0, len(self.hosts) - 1)
        if isinstance(self.timeout, bool) or not isinstance(self.timeout, (int, float)):
            raise TypeError(f"timeout: expected seconds, found {self.timeout!r}")
        if not 1 <= self.timeout <= 86_400:
            raise ValueError(f"timeout: expected 1 to 86400 seconds, found {self.timeout!r}")

    @property
    def n_workers(self) -> int:
        """Number of workers."""
        return len(self.hosts)

    @property
    def address(self) -> str:
        """This worker's address."""
        return self.hosts[self.index]

    @classmethod
    def from_environment(cls, timeout: float = TIMEOUT) -> Cluster | None:
        """Read TF_CONFIG or, in a Slurm step of several tasks, Slurm's variables.

        Parameters
        ----------
        timeout : float, default 120.0
            Seconds to wait for a worker that does not answer.

        Returns
        -------
        Cluster or None
            None if there is neither.

        Raises
        ------
        ClusterError
            If a variable is wrong, or the cluster has other jobs than workers and a chief.
        """
        n_tasks = os.environ.get(SLURM_TASKS, "1")
        if os.environ.get(TF_CONFIG):
            source, (hosts, index) = TF_CONFIG, _from_tf_config()
        elif n_tasks.isdecimal() and int(n_tasks) > 1:
            source, (hosts, index) = "Slurm", _from_slurm(int(n_tasks))
        else:
            return None
        try:
            return cls(hosts, index, timeout)
        except (ValueError, TypeError) as error:
            raise ClusterError(f"{source}: {error}") from error


@dataclass(frozen=True)
class Place:
    """Where a training computes: the workers, None for this process alone, and the number of its devices.

    Raises TypeError or ValueError for anything else.
    """

    cluster: Cluster | None = None
    devices: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.cluster, (Cluster, type(None))):
            raise TypeError(f"cluster: expected a Cluster or None, found {self.cluster!r}")
        check_whole("devices", self.devices, 1, MAX_DEVICES)

    @property
    def is_shared(self) -> bool:
        """Whether there is more than one worker or device."""
        return self.devices > 1 or (self.cluster is not None and self.cluster.n_workers > 1)


def _check_address(address: str) -> str:
    """Return an address HOST:PORT; raise TypeError or ValueError if it is none."""
    if not isinstance(address, str):
        raise TypeError(f"hosts: expected addresses 'HOST:PORT', found {address!r}")
    host, _, port = address.rpartition(":")
    is_ipv6 = host.startswith("[") and host.endswith("]")
    if not host or (":" in host and not is_ipv6) or any(sign.isspace() or sign in "/,@" for sign in host):
        raise ValueError(f"hosts: expected addresses 'HOST:PORT', found {address!r}")
    if not (port.isascii() and port.isdecimal()) or not 1 <= int(port) < 1 << 16:
        raise ValueError(f"hosts: expected a port in 1..65535 in {address!r}, found {port!r}")
    return address


def _from_tf_config() -> tuple[list[str], int]:
    """Hosts and index from TF_CONFIG; a chief, where there is one, is worker 0."""
    load_tensorflow()  # only where it is asked for
    import tensorflow as tf

    found = os.environ[TF_CONFIG]
    try:
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        jobs: Mapping[str, Sequence[str]] = resolver.cluster_spec().as_dict()
        kind, number = resolver.task_type, resolver.task_id
        if not jobs or set(jobs) - {"chief", "worker"} or kind not in jobs:
            raise ValueError(f"jobs {', '.join(jobs) or 'none'} and a task of {kind!r}")
        chiefs, workers = list(jobs.get("chief", ())), list(jobs.get("worker", ()))
        index = check_whole("task index", number, 0, len(jobs[kind]) - 1)
        return [*chiefs, *workers], index + (len(chiefs) if kind == "worker" else 0)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ClusterError(
            f"{TF_CONFIG}: expected JSON such as "
            '{"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}}, '
            f"found {found[:200]!r}: {error}"
        ) from error


def _from_slurm(n_tasks: int) -> tuple[list[str], int]:
    """Hosts and index from the variables that srun sets for each task."""
    load_tensorflow()
    import tensorflow as tf

    try:
        # One "GPU" for each task: without GPUs the resolver would make no addresses. It sets none.
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            {"worker": n_tasks}, port_base=PORT, gpus_per_node=n_tasks, gpus_per_task=1, auto_set_gpu=False
        )
        hosts = list(resolver.cluster_spec().as_dict()["worker"])
        index = int(resolver.get_task_info()[1])
        node = os.environ.get("SLURMD_NODENAME")
        if node and hosts[index].rpartition(":")[0] != node:  # the resolver sorts nodes as text, Slurm by number
            raise ValueError(f"task {index} on {node}, where the order of the nodes' names gives {hosts[index]}")
    except (ValueError, TypeError, KeyError, RuntimeError, OSError) as error:
        raise ClusterError(
            f"Slurm: expected the variables of a step that srun started, on nodes whose names have numbers of the same "
            f"length, found: {error}; give --cluster and --index instead"
        ) from error
    return hosts, index
