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
STROKES = (1.6, 4.2)  # widths within which a digit stays as it is
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
    boxes = ndimage.find_objects(labels)
    edges = np.array([(rows.start, rows.stop, columns.start, columns.stop) for rows, columns in boxes], float)
    top, bottom, left, right = edges.T
    height, width = mask.shape
    sizes = np.maximum(bottom - top, right - left)
    off_centre = np.maximum(np.abs((top + bottom) / height - 1), np.abs((left + right) / width - 1))
    is_at_edge = (top == 0) | (left == 0) | (bottom == height) | (right == width)
    main = int(np.argmax(sizes * (1 - 0.7 * off_centre**2) * np.where(is_at_edge, 0.5, 1.0)))
    size = max(bottom[main] - top[main], 1.4 * (right[main] - left[main]))
    areas = np.bincount(labels.ravel())[1:]
    is_speck = (areas < width_of((labels == main + 1)[boxes[main]]) ** 2) | (sizes < 0.05 * size)
    near = NEAR * size * np.where(is_at_edge, 0.3, 1.0)
    kept = np.zeros(count, bool)
    kept[main] = True
    distances = ndimage.distance_transform_edt(labels != main + 1)
    kept |= ~is_speck & (ndimage.minimum(distances, labels, np.arange(1, count + 1)) < near)
    # The rest of a broken stroke may be near to a piece of it alone.
    while True:
        distances = ndimage.distance_transform_edt(~np.concatenate([[False], kept])[labels])
        more = kept | ~is_speck & (ndimage.minimum(distances, labels, np.arange(1, count + 1)) < 0.3 * near)
        if (more == kept).all():
            return np.concatenate([[False], kept])[labels]
        kept = more


def width_of(mask):
    """Mean width of the strokes in pixels, bool [height, width]."""
    inside = ndimage.distance_transform_edt(np.pad(mask, 1))
    return float(4 * (inside[inside > 0].mean() - 0.5))  # a long stroke's pixels are a quarter of its width inside


def normalize(strength, mask):
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.s_[rows[0]: rows[-1] + 1, columns[0]: columns[-1] + 1]
    mask = mask[box]
    digit = np.where(ndimage.binary_dilation(mask, np.ones((3, 3))), strength[box], 0)
    digit = np.clip(digit / np.quantile(digit[mask], 0.75), 0, 1)
    return place(with_usual_strokes(digit, mask))


def with_usual_strokes(digit, mask):
    scale = -(-DETAIL // max(mask.shape))
    big = np.pad(digit, 1)
    if scale > 1:
        size = big.shape[1] * scale, big.shape[0] * scale
        big = np.asarray(Image.fromarray(big.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    big = big > 0.5
    if scale == 1: big = np.pad(mask, 1)
    side = scale * max(mask.shape)
    width = width_of(big)
    if STROKES[0] <= width * BOX / side <= STROKES[1]:
        return digit
    share = STROKE / BOX
    grow = (share * side - width) / 2 / (1 - share)
    big = np.pad(big, int(max(grow, 0)) + 2)
    inside, outside = ndimage.distance_transform_edt(big), ndimage.distance_transform_edt(~big)
    digit = np.clip(np.where(big, inside, 1 - outside) + grow, 0, 1)
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
