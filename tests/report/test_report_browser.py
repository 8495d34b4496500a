"""The report in a headless Chromium, opened from disk; `--screenshots DIR` keeps pictures of it."""

import base64
import functools
import io
from pathlib import Path

import numpy as np
import pytest
from chromium import FLAGS, find_chromium
from made_up import make_evaluation, make_short_evaluation
from PIL import Image

from digitcnn.report.html import write_report

pytest.importorskip("playwright", reason="playwright is not installed: pip install 'digitcnn[test]'")
from playwright.sync_api import sync_playwright

PHONE = 390  # CSS pixels


@pytest.fixture(scope="module")
def browser():
    if find_chromium() is None:
        pytest.skip("no Chromium on the path (apt-get install chromium), and DIGITCNN_CHROMIUM does not name one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """A function that writes a report, once of each kind, into a folder whose name an address must escape."""

    @functools.cache
    def write(kind):
        return write_report(kind(), tmp_path_factory.mktemp("reports") / "report #1 ä%20")

    return write


@pytest.fixture
def open_report(browser, write):
    """A function that opens a report from disk; it may request nothing else, and report no error."""
    troubles, requests, opened = [], [], []

    def open_(kind, **options):
        file = write(kind)
        page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}} | options)
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda made: made.url.startswith("data:") or requests.append(made.url))
        page.goto(file.as_uri())
        opened.append((page, file.as_uri()))
        return page

    yield open_
    assert troubles == []
    assert requests == [address for _, address in opened]
    for page, _ in opened:
        page.close()


def shown_images(page):
    """The images in the panel, decoded: uint8 [height, width] each."""
    pictures = page.locator("#panel img")
    for picture in pictures.all():
        assert picture.evaluate("async image => { await image.decode(); return image.naturalWidth; }") > 0
    addresses = pictures.evaluate_all("all => all.map(image => image.src)")
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))) for address in addresses]


def panel_title(page):
    return page.locator("#panel h3").inner_text()


def test_click_on_a_cell_shows_its_images(open_report):
    evaluation = make_short_evaluation()
    page = open_report(make_short_evaluation)
    assert panel_title(page) == "0 read as 1: 5 images"  # the cell with the most mistakes, from the start
    page.get_by_role("button", name="2 read as 0: 2 images").first.click()
    assert panel_title(page) == "2 read as 0: 2 images"
    found = shown_images(page)
    assert len(found) == 2
    np.testing.assert_array_equal(found, evaluation.images[[59, 58]])
    assert page.locator("#panel figcaption").all_inner_texts() == ["95.0%\n#59", "94.4%\n#58"]
    assert page.locator(".matrix button[aria-pressed=true]").all_inner_texts() == ["2"]

    page.locator(".matrix table").get_by_role("button", name="0 read as 0: 45 images").click()
    assert len(shown_images(page)) == 40
    assert page.locator("#panel p").inner_text().startswith("This file has 40 of them. The least sure come first.")


def test_button_of_a_pair_shows_its_images(open_report):
    page = open_report(make_short_evaluation, viewport={"width": 1280, "height": 500})
    page.get_by_role("button", name="2 read as 0").last.click()
    assert panel_title(page) == "2 read as 0: 2 images" and len(shown_images(page)) == 2
    assert page.locator("#panel img").first.evaluate("image => image.getBoundingClientRect().top") >= 0  # in view


def test_keys_go_from_cell_to_cell(open_report):
    """Tab reaches the first cell; arrows go over empty cells; Enter shows."""
    page = open_report(make_short_evaluation)
    page.keyboard.press("Tab")
    focused = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(focused) == "0 read as 0: 45 images"
    for key, cell in (
        ("ArrowDown", "2 read as 0: 2 images"),  # over 1 read as 0, of which there is none
        ("ArrowRight", "2 read as 2: 1 image"),
        ("ArrowRight", "2 read as 2: 1 image"),  # the last one of its row
        ("ArrowUp", "2 read as 2: 1 image"),
        ("ArrowLeft", "2 read as 0: 2 images"),
        ("ArrowUp", "0 read as 0: 45 images"),
        ("ArrowRight", "0 read as 1: 5 images"),
        ("ArrowDown", "1 read as 1: 7 images"),
    ):
        page.keyboard.press(key)
        assert page.evaluate(focused) == cell
    page.keyboard.press("Enter")
    assert panel_title(page) == "1 read as 1: 7 images" and len(shown_images(page)) == 7


@pytest.mark.parametrize("width", [1280, PHONE])
def test_report_is_legible_in_light_and_dark(open_report, request, width):
    """Nothing is wider than the window, pictures are there, and text stands out from its background."""
    page = open_report(make_evaluation, viewport={"width": width, "height": 844})
    for scheme, paper in (("light", b"#ffffff"), ("dark", b"#1a1c20")):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for picture in page.locator("picture img").all():
            assert picture.evaluate("async image => { await image.decode(); return image.naturalWidth; }") > 300
            drawn = picture.evaluate("image => image.currentSrc")
            assert paper in base64.b64decode(drawn.partition(",")[2])
        for place in (
            "h1",
            "p.soft",
            ".list td",
            ".matrix td button",
            ".matrix td button.right",
            "figcaption",
            "footer",
        ):
            assert page.locator(place).first.evaluate(CONTRAST) >= 4.5, place  # WCAG 2.2, level AA
        if folder := request.config.getoption("--screenshots"):
            file = Path(request.config.invocation_params.dir, folder, f"report-{scheme}-{width}.png")
            page.screenshot(path=file, full_page=True)


# The contrast of an element's text to the backgrounds behind it, as WCAG 2.2 defines it.
CONTRAST = """element => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const behind = [];
  for (let at = element; at; at = at.parentElement) behind.unshift(parse(getComputedStyle(at).backgroundColor));
  let paper = [255, 255, 255];
  for (const [r, g, b, alpha = 1] of behind)
    paper = [r, g, b].map((value, i) => value * alpha + paper[i] * (1 - alpha));
  const light = colour => colour.map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const both = [light(parse(getComputedStyle(element).color).slice(0, 3)), light(paper)];
  return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
}"""


def test_strangers_text_stays_text(open_report):
    evil = "<img src=x onerror=alert(1)><script>document.title = 'owned'</script>"
    page = open_report(lambda: make_short_evaluation(title=evil, facts={evil: evil}))
    assert page.locator("h1").inner_text() == page.locator("dd").inner_text() == evil == page.title()


def test_report_of_many_classes_opens(open_report, rng):
    n = 4_000
    images = rng.integers(0, 256, (n, 5, 4), dtype=np.uint8)
    labels, probabilities = rng.integers(0, 256, n), rng.dirichlet(np.ones(256), n)
    page = open_report(lambda: make_short_evaluation(images=images, labels=labels, probabilities=probabilities))
    assert page.locator(".matrix tbody tr").count() == 64
    assert len(shown_images(page)) >= 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
