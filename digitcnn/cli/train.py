"""`digitcnn train`: a new run, one that is resumed, or a worker's part in another one's."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._quiet import quiet_import
from ..cluster.hosts import Cluster, Place
from ..exceptions import FolderInUseError, WorkerLostError
from ..graph.architectures import ARCHITECTURES
from ..recipes import FINE_TUNING, SMALL_TRAINING_SET, recipe_settings
from ..settings import MAX_TO_KEEP, declarations
from .cluster import cluster_of
from .output import remark, say, shell_quoted

if TYPE_CHECKING:
    from ..data.datasets import Dataset
    from ..model import DigitCNN

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


def train(arguments: argparse.Namespace) -> None:
    """Train as the options say, alone or as one of a cluster's workers."""
    if arguments.summaries:
        arguments.summaries = sorted(set(arguments.summaries))
    cluster = cluster_of(arguments)
    if cluster is not None and cluster.index == 0 and arguments.run and _has_run(arguments.run):
        arguments.resume = arguments.run  # this worker was started again
    if arguments.resume is not None:
        _resume(arguments, cluster)
        return
    from ..data.datasets import default_validation, load_dataset

    dataset = load_dataset(arguments.data or "bundled", arguments.data_dir)
    n_validation = arguments.validation
    if n_validation is None:
        n_validation = default_validation(len(dataset.train_images))
    dataset.split(n_validation)  # raises before anything is written
    with quiet_import():
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
        if cluster is not None and cluster.index > 0:
            plan = {"n_validation": n_validation, "start": arguments.start, "steps": arguments.steps or steps}
            _join(model, dataset, plan, arguments, cluster)
            return
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
        _run(model, dataset, folder, describe(model, dataset, options), arguments, cluster)


def _has_run(folder: str) -> bool:
    with quiet_import():
        from ..runs.description import SETTINGS_FILE

    return (Path(folder) / SETTINGS_FILE).exists()


def _make_model(settings: dict[str, Any], start: str | None) -> DigitCNN:
    """A model without weights or, to start from them, with those that ship."""
    from ..model import DigitCNN

    return DigitCNN.pretrained(**settings) if start else DigitCNN(**settings)


def _resume(arguments: argparse.Namespace, cluster: Cluster | None) -> None:
    with quiet_import():
        from ..data.datasets import DATASET_NAMES, load_dataset
        from ..runs.description import check_same_data, data_of_run, read_description
        from ..runs.folders import run_folder
        from ..runs.train_run import record_description

    folder = run_folder(arguments.resume)
    description = read_description(folder)
    recorded = description["settings"] | description | {"validation": description["n_validation"], "run": str(folder)}
    for name in (*SETTINGS, *PLAN, "data"):
        given = getattr(arguments, name)
        if name == "run" and given is not None:
            given = str(Path(given))  # as the folder is named: without a final slash
        if name == "data" and given not in DATASET_NAMES:
            continue  # a folder: its content is compared below
        if given is not None and given != recorded.get(name):
            raise ValueError(
                f"{folder}: expected {name}={recorded.get(name)!r}, with which this run began, found {given!r}; "
                "--resume needs no other option, but --data if the data have moved"
            )
    is_complete = "test" in description
    is_chief = cluster is None or cluster.index == 0
    if not is_complete or arguments.data or arguments.data_dir:
        data = arguments.data or data_of_run(folder, by_name=bool(arguments.data_dir))
        dataset = load_dataset(data, arguments.data_dir)
        moved = check_same_data(folder, description, dataset)
        if moved["data_folder"] != description["data_folder"]:
            description = moved
            if is_complete and is_chief:
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
        if cluster is not None and not is_chief:
            _join(model, dataset, description, arguments, cluster)
        else:
            _run(model, dataset, folder, description, arguments, cluster)


def _join(
    model: DigitCNN, dataset: Dataset, plan: dict[str, Any], arguments: argparse.Namespace, cluster: Cluster
) -> None:
    """Train with worker 0, which writes the run; plan: n_validation, start and steps of a run's description."""
    training_set, validation_set = dataset.split(plan["n_validation"])
    if not arguments.quiet:
        say(f"Worker {cluster.index} of {cluster.n_workers}, listening on {cluster.address}; worker 0 writes the run")
    model.train(
        training_set,
        validation_set,
        initialize=plan["start"] is None,
        steps=plan["steps"],
        verbose=False if arguments.quiet else "lines",
        cluster=cluster,
        devices=arguments.devices or 1,
    )
    if not arguments.quiet:
        say(f"Worker {cluster.index}: trained to step {model.global_step:,}, weights sha256: {model.weights_sha256()}")


def _run(
    model: DigitCNN,
    dataset: Dataset,
    folder: Path,
    description: dict[str, Any],
    arguments: argparse.Namespace,
    cluster: Cluster | None,
) -> None:
    from ..data.datasets import HANDS
    from ..runs.train_run import train_run

    if not arguments.quiet:
        say(
            f"Training {model.architecture!r} ({model.n_parameters:,} parameters) in {model.computes_in} "
            f"on {description['data']!r}: "
            f"{description['n_training']:,} images to train on, {description['n_validation']:,} to validate, "
            f"{len(dataset.test_images):,} to test; seed {model.random_seed}"
        )
        if cluster is not None:
            say(f"Worker 0 of {cluster.n_workers}, listening on {cluster.address}")
    named = shell_quoted(folder)
    try:
        description = train_run(
            model,
            dataset,
            folder,
            description,
            resume=arguments.resume is not None,
            verbose=not arguments.quiet,
            place=Place(cluster, arguments.devices or 1),
        )
    except (KeyboardInterrupt, SystemExit, OSError, MemoryError) as error:
        saved = any(folder.glob("model.ckpt-*.json"))
        what = f"the training so far is saved in {folder}" if saved else "nothing is saved yet"
        if not isinstance(error, (OSError, MemoryError)):
            remark("", f"Interrupted; {what}")
        if saved and not isinstance(error, (FolderInUseError, FileExistsError, WorkerLostError)):
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
