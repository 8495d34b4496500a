"""Read pictures of handwritten digits as arrays like the training data: light ink on black."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .._validation import check_path, explain_os_errors
from ..data.arrays import IMAGE_SHAPE, check_image_shape
from ..exceptions import PictureError

# What cameras, scanners and drawing programs write. Pillow reads others too, some by starting other programs.
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "TIFF", "WEBP", "PPM")


def load_pictures(paths: Iterable[str | os.PathLike], image_shape: tuple[int, int] = IMAGE_SHAPE) -> np.ndarray:
    """Read one digit from each picture file.

    The whole picture is resized, so the digit should fill it as MNIST's digits do. Dark ink on light
    paper is recognized by the picture's border and inverted.

    Parameters
    ----------
    paths : iterable of str or path-like
        PNG, JPEG, GIF, BMP, TIFF, WebP or PPM files of any size and colour.
    image_shape : tuple of int, default (28, 28)
        Height and width to resize to, in pixels.

    Returns
    -------
    ndarray of uint8, shape (n, height * width)
        Pixels 0..255, light ink on black, as in MNIST.

    Raises
    ------
    TypeError
        If `paths` is a single path, or `image_shape` no pair of whole numbers.
    ValueError
        If there are no paths, or `image_shape` is out of range.
    PictureError
        If a file is no picture, is damaged, holds several pictures or a single colour.
    OSError
        If a file is not there (FileNotFoundError) or cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from digitcnn import load_dataset
    >>> digit = load_dataset("bundled").test_images[0].reshape(28, 28)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "digit.png"
    ...     Image.fromarray(255 - digit).resize((200, 200)).save(file)  # dark ink on white paper
    ...     load_pictures([file]).shape
    (1, 784)
    """
    if isinstance(paths, (str, os.PathLike)):
        raise TypeError(f"paths: expected several paths, found one: {paths!r}; give [{paths!r}]")
    paths = list(paths)
    if not paths:
        raise ValueError("paths: expected at least one picture file, found none")
    return np.stack([load_picture(path, image_shape) for path in paths])


def load_picture(path: str | os.PathLike, image_shape: tuple[int, int] = IMAGE_SHAPE) -> np.ndarray:
    """Read one digit from one picture file, as `load_pictures` does.

    Parameters
    ----------
    path : str or path-like
        The picture file.
    image_shape : tuple of int, default (28, 28)
        Height and width to resize to, in pixels.

    Returns
    -------
    ndarray of uint8, shape (height * width,)
        Pixels 0..255, light ink on black.

    Raises
    ------
    TypeError
        If an argument is of a wrong type.
    ValueError
        If `path` is empty, or `image_shape` is out of range.
    PictureError
        If the file is no picture, is damaged, holds several pictures or a single colour.
    OSError
        If the file is not there (FileNotFoundError) or cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.fromarray(np.array([[0, 255], [0, 0]], np.uint8)).save(Path(folder) / "dot.png")
    ...     print(load_picture(Path(folder) / "dot.png", image_shape=(2, 2)))
    [  0 255   0   0]
    """
    path = check_path("path", path)
    shape = check_image_shape("image_shape", image_shape)
    with explain_os_errors(path, "a picture file"):
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            found = "a folder" if path.is_dir() else "no plain file"
            raise PictureError(f"{path}: expected a picture file, found {found}")
        grey = _read_grey(path)
    if grey.min() == grey.max():
        raise PictureError(f"{path}: expected a picture of a digit, found one of a single colour")
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    if np.median(border) > 127:
        grey = 255 - grey
    return np.asarray(Image.fromarray(grey).resize(shape[::-1], Image.Resampling.LANCZOS)).reshape(-1)


def _read_grey(path: Path) -> np.ndarray:
    """The one picture in a file, uint8 [height, width]. Raises PictureError, or the OSError of opening it."""
    Image.init()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as picture:
                # A phone's MPO is a photo with a preview behind it.
                if getattr(picture, "is_animated", False) and picture.format != "MPO":
                    raise ValueError(f"{picture.n_frames} pictures in one file; save the one that is meant")
                return _to_grey(ImageOps.exif_transpose(picture))
    except Exception as error:  # Pillow's are of many kinds: OSError, SyntaxError, TypeError, struct.error, MemoryError
        if isinstance(error, OSError) and error.strerror is not None:  # the system's, not Pillow's
            raise
        raise PictureError(f"{path}: expected a picture that Pillow can read, found: {error}") from error


def _to_grey(picture: Image.Image) -> np.ndarray:
    """Grey values, uint8 [height, width]; transparency becomes white paper."""
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        # 16 bits: Pillow's own conversion clips them at 255.
        return (np.asarray(picture).astype(np.uint32).clip(0, 65535) // 257).astype(np.uint8)
    if picture.mode == "F":
        raise ValueError("pixels of floating-point numbers, whose range is unknown")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return np.array(picture.convert("L"))
