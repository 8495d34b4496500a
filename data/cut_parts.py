"""Cut letters and touching digits as the search of a page cuts them: parts that are digits, and parts that are none.

data/make_pretrained.py trains the network that ships on them, so that its doubt chooses the right cut.
"""

from __future__ import annotations

import numpy as np
from no_digits import CANVAS, glyph, training_fonts, warp
from PIL import Image
from scipy import ndimage

from digitcnn.handwriting.cuts import parts_between
from digitcnn.handwriting.page_ink import stroke_width
from digitcnn.handwriting.page_pieces import Piece, piece_of
from digitcnn.handwriting.seams import find_seams

MAX_PARTS = 2  # of one drawing
# Shares of the ink that a part and a digit have in common, by which a part is a digit, and up to which it is none.
IS_DIGIT, IS_NONE = 0.88, 0.75
# A straight stroke is a 1, whatever it was cut from: its thickness as a share of its length, and its lean to the
# right in degrees.
STRAIGHT, UPRIGHT = 0.17, (-12, 50)


def touching_digits(digits: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """One to three digits in a row that touch: ink uint8 [h, w], masks bool [h, w] of each, and their numbers."""
    count = int(rng.choice(3, p=[0.25, 0.6, 0.15])) + 1
    numbers = rng.integers(len(digits), size=count)
    ink: np.ndarray = np.zeros((130, 100 * count + 20), np.uint8)
    masks: list[np.ndarray] = []
    left = 4
    for number in numbers:
        small = digits[number]
        rows, columns = np.flatnonzero((small > 60).any(1)), np.flatnonzero((small > 60).any(0))
        small = small[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        scale = rng.uniform(3.4, 4.6)
        size = max(round(small.shape[1] * scale), 3), max(round(small.shape[0] * scale), 3)
        one = np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))
        top = int(np.clip(120 - one.shape[0] + rng.normal(0, 4), 2, 128 - one.shape[0]))
        at = left
        if masks:  # moved to the left until it touches, and a little into the one before, or not
            here = ndimage.maximum_filter(ink, 3) > 110
            while at > max(left - 45, 1) and not (here[top : top + size[1], at : at + size[0]] & (one > 110)).any():
                at -= 1
            at -= int(rng.integers(0, 5))
        at = max(at, 1)
        own = np.zeros_like(ink)
        own[top : top + size[1], at : at + size[0]] = one
        masks.append(own > 110)
        ink = np.maximum(ink, own)
        left = at + size[0] + 2
    return ink, masks, numbers


def parts(ink: np.ndarray, rng: np.random.Generator) -> list[Piece]:
    """Some parts of the largest piece of ink uint8 [h, w], in any order; none where nothing can be cut."""
    labels, count = ndimage.label(ink > 110, np.ones((3, 3)))
    if not count:
        return []
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    whole = piece_of(largest, 0, 0)
    if whole.height < 20 or whole.width < 8:
        return []
    seams = find_seams(whole.mask, max(stroke_width(whole.mask), 1.0))
    found = list(parts_between(whole, seams, whole.height).values())
    return [found[i] for i in rng.permutation(len(found))]


def is_stroke(piece: Piece) -> bool:
    """Whether a part is a straight stroke that stands as a 1 does."""
    rows, columns = np.nonzero(piece.mask)
    values, vectors = np.linalg.eigh(np.cov(columns, -rows))
    across, along = np.sqrt(np.maximum(values, 1e-9))
    x, y = vectors[:, 1] * np.sign(vectors[1, 1] or 1)
    return across < STRAIGHT * along and UPRIGHT[0] <= np.degrees(np.arctan2(x, y)) <= UPRIGHT[1]


def _common(piece: Piece, mask: np.ndarray) -> float:
    """Ink that a part and a digit share, as a part of all of theirs."""
    left, top, right, bottom = piece.box
    both = (piece.mask & mask[top:bottom, left:right]).sum()
    return float(both / (piece.mask.sum() + mask.sum() - both))


def cut_letters(n: int, seed: int) -> np.ndarray:
    """Parts of letters and signs: uint8 [n, 784]."""
    rng = np.random.default_rng((seed, 1))
    fonts = training_fonts()
    images: list[np.ndarray] = []
    while len(images) < n:
        picture = warp(glyph(rng, fonts), rng)
        kept = [part for part in parts(picture, rng) if not is_stroke(part)]
        images += [part.image(picture / np.float32(255)) for part in kept[:MAX_PARTS]]
    return np.stack(images[:n]).reshape(n, -1)


def cut_digits(
    n: int, n_digits: int, digits: np.ndarray, labels: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut digits that touch.

    Parameters
    ----------
    n, n_digits : int
        How many parts that are none, and how many that are digits.
    digits : ndarray of uint8, shape (m, 28, 28)
        What is cut, and its `labels`, uint8 [m].
    seed : int
        Decides everything.

    Returns
    -------
    none, whole : ndarray of uint8, shapes (n, 784) and (n_digits, 784)
        Bad parts; and parts that are digits.
    whole_labels : ndarray of uint8, shape (n_digits,)
        Their labels.
    """
    rng = np.random.default_rng((seed, 2))
    none: list[np.ndarray] = []
    whole: list[tuple[np.ndarray, int]] = []
    while len(none) < n or len(whole) < n_digits:
        ink, masks, numbers = touching_digits(digits, rng)
        strength = ink / np.float32(255)
        bad = 0
        seen: set[int] = set()
        for part in parts(ink, rng):
            common = [_common(part, mask) for mask in masks]
            best = int(np.argmax(common))
            if common[best] >= IS_DIGIT and len(masks) > 1:
                if best not in seen:  # one of many that differ by a pixel
                    whole.append((part.image(strength), int(labels[numbers[best]])))
                    seen.add(best)
            elif common[best] <= IS_NONE and bad < MAX_PARTS and not is_stroke(part):
                none.append(part.image(strength))
                bad += 1
    return (
        np.stack(none[:n]).reshape(n, -1),
        np.stack([image for image, _ in whole[:n_digits]]).reshape(n_digits, -1),
        np.array([label for _, label in whole[:n_digits]], np.uint8),
    )
