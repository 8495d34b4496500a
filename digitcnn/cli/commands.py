"""What the commands do. TensorFlow is imported only to compute, so that mistakes are reported at once."""

from __future__ import annotations

import argparse
import contextlib
import io
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .._quiet import quiet_import
from ..training.signals import TERMINATED
from . import ensemble, launch, search
from .ensemble_actions import evaluate_ensemble
from .output import say
from .train import train

if TYPE_CHECKING:
    import numpy as np

    from ..ensemble.ensemble import Ensemble
    from ..model import DigitCNN
    from ..reading.reader import Reader

MAX_REPRESENTATIVE = 500  # training images for an export to int8


def _evaluate(arguments: argparse.Namespace) -> None:
    from ..data.datasets import load_dataset

    if arguments.report:
        from ..report.html import check_report_folder

        check_report_folder(arguments.report)  # raises before anything is computed
    with quiet_import():
        from ..report.html import write_report
        from ..runs.description import data_of_run
        from ..runs.folders import LATEST, run_folder
        from ..runs.result import TestResult
        from .evaluate import evaluation_of, images_of, shifts_in_words, with_all_pictures

    folder = run_folder(arguments.run or LATEST)
    if _is_ensemble(folder):
        if arguments.report:
            raise ValueError(
                "--report: expected the folder of a single model, found an ensemble; see ensemble evaluate"
            )
        evaluate_ensemble(arguments, folder)
        return
    dataset = load_dataset(arguments.data or data_of_run(folder, by_name=bool(arguments.data_dir)), arguments.data_dir)
    everything = with_all_pictures(dataset, folder) if arguments.data else None
    dataset = everything or dataset
    with _restore(folder) as model:
        measured = model.evaluate(dataset.test_images, dataset.test_labels, shifts=arguments.shifts)
        evaluation = evaluation_of(model, dataset, folder, measured, arguments.shifts) if arguments.report else None
    n = len(dataset.test_labels)
    say(f"{folder} on {images_of(dataset, everything)} of {dataset.name}, after {measured['global_step']:,} steps")
    if arguments.shifts:
        say(shifts_in_words(arguments.shifts).capitalize())
    say(f"Test accuracy {TestResult(round(measured['accuracy'] * n), n)}")
    say(f"Test loss {measured['loss']:.4f}")
    if evaluation is not None:
        say(f"Report: {write_report(evaluation, arguments.report)}")


def _predict(arguments: argparse.Namespace) -> int:
    from .bulk import check_options, opened_images, predict_in_bulk
    from .predict import predict

    check_options(arguments)
    with opened_images(arguments) as images, _open_reader(arguments.run, takes_ensembles=images is None) as reader:
        if images is None:
            return predict(arguments, reader)
        predict_in_bulk(arguments, images, reader)
        return 0


def _export(arguments: argparse.Namespace) -> None:
    with quiet_import():
        from ..runs.folders import LATEST, run_folder

    folder = run_folder(arguments.run or LATEST)
    images = _some_training_images(folder, arguments) if arguments.format == "tflite-int8" else None
    # So that SIGTERM removes half-written files.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        with _restore_ensemble(folder) if _is_ensemble(folder) else _restore(folder) as model:
            path = Path(model.export(arguments.output, arguments.format, representative=images))
    finally:
        signal.signal(signal.SIGTERM, before)
    n_bytes = sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
    say(f"{path}: {folder} as {arguments.format}, {n_bytes:,} bytes")


def _some_training_images(folder: Path, arguments: argparse.Namespace) -> np.ndarray:
    """Up to 500 of a run's training images, spread evenly over the set; uint8 [n, pixels]."""
    with quiet_import():
        from ..data.datasets import load_dataset
        from ..ensemble.training_record import data_of_ensemble
        from ..runs.description import data_of_run

    data_of = data_of_ensemble if _is_ensemble(folder) else data_of_run
    dataset = load_dataset(arguments.data or data_of(folder, by_name=bool(arguments.data_dir)), arguments.data_dir)
    n = len(dataset.train_images)
    return dataset.train_images[:: -(-n // MAX_REPRESENTATIVE)]


def _download(arguments: argparse.Namespace) -> None:
    from ..data.datasets import download

    for name in arguments.names:
        say(f"{name}: {download(name, arguments.data_dir)}")


def _summary(arguments: argparse.Namespace) -> None:
    with quiet_import():
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


def _open_reader(run: str | None, *, takes_ensembles: bool = False) -> Reader:
    """The reader with a run's weights, the newest run's for 'latest', or without a run those that ship."""
    with quiet_import():
        from ..ensemble.reading import restore_reader
        from ..reading.reader import Reader
        from ..runs.folders import run_folder

    if not run:
        return Reader.pretrained()
    folder = run_folder(run)
    if not _is_ensemble(folder):
        return Reader.restore(folder)
    if not takes_ensembles:
        raise ValueError(
            f"{folder}: expected the folder of a single model, found an ensemble; digitcnn ensemble distill makes one "
            "network of it"
        )
    return restore_reader(folder)


def _is_ensemble(folder: Path) -> bool:
    with quiet_import():
        from ..ensemble.folder import is_ensemble

    return is_ensemble(folder)


def _restore_ensemble(folder: Path) -> Ensemble:
    with quiet_import():
        from ..ensemble.ensemble import Ensemble

    return Ensemble.restore(folder)


def _examples(arguments: argparse.Namespace) -> None:
    from .examples import copy_examples

    for file in copy_examples(arguments.folder):
        say(file)


def _restore(folder: str | Path) -> DigitCNN:
    with quiet_import():
        from ..model import DigitCNN

    return DigitCNN.restore(folder)


COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "train": train,
    "launch": launch.run,
    "evaluate": _evaluate,
    "search": search.run,
    "ensemble": ensemble.run,
    "predict": _predict,
    "export": _export,
    "download": _download,
    "summary": _summary,
    "demo": _demo,
    "examples": _examples,
}
