"""Serves the demo: listens, opens the browser, and stops without a trace."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator
from typing import Any, cast

from werkzeug.serving import WSGIRequestHandler, get_interface_ip, make_server

from .._validation import describe_os_error
from .app import DemoApp

MAX_WAITING = 64  # connections, while the model is loaded
MAX_SILENCE = 30.0  # seconds that a connection may send nothing, so that none holds a thread for ever


class _Handler(WSGIRequestHandler):
    """Answers one connection; prints no line for each request."""

    timeout = MAX_SILENCE

    def run_wsgi(self) -> None:
        """Answer a request whose head has come."""
        with cast(DemoApp, self.server.app).answering():
            super().run_wsgi()

    def log(self, type: str, message: str, *args: object) -> None:
        """Print nothing: errors in the application, which are printed, do not come here."""


def listen(host: str, port: int) -> socket.socket:
    """Listen on a name or address of this machine; port 0 takes a free one.

    Raises OSError, or ValueError for what is no host name, with a sentence. Connections wait until `serve` takes them.
    """
    expected = "host: expected a name or an address of this machine"
    name = host.strip("[]")  # of an IPv6 address, as it stands in the page's address
    if not name:
        raise ValueError(f"{expected}, found an empty one")
    try:
        [family, *_, address], *_ = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise OSError(f"{expected}, found {host!r}, which is unknown; 127.0.0.1 is for this machine alone") from error
    except ValueError as error:  # a name that cannot be encoded
        raise ValueError(f"{expected}, found {host!r}") from error
    try:
        both = family == socket.AF_INET6 and name == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(address[:2], family=family, backlog=MAX_WAITING, dualstack_ipv6=both)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            advice = "give another, or no --port for a free one"
            raise OSError(f"port: expected one that is free, found {port} in use; {advice}") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise OSError(f"port: expected one from 1024 on, found {port}, which needs an administrator") from error
        found = "another machine's" if error.errno == errno.EADDRNOTAVAIL else describe_os_error(error)
        raise OSError(f"{expected}, found {host!r}: {found}") from error


def address_of(listening: socket.socket) -> str:
    """The address of the page, for a browser: of all this machine's addresses, one that other machines reach."""
    ip, port = listening.getsockname()[:2]
    if ipaddress.ip_address(ip.partition("%")[0]).is_unspecified:
        ip = get_interface_ip(listening.family)
    return f"http://{f'[{ip}]' if ':' in ip else ip}:{port}/"


def is_local(listening: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def serve(app: DemoApp, listening: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM; then finish the answers that are under way, and close."""
    host, port = listening.getsockname()[:2]
    server = make_server(host, port, app, threaded=True, request_handler=_Handler, fd=listening.fileno())
    with _handling(signal.SIGTERM, signal.default_int_handler):
        try:
            server.serve_forever(poll_interval=0.1)  # returns after Ctrl-C
        finally:
            # Threads of open connections end with the process; one that is within TensorFlow would crash it.
            app.wait_until_idle()


def open_browser(address: str) -> None:
    """Open the page in the user's browser, if there is one that has a window."""
    has_display = os.name == "nt" or sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)
    if has_display:  # else the choice is among browsers that take over the terminal
        # Some systems return only after the browser has started.
        threading.Thread(target=_open, args=(address,), daemon=True).start()


def _open(address: str) -> None:
    with contextlib.suppress(webbrowser.Error, OSError):  # the address is printed too
        webbrowser.open(address)


@contextlib.contextmanager
def ending_at_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C end the process at once, as SIGTERM does: imports may wrap a KeyboardInterrupt in another error."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    with _handling(signal.SIGINT, signal.SIG_DFL):
        yield


@contextlib.contextmanager
def _handling(number: signal.Signals, handler: Any) -> Iterator[None]:
    """Exchange a signal's handler; not in threads other than the main one, which cannot."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
