"""Read pictures of handwriting: find the digits, ask the network, and say how sure it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from PIL import Image

from .._validation import check_path
from ..data.arrays import IMAGE_SHAPE
from ..data.standardization import Standardization
from ..exceptions import NoDigitError
from ..handwriting.digit import locate_digit
from ..handwriting.page import FoundDigit, Page, find_digits
from ..handwriting.pictures import read_grey, resize_picture
from ..model import DigitCNN
from ..saving.pretrained import read_pretrained
from .answers import Answer, Box, Reading, Rows
from .calibration import Calibration

SURE_SHARE = 0.5  # of a page's digits, at least
NO_DIGIT = 0.5  # what is less probable on a page of digits is a letter or a stain
STROKES = (1, 7)  # which are parts of most letters: of 100 printed ones, 8 were cut into nothing else
LEAST_HEIGHT = 0.4  # of a second digit, as a share of the first one's


class Network(Protocol):
    """What a reader needs of a model; an ensemble has it too."""

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the images in pixels."""

    @property
    def n_classes(self) -> int:
        """Number of classes."""

    @property
    def standardization(self) -> Standardization | None:
        """What raw pixels go through; None if it was trained on floats."""

    def predict(self, X: np.ndarray, *, return_proba: bool = False, verbose: bool | str = True) -> np.ndarray:
        """Labels, or probabilities [n, classes], of images [n, pixels]."""

    def close(self) -> None:
        """Free it."""


class Reader:
    """Reads digits in pictures with one network.

    Parameters
    ----------
    model : DigitCNN or Ensemble
        A trained model, of digits 0..9 or other classes, or an ensemble of such models.
    name : str, default 'the model'
        Says which weights answer.
    calibration : Calibration, optional
        From the network's probabilities to those of answers; default what undoes the model's label smoothing.
    doubt : callable, optional
        Takes the images that `model.predict` takes, and returns the `disagreement` of the answers about each, float
        [n]: for an ensemble, its `doubt` by that measure.

    Examples
    --------
    >>> from digitcnn import Reader, load_dataset
    >>> digit = load_dataset("bundled").test_images[0].reshape(28, 28)
    >>> with Reader.pretrained() as reader:
    ...     reader.read(digit).text
    '2'
    """

    def __init__(
        self,
        model: Network,
        name: str = "the model",
        calibration: Calibration | None = None,
        *,
        doubt: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        self.model: Any = model  # a DigitCNN for all who need more than a network
        self.name, self.doubt = name, doubt
        if calibration is None:
            calibration = Calibration.for_smoothing(getattr(model, "label_smoothing", 0.0), model.n_classes)
        self.calibration = calibration

    @classmethod
    def pretrained(cls) -> Reader:
        """Make a reader with the weights that ship with digitcnn.

        Returns
        -------
        Reader
            Its calibration is that of the weights.
        """
        facts = read_pretrained().facts
        return cls(DigitCNN.pretrained(), facts["name"], Calibration(**facts["calibration"]))

    @classmethod
    def restore(cls, path: str | os.PathLike) -> Reader:
        """Make a reader with a saved model.

        Parameters
        ----------
        path : str or path-like
            As for `DigitCNN.restore`.

        Returns
        -------
        Reader
            Its probabilities are the network's own, but for label smoothing.
        """
        return cls(DigitCNN.restore(path), str(check_path("path", path)))

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse pickle and copy, which would not have the network's weights."""
        raise TypeError(
            "Reader: a reader cannot be copied or pickled; save its model and restore it: reader.model.save(...), "
            "Reader.restore(...)"
        )

    def close(self) -> None:
        """Close the model."""
        self.model.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of digits in MNIST's form.

        Parameters
        ----------
        images : ndarray of uint8, shape (n, 28, 28)
            Light ink on black; resized if the model takes another size.

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
            Rows that sum to 1.
        """
        return self.calibration(self.model.predict(self._for_model(images), return_proba=True, verbose=False))

    def _for_model(self, images: np.ndarray) -> np.ndarray:
        """Digits in MNIST's form, uint8 [n, 28, 28], as the model takes them, [n, pixels]."""
        if self.model.image_shape != IMAGE_SHAPE:
            size = self.model.image_shape[::-1]
            resized = [Image.fromarray(image).resize(size, Image.Resampling.LANCZOS) for image in images]
            images = np.stack([np.asarray(image) for image in resized])
        X = images.reshape(len(images), -1)
        if self.model.standardization is None:  # trained on floats: 0..1 is the likeliest scale
            return X.astype(np.float32) / 255
        return X

    def read_digit(self, picture: Any) -> Answer:
        """Read a picture of one digit.

        Parameters
        ----------
        picture : path, bytes, file, PIL image or array
            As `load_digit` takes it.

        Returns
        -------
        Answer
            Its label is None where there is no digit.

        Raises
        ------
        PictureError
            If it cannot be read as a picture.
        OSError
            If a file is missing or cannot be read.
        """
        if self.model.image_shape != IMAGE_SHAPE:  # its images were not in MNIST's form: the picture is resized whole
            grey = read_grey(picture)
            return self._answers(resize_picture(grey, IMAGE_SHAPE)[None], [(0, 0, *grey.shape[::-1])])[0]
        try:
            image, box = locate_digit(picture)
        except NoDigitError as error:
            why = str(error).partition(", found ")[2] or str(error)
            return Answer(None, 0.0, (), is_sure=False, why=why)
        return self._answers(image[None], [box])[0]

    def read(self, picture: Any) -> Reading:
        """Read a picture of one digit or of many.

        Parameters
        ----------
        picture : path, bytes, file, PIL image or array
            As `find_digits` takes it.

        Returns
        -------
        Reading
            Rows of numbers of answers; none where there is no digit.

        Raises
        ------
        PictureError
            If it cannot be read as a picture.
        OSError
            If a file is missing or cannot be read.
        """
        grey = read_grey(picture)
        single = self.read_digit(grey)
        page = self._read_page(grey) if self.model.image_shape == IMAGE_SHAPE else Reading((), grey.shape)
        if _shows_many(single, page):
            return page
        if single.label is None:
            return Reading((), grey.shape, why=single.why)
        return Reading((((single,),),), grey.shape)

    def judge(self, images: np.ndarray) -> np.ndarray:
        """How much images are like digits, for `find_digits`.

        Parameters
        ----------
        images : ndarray of uint8, shape (n, 28, 28)
            In MNIST's form.

        Returns
        -------
        ndarray of float64, shape (n,)
            The highest probability of each.
        """
        return self.probabilities(images).max(axis=1) if len(images) else np.empty(0)

    def _read_page(self, grey: np.ndarray) -> Reading:
        """All digits of a page, turned as it reads best."""
        reading = self._answer_page(find_digits(grey, turn=None, judge=self.judge))
        return Reading(_without_letters(reading.rows), reading.shape, reading.turn)

    def _answer_page(self, page: Page) -> Reading:
        found: list[FoundDigit] = list(page.digits)
        if not found:
            return Reading((), page.shape, page.turn)
        read = self._answers(np.stack([one.image for one in found]), [one.box for one in found])
        answers = iter([replace(answer, is_cut=one.is_cut) for answer, one in zip(read, found, strict=True)])
        rows = tuple(tuple(tuple(next(answers) for _ in number) for number in row) for row in page.rows)
        return Reading(rows, page.shape, page.turn)

    def _answers(self, images: np.ndarray, boxes: list) -> list[Answer]:
        answers = []
        doubts = [None] * len(images) if self.doubt is None else self.doubt(self._for_model(images)).tolist()
        for image, box, row, doubt in zip(images, boxes, self.probabilities(images), doubts, strict=True):
            order = np.argsort(-row, kind="stable")
            candidates = tuple((int(label), float(row[label])) for label in order)
            label, probability = candidates[0]
            is_sure = probability >= self.calibration.threshold
            answers.append(Answer(label, probability, candidates, is_sure, image, box, disagreement=doubt))
        return answers


def _without_letters(rows: Rows) -> Rows:
    """The rows without what is no digit; all of them where nothing would be left."""
    kept = [[tuple(one for one in number if one.probability >= NO_DIGIT) for number in row] for row in rows]
    without = tuple(tuple(number for number in row if number) for row in kept if any(row))
    return without or rows


def _shows_many(single: Answer, page: Reading) -> bool:
    """Whether a picture is one of several digits: `single` is what it shows if it has one, `page` if it has many."""
    sure = [answer for answer in page.digits if answer.is_sure]
    if len(sure) < max(1.0, SURE_SHARE * len(page.digits)):
        return False
    if single.label is None:
        return True
    inside = [answer for answer in page.digits if _is_inside(answer.box, single.box)]
    others = [answer for answer in sure if not _is_inside(answer.box, single.box)]
    if not single.is_sure:
        # What lies all in the single one's place is a number, or a letter that was cut into what looks like digits.
        cut = [answer for answer in inside if answer.is_cut]
        is_number = not cut or (all(one.is_sure for one in cut) and any(one.label not in STROKES for one in cut))
        return len(sure) > 1 and (is_number or bool(others))
    # A page shows the single digit, too, and another one beside it that is not much lower.
    _, top, _, bottom = single.box or (0, 0, 0, 0)
    high = [
        answer for answer in others if answer.box and answer.box[3] - answer.box[1] >= LEAST_HEIGHT * (bottom - top)
    ]
    agrees = len(inside) == 1 or any(answer.is_sure and answer.label == single.label for answer in inside)
    return bool(high) and agrees


def _is_inside(box: Box | None, place: Box | None) -> bool:
    """Whether the middle of a box is in a place."""
    if box is None or place is None:
        return False
    return all(place[side] <= (box[side] + box[side + 2]) / 2 <= place[side + 2] for side in (0, 1))


def _mean(reading: Reading) -> float:
    """Mean probability of the answers; 0 for none."""
    return float(np.mean([answer.probability for answer in reading.digits])) if reading.digits else 0.0
