"""Warped copies of a training set, for a distillation in which the members see what the network sees."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._validation import check_whole
from ..data.arrays import LabelledImages
from ..engine.memory import memory_left
from ..engine.warping import write_warped
from ..graph.augmentation import Augmentation
from ..saving.model_parts import ModelParts
from ..settings import Settings
from ..training.trainer import fit_standardization
from .distilling import MAX_COPIES

WARPS = tuple(field.name for field in dataclasses.fields(Augmentation))


@dataclass(frozen=True)
class Copies:
    """How many warped copies there are of each image, and what warps them.

    Parameters
    ----------
    number : int
        0 for none.
    warps : Augmentation
        Ranges of the warps.
    """

    number: int
    warps: Augmentation

    @classmethod
    def check(cls, number: Any, settings: dict[str, Any], others: dict[str, Any]) -> Copies:
        """Take what a student's settings say of warps for the copies, and out of these settings.

        others: settings beside them, which stay.

        Raises TypeError or ValueError if the number or a setting is wrong.
        """
        number = check_whole("copies", number, 0, MAX_COPIES)
        if not number:
            return cls(0, Augmentation())
        known = {field.name for field in dataclasses.fields(Settings)}
        warps = Augmentation.of(Settings(**{name: settings[name] for name in settings.keys() & known}, **others))
        if not warps:
            raise ValueError(f"copies: expected warps for them, such as rotation=10, found none of {', '.join(WARPS)}")
        for name in WARPS:
            settings.pop(name, None)
        return cls(number, warps)

    def described(self) -> dict[str, Any] | None:
        """Number and ranges by name, as JSON has them; None without copies."""
        return None if not self.number else {"number": self.number, **dataclasses.asdict(self.warps)}

    def beside(
        self, examples: LabelledImages, seed: int, *, image_shape: tuple[int, int], n_answers: int
    ) -> LabelledImages:
        """The images and their copies, which follow from the images and the seed.

        Parameters
        ----------
        examples : LabelledImages
            The training set.
        seed : int
            From which the copies' warps follow.
        image_shape : tuple of int
            Height and width in pixels.
        n_answers : int
            Probabilities that all members together have for an image.

        Raises
        ------
        MemoryError
            If there is too little for the images and the answers about them.
        """
        if not self.number:
            return examples
        n = len(examples)
        # float32 answers, for a moment twice: each member's, and all of them.
        n_bytes = (1 + self.number) * (examples.images.nbytes + 8 * n * n_answers)
        left, limit = min(memory_left(), default=(n_bytes, ""))
        if n_bytes > left:
            raise MemoryError(
                f"copies: expected images and answers that fit in memory, found {self.number} copies of {n:,} images, "
                f"which need {n_bytes >> 20:,} MB where {max(0, left) >> 20:,} MB are left ({limit}); give fewer copies"
            )
        images = np.empty(((1 + self.number) * n, examples.images.shape[1]), examples.images.dtype)
        images[:n] = examples.images
        write_warped(images[n:], examples.images, self.warps, image_shape, seed=seed)
        return LabelledImages(images, np.tile(examples.labels, 1 + self.number))


def begin_on_copies(student: ModelParts, images: np.ndarray) -> None:
    """Give a student new weights, and statistics for images that are warped although its graph warps none."""
    student.engine.initialize()
    student.state.reset(fit_standardization(student.settings, images, are_warped=True))
