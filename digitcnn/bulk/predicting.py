"""The way from images to a file of answers, batch by batch, in constant memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._progress import image_bar
from .._text import printable
from ..data.arrays import as_images
from ..data.image_sequence import ImageSequence
from ..data.standardization import check_scaling
from ..engine.engine import BATCH_SIZE
from ..engine.machine import differences, this_machine
from ..exceptions import ResumeError, warn_user
from ..model import DigitCNN
from ..training.options import verbosity
from ..training.signals import hold_signals
from .forms import check_out, row_dtype
from .output import Output, completed, partial_folder, read_progress, remove_partial
from .record import Progress, Record, Task, difference, model_sha256
from .shards import WHOLE, shard_limits

_NOTHING = Progress(0, hashlib.sha256().hexdigest(), 0, hashlib.sha256().hexdigest())


@dataclass(frozen=True)
class BulkResult:
    """What `predict_file` did.

    Parameters
    ----------
    file : Path
        The file of answers.
    first, stop : int
        Its images are first to stop - 1 of the whole input.
    n_images : int
        Images of the whole input.
    n_predicted : int
        Images that this call predicted; the others had been before.
    seconds : float
        How long that took.
    """

    file: Path
    first: int
    stop: int
    n_images: int
    n_predicted: int
    seconds: float


def predict_images(
    model: DigitCNN,
    images: ImageSequence,
    out: str | os.PathLike,
    *,
    weights: str = "the model",
    shard: tuple[int, int] = WHOLE,
    verbose: bool | str = True,
) -> BulkResult:
    """As `predict_file`, for images that are open and a shard that is checked.

    Parameters
    ----------
    model : DigitCNN
        A trained model.
    images : ImageSequence
        What to predict.
    out : path
        The file to write.
    weights : str, default 'the model'
        Says in the record which weights answered.
    shard : tuple of int, default (1, 1)
        (i, n).
    verbose : bool or str, default True
        Whether to show a bar.
    """
    file, form = check_out(out)
    show_bar = "bar" in verbosity(verbose)
    engine, standardization = model._engine, model.standardization
    engine.check_trained()
    engine.check_batch(min(len(images), BATCH_SIZE), "images")
    images.check_size(model.image_shape)
    name = printable(images.source)
    check_scaling(as_images(images.sample(), name, model.image_shape), standardization, name)
    first, stop = shard_limits(shard, len(images))
    task = Task(model_sha256(model), model.computes_in, len(images), f"{shard[0]}/{shard[1]}", BATCH_SIZE)
    record = Record(task, _NOTHING, str(images.source), weights, this_machine())
    if (done := completed(file, task)) is not None:
        digest = _digest(images, first, first + done.n_done, show_bar=show_bar)
        if digest.hexdigest() != done.images_sha256:
            raise FileExistsError(
                f"{printable(file)}: expected a new file, or a complete one with the same answers, found one of other "
                "images; give another name"
            )
        remove_partial(file)  # what a kill has left
        return BulkResult(file, first, stop, len(images), 0, 0.0)
    with Output(file, record) as output:
        if (began := read_progress(file)) is not None:
            _check_same(file, began, record)
            digest = _digest(images, first, first + began.progress.n_done, show_bar=show_bar)
            output.resume(began.progress, digest)
        else:
            output.begin(form.header(stop - first, model.n_classes))
        _warn_of_a_full_disk(file, stop - first - output.n_done, model.n_classes)
        start, begin = first + output.n_done, time.perf_counter()
        with (
            hold_signals(terminates=True) as pending,
            image_bar(stop - first, output.n_done, "predicting", show=show_bar) as bar,
        ):
            for number in range(start, stop, BATCH_SIZE):
                end = min(number + BATCH_SIZE, stop)
                batch = images.read(number, end)
                X = as_images(batch, images.where(number, end), model.image_shape)
                output.write(batch, form.rows(number, *engine.classify(X, standardization)))
                bar.update(end - number)
                if end < stop and (signal := pending()):  # else the file is finished first
                    raise signal
            output.finish()
    return BulkResult(file, first, stop, len(images), stop - start, time.perf_counter() - begin)


def _digest(images: ImageSequence, first: int, stop: int, *, show_bar: bool) -> Any:
    """The SHA-256 object of the pixels of images first to stop - 1, as `Output` takes it batch by batch."""
    digest = hashlib.sha256()
    with image_bar(stop - first, 0, "comparing", show=show_bar) as bar:
        for start in range(first, stop, BATCH_SIZE):
            end = min(start + BATCH_SIZE, stop)
            digest.update(images.read(start, end).data)
            bar.update(end - start)
    return digest


def _check_same(file: Path, began: Record, now: Record) -> None:
    """Raise ResumeError if a file of answers was begun for another task; warn if rounding may differ."""
    if found := difference(began.task, now.task):
        name, before, after = found
        raise ResumeError(
            f"{printable(file)}: expected {name}={before!r}, with which it began, found {after!r}; give the same, or "
            f"another name, or begin anew: remove {printable(partial_folder(file))}"
        )
    for name, before, after in differences(began.machine, now.machine):
        warn_user(
            f"{name}: expected {before or None}, with which {file} began, found {after or None}; the probabilities "
            "will be close to those of one machine, but may not be equal to the bit"
        )


def _warn_of_a_full_disk(file: Path, n_rows: int, n_classes: int) -> None:
    """Warn if there is no room for so many rows."""
    needed, free = n_rows * row_dtype(n_classes).itemsize, shutil.disk_usage(file.parent).free
    if needed > free:
        warn_user(
            f"{file}: expected room for at least {needed >> 20:,} MB, found {free >> 20:,} MB; if the disk is full, "
            "make room, and the same command resumes"
        )
