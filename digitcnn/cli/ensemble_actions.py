"""What `digitcnn ensemble train | evaluate | distill` do, and what they print."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._quiet import quiet_import
from .output import remark, say, shell_quoted
from .search import ending_at_sigterm

if TYPE_CHECKING:
    from ..data.datasets import Dataset
    from ..ensemble.ensemble import Ensemble

REJECTED = 0.05  # part of the images for which `evaluate` prints what is left


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings of --set. Raises ValueError for one that is given twice."""
    settings: dict[str, Any] = {}
    for name, value in arguments.set:
        if name in settings:
            raise ValueError(f"--set: expected one value for each setting, found several for {name}")
        settings[name] = value
    return settings


def train(arguments: argparse.Namespace) -> None:
    """Train members, or those that a kill has left, and test the ensemble."""
    from ..data.datasets import load_dataset

    settings = _settings(arguments)
    dataset = load_dataset(arguments.data or "bundled", arguments.data_dir)
    with quiet_import():
        from ..ensemble.ensemble import Ensemble
        from ..ensemble.plan import EnsemblePlan
        from ..ensemble.training import train_members
    plan = EnsemblePlan(
        n_members=arguments.members,
        random_seed=arguments.seed,
        rule=arguments.rule or "mean",
        recipe=arguments.recipe,
        architectures=tuple(arguments.architectures),
        epochs=arguments.epochs,
        steps=arguments.steps,
        n_validation=arguments.validation,
        settings=settings,
    )
    if not arguments.quiet:
        say(f"Training {plan.n_members} members on {dataset.name!r}: {len(dataset.train_images):,} training images")
    with _resumable(), ending_at_sigterm() if arguments.jobs > 1 else contextlib.nullcontext():
        train_members(
            arguments.out,
            dataset,
            plan,
            n_jobs=arguments.jobs,
            threads=arguments.threads,
            checkpoint_every=arguments.checkpoint_every,
            verbose=not arguments.quiet,
        )
    named = shell_quoted(arguments.out)
    if not arguments.quiet:
        say("Next:", f"  digitcnn predict --run {named} PICTURE.png    read your own digit")
        say(f"  digitcnn ensemble distill --run {named} --out DIR    make one network of it")
    with Ensemble.restore(arguments.out) as ensemble:
        _report(ensemble, dataset, arguments.out)


def evaluate(arguments: argparse.Namespace) -> None:
    """Test an ensemble, by its own rule or another one."""
    evaluate_ensemble(arguments, arguments.run, rule=arguments.rule, plots=arguments.plots)


def evaluate_ensemble(
    arguments: argparse.Namespace, folder: str | Path, *, rule: str | None = None, plots: str | None = None
) -> None:
    """Test the ensemble in a folder, and print the result.

    Parameters
    ----------
    arguments : Namespace
        Its `data` and `data_dir` say what to test on, its `shifts` how each image is read.
    folder : str or Path
        The ensemble's.
    rule : str, optional
        In place of the ensemble's own.
    plots : str, optional
        Folder for doubts.png and rejection.png.
    """
    with quiet_import():
        from ..ensemble.ensemble import Ensemble
        from ..ensemble.training_record import read_training
        from .evaluate import with_all_pictures
    if plots is not None:
        _check_folder(plots)
    dataset = _dataset(arguments, folder)
    everything = with_all_pictures(dataset, Path(folder), read_training) if arguments.data else None
    with Ensemble.restore(folder) as ensemble:
        ensemble.rule = rule or ensemble.rule
        _report(ensemble, dataset, folder, everything=everything, plots=plots, shifts=arguments.shifts)


def _dataset(arguments: argparse.Namespace, folder: str | Path) -> Dataset:
    """The data set of --data, or that of the ensemble in a folder."""
    from ..data.datasets import load_dataset

    with quiet_import():
        from ..ensemble.training_record import data_of_ensemble
    data = arguments.data or data_of_ensemble(folder, by_name=bool(arguments.data_dir))
    return load_dataset(data, arguments.data_dir)


def _report(
    ensemble: Ensemble,
    dataset: Dataset,
    folder: str | Path,
    *,
    everything: Dataset | None = None,
    plots: str | None = None,
    shifts: int = 0,
) -> None:
    """Test on a data set's test images or, of pictures that are new to the ensemble, on `everything`; print it."""
    import numpy as np

    from ..data.arrays import LabelledImages
    from ..ensemble.combining import combined_labels, disagreement, margin_uncertainty
    from ..report.measures import rejection_curve
    from ..runs.result import TestResult
    from .evaluate import images_of, shifts_in_words

    dataset = everything or dataset
    pair = dataset.test_images, dataset.test_labels
    examples = LabelledImages.check(pair, "X, y", ensemble.image_shape, ensemble.n_classes)
    X, y = examples.images, examples.classes
    probabilities = ensemble.member_probabilities(X, shifts=shifts)
    predictions = combined_labels(probabilities, ensemble.rule)
    disagreements, doubt = disagreement(probabilities), margin_uncertainty(probabilities)
    is_right = predictions == y
    members = (probabilities.argmax(axis=2) == y).mean(axis=1)
    data = Path(dataset.name).name
    say(f"{folder}: {len(ensemble)} members, rule {ensemble.rule}, on {images_of(dataset, everything)} of {data}")
    if shifts:
        say(shifts_in_words(shifts).capitalize())
    say(f"Members alone: mean {members.mean():.2%}, lowest {members.min():.2%}, highest {members.max():.2%}")
    say(f"Test accuracy {TestResult(int(is_right.sum()), len(y))}")
    means = [f"{disagreements[part].mean():.4f}" if part.any() else "-" for part in (is_right, ~is_right)]
    say(f"Disagreement in nats, mean: {means[0]} where right, {means[1]} where wrong")
    kinds = {
        "whose first class by the mean wins most narrowly": doubt,
        "that the members disagree about most": disagreements,
    }
    for kind, measured in kinds.items():
        rejected, accuracies = rejection_curve(is_right, measured)
        last = int(np.flatnonzero(rejected <= REJECTED)[-1])
        say(f"Without the {rejected[last]:.1%} {kind}: {accuracies[last]:.2%}")
    if plots is not None:
        from ..report.doubts import write_doubts

        images = X.reshape(len(y), *dataset.image_shape)
        for file in write_doubts(Path(plots), images, y, predictions, doubt):
            say(file)


def _check_folder(folder: str) -> None:
    """Raise an OSError, before anything is computed, if plots cannot be written into a folder."""
    from ..report.html import check_report_folder

    check_report_folder(folder)


def distill(arguments: argparse.Namespace) -> None:
    """Train one network on an ensemble's answers, and test it."""
    from ..data.datasets import default_validation

    with quiet_import():
        from ..ensemble.ensemble import Ensemble
        from ..ensemble.plan import EnsemblePlan
        from ..runs.result import TestResult
    dataset = _dataset(arguments, arguments.run)
    plan = EnsemblePlan(
        n_members=1,
        random_seed=arguments.seed,
        recipe=arguments.recipe,
        architectures=(arguments.architecture,) if arguments.architecture else (),
        epochs=arguments.epochs,
        n_validation=arguments.validation,
        settings=_settings(arguments),
    )
    settings = plan.student_settings(dataset)
    training, validation = dataset.split(arguments.validation or default_validation(len(dataset.train_images)))
    with Ensemble.restore(arguments.run) as ensemble:
        if not arguments.quiet:
            n = arguments.copies
            also = f", and {n} warped {'copy' if n == 1 else 'copies'} of each" if n else ""
            images = f"{len(training[1]):,} images{also}"
            say(f"Distilling {len(ensemble)} members into {settings['architecture']!r}: {images}")
        with _resumable():
            student = ensemble.distill(
                training,
                validation,
                temperature=arguments.temperature,
                weight=arguments.weight,
                copies=arguments.copies,
                checkpoint_dir=arguments.out,
                checkpoint_every=arguments.checkpoint_every,
                verbose=not arguments.quiet,
                **settings,
            )
        with student:
            measured = student.evaluate(dataset.test_images, dataset.test_labels)
            digest = student.weights_sha256()
    n = len(dataset.test_labels)
    if not arguments.quiet:
        say("Next:", f"  digitcnn predict --run {shell_quoted(arguments.out)} PICTURE.png    read your own digit")
    say(f"Test accuracy {TestResult(round(measured['accuracy'] * n), n)}")
    say(f"weights sha256: {digest}")


@contextlib.contextmanager
def _resumable() -> Iterator[None]:
    """Say at an interruption that the same command resumes."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        remark("", "Interrupted; the same command resumes")
        raise
