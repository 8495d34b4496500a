"""The way from images to a file of answers, batch by batch, in constant memory."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._progress import image_bar
from .._text import printable
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
from .reading_ahead import read_batches, read_sample
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
    check_scaling(read_sample(images, model.image_shape), standardization, printable(images.source))
    first, stop = shard_limits(shard, len(images))
    task = Task(model_sha256(model), model.computes_in, len(images), f"{shard[0]}/{shard[1]}", BATCH_SIZE)
    record = Record(task, _NOTHING, str(images.source), weights, this_machine())
    if (done := completed(file, task)) is not None:
        digest = _digest(images, (first, stop), model.image_shape, show_bar=show_bar)
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
            limits = first, first + began.progress.n_done
            digest = _digest(images, limits, model.image_shape, show_bar=show_bar)
            output.resume(began.progress, digest)
        else:
            output.begin(form.header(stop - first, model.n_classes))
        _warn_of_a_full_disk(file, stop - first - output.n_done, model.n_classes)
        start, begin = first + output.n_done, time.perf_counter()
        with (
            contextlib.closing(read_batches(images, start, stop, model.image_shape)) as batches,
            hold_signals(terminates=True) as pending,
            image_bar(stop - first, output.n_done, "predicting", show=show_bar) as bar,
        ):
            for batch in batches:
                labels, probabilities = engine.classify(batch.images, standardization)
                output.write(batch.sha256, form.rows(batch.start, labels, probabilities), len(labels))
                bar.update(len(labels))
                if batch.stop < stop and (signal := pending()):  # else the file is finished first
                    raise signal
            output.finish()
    return BulkResult(file, first, stop, len(images), stop - start, time.perf_counter() - begin)


def _digest(images: ImageSequence, limits: tuple[int, int], image_shape: tuple[int, int], *, show_bar: bool) -> Any:
    """The SHA-256 object of the digests of the batches of some images, which `Output` takes one by one."""
    digest = hashlib.sha256()
    with (
        contextlib.closing(read_batches(images, *limits, image_shape)) as batches,
        image_bar(limits[1] - limits[0], 0, "comparing", show=show_bar) as bar,
    ):
        for batch in batches:
            digest.update(batch.sha256)
            bar.update(len(batch.images))
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
