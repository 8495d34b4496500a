"""The WSGI application of the demo: the page, and the reading of what is drawn or dropped on it.

GET / is the page. POST /read takes a picture file as the body, POST /layer one 28x28 image as 784 bytes; both answer
with JSON, and with {"error": sentence} if they cannot.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import ipaddress
import json
import re
import socket
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    HTTPException,
    LengthRequired,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
)
from werkzeug.wrappers import Request, Response

from .._text import printable
from ..data.arrays import IMAGE_SHAPE
from ..exceptions import PictureError
from .first_layer import first_layer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from ..reading.answers import Answer
    from ..reading.reader import Reader

MAX_BYTES = 32 * 2**20  # of a body: photos of phones with 50 megapixels have up to 25 MB
MAX_WAIT = 10.0  # seconds for the readings that are under way when the demo stops; one takes less than two
PAGE = Path(__file__).with_name("page.html")


class DemoApp:
    """The demo as a WSGI application.

    Parameters
    ----------
    reader : Reader
        Reads the pictures.
    host : str, default '127.0.0.1'
        Name or address that it is served on, which requests may then name beside the local ones.

    Notes
    -----
    A web site can point a name of its own at 127.0.0.1 and so make a browser send it what this server answers (DNS
    rebinding); such requests carry that name as their Host, and are refused. Any port is right, since a tunnel may
    have changed it. POST requests that other sites make a browser send are known by their Origin, and refused too.
    """

    def __init__(self, reader: Reader, host: str = "127.0.0.1"):
        self._reader = reader
        self._hosts = {"localhost", "127.0.0.1", "::1", host.strip("[]").lower()}
        self._takes_addresses = _is_unspecified(host)
        if self._takes_addresses:
            name = socket.gethostname().lower()
            self._hosts |= {name, f"{name}.local"}
        page = PAGE.read_text(encoding="utf-8")
        self._headers = {
            "Content-Security-Policy": _policy(page),
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        known = {"{{weights}}": html.escape(printable(reader.name)), "{{max_bytes}}": str(MAX_BYTES)}
        # In one pass, so that a mark in a folder's name stays text.
        self._page = re.sub("|".join(map(re.escape, known)), lambda mark: known[mark[0]], page)
        self._reading = threading.Lock()
        self._counted = threading.Condition()
        self._n_answering = 0  # requests

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        request.max_content_length = MAX_BYTES
        try:
            response = self._answer(request)
        except HTTPException as error:
            response = _as_json({"error": error.description}, error.code)
            if isinstance(error, MethodNotAllowed):
                response.headers["Allow"] = ", ".join(error.valid_methods or ())
        response.headers.update(self._headers)
        return response(environ, start_response)

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """What a server does within, `wait_until_idle` waits for."""
        with self._counted:
            self._n_answering += 1
        try:
            yield
        finally:
            with self._counted:
                self._n_answering -= 1
                self._counted.notify_all()

    def wait_until_idle(self) -> None:
        """Wait until the requests that are being answered are."""
        with self._counted:
            self._counted.wait_for(lambda: not self._n_answering, MAX_WAIT)

    def _answer(self, request: Request) -> Response:
        self._check_host(request)
        if request.path not in ("/", "/read", "/layer"):
            raise NotFound(f"{printable(request.path)}: there is nothing here; the page is at /")
        expected = ["GET", "HEAD"] if request.path == "/" else ["POST"]
        if request.method not in expected:
            raise MethodNotAllowed(expected, f"expected {expected[0]}, found {request.method}")
        if request.path == "/":
            return Response(self._page, mimetype="text/html")
        body = _body_of(request)
        return _as_json(self._read(body) if request.path == "/read" else self._respond(body))

    def _check_host(self, request: Request) -> None:
        name = _host_name(request.headers.get("Host", ""))
        if name not in self._hosts and not (self._takes_addresses and _is_address(name)):
            raise Forbidden(f"Host: expected the address that `digitcnn demo` printed, found {name!r}")
        origin = request.headers.get("Origin")  # such as http://localhost:8000
        is_own = origin is None or origin.partition("://")[2] == request.headers["Host"]
        if request.method == "POST" and not is_own:
            raise Forbidden(f"Origin: expected this page, found {origin!r}")

    def _read(self, picture: bytes) -> dict[str, Any]:
        """What is on a picture: rows of numbers of digits."""
        try:
            with self._reading:  # one at a time: this bounds the memory, and TensorFlow uses all cores for one
                reading = self._reader.read(picture)
        except PictureError as error:
            raise BadRequest(str(error)) from error
        height, width = reading.shape
        return {
            "rows": [[[_digit(answer) for answer in number] for number in row] for row in reading.rows],
            "text": reading.text,
            "why": reading.why,
            "shape": [int(height), int(width)],
            "turn": int(reading.turn),
        }

    def _respond(self, pixels: bytes) -> dict[str, Any]:
        """The first layer's response to an image; no maps if the network has no convolution."""
        height, width = IMAGE_SHAPE
        if len(pixels) != height * width:
            raise BadRequest(f"image: expected {height * width} bytes, found {len(pixels)}")
        with self._reading:
            found = first_layer(self._reader.model, np.frombuffer(pixels, np.uint8).reshape(IMAGE_SHAPE))
        if found is None:
            return {"name": None, "shape": [0, 0, 0], "maps": ""}
        return {"name": found.name, "shape": list(found.maps.shape), "maps": _base64(found.maps)}


def _digit(answer: Answer) -> dict[str, Any]:
    return {
        "label": None if answer.label is None else int(answer.label),
        "probability": float(answer.probability),
        "isSure": bool(answer.is_sure),
        "candidates": [[int(label), float(probability)] for label, probability in answer.candidates],
        "box": None if answer.box is None else [round(float(edge), 1) for edge in answer.box],
        "image": None if answer.image is None else _base64(answer.image),
    }


def _base64(pixels: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(pixels, dtype=np.uint8).tobytes()).decode("ascii")


def _as_json(value: dict[str, Any], status: int | None = 200) -> Response:
    return Response(json.dumps(value), status, mimetype="application/json")


def _body_of(request: Request) -> bytes:
    """The body, read only if its length is given and allowed."""
    if request.content_length is None:
        raise LengthRequired("Content-Length: expected the size of the picture, found none")
    if request.content_length > MAX_BYTES:
        raise RequestEntityTooLarge(
            f"picture: expected at most {MAX_BYTES // 2**20} MB, found {request.content_length / 2**20:.0f} MB; "
            "save it smaller"
        )
    return request.get_data(cache=False)


def _policy(page: str) -> str:
    """The Content-Security-Policy that allows the page's own script and style, by their hashes, and its server."""
    hashes = {}
    for tag in ("script", "style"):
        [content] = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        hashes[tag] = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{hashes['script']}'; style-src 'sha256-{hashes['style']}'; "
        "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _host_name(host: str) -> str:
    """The name or address in a Host header, without port and brackets; '' if it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    """Whether it is an IP address: no web site can rebind one."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_unspecified(host: str) -> bool:
    """Whether it stands for all addresses of this machine: 0.0.0.0 or ::."""
    host = host.strip("[]")
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified
