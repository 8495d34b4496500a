"""Looks for the other workers, before TensorFlow waits for them without a word and without end."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable

from ..exceptions import ClusterError, WorkerLostError
from .hosts import Cluster

Report = Callable[[str], None]

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_BETWEEN_LINES = 10.0
CONNECT_TIMEOUT = 5.0  # seconds


def check_port_is_free(address: str) -> None:
    """Raise ClusterError if another process listens on the port: TensorFlow would share it without a word."""
    _, port = split_address(address)
    for family, everywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended do no harm
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((everywhere, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                found = "one in use" if error.errno == errno.EADDRINUSE else "one that this account may not use"
                raise ClusterError(
                    f"{address}: expected a free port for this worker, found {found}; end that process, or give "
                    "another port to all workers"
                ) from error
            # A machine without IPv6: nobody listens there.


def wait_for_all(cluster: Cluster, report: Report) -> None:
    """Return when every other worker listens; raise WorkerLostError after the cluster's time-out.

    report: takes a line every ten seconds that says who is missing.
    """
    started = told = time.monotonic()
    missing = {number: host for number, host in enumerate(cluster.hosts) if number != cluster.index}
    reasons: dict[int, str] = {}
    while True:
        for number, host in list(missing.items()):
            reason = _try(host)
            if reason is None:
                del missing[number]
            else:
                reasons[number] = reason
        if not missing:
            return
        waited = time.monotonic() - started
        who = ", ".join(f"worker {number} at {host} ({reasons[number]})" for number, host in [*missing.items()][:5])
        who += f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        if waited > cluster.timeout:
            raise WorkerLostError(
                f"worker {cluster.index}: expected all {cluster.n_workers} workers to be there within "
                f"{cluster.timeout:g} seconds, missing {who}; start them, with the same addresses, and this one again"
            )
        if time.monotonic() - told > SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            report(f"Worker {cluster.index} of {cluster.n_workers} waits for {who}, {waited:.0f} s so far")
        time.sleep(SECONDS_BETWEEN_LOOKS)


def unreachable(cluster: Cluster) -> list[str]:
    """The other workers that do not take a connection now, by number and address."""
    found = []
    for number, host in enumerate(cluster.hosts):
        if number != cluster.index and (reason := _try(host, 1.0)) is not None:
            found.append(f"worker {number} at {host} ({reason})")
    return found


def _try(address: str, timeout: float = CONNECT_TIMEOUT) -> str | None:
    """None if somebody listens at the address, else why not."""
    try:
        with socket.create_connection(split_address(address), timeout):
            return None
    except socket.gaierror as error:
        return f"no such host: {error.strerror}"
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return (error.strerror or str(error)).lower()


def split_address(address: str) -> tuple[str, int]:
    """Host and port of "HOST:PORT"; an IPv6 address stands in brackets."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)
