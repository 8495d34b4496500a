"""The demo's WSGI application: what it answers, and what it refuses."""

import base64
import io
import json
import re
import threading

import numpy as np
import pytest
from stand_in import CANDIDATES, StandIn
from strokes import page_of
from werkzeug.test import Client, EnvironBuilder, run_wsgi_app

from digitcnn import DigitCNN
from digitcnn.demo.app import MAX_BYTES, PAGE, DemoApp
from digitcnn.reading.answers import Answer


@pytest.fixture
def client():
    return Client(DemoApp(StandIn()))


def png(picture):
    file = io.BytesIO()
    picture.save(file, "png")
    return file.getvalue()


def test_page_is_one_file_that_may_load_nothing(client):
    answer = client.get("/")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/html; charset=utf-8"
    rules = dict(rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == "'none'" and rules["connect-src"] == "'self'" and rules["img-src"] == "data: blob:"
    assert all(re.fullmatch(r"'sha256-[\w+/]{43}='", rules[name]) for name in ("script-src", "style-src"))
    assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["Cache-Control"] == "no-store"
    source = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"https?://[^'\"]*", source) == ["http://www.w3.org/2000/svg"], "a name, which is not fetched"
    assert not re.search(r"\sstyle=|\son\w+=|<link rel=.stylesheet|\bsrc=", source)


def test_page_names_the_weights_as_text(client):
    text = client.get("/").text
    assert "Read on this machine, by a stand-in &amp; &lt;its&gt; weights." in text and "{{" not in text
    assert f'data-max-bytes="{MAX_BYTES}"' in text


def test_hostile_names_are_shown_escaped():
    """Of the folder whose model answers, and of what is asked for; uploads come without names."""

    class Hostile(StandIn):
        name = "run\x1b\u202e\udcff\n{{max_bytes}}"

    client = Client(DemoApp(Hostile()))
    assert "by run\\x1b\\u202e\\xff\\n{{max_bytes}}." in client.get("/").text
    assert client.get("/%1b%e2%80%ae").get_json()["error"].startswith("/\\x1b\\u202e: there is nothing here")


def test_read_answers_with_rows_of_numbers(client):
    page = page_of(["12", "345"])
    found = client.post("/read", data=png(page)).get_json()
    assert found["text"] == "77\n777" and found["shape"] == [page.height, page.width] and found["turn"] == 0
    assert [[len(number) for number in row] for row in found["rows"]] == [[2], [3]]
    digit = found["rows"][0][0][0]
    assert (digit["label"], digit["isSure"], len(digit["candidates"])) == (7, True, 10)
    assert digit["probability"] == digit["candidates"][0][1] == pytest.approx(0.91)
    left, top, right, bottom = digit["box"]
    assert 0 < left < right < page.width and 0 < top < bottom < page.height
    assert len(base64.b64decode(digit["image"])) == 784


@pytest.mark.parametrize("body", [b"", b"garbage", png(page_of(["1"]))[:200]])
def test_read_bad_picture_is_a_message(client, body):
    answer = client.post("/read", data=body, environ_overrides={"CONTENT_LENGTH": str(len(body))})
    assert answer.status_code == 400 and answer.get_json()["error"].startswith("picture: expected one")


def test_read_blank_picture_finds_nothing(client):
    found = client.post("/read", data=png(page_of([" "]))).get_json()
    assert found["rows"] == [] and found["why"] == "no ink"


class Unreadable:
    def read(self, size=-1):
        raise AssertionError("the body was read")

    readinto = readline = read


def post_unreadable(path, **variables):
    """The status and the answer to a request whose body must not be read."""
    environ = EnvironBuilder(method="POST", path=path).get_environ() | {"wsgi.input": Unreadable()} | variables
    parts, status, _ = run_wsgi_app(DemoApp(StandIn()), environ)
    return int(status[:3]), json.loads(b"".join(parts))


@pytest.mark.parametrize("path", ["/read", "/layer"])
def test_oversize_body_is_refused_unread(path):
    status, answer = post_unreadable(path, CONTENT_LENGTH=str(MAX_BYTES + 2**20))
    assert (status, answer) == (413, {"error": "picture: expected at most 32 MB, found 33 MB; save it smaller"})


@pytest.mark.parametrize("variables", [{}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
def test_body_without_a_length_is_refused_unread(variables):
    status, answer = post_unreadable("/read", **variables)
    assert status == 411 and answer["error"].startswith("Content-Length: expected")


LOCAL = ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"]
STRANGE = ["", "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example"]


@pytest.mark.parametrize(
    ("served_on", "host", "status"),
    [
        *(("127.0.0.1", host, 200) for host in LOCAL),
        *(("127.0.0.1", host, 403) for host in (*STRANGE, "192.168.1.5:8000", "0.0.0.0:8000")),
        *(("192.168.1.5", host, 200) for host in (*LOCAL, "192.168.1.5:8000")),
        *(("192.168.1.5", host, 403) for host in (*STRANGE, "192.168.1.6:8000")),
        *(("box.example", host, 200) for host in (*LOCAL, "box.example:8000")),
        *(("[::1]", host, 200) for host in LOCAL),
        # On all addresses, whatever they are: a web site cannot rebind an address.
        *(("0.0.0.0", host, 200) for host in (*LOCAL, "192.168.1.5:8000")),
        *(("::", host, 200) for host in (*LOCAL, "192.168.1.5:8000", "[fe80::1]:8000")),
        *(("0.0.0.0", host, 403) for host in STRANGE),
    ],
)
def test_requests_with_another_host_are_refused(served_on, host, status):
    client = Client(DemoApp(StandIn(), served_on))
    for method, path in (("GET", "/"), ("POST", "/read"), ("POST", "/layer"), ("GET", "/nothing")):
        answer = client.open(path, method=method, headers={"Host": host})
        assert (answer.status_code == 403) == (status == 403)
        assert "Content-Security-Policy" in answer.headers


@pytest.mark.parametrize(
    ("origin", "is_refused"),
    [
        (None, False),
        ("http://localhost:8000", False),
        ("http://localhost", True),
        ("http://localhost:9000", True),
        ("http://127.0.0.1:8000", True),
        ("https://evil.example", True),
        ("null", True),
        ("http://[", True),
        ("", True),
    ],
)
def test_posts_from_another_origin_are_refused(client, origin, is_refused):
    headers = {"Host": "localhost:8000"} | ({} if origin is None else {"Origin": origin})
    for path, body in (("/read", png(page_of(["1"]))), ("/layer", b"")):
        assert (client.post(path, data=body, headers=headers).status_code == 403) == is_refused


def test_other_paths_and_methods_are_refused(client):
    assert client.get("/favicon.ico").status_code == client.get("/../app.py").status_code == 404
    assert client.get("/read").status_code == 405 and client.get("/read").headers["Allow"] == "POST"
    assert client.post("/").status_code == 405 and client.post("/").headers["Allow"] == "GET, HEAD"
    assert client.head("/").status_code == 200 and client.head("/").data == b""


def test_layer_answers_with_maps(few):
    with DigitCNN(architecture="strided", random_seed=1, epochs=1) as model:
        model.train(few, verbose=False)
        client = Client(DemoApp(StandIn(model)))
        found = client.post("/layer", data=few[0][0].tobytes()).get_json()
        assert (found["name"], found["shape"]) == ("dnn/conv_1", [32, 14, 14])
        assert len(base64.b64decode(found["maps"])) == 32 * 14 * 14
        assert client.post("/layer", data=b"too short").get_json() == {"error": "image: expected 784 bytes, found 9"}
    with DigitCNN(architecture="softmax") as model:
        client = Client(DemoApp(StandIn(model)))
        assert client.post("/layer", data=bytes(784)).get_json() == {"name": None, "shape": [0, 0, 0], "maps": ""}


def test_pictures_are_read_one_at_a_time():
    together = []

    class Counting(StandIn):
        def read(self, picture):
            together.append(1)
            assert sum(together) == 1
            threading.Event().wait(0.02)
            together.append(-1)
            return super().read(picture)

    app, page, statuses = DemoApp(Counting()), png(page_of(["1"])), []
    threads = [
        threading.Thread(target=lambda: statuses.append(Client(app).post("/read", data=page).status_code))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 5


def test_the_answer_is_json_of_plain_numbers():
    """Readers answer with NumPy's numbers too."""

    class Numpy(StandIn):
        def answer(self, box):
            shares = tuple((np.int32(label), np.float32(share)) for label, share in CANDIDATES)
            return Answer(np.int64(7), np.float32(0.5), shares, np.False_, np.zeros((28, 28)), np.array(box))

    found = Client(DemoApp(Numpy())).post("/read", data=png(page_of(["1"]))).get_json()
    digit = found["rows"][0][0][0]
    assert (digit["label"], digit["isSure"], digit["probability"], len(digit["box"])) == (7, False, 0.5, 4)


def test_answers_may_lack_box_and_image():
    class Bare(StandIn):
        def answer(self, box):
            return Answer(None, 0.0, (), is_sure=False)

    found = Client(DemoApp(Bare())).post("/read", data=png(page_of(["1"]))).get_json()
    digit = found["rows"][0][0][0]
    assert digit["label"] is digit["box"] is digit["image"] is None and digit["candidates"] == []
