"""TensorBoard as users see it, in a headless Chromium; `--screenshots DIR` keeps pictures of it."""

import functools
import io
import json
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from chromium import FLAGS, find_chromium
from PIL import Image, ImageOps

from digitcnn import DigitCNN
from digitcnn.tensorboard.summaries import SUMMARIES

pytest.importorskip("playwright", reason="playwright is not installed: pip install 'digitcnn[test]'")
from playwright.sync_api import sync_playwright

MAX_WAIT = 60_000  # ms

BOTTOM = {"tf_x", "tf_y", "input_y_onehot"}
TOP = {"probabilities", "labels", "cross_entropy_loss", "train_op", "correct_preds", "accuracy"}
AROUND = {"loss", "train", "eval", "save", "initialization"}
T1_BOXES = {"conv_1", "pool_1", "conv_2", "pool_2", "fc_3", "dropout", "fc_4"} | AROUND
T1_LOOSE = BOTTOM | TOP | {"fc_keep_prob", "input_x_2dimages", "dropout_layer"}
# The top level of each graph: boxes, and operations outside them.
DRAWN = {
    "cnn": (T1_BOXES, T1_LOOSE),
    "softmax": (
        {"W", "b", "logits"} | AROUND,
        {"myInput", "Y", "myOutput"} | (TOP - {"probabilities", "cross_entropy_loss"}),
    ),
    "same": (T1_BOXES, T1_LOOSE),
    "strided": ({"dnn"} | AROUND, BOTTOM | {"fc_keep_prob"}),
    "batchnorm": (
        {f"{kind}_{number}" for kind in ("conv", "bn") for number in range(1, 6)}
        | {f"{kind}_{number}" for kind in ("pool", "dropout") for number in (2, 4, 5)}
        | {"fc_6", "bn_6", "dropout", "fc_7"}
        | AROUND,
        T1_LOOSE | {"is_training"},
    ),
}
SETTINGS = {"fc_3_output_units": 16, "batchsize": 50, "learning_rate": 1e-3, "random_seed": 3}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A function that returns the address of a TensorBoard on an empty log folder."""
    if find_chromium() is None:
        pytest.skip("no Chromium on the path (apt-get install chromium), and DIGITCNN_CHROMIUM does not name one")
    logs = tmp_path_factory.getbasetemp() / "browser-logs"
    # Its pages show the folder's name as given here: relative, so that pictures are the same on every machine.
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", logs.name, "--host", "127.0.0.1", "--port", "0"]
    command += ["--load_fast", "false", "--reload_interval", "1"]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=logs.parent, text=True, **pipes) as process:
        try:
            yield lambda: address_of(process)
        finally:
            process.kill()


@functools.cache
def address_of(process):
    """Wait until it listens, and return its address."""
    lines = []
    for line in process.stderr:  # the address is in the last one
        lines.append(line)
        if address := re.search(r"http://127\.0\.0\.1:\d+/", line):
            return address[0]
    if "No module named 'pkg_resources'" in lines[-1]:
        pytest.skip("this TensorBoard needs pkg_resources: pip install 'setuptools<81', or a newer TensorBoard")
    raise AssertionError("TensorBoard stopped: " + "".join(lines))


@pytest.fixture(scope="module")
def server(address, digits, tmp_path_factory):
    """The address after TensorBoard has read all graphs, a run with all summaries, and one with the default."""
    logs = tmp_path_factory.getbasetemp() / "browser-logs"
    for name in DRAWN:
        with DigitCNN(architecture=name) as model:
            model.export_logs(logs / "graphs" / name)
    training, validation = digits.split(130)
    few = training[0][:250], training[1][:250]
    for name, summaries in (("all", SUMMARIES), ("default", ())):
        with DigitCNN(dropout=0.5 if summaries else 0.25, **SETTINGS) as model:
            model.train(few, validation, epochs=3, verbose=False, logdir=logs / name, summaries=summaries)
    wait_until_read(address())
    return address()


def wait_until_read(address):
    """Wait for TensorBoard, which reads files in the background."""

    def ask(path):
        with urllib.request.urlopen(f"{address}data/{path}") as answer:
            return json.load(answer)

    deadline = time.monotonic() + MAX_WAIT / 1e3
    while time.monotonic() < deadline:
        scalars, graphs = ask("plugin/scalars/tags"), ask("plugin/graphs/info")
        last = [
            ask(f"plugin/scalars/scalars?run={run}&tag=loss")[-1][1]
            for run in ("all/train", "all/validation", "default/train", "default/validation")
            if run in scalars
        ]
        is_traced = "step 10" in graphs.get("all/train", {}).get("tags", ())
        if is_traced and {f"graphs/{name}" for name in DRAWN} <= set(graphs) and last == [15] * 4:
            return
    raise AssertionError(f"TensorBoard has read only {scalars}, {graphs}")


@pytest.fixture(scope="module")
def context(request):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        is_sharp = request.config.getoption("--screenshots")
        yield browser.new_context(viewport={"width": 1280, "height": 960}, device_scale_factor=2 if is_sharp else 1)
        browser.close()


@pytest.fixture(scope="module")
def window(server, context, request):
    """A page that may not report errors or request other hosts; `shoot(name)` keeps a picture, `open(tab)` a tab."""
    folder = request.config.getoption("--screenshots")
    # Relative to the command: each test works in its own folder.
    folder = folder and request.config.invocation_params.dir / folder
    page = context.new_page()
    page.set_default_timeout(MAX_WAIT)
    page.troubles = troubles = []
    page.on("console", lambda message: message.type == "error" and troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("requestfailed", lambda failed: troubles.append(f"{failed.url}: {failed.failure}"))
    page.on("request", lambda made: made.url.startswith((server, "data:", "blob:")) or troubles.append(made.url))
    page.goto(server)  # loading it takes seconds, showing another tab does not
    page.open = lambda tab: page.evaluate("tab => { location.hash = tab; }", tab)

    def shoot(name, part=None):
        """Keep a picture of the page, or of the content of a part of it."""
        if not folder:
            return
        page.wait_for_timeout(1000)  # for animations
        if part is None:
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        else:
            box = part.bounding_box()
            clip = box | {"y": box["y"] + 12, "height": box["height"] - 12}  # below the header's shadow
            picture = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")
            picture = ImageOps.expand(picture.crop(ImageOps.invert(picture).getbbox()), 20, "white")
        picture.quantize(256, dither=Image.Dither.NONE).save(Path(folder, f"{name}.png"), optimize=True)

    page.shoot = shoot
    yield page
    page.close()


@pytest.fixture
def page(window):
    """The window, which is on no tab in particular."""
    yield window
    assert window.troubles == []


def eventually(page, is_so, found=lambda: ""):
    """Wait for a condition that the page reports by no event."""
    deadline = time.monotonic() + MAX_WAIT / 1e3
    while not is_so():
        assert time.monotonic() < deadline, found()
        page.wait_for_timeout(50)


def choose(page, control, text):
    """Choose a run or a tag in the Graphs tab."""
    items = page.locator(f"tf-graph-controls .{control} paper-item")
    items.get_by_text(text, exact=True).evaluate("item => item.click()")


@pytest.mark.parametrize("architecture", DRAWN)
def test_graph_has_expected_boxes(page, architecture):
    fetched, nodes = [], page.locator("g.node")
    page.on("response", lambda response: fetched.append(response.url))
    page.open("graphs")
    nodes.first.wait_for()
    choose(page, "runs-row", f"graphs/{architecture}")
    eventually(page, lambda: any(f"graph?run=graphs%2F{architecture}" in url for url in fetched))
    boxes, loose = DRAWN[architecture]

    def drawn():
        """(kind, name) of all nodes on the page."""
        found = nodes.evaluate_all("all => all.map(n => [n.getAttribute('class').split(' ')[1], n.dataset.name])")
        return sorted(map(tuple, found))

    expected = sorted([("meta", name) for name in boxes] + [("op", name) for name in loose])
    page.locator("#progress-bar").wait_for(state="hidden")
    eventually(page, lambda: drawn() == expected, drawn)
    page.shoot(f"graph-{architecture}", page.locator("tf-graph-scene"))
    at_the_side = page.locator("g.in-extract g.node, g.out-extract g.node")
    aside = set(at_the_side.evaluate_all("all => all.map(n => n.dataset.name)"))
    # In small graphs, TensorBoard leaves these boxes among the others.
    at_least = set() if architecture in ("softmax", "strided") else {"train", "save", "initialization"}
    assert at_least <= aside <= AROUND | {"train_op"}


def test_graph_is_coloured_by_compute_time_and_memory(page):
    page.open("graphs")
    page.locator("g.node").first.wait_for()
    choose(page, "runs-row", "all/train")
    choose(page, "tags-row", "step 10")
    for measure, unit in (("compute-time", "[µm]?s"), ("memory", "[KMG]?B")):
        page.locator(f"#{measure}-radio-button[aria-disabled=false]").click()
        legend = page.locator("tf-graph-controls .legend-content")
        legend.get_by_text(re.compile(rf"^\s*[1-9][\d.]* {unit}\s*$")).wait_for()
        box = page.locator("g.node.meta[data-name=conv_2] rect.nodecolortarget").first
        assert box.evaluate("shape => getComputedStyle(shape).fill") not in ("rgb(255, 255, 255)", "none")
        page.shoot(measure)


def cards(page, kind, tags):
    """The visible cards of these tags, after filtering: by default the dashboard shows only some."""
    page.locator(kind).locator("visible=true").first.wait_for()
    page.locator("tf-tag-filterer input").locator("visible=true").fill(f"^({'|'.join(tags)})$")
    page.wait_for_function(
        "([kind, tags]) => { const shown = []; const look = root => root.querySelectorAll('*').forEach(e => {"
        "if (e.matches(kind) && e.checkVisibility()) shown.push(e.tag); if (e.shadowRoot) look(e.shadowRoot); });"
        "look(document); return tags.every(tag => shown.includes(tag)); }",
        arg=[kind, tags],
    )
    return [card for card in page.locator(kind).all() if card.is_visible()]


def test_scalars_of_training_and_validation_share_charts(page):
    page.open("scalars")
    tags = ["accuracy", "images_per_second", "learning_rate", "loss"]
    for card in cards(page, "tf-scalar-card", tags):
        tag = card.evaluate("card => card.tag")
        runs = card.evaluate("card => card.dataToLoad.map(line => line.run)")
        one = ["all/train", "default/train"]
        both = ["all/train", "all/validation", "default/train", "default/validation"]
        assert sorted(runs) == (one if tag == "learning_rate" else both)
        if tag != "learning_rate":
            eventually(page, lambda card=card: len(drawn_lines(card)) >= 4, lambda card=card: drawn_lines(card))
    page.shoot("scalars")


def drawn_lines(card):
    """The lines with a point for each of the three epochs, or more."""
    paths = card.locator("path.line").evaluate_all("all => all.map(line => line.getAttribute('d') || '')")
    return [path for path in paths if path.count("L") >= 2]


def test_histograms_show_weights_and_activations(page):
    page.open("histograms")
    for card in cards(page, "tf-histogram-loader", ["weights/conv_1/_weights", "activations/fc_3"]):
        card.locator("path.outline").nth(2).wait_for(state="attached")  # one for each epoch
    page.shoot("histograms")


def test_images_show_misread_digits_and_filters(page):
    page.open("images")
    for card in cards(page, "tf-image-loader", ["misread", "filters/conv_1/_weights"]):
        picture = card.locator("#main-image-container img")
        picture.wait_for()
        assert picture.evaluate("async shown => { await shown.decode(); return shown.naturalWidth; }") > 100
    page.shoot("images")


def test_projector_shows_points_labels_and_images(page):
    fetched = []
    page.on("response", lambda response: fetched.append((response.url, response.status)))
    page.open("projector")
    frame = page.frame_locator("iframe").frame_locator("iframe")
    frame.get_by_text("Points: 130").wait_for()
    frame.get_by_text("Dimension: 16").wait_for()
    frame.get_by_text("fc_3").first.wait_for(state="attached")
    frame.get_by_text("predicted").first.wait_for(state="attached")
    assert any("sprite_image" in url and status == 200 for url, status in fetched)
    page.shoot("projector")


def test_hparams_shows_several_runs(page):
    page.open("hparams")
    cells = page.locator("vaadin-grid-cell-content")
    for text in ("Trial ID", "dropout", "train.accuracy", "validation.accuracy", "0.50000", "0.25000"):
        cells.get_by_text(text, exact=True).first.wait_for()
    page.shoot("hparams")


def test_time_series_has_a_card_for_each_tag(page):
    page.open("timeseries")
    for tag in ("accuracy", "images_per_second", "loss", "learning_rate", "weights", "activations", "misread"):
        page.get_by_text(tag, exact=True).first.wait_for()
