"""A training that is resumed with other settings, data or on another machine raises or warns."""

import contextlib
import warnings
from pathlib import Path

import pytest
from resuming import files, interrupted_at, make, started, started_once, state, train, uninterrupted

from digitcnn import DigitCNN, ResumeError
from digitcnn.engine.machine import this_machine
from digitcnn.exceptions import DigitCNNWarning


def other_pixels(few):
    X = few[0].copy()
    X[7, 300] ^= 1
    return X, few[1]


def other_labels(few):
    y = few[1].copy()
    y[0] = (y[0] + 1) % 10
    return few[0], y


DIFFERENCES = {
    "batchsize": ({"batchsize": 25}, {}, "expected batchsize=50.*found 25"),
    "dropout": ({"dropout": 0.25}, {}, "expected dropout=0.5.*found 0.25"),
    "learning rate": ({"learning_rate": 1e-3}, {}, "expected learning_rate=0.0001.*found 0.001"),
    "seed": ({"random_seed": 4}, {}, "expected random_seed=3.*found 4"),
    "shuffle": ({"shuffle": False}, {}, "expected shuffle=True.*found False"),
    "warps": ({"rotation": 5.0}, {}, "expected rotation=0.0.*found 5.0"),
    "architecture": ({"kind": "slim"}, {}, "expected architecture='softmax'.*found 'slim'"),
    "epochs": ({}, {"epochs": 3}, "expected epochs=2.*found 3"),
    "steps": ({}, {"steps": 6}, "expected epochs=2.*found None"),
    "initialize": ({}, {"initialize": False}, "expected initialize=True.*found False"),
    "pixels": ({}, {"training_set": other_pixels}, "expected training_set='sha256 .*found 'sha256"),
    "labels": ({}, {"training_set": other_labels}, "expected training_set='sha256 .*found 'sha256"),
    "validation": ({}, {"validation_set": other_labels}, "expected validation_set='sha256"),
    "no validation": ({}, {"validation_set": lambda few: None}, "expected validation_set=.*found None"),
}


@pytest.fixture(scope="module")
def same_settings():
    """A model with the settings of the training that was started."""
    with make() as model:
        yield model


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_resume_another_setting_raises(started_once, few, same_settings, difference):
    settings, options, message = DIFFERENCES[difference]
    before = files(started_once)
    options = {"training_set": lambda few: few, "validation_set": lambda few: few, **options}
    sets = {name: options.pop(name)(few) for name in ("training_set", "validation_set")}
    with make(**settings) if settings else contextlib.nullcontext(same_settings) as model:
        model.sess.run(model.init_op)
        weights = state(model)
        with pytest.raises(ResumeError, match=f"model.ckpt-4.json: {message}"):
            model.train(**sets, **options, verbose=False, checkpoint_dir=started_once, resume=True)
        assert state(model) == weights
    assert files(started_once) == before


def test_resume_another_precision_raises(started, few, monkeypatch):
    with make() as model:
        monkeypatch.setattr(model._engine, "computes_in", "float8")
        with pytest.raises(ResumeError, match="expected computes_in='(bfloat16|float32)'.*found 'float8'"):
            train(model, few, resume=True)


def test_resume_on_another_machine_warns(started, few, uninterrupted, monkeypatch):
    """Its sums may round differently, so training continues with a warning."""
    machine = this_machine()
    monkeypatch.setattr("digitcnn.training.trainer.this_machine", lambda: {**machine, "n_cpus": 999})
    with make() as model:
        with pytest.warns(
            DigitCNNWarning, match=f"n_cpus: expected {machine['n_cpus']}, with which this training began, found 999"
        ):
            train(model, few, resume=True)
        assert state(model) == uninterrupted  # it really is the same machine


def test_resume_with_a_drawn_seed(few):
    with make(random_seed=None) as model, interrupted_at(model, 5):
        train(model, few)
    with make(random_seed=None) as model, pytest.raises(ResumeError, match="expected random_seed="):
        train(model, few, resume=True)
    with DigitCNN.restore("run") as model:
        train(model, few, resume=True)
        assert model.global_step == 6


def test_bad_checkpoint_arguments_raise(few):
    with make() as model:
        for options, error, message in (
            ({"checkpoint_every": 5}, ValueError, "checkpoint_every: expected a checkpoint_dir"),
            ({"resume": True}, ValueError, "resume: expected a checkpoint_dir"),
            ({"checkpoint_dir": "run", "checkpoint_every": 0}, ValueError, "checkpoint_every: expected a whole number"),
            (
                {"checkpoint_dir": "run", "checkpoint_every": 1.5},
                TypeError,
                "checkpoint_every: expected a whole number",
            ),
            ({"checkpoint_dir": "run", "max_to_keep": 0}, ValueError, "max_to_keep: expected a whole number"),
            ({"checkpoint_dir": "run", "resume": "yes"}, TypeError, "resume: expected True or False"),
            ({"checkpoint_dir": 7}, TypeError, "checkpoint_dir: expected a path"),
        ):
            with pytest.raises(error, match=message):
                model.train(few, verbose=False, **options)
    assert not Path("run").exists()


def test_resume_on_the_same_machine_does_not_warn(started, few):
    with make() as model, warnings.catch_warnings():
        warnings.simplefilter("error")
        train(model, few, resume=True)
