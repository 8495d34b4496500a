"""Warped copies of a training set, for a distillation in which the members see what the network sees."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np

from .._validation import check_whole
from ..data.arrays import LabelledImages
from ..engine.warping import warped_copies
from ..graph.augmentation import Augmentation
from ..settings import declarations
from .distilling import MAX_COPIES


def check_copies(copies: Any, settings: dict[str, Any]) -> tuple[int, Augmentation]:
    """The number of copies and what warps them; with copies, take the warps out of a student's settings.

    Raises TypeError or ValueError if one of them is wrong.
    """
    copies = check_whole("copies", copies, 0, MAX_COPIES)
    if not copies:
        return 0, Augmentation()
    names = [field.name for field in dataclasses.fields(Augmentation)]
    warps = Augmentation(**{name: declarations()[name].check(name, settings.pop(name, 0)) for name in names})
    if not warps:
        raise ValueError(f"copies: expected warps for them, such as rotation=10, found none of {', '.join(names)}")
    return copies, warps


def with_copies(
    examples: LabelledImages, image_shape: tuple[int, int], warps: Augmentation, copies: int, members: list[str]
) -> LabelledImages:
    """The images and their warped copies, which follow from the images and the members.

    Parameters
    ----------
    examples : LabelledImages
        The training set.
    image_shape : tuple of int
        Height and width in pixels.
    warps : Augmentation
        What warps the copies.
    copies : int
        Of each image.
    members : list of str
        SHA-256 of each member's weights.
    """
    if not copies:
        return examples
    seed = int.from_bytes(hashlib.sha256("".join(members).encode()).digest()[:4], "big") >> 1
    warped = warped_copies(examples.images, warps, image_shape, n_copies=copies, seed=seed)
    return LabelledImages(np.concatenate([examples.images, warped]), np.tile(examples.labels, 1 + copies))
