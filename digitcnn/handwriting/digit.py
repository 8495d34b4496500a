"""One digit as MNIST has its digits: found in its picture, strokes of MNIST's width, 20x20 box, centre of mass."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from .ink import find_ink
from .pictures import read_reduced

SIDE = 500  # pixels of the longest side, at which ink is looked for
IMAGE_SIDE = 28  # MNIST's images, in pixels
BOX = 20  # the square that holds MNIST's digits, in pixels
STROKE = 2.6  # width of a stroke in pixels of the box
STROKES = (1.8, 4.0)  # widths within which a digit stays as it is
NEAR = 0.4  # pieces nearer to the main one than this share of its size belong to the digit
DETAIL = 100  # pixels of the longest side of a digit, at least, when its strokes are widened or thinned


def load_digit(picture) -> np.ndarray:
    grey, _ = read_reduced(picture, SIDE)
    height, width = grey.shape
    scale = SIDE / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        grey = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))
    ink = find_ink(grey)
    mask = choose_pieces(ink.mask)
    return normalize(ink.strength, mask)


def choose_pieces(mask):
    """Mask of the digit alone: the main component and what is near it."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if count <= 1:
        return mask
    height, width = mask.shape
    boxes = ndimage.find_objects(labels)
    lengths = np.array([max(box[0].stop - box[0].start, box[1].stop - box[1].start) for box in boxes], float)
    centres = np.array([[(b[0].start + b[0].stop) / 2, (b[1].start + b[1].stop) / 2] for b in boxes])
    off = np.abs(centres / [height, width] - 0.5).max(axis=1) * 2  # 0 in the centre, 1 at the edge
    at_edge = np.array([
        b[0].start == 0 or b[1].start == 0 or b[0].stop == height or b[1].stop == width for b in boxes])
    scores = lengths * (1 - 0.7 * off ** 2) * np.where(at_edge, 0.5, 1.0)
    main = int(np.argmax(scores))
    distance = ndimage.distance_transform_edt(labels != main + 1)
    nearest = ndimage.minimum(distance, labels, np.arange(1, count + 1))
    kept = np.concatenate([[False], (nearest < NEAR * lengths[main]) & (lengths > 0.03 * lengths[main]) & ~at_edge])
    kept[main + 1] = True
    return kept[labels]


def stroke_width(mask):
    """Median width of the strokes in pixels, bool [height, width]."""
    inside = ndimage.distance_transform_edt(np.pad(mask, 1))
    ridge = (inside == ndimage.maximum_filter(inside, 3)) & (inside > 0)
    return float(2 * inside[ridge].mean() - 1)


def normalize(strength, mask):
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.s_[rows[0]: rows[-1] + 1, columns[0]: columns[-1] + 1]
    mask = mask[box]
    digit = np.where(ndimage.binary_dilation(mask), strength[box], 0)
    side = max(mask.shape)
    width = stroke_width(mask) * BOX / side
    if not STROKES[0] <= width <= STROKES[1]:
        digit = restroke(digit, mask)
    return place(digit)


def restroke(digit, mask):
    side = max(mask.shape)
    scale = max(1, int(np.ceil(DETAIL / side)))
    if scale > 1:
        size = mask.shape[1] * scale, mask.shape[0] * scale
        big = np.asarray(Image.fromarray(np.pad(digit, 1).astype(np.float32)).resize((size[0] + 2 * scale, size[1] + 2 * scale), Image.Resampling.BICUBIC))
        mask = big > 0.5 * np.quantile(digit[mask], 0.8)
        side = max(mask.shape) - 2 * scale
    width = stroke_width(mask)
    share = STROKE / BOX
    grow = (share * side - width) / 2 / (1 - share)
    mask = np.pad(mask, int(max(grow, 0)) + 2)
    signed = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    signed = np.where(signed > 0, signed - 0.5, signed + 0.5)
    digit = np.clip(signed + grow + 0.5, 0, 1)
    rows, columns = np.flatnonzero((digit > 0.5).any(axis=1)), np.flatnonzero((digit > 0.5).any(axis=0))
    return digit[rows[0]: rows[-1] + 1, columns[0]: columns[-1] + 1]


def place(digit):
    height, width = digit.shape
    scale = BOX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Image.fromarray(digit.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    small = np.clip(small / np.quantile(small[small > 0.2 * small.max()], 0.9), 0, 1)
    total = small.sum()
    centre = [(small.sum(axis=1 - axis) @ np.arange(small.shape[axis])) / total for axis in (0, 1)]
    top, left = (
        int(np.clip(round(IMAGE_SIDE / 2 - c), 0, IMAGE_SIDE - n)) for c, n in zip(centre, small.shape, strict=True)
    )
    image = np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    image[top: top + small.shape[0], left: left + small.shape[1]] = np.round(255 * small)
    return image
