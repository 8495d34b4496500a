"""Read pictures of handwritten digits as arrays like the training data: light ink on black."""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from .._content import N_START, describe_content
from .._validation import check_path, explain_os_errors
from ..data.arrays import IMAGE_SHAPE, check_image_shape
from ..exceptions import PictureError
from .grey import MAX_PIXELS, array_to_grey, check_pixels, picture_to_grey, upright_shape
from .picture_limits import check_file

# What cameras, scanners and drawing programs write. Pillow reads others too, some by starting other programs.
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "TIFF", "WEBP", "PPM")
# Names by which a folder is searched for pictures.
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".mpo", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"),
    *(".heic", ".heif"),  # which need an extra; reading them says so
)
HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1")  # brands of iPhones' photos, which pillow-heif reads
MAX_BYTES = 256 << 20  # of a file: an uncompressed picture of the most pixels that grey.py allows
MANY_PIXELS = 16_000_000  # of a JPEG, beyond which it is read as its brightness alone, a fourth of the memory


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
    grey = read_grey(path)
    if grey.min() == grey.max():
        raise PictureError(f"{path}: expected a picture of a digit, found one of a single colour")
    return resize_picture(grey, shape).reshape(-1)


def resize_picture(grey: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize a whole picture, uint8 [h, w], to uint8 [*shape], light ink on black, by the border's brightness."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    if np.median(border) > 127:
        grey = 255 - grey
    return np.asarray(Image.fromarray(grey).resize(shape[::-1], Image.Resampling.LANCZOS))


def read_grey(source: Any) -> np.ndarray:
    """Read a picture's grey values, as light as in the picture, upright, at its full size.

    Parameters
    ----------
    source : str, path-like, bytes, binary file, PIL image or array-like
        A picture file's path or content; a picture; or pixels [height, width], alone or with 1 to 4 channels, of
        whole numbers 0..255 or 0..65535, truth values or floats 0..1. It is not changed.

    Returns
    -------
    ndarray of uint8, shape (height, width)
        Turned as EXIF data says. Transparency is white, or black behind light ink.

    Raises
    ------
    TypeError
        If `source` is nothing of these.
    PictureError
        If it is no picture, is damaged, too large, or holds several pictures.
    OSError
        If the file is not there (FileNotFoundError) or cannot be read.
    """
    return _read(source, None)[0]


def read_reduced(source: Any, side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Read a picture's grey values, reduced by a whole factor where the picture is large.

    Parameters
    ----------
    source : str, path-like, bytes, binary file, PIL image or array-like
        As in `read_grey`.
    side : int
        Pixels that the longest side has at least, where the picture has as many.

    Returns
    -------
    grey : ndarray of uint8, shape (height, width)
        The longest side has `side` to twice `side` pixels, where the picture has as many.
    shape : tuple of int
        Height and width of the upright picture at its full size.
    """
    return _read(source, side)


def _read(source: Any, side: int | None) -> tuple[np.ndarray, tuple[int, int]]:
    """As `read_reduced`; with no side, at full size."""
    if isinstance(source, Image.Image):
        try:
            shape = upright_shape(source)
            return picture_to_grey(source, side), shape
        except Exception as error:  # Pillow reads a file's pixels only now
            raise PictureError(f"picture: expected one that can be read, found: {error}") from error
    if isinstance(source, (bytes, bytearray, memoryview)) or hasattr(source, "read"):
        content = source.read(MAX_BYTES + 1) if hasattr(source, "read") else bytes(source)
        if not isinstance(content, bytes):
            raise TypeError("picture: expected a file opened in binary mode, found one opened as text")
        if len(content) > MAX_BYTES:
            raise PictureError(f"picture: expected at most {MAX_BYTES >> 20} MB, found more")
        return _read_file(io.BytesIO(content), str(getattr(source, "name", "picture")), side)
    if isinstance(source, (str, os.PathLike)):
        path = check_path("picture", source)
        with explain_os_errors(path, "a picture file"):
            if path.exists() and not path.is_file():  # opening a pipe would wait for ever
                found = "a folder" if path.is_dir() else "no plain file"
                raise PictureError(f"{path}: expected a picture file, found {found}")
            return _read_file(path, str(path), side)
    grey = array_to_grey(source, "picture")
    if side is not None and max(grey.shape) >= 2 * side:
        return picture_to_grey(Image.fromarray(grey), side), grey.shape
    return grey, grey.shape


def _read_file(file: Path | BinaryIO, name: str, side: int | None) -> tuple[np.ndarray, tuple[int, int]]:
    """As `read_reduced`, the one picture in a file. Raises PictureError, or the OSError of opening it."""
    try:
        with _open(file) as picture:
            # A phone's MPO is a photo with a preview behind it.
            if picture.format != "MPO" and getattr(picture, "is_animated", False):  # counting them would read them all
                raise ValueError("several pictures in one file; save the one that is meant")
            shape = upright_shape(picture)
            if side is None and picture.mode == "RGB" and math.prod(picture.size) > MANY_PIXELS:
                picture.draft("L", picture.size)
            if side is not None:  # a JPEG file is then read at a half, a quarter or an eighth of its size
                scale = side / max(picture.size)
                size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
                picture.draft("L" if picture.mode == "RGB" else picture.mode, size)
            return picture_to_grey(picture, side), shape
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        found = f"more; save it smaller ({error})"
        raise PictureError(f"{name}: expected at most {MAX_PIXELS // 10**6} million pixels, found {found}") from error
    except Exception as error:  # Pillow's are of many kinds: OSError, SyntaxError, TypeError, struct.error, MemoryError
        if isinstance(error, OSError) and error.strerror is not None:  # the system's, not Pillow's
            raise
        raise PictureError(f"{name}: expected a picture that Pillow can read, found: {error}") from error


def _open(file: Path | BinaryIO) -> Image.Image:
    """A picture whose pixels are not read yet. Raises ValueError for HEIC where its reader is not installed."""
    Image.init()
    if isinstance(file, Path):
        with file.open("rb") as opened:
            check_file(opened)
    else:
        check_file(file)
    try:
        return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
    except Image.UnidentifiedImageError:
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(file.open("rb")) if isinstance(file, Path) else file
            stream.seek(0)
            start = stream.read(N_START)
        if start[4:8] != b"ftyp" or start[8:12] not in HEIC:
            found, known = describe_content(start), f"none of {', '.join(FORMATS)}"
            raise ValueError(found if found and ";" in found else f"{found}, {known}" if found else known) from None
    try:
        import pillow_heif
    except ImportError:
        raise ValueError("a HEIC photo; pip install 'digitcnn[heic]', or save it as JPEG") from None
    if not isinstance(file, Path):
        file.seek(0)
    photo = pillow_heif.open_heif(file)
    check_pixels(*photo.size)
    return photo.to_pillow()
