"""`digitcnn predict --data FILE_OR_FOLDER --out FILE`: files of images of any length, in constant memory."""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .._validation import MAX_COUNT
from ..bulk.forms import check_out
from ..data.image_sequence import ImageSequence, open_images
from .output import remark, say

if TYPE_CHECKING:
    from ..reading.reader import Reader


def add_options(predict: argparse.ArgumentParser, path: Any) -> None:
    """Add the options of prediction in bulk; `path` converts an option's text to a path."""
    bulk = predict.add_argument_group(
        "files of images in bulk", "in constant memory; after a kill, the same command resumes"
    )
    bulk.add_argument(
        "--data",
        type=path,
        metavar="FILE_OR_FOLDER",
        help="in place of pictures: IDX or NPY file of images in MNIST's form, of any number, not compressed; or a "
        "folder of such files, one after the other by name, without its labels",
    )
    bulk.add_argument(
        "--out",
        type=path,
        metavar="FILE",
        help="file to write: .npy, rows with the fields label and probabilities, or .csv; FILE.json beside it says "
        "what it was made from",
    )
    bulk.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="only part I of N, counted from 1, of about the same length, for N machines with an --out each; together "
        "they are the whole: numpy.concatenate([numpy.load(part) for part in parts]) (default: 1/1)",
    )


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,10})/([0-9]{1,10})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]) <= MAX_COUNT:
        raise argparse.ArgumentTypeError(f"expected I/N, such as 1/4, with I in 1..N, found {text!r}")
    return int(match[1]), int(match[2])


def check_options(arguments: argparse.Namespace) -> None:
    """Exit with the usage if options do not go together."""
    error = arguments.parser.error
    if arguments.data is None:
        for name in ("out", "shard"):
            if getattr(arguments, name) is not None:
                error(f"--{name}: expected --data FILE_OR_FOLDER beside it, found none")
        if not arguments.pictures:
            error("PICTURE: expected at least one, or --data FILE_OR_FOLDER and --out FILE, found none")
        return
    if arguments.pictures:
        error("PICTURE: expected none beside --data, which is a file or folder of images in MNIST's form")
    for name in ("json", "csv", "show"):
        if getattr(arguments, name):
            error(f"--{name}: expected no --data beside it; --out FILE names what is written, .npy or .csv")
    if arguments.out is None:
        error("--data: expected --out FILE beside it, found none")


@contextlib.contextmanager
def opened_images(arguments: argparse.Namespace) -> Iterator[ImageSequence | None]:
    """The images of --data, or None without it; raises what is wrong with paths before TensorFlow is loaded."""
    if arguments.data is None:
        yield None
        return
    check_out(arguments.out)
    with open_images(arguments.data) as images:
        yield images


def predict_in_bulk(arguments: argparse.Namespace, images: ImageSequence, reader: Reader) -> None:
    """Predict all images, or a part of them, and say what was done."""
    from ..bulk.predicting import predict_images
    from ..bulk.shards import WHOLE, check_shard

    shard = check_shard(arguments.shard or WHOLE, len(images), "--shard")
    remark(f"Read by {reader.name}")
    try:
        result = predict_images(reader.model, images, arguments.out, weights=reader.name, shard=shard)
    except (KeyboardInterrupt, SystemExit):
        _say_what_is_done(arguments.out)
        raise
    n = result.stop - result.first
    part = f" {result.first:,} to {result.stop - 1:,} of {result.n_images:,}" if n < result.n_images else ""
    if result.n_predicted == 0:
        say(f"{result.file} is complete: there is nothing left to do")
        return
    before = f", {n - result.n_predicted:,} of them before" if result.n_predicted < n else ""
    rate = f"{result.n_predicted / result.seconds:,.0f} images/s"
    what = f"images{part}" if part else f"{n:,} images"
    say(f"{result.file}: labels and probabilities of {what}{before}; {rate}")


def _say_what_is_done(out: str) -> None:
    from ..bulk.output import read_progress

    record = None
    with contextlib.suppress(OSError, ValueError):  # which the next call reports
        record = read_progress(check_out(out)[0])
    if record is None:
        remark("", "Interrupted; nothing is done yet")
    else:
        remark("", f"Interrupted; {record.progress.n_done:,} images are done", "To resume: give the same command again")
