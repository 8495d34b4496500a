"""Pictures of handwriting -> digits like the training data: light ink on black, uint8 [n, height * width]."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageOps

from .._validation import check_path
from ..data.arrays import IMAGE_SHAPE, check_image_shape
from ..exceptions import PictureError

# What cameras, scanners and drawing programs write. Not all that Pillow reads: for some it starts other programs.
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "TIFF", "WEBP", "PPM")


def load_pictures(paths: Iterable[str | os.PathLike], image_shape: tuple[int, int] = IMAGE_SHAPE) -> np.ndarray:
    """Read one digit from each picture file: uint8 [n, height * width], light ink on black as in MNIST.

    PNG, JPEG, GIF, BMP, TIFF, WebP or PPM of any size and colour; the whole picture is resized to `image_shape`,
    so the digit should fill it as MNIST's do. Dark ink on light paper is told by the picture's border.
    Raises PictureError, FileNotFoundError, and ValueError for no paths at all.
    """
    if isinstance(paths, (str, os.PathLike)):
        raise TypeError(f"paths: expected several paths, found one: {paths!r}; give [{paths!r}]")
    paths = list(paths)
    if not paths:
        raise ValueError("paths: expected at least one picture file, found none")
    return np.stack([load_picture(path, image_shape) for path in paths])


def load_picture(path: str | os.PathLike, image_shape: tuple[int, int] = IMAGE_SHAPE) -> np.ndarray:
    """Read one digit from one picture file: uint8 [height * width]. Raises as `load_pictures` does."""
    path = check_path("path", path)
    height, width = check_image_shape("image_shape", image_shape)
    if path.exists() and not path.is_file():  # to open a pipe would wait for ever
        raise PictureError(f"{path}: expected a picture file, found {'a folder' if path.is_dir() else 'no plain file'}")
    Image.init()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as picture:
                # A phone's MPO is a photo with a preview behind it.
                if getattr(picture, "is_animated", False) and picture.format != "MPO":
                    raise ValueError(f"{picture.n_frames} pictures in one file, and which is meant is not told")
                grey = _to_grey(ImageOps.exif_transpose(picture))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: expected a picture file, found no file") from None
    except Exception as error:  # Pillow's are of many kinds: OSError, SyntaxError, TypeError, struct.error, MemoryError
        raise PictureError(f"{path}: expected a picture that Pillow can read, found: {error}") from error
    if grey.min() == grey.max():
        raise PictureError(f"{path}: expected a picture of a digit, found one of a single colour")
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    if np.median(border) > 127:
        grey = 255 - grey
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.LANCZOS)).reshape(-1)


def _to_grey(picture: Image.Image) -> np.ndarray:
    """uint8 [height, width]; what is transparent is white paper."""
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        # 16 bits, which Pillow's own conversion would cut off at 255.
        return (np.asarray(picture).astype(np.uint32).clip(0, 65535) // 257).astype(np.uint8)
    if picture.mode == "F":
        raise ValueError("pixels of floating-point numbers, whose range is not told")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return np.array(picture.convert("L"))
