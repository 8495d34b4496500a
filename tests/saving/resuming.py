"""Trainings that are interrupted and resumed, as functions and fixtures that tests import."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest

from digitcnn import ARCHITECTURES, DigitCNN

on_posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals, file systems and limits")


def make(kind="softmax", **settings):
    """A small model of an architecture or a recipe, with two epochs and a fixed seed.

    What matters in most tests are folders and steps: `softmax` is made in a third of the time of `cnn`.
    """
    settings = {"random_seed": 3, "batchsize": 50, "epochs": 2, **settings}
    if kind.startswith("recipe "):
        return DigitCNN.from_recipe(kind.removeprefix("recipe "), **settings)
    small = {"conv_1_output_channels": 8, "conv_2_output_channels": 8, "fc_3_output_units": 32}
    return DigitCNN(architecture=kind, **{**(small if ARCHITECTURES[kind].has_widths else {}), **settings})


def state(model):
    """The bytes of all variables, and the history."""
    names = [variable.op.name for variable in model.g.get_collection("variables")]
    values = model.sess.run(model.g.get_collection("variables"))
    return {name: value.tobytes() for name, value in zip(names, values, strict=True)}, model.history.to_csv()


def files(folder):
    """Modification times and bytes of everything in a folder."""
    return {
        file.relative_to(folder): (file.stat().st_mtime_ns, file.is_file() and file.read_bytes())
        for file in sorted(Path(folder).rglob("*"))
        if file.name != ".lock"
    }


def steps_in(folder):
    """Steps of the checkpoints in a folder, sorted."""
    return sorted(int(file.stem.rpartition("-")[2]) for file in Path(folder).glob("model.ckpt-*.json"))


class SimulatedPowerFailure(Exception):
    """Ends a training without any cleaning up."""


@contextlib.contextmanager
def interrupted_at(model, step, action=None):
    """Before training step number `step`, counted from 1 here, run `action`, or simulate a power failure."""
    train_step, calls = model._engine.train_step, 0

    def counted(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == step:
            if action is None:
                raise SimulatedPowerFailure
            action()
        return train_step(*arguments, **options)

    model._engine.train_step = counted
    with pytest.raises(SimulatedPowerFailure) if action is None else contextlib.nullcontext():
        yield


def train(model, few, **options):
    options = {"checkpoint_dir": "run", "checkpoint_every": 2, **options}
    model.train(few, few, verbose=False, **options)


@pytest.fixture(scope="module")
def started_once(few, tmp_path_factory):
    """The folder of a training of two epochs (steps 1 to 6) that a power failure ended after step 4."""
    folder = tmp_path_factory.mktemp("started") / "run"
    with make() as model, interrupted_at(model, 5):
        train(model, few, checkpoint_dir=folder)
    assert steps_in(folder) == [3, 4]  # an epoch ends at step 3
    return folder


@pytest.fixture
def started(started_once):
    """The folder `run`, a copy of that one."""
    shutil.copytree(started_once, "run")


@pytest.fixture(scope="module")
def uninterrupted(few):
    """The final state of a training of two epochs without interruption."""
    with make() as model:
        model.train(few, few, verbose=False)
        return state(model)
