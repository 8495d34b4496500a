"""Pictures to answers, with the weights that ship."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from digitcnn import DigitCNN, PictureError, Reader, find_digits
from digitcnn.handwriting import page as pages
from digitcnn.handwriting.page import FoundDigit, Page
from digitcnn.reading.answers import Answer, Reading
from digitcnn.reading.drawing import draw_readings


@pytest.fixture(scope="module")
def reader():
    with Reader.pretrained() as one:
        yield one


def written(write_digit, *rows, height=80):
    """Rows of drawn digits, dark on light; a space in a row is a gap."""
    step = height * 17 // 16
    size = (height * 13 // 8 * len(rows) + height // 4, step * (max(map(len, rows)) + 1))
    paper = np.full(size, 230, np.uint8)
    for number, row in enumerate(rows):
        for place, character in enumerate(row):
            if character != " ":
                write_digit(
                    paper,
                    int(character),
                    3 * height // 8 + step * place,
                    height // 4 + 13 * height // 8 * number,
                    height,
                )
    return paper


@pytest.fixture(scope="module")
def page(write_digit):
    """A page with three rows of drawn digits, so clear that it is read in one direction alone."""
    return written(write_digit, "0123", "456 78", "9", height=40)


def test_a_page_is_read_by_rows(reader, page):
    reading = reader.read(page)
    assert reading.text == "0123\n45678\n9" and reading.shape == page.shape and reading.turn == 0
    assert "".join("".join(row) for row in reading.numbers) == "0123456789"
    for answer in reading.digits:
        left, top, right, bottom = answer.box
        assert 0 <= left < right <= page.shape[1] and 0 <= top < bottom <= page.shape[0]
        assert answer.image.shape == (28, 28) and answer.candidates[0] == (answer.label, answer.probability)
        assert sum(probability for _, probability in answer.candidates) == pytest.approx(1)


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_a_turned_page_is_turned_back(reader, write_digit, quarter):
    turned = np.rot90(written(write_digit, "23", "45"), quarter)
    reading = reader.read(turned)
    assert reading.text == "23\n45" and reading.turn == 360 - 90 * quarter
    left, top, right, bottom = reading.digits[0].box  # in the picture as it was given
    assert turned[top:bottom, left:right].min() < 100


def test_a_doubtful_page_stays_upright(reader, write_digit, monkeypatch):
    paper, directions = written(write_digit, "23 ", "45 "), []
    letter = np.asarray(next(letters("X")).crop((50, 50, 150, 150)))
    paper[150:250, 210:310] = np.minimum(paper[150:250, 210:310], letter)
    monkeypatch.setattr(pages, "_read", lambda *given, read=pages._read: directions.append(given[2]) or read(*given))
    reading = reader.read(paper)
    assert directions == [0, 90, 180, 270] and reading.turn == 0 and reading.text == "23\n45"


@pytest.mark.parametrize("form", ["array", "image", "bytes", "path"])
def test_one_digit_in_every_form(reader, page, form, tmp_path):
    one = Image.fromarray(page[135:200, 10:60])
    content = io.BytesIO()
    one.save(content, "PNG")
    (tmp_path / "one.png").write_bytes(content.getvalue())
    forms = {"array": np.asarray(one), "image": one, "bytes": content.getvalue(), "path": tmp_path / "one.png"}
    reading = reader.read(forms[form])
    assert reading.text == "9" and len(reading.digits) == 1 and reading.digits[0].is_sure


def test_a_page_is_read_by_weights_of_ones_own(page):
    """Label smoothing in training is undone, so that digits are as sure as those of the weights that ship."""
    with DigitCNN.pretrained() as model:
        assert Reader(model, "mine").read(page).text == "0123\n45678\n9"


def test_what_is_no_digit(reader):
    assert reader.read(np.full((200, 200), 240, np.uint8)).text == ""
    blank = reader.read_digit(np.full((200, 200), 240, np.uint8))
    assert blank.label is None and "blank" in blank.why and str(blank) == "no digit"


def letters(characters):
    """Pictures of printed letters in a font that the network was not trained on."""
    font = ImageFont.load_default(110)
    for character in characters:
        picture = Image.new("L", (200, 200), 255)
        ImageDraw.Draw(picture).text((100, 100), character, fill=0, font=font, anchor="mm")
        yield picture


def test_letters_are_not_sure(reader):
    """At least 90% of letters that resemble no digit."""
    answers = [reader.read_digit(picture) for picture in letters("AEFHKMNPRTUVWXaehkmnprtuvwx&@#%+=")]
    assert sum(not answer.is_sure for answer in answers) >= 0.9 * len(answers)
    doubtful = next(answer for answer in answers if answer.label is not None and not answer.is_sure)
    assert str(doubtful).startswith(f"not sure: {doubtful.label} 0.")


def test_numbers_are_read_and_letters_are_not_cut_into_digits(reader, page):
    """Both lie all in the place of the one digit that the picture would show if it had one."""
    assert reader.read(page[5:72, 10:100]).text == "01"
    readings = [reader.read(picture) for picture in letters("AEFKPRTXVn")]
    assert not any(answer.is_sure for reading in readings for answer in reading.digits)


class Scripted(Reader):
    """A reader whose network is in doubt but for images of one value, 10 * label + tenths of the probability."""

    def __init__(self):
        super().__init__(SimpleNamespace(label_smoothing=0.0, n_classes=10, image_shape=(28, 28)))

    def probabilities(self, images):
        out = np.full((len(images), 10), 0.1)
        for row, image in zip(out, images, strict=True):
            label, tenths = divmod(int(image[0, 0]), 10)
            if tenths:
                row[:], row[label] = (1 - tenths / 10) / 9, tenths / 10
        return out


@pytest.mark.parametrize(
    ("parts", "is_cut", "text"),
    [
        ((39, 9), True, "30"),
        ((39, 5), True, ""),  # one is doubtful: a letter
        ((19, 79), True, ""),  # a 1 and a 7 are strokes of most letters
        ((19, 79), False, "17"),  # two pieces of ink are two digits
    ],
)
def test_parts_of_one_piece_are_a_number_if_all_are_sure(monkeypatch, write_digit, parts, is_cut, text):
    paper = np.full((120, 120), 230, np.uint8)
    write_digit(paper, 3, 30, 20)
    boxes = [(35, 25, 50, 95), (50, 25, 65, 95)]
    images = [np.full((28, 28), value, np.uint8) for value in parts]
    found = tuple(FoundDigit(image, box, is_cut) for image, box in zip(images, boxes, strict=True))
    page = Page(((found,),), paper.shape, 0)
    monkeypatch.setattr("digitcnn.reading.reader.find_digits", lambda *_, **__: page)
    reading = Scripted().read(paper)
    assert "".join(str(answer.label) for answer in reading.digits if answer.is_sure) == text
    if text:
        assert [answer.is_cut for answer in reading.digits] == [is_cut, is_cut]


def test_digits_are_sure(reader, mnist):
    """At most 1% of MNIST's test digits are doubted; the first 2,000."""
    probabilities = reader.probabilities(mnist.test_images[:2000].reshape(-1, 28, 28)).max(axis=1)
    assert (probabilities < reader.calibration.threshold).mean() <= 0.01


def test_bad_pictures_raise(reader, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(PictureError, match="text.png: expected a picture that Pillow can read"):
        reader.read(tmp_path / "text.png")
    with pytest.raises(FileNotFoundError, match="nothing.png"):
        reader.read(tmp_path / "nothing.png")


def test_models_of_other_sizes_and_scales_read_too(few, page):
    X, y = few
    small = X.reshape(-1, 28, 28)[:, 4:24, 4:24].reshape(len(X), -1)
    with DigitCNN(image_shape=(20, 20), random_seed=1, epochs=3) as model:
        model.train((small, y), verbose=False)
        assert len(Reader(model).read_digit(page[135:200, 10:60]).candidates) == 10
    with DigitCNN(random_seed=1, epochs=3) as model:
        model.train((X / np.float32(255), y), verbose=False)
        assert len(Reader(model, "mine").read_digit(page[135:200, 10:60]).candidates) == 10


def test_drawing_has_a_row_for_each_picture(reader, page):
    from matplotlib.figure import Figure

    figure = Figure()
    nothing = np.full((60, 90), 200, np.uint8)
    draw_readings([("a $page$", page, reader.read(page)), ("blank", nothing, reader.read(nothing))], figure)
    assert [ax.get_title() for ax in figure.axes[:3:2]] == ["a $page$", "blank"]
    assert len(figure.axes[0].patches) == 10 and figure.axes[2].texts[0].get_text() == "no digit"


def test_text_of_doubtful_numbers():
    answers = [Answer(label, 0.9, ((label, 0.9),), is_sure=True) for label in (1, 2, 3)]
    reading = Reading(((tuple(answers[:2]), (answers[2],)), ((answers[0],),)), (10, 10))
    assert reading.text == "123\n1" and reading.numbers == [["12", "3"], ["1"]] and len(reading.digits) == 4


def test_answers_and_readings_are_compared_by_their_values(page):
    def answer(image, probability=0.9):
        return Answer(1, probability, ((1, probability),), is_sure=True, image=image, box=(0, 0, 5, 5))

    one, same = (Reading((((answer(np.full((28, 28), value, np.uint8)),),),), (10, 10)) for value in (1, 2))
    assert one == same and one.digits == same.digits and hash(one) == hash(same)
    assert one != Reading((((answer(None, 0.8),),),), (10, 10)) and one != Reading((), (10, 10))


def test_found_digits_and_pages_are_compared_by_their_values(page):
    first, second = find_digits(page), find_digits(page.copy())
    assert first == second and first.digits[0] == second.digits[0] and hash(first) == hash(second)
    assert first.digits[0] != first.digits[1] and first != find_digits(page[:140]) and first.digits[0] != "0"


def test_noise_is_not_read_as_digits(reader):
    """Of several grains, as strong as writing; what is read in them is nearly never sure."""
    rng, sure = np.random.default_rng(6), 0
    for grain in np.linspace(0, 4, 20):
        noise = ndimage.gaussian_filter(rng.standard_normal((200, 200)), grain)
        paper = np.clip(180 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)
        sure += any(answer.is_sure for answer in reader.read(paper).digits)
    assert sure <= 1
