"""Finds a web proxy that TensorFlow would send the workers' messages to, which then wait without a word."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence

from ..exceptions import ClusterError
from .meeting import split_address

# gRPC takes the first one that is set, and what is exempt from the first of the others; an empty one is no proxy.
PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
EXEMPT = ("no_grpc_proxy", "no_proxy")
MAX_NAMED = 16  # hosts in a message


def check_no_proxy(hosts: Sequence[str]) -> None:
    """Raise ClusterError if the environment names a proxy that is not exempted for every host."""
    name = next((name for name in PROXIES if name in os.environ), None)
    if name is None or not os.environ[name].startswith("http://"):  # gRPC knows no other
        return
    exempt = next((os.environ[name] for name in EXEMPT if name in os.environ), "")
    names = dict.fromkeys(split_address(address)[0] for address in hosts)
    if missing := [host for host in names if not _is_exempt(host, exempt)]:
        wanted = ",".join(names) if len(names) <= MAX_NAMED else f"{','.join([*names][:MAX_NAMED])},..."
        raise ClusterError(
            f"{name}: expected no proxy between workers, found one, which TensorFlow would send the messages for "
            f"{missing[0]} to; set no_grpc_proxy={wanted} on all workers"
        )


def _is_exempt(host: str, exempt: str) -> bool:
    """Whether gRPC reaches the host directly: entries are ends of names, or networks."""
    for entry in (entry.strip() for entry in exempt.split(",")):
        if entry and host.lower().endswith(entry.lower()):
            return True
        if "/" in entry:
            try:
                if ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                    return True
            except ValueError:  # a name, or no network
                continue
    return False
