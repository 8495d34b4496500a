"""The demo's server: where it listens, how it stops, and what it says when it cannot start."""

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import webbrowser
from pathlib import Path

import pytest
from stand_in import StandIn
from strokes import page_of

from digitcnn.cli.main import main
from digitcnn.demo import server
from digitcnn.demo.app import MAX_BYTES, DemoApp

SERVE = Path(__file__).with_name("serve.py")
MAX_WAIT = 60  # seconds for a process to start or to end


@contextlib.contextmanager
def started(*command):
    """A process that serves, in a process group of its own, and its address; command: after Python's name."""
    command = [sys.executable, *(command or (str(SERVE), "quick"))]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        try:
            address = re.search(r"http://\S+:\d+/", line := process.stdout.readline())
            assert address, line + process.stderr.read()
            assert process.stdout.readline() == "Ctrl-C stops it.\n"
            yield process, address[0]
        finally:
            process.kill()


def ask(address, path="", data=None):
    with urllib.request.urlopen(address + path, data, timeout=MAX_WAIT) as answer:
        return answer.read()


def page():
    file = io.BytesIO()
    page_of(["12"]).save(file, "png")
    return file.getvalue()


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signals to one process")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signal_stops_without_a_trace(name):
    with started() as (process, address):
        assert b"<!doctype html>" in ask(address) and b'"text": "77"' in ask(address, "read", page())
        process.send_signal(getattr(signal, name))
        output, errors = process.communicate(timeout=MAX_WAIT)
        assert (process.returncode, output, errors) == (0, "\nStopped.\n", "")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    with pytest.raises(OSError, match="refused"):
        ask(address)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signals to one process")
def test_signal_lets_a_reading_end():
    with started(str(SERVE), "slow") as (process, address):
        answers = []
        thread = threading.Thread(target=lambda: answers.append(ask(address, "read", page())))
        thread.start()
        time.sleep(0.4)
        process.send_signal(signal.SIGINT)
        assert process.wait(MAX_WAIT) == 0 and process.stderr.read() == ""
        thread.join()
    assert len(answers) == 1 and b'"text": "77"' in answers[0]


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signals to one process")
def test_signal_with_open_connections():
    """A browser opens connections ahead, and sends nothing on them."""
    with started() as (process, address):
        port = int(address.rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            ask(address)
            before = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.wait(MAX_WAIT) == 0 and time.monotonic() - before < 8, "it waited for them"
            assert process.stderr.read() == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signals to one process")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signal_while_the_weights_are_loaded(name):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, str(SERVE), "loading"], **pipes) as process:
        assert process.stdout.readline() == "loading\n"
        process.send_signal(getattr(signal, name))
        assert process.communicate(timeout=MAX_WAIT) == ("", "")
    assert process.returncode == -getattr(signal, name), "a shell says 128 + the signal"


@pytest.fixture
def serving():
    """The address of a server in a thread of this process."""
    listening = server.listen("127.0.0.1", 0)
    with listening:
        port = listening.getsockname()[1]
        running = server.make_server(
            "127.0.0.1", port, DemoApp(StandIn()), True, request_handler=server._Handler, fd=listening.fileno()
        )
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield "127.0.0.1", port
        running.shutdown()
        thread.join()


def exchange(place, request):
    """Send bytes, and return all that comes back."""
    with socket.create_connection(place, timeout=MAX_WAIT) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_oversize_body_is_answered_before_it_is_sent(serving):
    head = f"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: {10**12}\r\n\r\n".encode()
    before = time.monotonic()
    assert exchange(serving, head).startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - before < 10


def test_bodies_at_the_limit(serving):
    address = "http://{}:{}/".format(*serving)
    for size, status in ((MAX_BYTES, 400), (MAX_BYTES + 1, 413)):  # garbage, but read; not read
        with pytest.raises(urllib.error.HTTPError) as raised:
            ask(address, "read", bytes(size))
        with raised.value as answer:
            assert answer.code == status and answer.read().startswith(b'{"error": "picture: expected')


def test_another_host_is_refused(serving):
    for host in ("evil.example", "localhost.evil.example", "", "[::1", "::1", "[", "localhost, evil.example"):
        assert exchange(serving, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).startswith(b"HTTP/1.1 403 ")
    assert exchange(serving, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 403 ")
    two = b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"
    assert exchange(serving, two).startswith(b"HTTP/1.1 403 ")
    assert exchange(serving, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_no_request_prints_anything(serving, capfd):
    for request in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x02\r\n\r\n", b"GET\r\n\r\n"):
        exchange(serving, request)
    with socket.create_connection(serving) as connection:  # goes away in the middle of a body
        connection.sendall(b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nPNG")
    exchange(serving, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert capfd.readouterr() == ("", "")


def test_port_in_use_is_a_sentence(capsys):
    with server.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert main(["demo", "--port", str(port)]) == 1
    error = capsys.readouterr().err
    assert error == (
        f"digitcnn: error: port: expected one that is free, found {port} in use; "
        "give another, or no --port for a free one\n"
    )


def test_bad_host_is_a_sentence(capsys, monkeypatch):
    for host in ("203.0.113.7", "", "a" * 70 + ".example", "[]"):  # an address for documentation; no names
        assert main(["demo", "--host", host]) == 1
        error = capsys.readouterr().err
        assert error.startswith("digitcnn: error: host: expected a name or an address of this machine, found ")
        assert "Errno" not in error and error.count("\n") == 1

    def unknown(*arguments, **options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # which would ask the network
    assert main(["demo", "--host", "nowhere.example"]) == 1
    assert "found 'nowhere.example', which is unknown; 127.0.0.1 is for" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", int)() == 0, reason="here every port is allowed")
def test_port_of_the_system_is_a_sentence():
    with pytest.raises(OSError, match="expected one from 1024 on, found 1, which needs an administrator"):
        server.listen("127.0.0.1", 1)


@pytest.mark.parametrize("port", ["65536", "-1", "x"])
def test_bad_port_is_a_sentence(port, capsys):
    with pytest.raises(SystemExit):
        main(["demo", f"--port={port}"])
    assert f"argument --port: expected a whole number in 0..65535, found '{port}'" in capsys.readouterr().err


def test_listens_on_this_machine_alone_unless_asked():
    with server.listen("127.0.0.1", 0) as local, server.listen("0.0.0.0", 0) as public:
        assert server.address_of(local) == f"http://127.0.0.1:{local.getsockname()[1]}/" and server.is_local(local)
        assert re.fullmatch(r"http://[\d.]+:\d+/", server.address_of(public)) and not server.is_local(public)
        assert "0.0.0.0" not in server.address_of(public), "no browser opens that"


def test_listens_on_ipv6():
    try:
        listening = server.listen("[::1]", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listening:
        assert server.address_of(listening) == f"http://[::1]:{listening.getsockname()[1]}/"
        assert server.is_local(listening)


def test_all_addresses_are_said_so():
    with started(str(SERVE), "quick", "--host", "127.0.0.1") as (_, address):
        assert address.startswith("http://127.0.0.1:")
    command = [sys.executable, str(SERVE), "quick", "--host", "0.0.0.0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(3)]
        process.kill()
    assert lines[1:] == ["Every machine that reaches this one can use it.\n", "Ctrl-C stops it.\n"]


def test_browser_is_opened_where_there_is_a_window(monkeypatch):
    opened = threading.Event()

    def fail(address):
        opened.set()
        raise webbrowser.Error("no browser")

    monkeypatch.setattr(webbrowser, "open", fail)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform not in ("win32", "darwin"):
        server.open_browser("http://127.0.0.1:1/")
        assert not opened.wait(0.1), "a browser in the terminal would take it over"
    monkeypatch.setenv("DISPLAY", ":0")
    server.open_browser("http://127.0.0.1:1/")
    assert opened.wait(MAX_WAIT)
