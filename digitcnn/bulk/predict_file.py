"""`digitcnn.predict_file`: files of images of any length to a file of answers."""

from __future__ import annotations

import os

from ..data.image_sequence import open_images
from ..model import DigitCNN
from .predicting import BulkResult, predict_images
from .shards import WHOLE, check_shard


def predict_file(
    model: DigitCNN,
    data: str | os.PathLike,
    out: str | os.PathLike,
    *,
    shard: tuple[int, int] = WHOLE,
    verbose: bool | str = True,
) -> BulkResult:
    """Predict the images of files of any length to a file of labels and probabilities.

    Memory does not grow with the number of images. A call that was interrupted, by a kill or a full disk, is resumed
    by the same call. The answers are those of `DigitCNN.predict` for all images at once, bit for bit.

    Parameters
    ----------
    model : DigitCNN
        A trained model.
    data : path
        An IDX or NPY file of images as `DigitCNN.predict` takes them, not compressed, or a folder of such files, which
        are read one after the other in the order of their names.
    out : path
        The file to write. ``.npy``: an array of rows with the fields `label`, int32, and `probabilities`, float32
        [n_classes]. ``.csv``: a line for each image: its number in the input from 0, label, probabilities.
    shard : tuple of int, default (1, 1)
        (i, n): only the i-th of n parts, from 1, of about the same length; they begin at multiples of 1000 images.
    verbose : bool or str, default True
        True or 'bar' show a bar if it takes longer than a second.

    Returns
    -------
    BulkResult
        Which images the file has, and how many of them this call predicted in how many seconds.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong; if the images are damaged, or not those that the model takes.
    ResumeError
        If what is there of `out` was begun with another model, other images or another shard.
    FileExistsError
        If `out` is another file than the complete one of the same call.
    FolderInUseError
        If another process writes `out`.
    OSError
        If a file is not there, cannot be read or cannot be written.
    UntrainedModelError, MemoryError
        As `DigitCNN.predict`.

    Notes
    -----
    `out` appears when it is complete, and beside it `out`.json, which says what it was made from. Until then, a hidden
    folder .NAME.partial has what is done; a kill costs about the last second. Parts are put together by
    ``numpy.concatenate([numpy.load(part) for part in parts])``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from digitcnn import DigitCNN, load_dataset, predict_file
    >>> with tempfile.TemporaryDirectory() as folder, DigitCNN.pretrained() as cnn:
    ...     np.save(Path(folder) / "digits.npy", load_dataset("bundled").test_images)
    ...     result = predict_file(cnn, Path(folder) / "digits.npy", Path(folder) / "answers.npy")
    ...     np.load(result.file)["label"][:3].tolist()
    [2, 3, 4]
    """
    with open_images(data) as images:
        return predict_images(model, images, out, shard=check_shard(shard, len(images)), verbose=verbose)
