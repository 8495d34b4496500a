"""The report: what it says, what it leaves out, what it escapes, how large it gets, and how it is written."""

import base64
import io
import json
import re
import sys

import numpy as np
import pandas as pd
import pytest
from made_up import make_evaluation, make_short_evaluation
from PIL import Image

from digitcnn.report import html as module
from digitcnn.report.embedding import MAX_PER_CELL, MAX_PIXELS, choose_images, png_base64
from digitcnn.report.html import check_report_folder, report_html, write_report


@pytest.fixture(scope="module")
def page():
    """The report with everything."""
    return report_html(make_evaluation())


def headings(page):
    return re.findall(r"<h2>(.*?)</h2>", page)


def cells_of(page):
    """The embedded images of each cell: position, probability and picture."""
    [text] = re.findall(r'<script type="application/json" id="images">(.*?)</script>', page)
    return json.loads(text)


def test_report_says_what_was_measured(page):
    assert headings(page) == [
        "Test accuracy",
        "Confusion matrix",
        "Classes",
        "Most confused pairs",
        "Surest mistakes",
        "Calibration",
        "Learning curve",
        "Filters of the first convolution",
    ]
    assert "88.33%" in page and "53 of 60 test images are read right, 7 are misread" in page  # 53 / 60
    assert "77.82% to 94.23%" in page  # Wilson's interval of 53 in 60, by hand
    assert "<dt>trained</dt><dd>12 steps</dd>" in page and "<title>cnn on digits</title>" in page
    assert '<th scope="row">0</th><td>50</td><td>90.00%</td><td>5</td><td>95.74%</td><td>2</td>' in page  # 45 / 47
    assert '<th scope="row">3</th><td>0</td><td>-</td><td>0</td><td>-</td><td>0</td>' in page
    assert "{{" not in page and page == report_html(make_evaluation())  # the same bytes again


def test_report_has_the_images_of_each_cell(page):
    cells = cells_of(page)
    assert {name: len(images) for name, images in cells.items()} == {"0,0": 40, "0,1": 5, "1,1": 7, "2,0": 2, "2,2": 1}
    assert [position for position, _, _ in cells["0,1"]] == [49, 48, 47, 46, 45]  # mistakes: surest first
    assert [position for position, _, _ in cells["0,0"]] == list(range(40))  # right answers: least sure first
    position, probability, png = cells["2,0"][0]
    assert (position, probability) == (59, "95.0%")
    with Image.open(io.BytesIO(base64.b64decode(png))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), make_evaluation().images[59])


def test_report_without_mistakes_history_and_filters():
    """As of a softmax network that was saved before its first epoch's end."""
    probabilities = np.eye(5)[make_evaluation().labels]
    page = report_html(make_evaluation(probabilities=probabilities, history=None, training_accuracy={}, filters=None))
    assert "No image is misread." in page and "There are none: no image is misread." in page
    assert headings(page)[-1] == "Calibration"
    assert "data-first" in page and "100.00%" in page


def test_report_of_a_training_without_validation():
    history = pd.DataFrame({"Epoch": [1.0], "Loss": [0.5], "Accuracy": [np.nan]})
    page = report_html(make_evaluation(history=history, training_accuracy={}))
    assert "over 1 epoch. There was no validation set." in page
    assert "Learning curve" not in report_html(make_evaluation(history=history[:0]))


def test_report_escapes_text():
    evil = "</title><script>alert(1)</script>&{{sections}} \udcff\x1b $\\frac{"
    page = report_html(make_evaluation(title=evil, facts={evil: evil}))
    escaped = "&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;{{sections}} \\xff\\x1b $\\frac{"
    assert page.count(escaped) == 4 and "<script>alert" not in page
    page.encode()


def test_report_names_no_outside_address(page):
    addresses = re.findall(r"""(?:src|srcset|href|action)\s*=\s*["']?([^"'>\s]{,12})""", page)
    assert len(addresses) > 5 and all(address.startswith("data:") or address == "&quot;" for address in addresses)
    for figure in re.findall(r'"data:image/svg\+xml;base64,([^"]*)"', page):
        svg = base64.b64decode(figure).decode()
        links = re.findall(r'href="([^"]{,12})', svg)
        assert all(link.startswith(("#", "data:image")) for link in links)
    assert "default-src 'none'" in page and "@import" not in page and "url(" not in page


def test_report_of_many_classes_shows_those_with_most_mistakes(rng):
    labels = np.repeat(np.arange(256), 2)
    answers = labels.copy()
    answers[1::2][[100, 200]] = [200, 250]  # 100 is read as 200, 200 as 250
    images = rng.integers(0, 256, (512, 4, 4), dtype=np.uint8)
    page = report_html(make_short_evaluation(labels=labels, probabilities=np.eye(256)[answers], images=images))
    assert "Shown are the 64 of 256 classes with the most mistakes" in page
    matrix = page[page.index('<section class="matrix') : page.index("<h2>Classes</h2>")]
    columns = [int(text) for text in re.findall(r'<th scope="col">(\d+)', matrix)]
    assert len(columns) == 64 and {100, 200, 250} <= set(columns) and columns == sorted(columns)
    assert matrix.count("data-first") == 1
    buttons = set(re.findall(r'data-cell="([\d,]+)"', page))
    assert set(cells_of(page)) == buttons and {"100,200", "200,250"} < buttons  # no image that nobody can see
    assert len(re.findall(r'<th scope="row">\d+</th><td>2</td>', page)) == 256  # the table of classes has all


def test_choose_images_shares_what_there_is_room_for():
    """Each cell's first image before any cell's second one, and mistakes before right answers."""
    labels = np.array([0, 0, 0, 1, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
    every = np.ones((2, 2), bool)
    assert choose_images(labels, probabilities, every, 1) == {(1, 0): [4]}
    assert choose_images(labels, probabilities, every, 3) == {(0, 0): [2], (1, 0): [4], (1, 1): [5]}
    assert choose_images(labels, probabilities, every, 4) == {(0, 0): [2], (1, 0): [4, 3], (1, 1): [5]}
    assert choose_images(labels, probabilities, every, 100) == {(0, 0): [2, 1, 0], (1, 0): [4, 3], (1, 1): [5]}
    assert choose_images(labels, probabilities, np.eye(2, dtype=bool), 2) == {(0, 0): [2], (1, 1): [5]}


def test_report_size_is_bounded(rng):
    """20,000 large images of noise, which compress badly, in 40 classes, read at random."""
    n = 20_000
    images = np.broadcast_to(rng.integers(0, 256, (100, 80), dtype=np.uint8), (n, 100, 80))
    labels, probabilities = rng.integers(0, 40, n), rng.dirichlet(np.ones(40), n)
    page = report_html(make_short_evaluation(images=images, labels=labels, probabilities=probabilities))
    shown = [image for images in cells_of(page).values() for image in images]
    with Image.open(io.BytesIO(base64.b64decode(shown[0][2]))) as picture:
        assert picture.size == (51, 64)
    assert len(shown) == MAX_PIXELS // (51 * 64)
    assert len(page) < 6e6
    assert max(map(len, cells_of(page).values())) <= MAX_PER_CELL


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (256, 2)])
def test_png_of_unusual_shapes(shape):
    with Image.open(io.BytesIO(base64.b64decode(png_base64(np.zeros(shape, np.uint8))))) as picture:
        assert max(picture.size) <= 64 and min(picture.size) >= 1


@pytest.mark.parametrize(
    "parts, error, message",
    [
        (
            {"images": np.zeros((60, 9, 13))},
            ValueError,
            "images: expected uint8 .*, found float64",
        ),
        ({"images": np.zeros((59, 9, 13), np.uint8)}, ValueError, "images: expected uint8 \\[60, height, width\\]"),
        ({"images": np.zeros((60, 0, 13), np.uint8)}, ValueError, "images: expected uint8"),
        ({"labels": np.zeros(59)}, ValueError, "labels: expected one label for each of 60"),
        ({"labels": np.full(60, 5)}, ValueError, "labels: expected labels 0..4, found 5"),
        ({"probabilities": np.ones((60, 257)) / 257}, ValueError, "probabilities: expected shape .* 2..256 classes"),
        ({"probabilities": np.full((60, 5), np.nan)}, ValueError, "probabilities: expected numbers 0..1"),
    ],
)
def test_evaluation_of_wrong_arrays_raises(parts, error, message):
    with pytest.raises(error, match=message):
        make_evaluation(**parts)


def test_write_report_makes_the_folder_and_replaces_an_earlier_report(tmp_path):
    folder = tmp_path / "a" / "b"
    assert write_report(make_short_evaluation(title="first"), folder) == folder / "report.html"
    (folder / "notes.txt").write_text("mine")
    assert write_report(make_short_evaluation(title="second"), folder) == folder / "report.html"
    assert "<h1>second</h1>" in (folder / "report.html").read_text(encoding="utf-8")
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", "report.html"]
    assert (folder / "notes.txt").read_text() == "mine"


def test_write_report_keeps_what_is_no_report(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match="file: expected a folder for the report, found a file"):
        write_report(make_short_evaluation(), tmp_path / "file")
    other = tmp_path / "other" / "report.html"
    other.parent.mkdir()
    other.write_text("<html>mine</html>")
    with pytest.raises(FileExistsError, match="report.html: expected nothing, or an earlier report to replace, found"):
        write_report(make_short_evaluation(), other.parent)
    assert other.read_text() == "<html>mine</html>" and len(list(other.parent.iterdir())) == 1
    (tmp_path / "with folder" / "report.html").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="found something else"):
        check_report_folder(tmp_path / "with folder")
    with pytest.raises(ValueError, match="report: expected a path, found an empty one"):
        check_report_folder("")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_write_report_does_not_follow_links(tmp_path):
    mine = write_report(make_short_evaluation(title="mine"), tmp_path / "mine")
    before = mine.read_bytes()
    for target in (mine, tmp_path / "nothing"):
        folder = tmp_path / f"linked to {target.name}"
        folder.mkdir()
        (folder / "report.html").symlink_to(target)
        with pytest.raises(FileExistsError, match="found something else"):
            write_report(make_short_evaluation(), folder)
    assert mine.read_bytes() == before and not (tmp_path / "nothing").exists()


def test_write_report_is_whole_or_not_at_all(tmp_path, monkeypatch):
    file = write_report(make_short_evaluation(), tmp_path)
    before = file.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", fail)
        with pytest.raises(OSError, match="expected a folder that can be written, found no space left on device"):
            write_report(make_short_evaluation(title="second"), tmp_path)
    assert file.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_report_draws_without_pyplot_and_leaves_its_settings():
    import matplotlib

    before = dict(matplotlib.rcParams)
    module.report_html(make_evaluation())
    assert dict(matplotlib.rcParams) == before
