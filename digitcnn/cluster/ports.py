"""Chooses ports of this machine on which no other program listens."""

from __future__ import annotations

import itertools
import os
import random
import socket

from .._validation import describe_os_error

MAX_PORT = 2**16 - 1
# Below the ports that systems give to outgoing connections (Linux: from 32768 on). A worker that asks again and again
# for a peer that restarts would now and then be given the peer's own port, and take it.
_FREE = range(20_000, 32_000)


def choose_ports(n: int, first: int | None = None) -> list[int]:
    """n different ports that are free now: first, first + 1 and so on, or any.

    Raises OSError if one of those asked for is not free, or if too few are.
    """
    if first is None:
        tried = random.SystemRandom().sample(_FREE, len(_FREE))
        free = (port for port in tried if _why_taken(port) is None)
        ports = list(itertools.islice(free, n))
        if len(ports) < n:
            raise OSError(f"ports: expected {n} free ones in {_FREE[0]}..{_FREE[-1]}, found {len(ports)}; give --port")
        return ports
    for port in (ports := list(range(first, first + n))):
        if why := _why_taken(port):
            raise OSError(f"--port: expected {n} free ports from {first} on, found {port}: {why}; choose another")
    return ports


def _why_taken(port: int) -> str | None:
    """What keeps a program from listening on a port, on all addresses as TensorFlow does; None if nothing does."""
    dual = socket.has_dualstack_ipv6()
    try:
        with socket.create_server(("", port), family=socket.AF_INET6 if dual else socket.AF_INET, dualstack_ipv6=dual):
            return None
    except OSError as error:
        # Without the address, which create_server adds to the system's words.
        return describe_os_error(OSError(error.errno, os.strerror(error.errno or 0)))
