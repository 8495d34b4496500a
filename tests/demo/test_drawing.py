"""The demo as users see it, in a headless Chromium; `--screenshots DIR` keeps pictures of it."""

import base64
import io
import re
import time
from pathlib import Path

import pytest
from chromium import FLAGS, find_chromium
from strokes import STROKES, draw, page_of
from test_server import started

pytest.importorskip("playwright", reason="playwright is not installed: pip install 'digitcnn[test]'")
from playwright.sync_api import sync_playwright

MAX_WAIT = 60_000  # ms
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
ROWS = ["407 15", "2896", "31 0 77"]


@pytest.fixture(scope="module")
def address():
    """The address of a demo in a process of its own."""
    if find_chromium() is None:
        pytest.skip("no Chromium on the path (apt-get install chromium), and DIGITCNN_CHROMIUM does not name one")
    with started("-m", "digitcnn", "demo", "--no-browser") as (_, address):
        yield address


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(address, browser, request):
    """A function that opens the demo in a window; the page may not report errors or ask another server."""
    folder = request.config.getoption("--screenshots")
    folder = folder and request.config.invocation_params.dir / folder  # each test works in a folder of its own
    pages = []

    def open_page(size=DESK, scheme="light", **options):
        page = browser.new_page(viewport=size, color_scheme=scheme, **options)
        page.set_default_timeout(MAX_WAIT)
        page.troubles = []
        page.on("console", lambda message: message.type == "error" and page.troubles.append(message.text))
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on("requestfailed", lambda failed: page.troubles.append(f"{failed.url}: {failed.failure}"))
        page.on(
            "request",
            lambda made: made.url.startswith((address, "data:", "blob:")) or page.troubles.append(made.url),
        )
        page.shoot = lambda name: folder and page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)
        page.goto(address)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        assert page.troubles == []
        page.close()


def answered(page):
    """Wait for the answer to the last stroke or photo, with its first layer, and return its text."""
    page.locator("body:not(.reading) #details:not([hidden]) #maps canvas").first.wait_for()
    return page.locator("#answer").inner_text()


def answer_is(page, pattern):
    page.locator("body:not(.reading) #answer", has_text=re.compile(pattern)).wait_for()


def eventually(page, is_so):
    """Wait for a condition that the page reports by no event."""
    deadline = time.monotonic() + MAX_WAIT / 1e3
    while not is_so():
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)


def drop(page, data, name="page.png", kind="image/png"):
    """Drop a file on the page, as a user does from another window."""
    transfer = page.evaluate_handle(
        "([text, name, type]) => { const transfer = new DataTransfer();"
        "const bytes = Uint8Array.from(atob(text), character => character.charCodeAt(0));"
        "transfer.items.add(new File([bytes], name, { type })); return transfer; }",
        [base64.b64encode(data).decode(), name, kind],
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("body", event, {"dataTransfer": transfer})


def png(picture):
    file = io.BytesIO()
    picture.save(file, "png")
    return file.getvalue()


def test_ten_digits_drawn_with_the_mouse(open_page):
    page, read = open_page(), {}
    for digit in STROKES:
        draw(page, digit)
        read[digit] = answered(page)
        page.shoot(f"drawn-{digit}")
        shares = page.locator("#bars li").all_inner_texts()
        assert len(shares) == 10
        assert sum(float(text.split()[1].rstrip("%")) for text in shares) == pytest.approx(100, abs=1)
        page.keyboard.press("c")
        answer_is(page, "^The answer appears here")
    assert sum(text.startswith(str(digit)) for digit, text in read.items()) >= 9, read


def test_what_the_network_sees_is_shown(open_page):
    page = open_page()
    draw(page, 1)
    answered(page)
    bright = page.locator("#seen").evaluate(
        "seen => { const values = [...seen.getContext('2d').getImageData(0, 0, 28, 28).data];"
        "return values.filter((value, i) => i % 4 === 0 && value > 200).length; }"
    )
    assert 20 < bright < 120
    assert page.locator("#maps canvas").count() >= 8
    assert page.locator("#layer-title").inner_text().startswith("The first layer's response: ")


def test_answer_follows_each_stroke(open_page):
    page = open_page()
    draw(page, 1, left=0.05, height=0.5)
    assert answered(page).startswith("1")
    draw(page, 0, left=0.6, height=0.5)
    answer_is(page, "^1 ?0.*2 digits")
    assert page.locator("#found button").count() == page.locator("#boxes div").count() == 2
    page.keyboard.press("z")
    answer_is(page, "^1Prob|^1\\?")
    assert page.locator("#found").is_hidden()
    page.keyboard.press("z")
    answer_is(page, "^The answer appears here")
    assert page.locator("#undo").is_disabled() and page.locator("#clear").is_disabled()
    assert page.locator("#invitation").is_visible()


def test_clear_can_be_undone(open_page):
    page = open_page()
    draw(page, 7)
    text = answered(page)
    page.locator("#clear").click()
    answer_is(page, "^The answer appears here")
    page.locator("#undo").click()
    assert answered(page) == text


def test_drawing_with_the_keyboard_alone(open_page):
    page, choosers = open_page(), []
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "drawing"
    for _ in range(14):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    for _ in range(28):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert answered(page).startswith("1")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "undo"
    page.keyboard.press("Enter")
    answer_is(page, "^The answer appears here")
    assert page.evaluate("document.activeElement.id") == "drawing", "the button is disabled now"
    page.keyboard.press("o")
    eventually(page, lambda: len(choosers) == 1)


def answer_of(label, *shares, is_sure=True, box=(100, 80, 300, 480)):
    """A digit as the server sends it, with shares of the labels 7 and 1."""
    others = [[other, 0.01] for other in range(10) if other not in (7, 1)]
    return {
        "label": label,
        "probability": shares[0],
        "isSure": is_sure,
        "candidates": [*zip((7, 1), shares, strict=True), *others],
        "box": box,
        "image": base64.b64encode(bytes(784)).decode(),
    }


def test_doubt_is_shown(open_page):
    page, rows = open_page(), []
    page.route(
        "**/read",
        lambda route: route.fulfill(json={"rows": rows, "text": "", "why": "", "shape": [560, 560], "turn": 90}),
    )
    rows[:] = [[[answer_of(7, 0.5, 0.4, is_sure=False)]]]
    draw(page, 7)
    assert answered(page).split("\n") == ["7?", "Not sure: 7 (50.0%) or 1 (40.0%)"]
    assert page.locator("#boxes .unsure").inner_text() == "7?"
    page.shoot("not-sure")
    rows[:] = [[[answer_of(None, 0.3, 0.2, is_sure=False)]]]
    draw(page, 7)
    answer_is(page, "^No digit.*This does not look like one")
    rows[:] = []
    draw(page, 7)
    answer_is(page, "^No digit.*Nothing that looks like one was found")
    assert page.locator("#details").is_hidden() and page.locator("#boxes div").count() == 0
    boxes = [(100 * x, 80, 100 * x + 80, 480) for x in range(4)]
    one, two = [answer_of(7, 0.9, 0.05, box=boxes[0])], [answer_of(1, 0.5, 0.4, is_sure=False, box=boxes[1])] * 2
    rows[:] = [[one, two], [[answer_of(None, 0.3, 0.2, is_sure=False, box=boxes[3])]]]
    draw(page, 7)
    answer_is(page, "4 digits, 3 not sure; turned by 90 degrees to be read")
    assert page.locator("#answer strong").inner_text() == "7 11\n\N{EN DASH}"
    labels = [button.get_attribute("aria-label") for button in page.locator("#found button").all()]
    assert labels[0] == "Digit 1: 7, 90.0%" and labels[3] == "Digit 4: no digit"
    assert labels[1] == "Digit 2: not sure: 7 (50.0%) or 1 (40.0%)"
    page.shoot("not-sure-page")


def test_answers_are_announced(open_page):
    page = open_page()
    live = page.locator("#answer")
    assert live.get_attribute("aria-live") == "polite" and live.get_attribute("aria-atomic") == "true"
    assert page.get_by_role("application").count() == 1
    for name, key in (("Undo", "z"), ("Clear", "c"), ("Open a photo", "o")):
        assert page.get_by_role("button", name=name).get_attribute("aria-keyshortcuts") == key


def test_dropped_photo_of_a_page_shows_its_boxes(open_page):
    page, photo = open_page(), page_of(ROWS)
    drop(page, png(photo))
    answered(page)
    boxes = page.locator("#boxes div")
    assert [text.rstrip("?") for text in boxes.all_inner_texts()] == list("".join(ROWS).replace(" ", ""))
    assert page.locator("#answer strong").inner_text().split("\n") == ROWS
    shown = page.locator("#photo").bounding_box()
    scale = shown["width"] / photo.width
    first = boxes.first.bounding_box()
    assert first["x"] - shown["x"] == pytest.approx(0.64 * 120 * scale, abs=8)
    assert first["y"] - shown["y"] == pytest.approx(0.92 * 120 * scale, abs=8)
    page.shoot("page")

    def chosen():
        pressed = [button.get_attribute("aria-pressed") for button in page.locator("#found button").all()]
        assert pressed.count("true") == 1
        return pressed.index("true")

    assert chosen() == 0
    boxes.nth(5).click()
    assert chosen() == 5 and page.locator("#bars .best").inner_text().startswith("2")
    page.locator("#found button").nth(8).focus()
    page.keyboard.press("Enter")
    assert chosen() == 8 and page.locator("#bars .best").inner_text().startswith("6")
    assert page.get_by_role("button", name="Digit 9: 6, ").count() == 1
    page.keyboard.press("c")  # back to the drawing
    answer_is(page, "^The answer appears here")
    draw(page, 3)
    assert answered(page).startswith("3")


def test_chosen_and_pasted_files_are_read(open_page):
    page = open_page()
    data = png(page_of(["42"]))
    page.set_input_files("#file", {"name": "42.png", "mimeType": "image/png", "buffer": data})
    answer_is(page, "^42")
    page.keyboard.press("c")
    answer_is(page, "^The answer appears here")
    page.evaluate(
        "text => { const clipboardData = new DataTransfer();"
        "const bytes = Uint8Array.from(atob(text), character => character.charCodeAt(0));"
        "clipboardData.items.add(new File([bytes], 'a.png', { type: 'image/png' }));"
        "dispatchEvent(new ClipboardEvent('paste', { clipboardData })); }",
        base64.b64encode(data).decode(),
    )
    answer_is(page, "^42")


def test_bad_files_get_a_message(open_page):
    page = open_page()
    drop(page, b"no picture", "a.png")
    answer_is(page, "^picture: expected a picture that Pillow can read")
    assert page.troubles == ["Failed to load resource: the server responded with a status of 400 (BAD REQUEST)"]
    page.troubles.clear()
    page.evaluate(
        "() => { const dataTransfer = new DataTransfer();"
        "dataTransfer.items.add(new File([new Uint8Array(33 * 2 ** 20)], 'large.png'));"
        "dispatchEvent(new DragEvent('drop', { dataTransfer })); }"
    )
    answer_is(page, "^Expected a picture of at most 32 MB, found 33 MB")
    page.evaluate("dispatchEvent(new DragEvent('drop', { dataTransfer: new DataTransfer() }))")
    answer_is(page, "^Expected a picture file, found something else")
    page.keyboard.press("c")
    draw(page, 0)
    assert answered(page).startswith("0")


def test_a_server_that_is_gone_gets_a_message(open_page):
    page = open_page()
    page.route("**/read", lambda route: route.abort())
    draw(page, 0)
    answer_is(page, "^The server does not answer. Does digitcnn demo still run?")
    assert page.troubles
    page.troubles.clear()


def test_many_strokes_in_a_hurry_end_with_the_last_answer(open_page):
    page = open_page()
    for digit in (3, 8, 5, 2):
        page.keyboard.press("c")
        draw(page, digit)
        page.wait_for_timeout(190)  # while it is being read
    assert answered(page).startswith("2")
    page.keyboard.press("c")
    draw(page, 8)
    page.keyboard.press("c")
    page.wait_for_timeout(1000)
    answer_is(page, "^The answer appears here")


def test_drawing_with_a_finger_does_not_scroll(open_page):
    page = open_page(PHONE, has_touch=True, is_mobile=True)
    draws = page.context.new_cdp_session(page)
    box = page.locator("#drawing").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + 0.85 * box["height"]
    draws.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for share in range(1, 15):
        at = {"x": x, "y": y - 0.05 * share * box["height"]}
        draws.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [at]})
    draws.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert answered(page).startswith("1")
    assert page.evaluate("scrollY") == 0 and page.locator("#boxes div").count() == 1


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_looks_in_light_and_dark(open_page, size):
    """Nothing is wider than the window; the text differs from its ground."""
    page, name = open_page(size), "phone" if size is PHONE else "desk"

    def in_light_and_dark(what):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.shoot(f"{name}-{scheme}-{what}")
            yield

    def shoot(what):
        assert len(list(in_light_and_dark(what))) == 2

    shoot("empty")
    draw(page, 5)
    assert answered(page).startswith("5")
    shoot("drawn")
    drop(page, png(page_of(ROWS)))
    answer_is(page, "14 digits")
    answered(page)
    for _ in in_light_and_dark("page"):
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        for selector in (
            "h1",
            "header p",
            "#answer strong",
            "#answer .sum",
            "h2",
            "#bars li",
            "button:enabled",
            ".hint",
        ):
            assert contrast(page.locator(selector).first) >= 4.5, selector
        for button in page.locator("button:visible").all():
            box = button.bounding_box()
            assert box["height"] >= 44 and box["width"] >= 44, "large enough for a finger"


def contrast(element):
    """The contrast ratio of an element's text and ground, as WCAG 2 has it: 1 to 21."""
    colours = element.evaluate(
        "element => { const ink = getComputedStyle(element).color; let ground = element;"
        "while (getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;"
        "return [ink, getComputedStyle(ground).backgroundColor]; }"
    )

    def luminance(colour):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    light, dark = sorted(map(luminance, colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_what_is_sent_does_not_depend_on_the_colours(open_page):
    sent = []
    for scheme in ("light", "dark"):
        page = open_page(scheme=scheme)
        page.on("request", lambda made: made.url.endswith("/read") and sent.append(made.post_data_buffer))
        draw(page, 6)
        answered(page)
    assert len(sent) == 2 and sent[0] == sent[1]
