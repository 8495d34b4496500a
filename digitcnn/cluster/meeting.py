"""Looks for the other workers, before TensorFlow waits for them without a word and without end."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Mapping

from ..exceptions import ClusterError, WorkerLostError
from .hosts import Cluster

Report = Callable[[str], None]

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_BETWEEN_LINES = 10.0
CONNECT_TIMEOUT = 5.0  # seconds
MAX_NAMED = 5  # workers in a message


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
    while missing:
        for number, host in list(missing.items()):
            left = cluster.timeout - (time.monotonic() - started)
            reason = _try(host, min(CONNECT_TIMEOUT, max(left, 0.1)))
            if reason is None:
                del missing[number]
                continue
            reasons[number] = reason
            waited = time.monotonic() - started
            if waited > cluster.timeout:
                raise WorkerLostError(
                    f"worker {cluster.index}: expected all {cluster.n_workers} workers to be there within "
                    f"{cluster.timeout:g} seconds, missing {_named(missing, reasons)}; start them, with the same "
                    "addresses, and this one again"
                )
            if time.monotonic() - told > SECONDS_BETWEEN_LINES:
                told = time.monotonic()
                who = _named(missing, reasons)
                report(f"Worker {cluster.index} of {cluster.n_workers} waits for {who}, {waited:.0f} s so far")
        time.sleep(SECONDS_BETWEEN_LOOKS if missing else 0)


def _named(missing: Mapping[int, str], reasons: Mapping[int, str]) -> str:
    """The missing workers, by number and address, the first five of those that were looked for."""
    looked_for = [number for number in missing if number in reasons]
    who = ", ".join(f"worker {number} at {missing[number]} ({reasons[number]})" for number in looked_for[:MAX_NAMED])
    return who + (f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else "")


def unreachable(cluster: Cluster) -> list[str]:
    """Other workers that do not take a connection now, by number and address; the first few, in a few seconds."""
    found: list[str] = []
    deadline = time.monotonic() + CONNECT_TIMEOUT
    for number, host in enumerate(cluster.hosts):
        if len(found) == MAX_NAMED or time.monotonic() > deadline:
            break
        if number != cluster.index and (reason := _try(host, 1.0)) is not None:
            found.append(f"worker {number} at {host} ({reason})")
    return found


def _try(address: str, timeout: float) -> str | None:
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
