"""A reader for the demo's tests: it finds the ink by a threshold, and crops and centres each connected piece of it.

TO BE REPLACED by digitcnn.reading.Reader, whose answers have the same attributes: in test_drawing.py for real answers;
elsewhere `StandIn()` without a model, which answers 7 for everything and loads no TensorFlow, may stay.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from digitcnn.exceptions import PictureError


@dataclass(frozen=True)
class Answer:
    label: int | None
    probability: float
    candidates: tuple
    image: np.ndarray
    box: tuple
    is_sure: bool


@dataclass(frozen=True)
class Reading:
    rows: tuple
    shape: tuple
    turn: int = 0

    @property
    def digits(self):
        return tuple(answer for row in self.rows for number in row for answer in number)

    @property
    def text(self):
        return "\n".join("".join(str(answer.label) for number in row for answer in number) for row in self.rows)


class StandIn:
    """Reads dark ink on light paper; without a model, every piece of ink is a 7."""

    name = "a stand-in & <its> weights"

    def __init__(self, model=None):
        self.model = model

    def read_page(self, picture):
        try:
            with Image.open(io.BytesIO(picture)) as opened:
                ink = 255 - np.asarray(opened.convert("L"), dtype=np.float32)
        except Exception as error:
            raise PictureError(f"picture: expected one that Pillow can read, found: {error}") from error
        pieces, _ = ndimage.label(ndimage.binary_dilation(ink > 100, iterations=3))
        found = [piece for piece in ndimage.find_objects(pieces) if ink[piece].shape[0] > 20]
        # Rows by the pieces' tops, in steps of the mean height.
        height = np.mean([rows.stop - rows.start for rows, _ in found]) if found else 1
        found.sort(key=lambda piece: (round(piece[0].start / height), piece[1].start))
        answers = list(self._answers([(normalize(ink[piece]), piece) for piece in found]))
        lines = sorted({round(rows.start / height) for rows, _ in found})
        rows = tuple(
            (tuple(a for a, (r, _) in zip(answers, found, strict=True) if round(r.start / height) == line),)
            for line in lines
        )
        return Reading(rows, ink.shape)

    def _answers(self, seen):
        if self.model is None or not seen:
            every = np.tile(np.eye(10)[7] * 0.9 + 0.01, (len(seen), 1))
        else:
            every = self.model.predict(np.stack([image for image, _ in seen]).reshape(-1, 784), return_proba=True)
        for (image, (rows, columns)), shares in zip(seen, every, strict=True):
            best = [int(label) for label in np.argsort(-shares)]
            candidates = tuple((label, float(shares[label])) for label in best)
            box = (columns.start, rows.start, columns.stop, rows.stop)
            yield Answer(best[0], candidates[0][1], candidates, image, box, candidates[0][1] > 0.8)


def normalize(ink):
    """Float ink [h, w] -> uint8 [28, 28]: the longer side 20 pixels, the centre of mass in the middle."""
    scale = 20 / max(ink.shape)
    size = [max(1, round(side * scale)) for side in ink.shape]
    small = np.asarray(Image.fromarray(ink.clip(0, 255).astype(np.uint8)).resize(size[::-1], Image.Resampling.BOX))
    image = np.zeros((28, 28), np.uint8)
    centre = ndimage.center_of_mass(small + 1e-6)
    top, left = (int(np.clip(round(14 - c), 0, 28 - s)) for c, s in zip(centre, size, strict=True))
    image[top : top + size[0], left : left + size[1]] = small
    return image
