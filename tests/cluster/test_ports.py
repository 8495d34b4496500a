"""Ports for workers: free ones, and sentences about those that are not."""

import errno
import socket

import pytest

from digitcnn.cluster import ports
from digitcnn.cluster.ports import choose_ports


def test_chosen_ports_are_different_and_free():
    chosen = choose_ports(20)
    assert len(set(chosen)) == 20
    for port in chosen:
        socket.create_server(("", port)).close()


def test_chosen_ports_follow_the_first():
    first = choose_ports(1)[0]
    assert choose_ports(1, first) == [first]


@pytest.mark.parametrize("address", ["127.0.0.1", ""])
def test_port_in_use_raises(address):
    with socket.create_server((address, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(OSError, match=f"--port: expected 2 free ports from {port} on, found {port}: .*in use"):
            choose_ports(2, port)


def test_second_port_in_use_raises():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if ports._why_taken(port - 1) is None:
            with pytest.raises(OSError, match=f"found {port}: .*in use; choose another"):
                choose_ports(2, port - 1)


def test_too_few_free_ports_raises(monkeypatch):
    monkeypatch.setattr(ports, "_why_taken", lambda port: None if port == ports._FREE[0] else "taken")
    assert choose_ports(1) == [ports._FREE[0]]
    with pytest.raises(OSError, match=r"ports: expected 2 free ones in 20000..31999, found 1; give --port"):
        choose_ports(2)


def test_ports_without_ipv6(monkeypatch):
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ports._why_taken(server.getsockname()[1])
    assert len(choose_ports(2)) == 2


def test_port_that_may_not_be_used_raises(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(OSError, match="found 80: no permission"):
        choose_ports(1, 80)
