"""What the commands do. TensorFlow is imported only to compute, so that mistakes are reported at once."""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._quiet import quiet_import as _quiet_import
from ..graph.architectures import ARCHITECTURES
from ..recipes import FINE_TUNING, SMALL_TRAINING_SET, recipe_settings
from ..settings import MAX_TO_KEEP, declarations
from ..training.signals import TERMINATED
from .output import remark, say, shell_quoted
from .search import run as _search

if TYPE_CHECKING:
    import numpy as np

    from ..data.datasets import Dataset
    from ..model import DigitCNN
    from ..reading.reader import Reader

# Options of `train` that are arguments of DigitCNN, without its length.
SETTINGS = [name for name, known in declarations().items() if known.flag and name != "epochs"]
# The other options that must not change when a run is resumed; the data's content must not, but they may have moved.
PLAN = (
    "recipe",
    "start",
    "epochs",
    "steps",
    "run",
    "checkpoint_every",
    "max_to_keep",
    "validation",
    "summaries",
)
MAX_EPOCHS = 30  # that a tutorial's number of steps may take, on data sets smaller than MNIST
MAX_REPRESENTATIVE = 500  # training images for an export to int8


def _train(arguments: argparse.Namespace) -> None:
    if arguments.summaries:
        arguments.summaries = sorted(set(arguments.summaries))
    if arguments.resume is not None:
        _resume(arguments)
        return
    from ..data.datasets import load_dataset

    dataset = load_dataset(arguments.data or "bundled", arguments.data_dir)
    n_validation = len(dataset.train_images) // 6 if arguments.validation is None else arguments.validation
    dataset.split(n_validation)  # raises before anything is written
    with _quiet_import():
        from ..runs.description import RunOptions, describe
        from ..runs.folders import new_run_folder
        from ..saving.pretrained import read_pretrained

    # T1's own settings are for MNIST: few images need warps and more epochs.
    is_small = len(dataset.train_images) < SMALL_TRAINING_SET and not (arguments.architecture or arguments.start)
    recipe = arguments.recipe or ("small" if is_small else None)
    if arguments.start:
        if arguments.recipe or arguments.architecture:
            raise ValueError("--from pretrained: expected no --recipe or --architecture beside it")
        settings = read_pretrained().settings | FINE_TUNING
    elif recipe:
        settings = recipe_settings(recipe)
    else:
        settings = dict(ARCHITECTURES[arguments.architecture or "cnn"].settings)
    steps = settings.pop("steps", None)
    if arguments.epochs is not None:
        settings["epochs"], steps = arguments.epochs, None
    settings |= {name: getattr(arguments, name) for name in SETTINGS if getattr(arguments, name) is not None}
    if steps:  # the tutorial's, for MNIST
        steps = min(steps, MAX_EPOCHS * -(-(len(dataset.train_images) - n_validation) // settings["batchsize"]))
    settings |= {"image_shape": dataset.image_shape, "n_classes": dataset.n_classes}
    with _make_model(settings, arguments.start) as model:
        n_training = len(dataset.train_images) - n_validation
        model._engine.check_batch(min(model.batchsize, n_training), "batchsize", is_training=True)  # before any folder
        what = arguments.start or recipe or model.architecture
        folder = new_run_folder(arguments.run, arguments.data or "bundled", what)
        options = RunOptions(
            n_validation=n_validation,
            steps=arguments.steps or steps,
            recipe=recipe,
            start=arguments.start,
            checkpoint_every=arguments.checkpoint_every,
            max_to_keep=arguments.max_to_keep or MAX_TO_KEEP,
            summaries=arguments.summaries or (),
        )
        _run(model, dataset, folder, describe(model, dataset, options), arguments)


def _make_model(settings: dict[str, Any], start: str | None) -> DigitCNN:
    """A model without weights or, to start from them, with those that ship."""
    from ..model import DigitCNN

    return DigitCNN.pretrained(**settings) if start else DigitCNN(**settings)


def _resume(arguments: argparse.Namespace) -> None:
    with _quiet_import():
        from ..data.datasets import DATASET_NAMES, load_dataset
        from ..runs.description import check_same_data, data_of_run, read_description
        from ..runs.folders import run_folder
        from ..runs.train_run import record_description

    folder = run_folder(arguments.resume)
    description = read_description(folder)
    recorded = description["settings"] | description | {"validation": description["n_validation"], "run": str(folder)}
    for name in (*SETTINGS, *PLAN, "data"):
        given = getattr(arguments, name)
        if name == "data" and given not in DATASET_NAMES:
            continue  # a folder: its content is compared below
        if given is not None and given != recorded.get(name):
            raise ValueError(
                f"{folder}: expected {name}={recorded.get(name)!r}, with which this run began, found {given!r}; "
                "--resume needs no other option, but --data if the data have moved"
            )
    is_complete = "test" in description
    if not is_complete or arguments.data or arguments.data_dir:
        data = arguments.data or data_of_run(folder, by_name=bool(arguments.data_dir))
        dataset = load_dataset(data, arguments.data_dir)
        moved = check_same_data(folder, description, dataset)
        if moved["data_folder"] != description["data_folder"]:
            description = moved
            if is_complete:
                record_description(folder, description)
            if not arguments.quiet:
                say(f"The data of {folder} are in {moved['data_folder']} now: the same images and labels")
    if is_complete:
        if not arguments.quiet:
            say(f"{folder} is complete: there is nothing left to do")
        _print_result(description)
        return
    try:
        model = _make_model(description["settings"], description["start"])
    except TypeError as error:  # a settings.json that was edited
        raise ValueError(f"{folder}: expected settings as a run writes them, found: {error}") from error
    with model:
        _run(model, dataset, folder, description, arguments)


def _run(
    model: DigitCNN, dataset: Dataset, folder: Path, description: dict[str, Any], arguments: argparse.Namespace
) -> None:
    from ..data.datasets import HANDS
    from ..exceptions import FolderInUseError
    from ..runs.train_run import train_run

    if not arguments.quiet:
        say(
            f"Training {model.architecture!r} ({model.n_parameters:,} parameters) in {model.computes_in} "
            f"on {description['data']!r}: "
            f"{description['n_training']:,} images to train on, {description['n_validation']:,} to validate, "
            f"{len(dataset.test_images):,} to test; seed {model.random_seed}"
        )
    named = shell_quoted(folder)
    try:
        description = train_run(
            model, dataset, folder, description, resume=arguments.resume is not None, verbose=not arguments.quiet
        )
    except (KeyboardInterrupt, SystemExit, OSError, MemoryError) as error:
        saved = any(folder.glob("model.ckpt-*.json"))
        what = f"the training so far is saved in {folder}" if saved else "nothing is saved yet"
        if not isinstance(error, (OSError, MemoryError)):
            remark("", f"Interrupted; {what}")
        if saved and not isinstance(error, (FolderInUseError, FileExistsError)):
            remark(f"To resume: {_program('digitcnn')} train --resume {named}")
        raise
    if not arguments.quiet:
        say(
            f"All results are in {folder}: look at training_curve.png and test_predictions.png.",
            "Next:",
            f"  {_program('digitcnn')} predict --run {named} PICTURE.png    read your own digit",
            f"  {_program('tensorboard')} --logdir {named}    see the graph and the curves",
            "",
        )
        if hands := HANDS.get(dataset.name):
            say(f"The test images are {hands}.")
    _print_result(description)


def _print_result(description: dict[str, Any]) -> None:
    from ..runs.result import TestResult

    say(f"Test accuracy {TestResult.of(description)}")
    say(f"weights sha256: {description['weights_sha256']}")


def _program(name: str) -> str:
    """The command for a program that is installed beside this Python."""
    beside = Path(sys.executable).with_name(name)
    if shutil.which(name) or not beside.exists():
        return name
    inside = beside.is_relative_to(Path.cwd())  # as typed after README's set-up: .venv/bin/digitcnn
    return shell_quoted(str(beside.relative_to(Path.cwd()) if inside else beside))


def _evaluate(arguments: argparse.Namespace) -> None:
    from ..data.datasets import load_dataset

    if arguments.report:
        from ..report.html import check_report_folder

        check_report_folder(arguments.report)  # raises before anything is computed
    with _quiet_import():
        from ..report.html import write_report
        from ..runs.description import data_of_run
        from ..runs.folders import LATEST, run_folder
        from ..runs.result import TestResult
        from .evaluate import evaluation_of, with_all_pictures

    folder = run_folder(arguments.run or LATEST)
    dataset = load_dataset(arguments.data or data_of_run(folder, by_name=bool(arguments.data_dir)), arguments.data_dir)
    everything = with_all_pictures(dataset, folder) if arguments.data else None
    dataset = everything or dataset
    with _restore(folder) as model:
        measured = model.evaluate(dataset.test_images, dataset.test_labels)
        evaluation = evaluation_of(model, dataset, folder, measured) if arguments.report else None
    n = len(dataset.test_labels)
    images = f"all {n:,} pictures" if everything else f"{n:,} test images"
    say(f"{folder} on {images} of {dataset.name}, after {measured['global_step']:,} steps")
    say(f"Test accuracy {TestResult(round(measured['accuracy'] * n), n)}")
    say(f"Test loss {measured['loss']:.4f}")
    if evaluation is not None:
        say(f"Report: {write_report(evaluation, arguments.report)}")


def _predict(arguments: argparse.Namespace) -> int:
    from .predict import predict

    with _open_reader(arguments.run) as reader:
        return predict(arguments, reader)


def _export(arguments: argparse.Namespace) -> None:
    with _quiet_import():
        from ..runs.folders import LATEST, run_folder

    folder = run_folder(arguments.run or LATEST)
    images = _some_training_images(folder, arguments) if arguments.format == "tflite-int8" else None
    # So that SIGTERM removes half-written files.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        with _restore(folder) as model:
            path = Path(model.export(arguments.output, arguments.format, representative=images))
    finally:
        signal.signal(signal.SIGTERM, before)
    n_bytes = sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
    say(f"{path}: {folder} as {arguments.format}, {n_bytes:,} bytes")


def _some_training_images(folder: Path, arguments: argparse.Namespace) -> np.ndarray:
    """Up to 500 of a run's training images, spread evenly over the set; uint8 [n, pixels]."""
    from ..data.datasets import load_dataset
    from ..runs.description import data_of_run

    dataset = load_dataset(arguments.data or data_of_run(folder, by_name=bool(arguments.data_dir)), arguments.data_dir)
    n = len(dataset.train_images)
    return dataset.train_images[:: -(-n // MAX_REPRESENTATIVE)]


def _download(arguments: argparse.Namespace) -> None:
    from ..data.datasets import download

    for name in arguments.names:
        say(f"{name}: {download(name, arguments.data_dir)}")


def _summary(arguments: argparse.Namespace) -> None:
    with _quiet_import():
        from ..model import DigitCNN
        from ..runs.folders import run_folder

    model = (
        _restore(run_folder(arguments.run)) if arguments.run else DigitCNN(architecture=arguments.architecture or "cnn")
    )
    table = io.StringIO()
    with model, contextlib.redirect_stdout(table):
        model.summary()
    say(*table.getvalue().splitlines())


def _demo(arguments: argparse.Namespace) -> None:
    from ..demo.app import DemoApp
    from ..demo.server import address_of, ending_at_ctrl_c, is_local, listen, open_browser, serve

    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(listen(arguments.host, arguments.port))  # first, so that mistakes show at once
        with ending_at_ctrl_c():
            reader = stack.enter_context(_open_reader(arguments.run))
        address = address_of(listening)
        say(f"The page to draw on: {address}")
        if not is_local(listening):
            say("Every machine that reaches this one can use it.")
        say("Ctrl-C stops it.")
        if not arguments.no_browser:
            open_browser(address)
        serve(DemoApp(reader, arguments.host), listening)
    say("", "Stopped.")


def _open_reader(run: str | None) -> Reader:
    """The reader with a run's weights, the newest run's for 'latest', or without a run those that ship."""
    with _quiet_import():
        from ..reading.reader import Reader
        from ..runs.folders import run_folder

    return Reader.restore(run_folder(run)) if run else Reader.pretrained()


def _examples(arguments: argparse.Namespace) -> None:
    from .examples import copy_examples

    for file in copy_examples(arguments.folder):
        say(file)


def _restore(folder: str | Path) -> DigitCNN:
    with _quiet_import():
        from ..model import DigitCNN

    return DigitCNN.restore(folder)


COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "train": _train,
    "evaluate": _evaluate,
    "search": _search,
    "predict": _predict,
    "export": _export,
    "download": _download,
    "summary": _summary,
    "demo": _demo,
    "examples": _examples,
}
