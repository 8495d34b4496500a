"""The jobs of a search: settings as `digitcnn train` takes them, folds, digests, files."""

import dataclasses
import json
import math

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from digitcnn.search.folds import fold_of_each, split_fold
from digitcnn.search.jobs import Job, Result, from_json, to_json
from digitcnn.search.plan import Plan, make_jobs, text_of
from digitcnn.search.space import Range

NOTHING = Plan(
    grid={},
    ranges={},
    n_random=None,
    draw_seed=0,
    seeds=(1,),
    n_folds=None,
    n_validation=None,
    recipe=None,
    architecture=None,
    epochs=None,
    steps=None,
)


def jobs_of(digits, **given):
    return make_jobs(dataclasses.replace(NOTHING, **given), digits, 1)


def test_jobs_are_settings_by_seeds_by_folds(digits):
    jobs = jobs_of(digits, grid={"dropout": (0.0, 0.5)}, seeds=(7, 3), n_folds=3)
    assert [(job.settings["dropout"], job.seed, job.fold) for job in jobs] == [
        (dropout, seed, fold) for dropout in (0.0, 0.5) for seed in (7, 3) for fold in (1, 2, 3)
    ]
    assert len({job.digest for job in jobs}) == 12


@pytest.mark.parametrize(
    ("given", "epochs", "steps", "architecture"),
    [
        ({}, 80, None, "cnn"),  # the recipe for few images, as in training
        ({"architecture": "softmax"}, 15, None, "softmax"),
        ({"grid": {"architecture": ("batchnorm",)}}, None, 360, "batchnorm"),  # 30 epochs of 12 steps
        ({"recipe": "fast"}, 2, None, "slim"),
        ({"recipe": "fast", "architecture": "cnn", "epochs": 2}, 2, None, "cnn"),
        ({"architecture": "softmax", "steps": 9}, None, 9, "softmax"),
        ({"grid": {"epochs": (4,)}, "architecture": "softmax"}, 4, None, "softmax"),
    ],
)
def test_other_settings_are_those_of_train(digits, given, epochs, steps, architecture):
    [job] = jobs_of(digits, **given)
    assert job.steps == steps and job.settings["architecture"] == architecture
    assert epochs is None or job.settings["epochs"] == epochs
    assert not {"random_seed", "image_shape", "n_classes"} & set(job.settings)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"grid": {"shift": (1.0, 20.0)}}, "shift=20.0: shift: expected pixels in 0..14, found 20.0"),
        (
            {"grid": {"architecture": ("cnn", "softmax"), "fc_3_output_units": (8,)}},
            "architecture=softmax fc_3_output_units=8: conv_1_output_channels,",
        ),
        ({"n_folds": 200}, "--folds: expected at most 1"),
        ({"n_validation": 1437}, "n_validation: expected a whole number in 0..1436, found 1437"),
        ({"grid": {"epochs": (1,)}, "steps": 3}, "epochs: expected to be searched or to be given once, found both"),
        ({"grid": {"dropout": (0.1,)}, "ranges": {"dropout": Range(0, 0.5, False)}}, "expected values or a range"),
        ({"ranges": {"dropout": Range(0, 0.5, False)}}, "--range: expected --random N beside it"),
        ({"seeds": tuple(range(100_001))}, "search: expected at most 100,000 jobs, found 100,001"),
    ],
)
def test_mistake_is_named_before_anything_is_trained(digits, given, message):
    with pytest.raises(ValueError) as raised:
        jobs_of(digits, **given)
    assert message in str(raised.value)


def test_digest_depends_on_each_field(digits):
    [job] = jobs_of(digits)
    others = {
        "data_sha256": "0" * 64,
        "settings": job.settings | {"dropout": 0.25},
        "steps": 7,
        "seed": 2,
        "fold": 1,
        "n_folds": 3,
        "n_validation": 1,
        "threads": 2,
    }
    assert others.keys() == {field.name for field in dataclasses.fields(Job)}
    digests = {dataclasses.replace(job, **{name: value}).digest for name, value in others.items()}
    assert len(digests | {job.digest}) == 9


def test_folds_are_stratified_even_and_each_image_is_validated_once(digits):
    labels = digits.train_labels
    folds = fold_of_each(labels, 5)
    assert np.ptp(np.bincount(folds)) <= 1
    for label in range(10):
        assert np.ptp(np.bincount(folds[labels == label], minlength=5)) <= 1
    theirs = [len(test) for _, test in StratifiedKFold(5).split(labels, labels)]
    assert sorted(np.bincount(folds)) == sorted(theirs)
    seen = [split_fold(np.arange(len(labels))[:, None], labels, 5, fold) for fold in range(1, 6)]
    assert sorted(np.concatenate([validation.images[:, 0] for _, validation in seen])) == list(range(len(labels)))
    for training, validation in seen:
        assert set(training.images[:, 0]).isdisjoint(validation.images[:, 0])
        assert (labels[validation.images[:, 0]] == validation.labels).all()


def make_result(**given):
    known = {
        "accuracy": 0.5,
        "loss": math.nan,
        "steps": 3,
        "weights_sha256": "a" * 64,
        "history": [[0.5, math.inf, 0.25], [1.0, 0.125, 0.5]],
        "machine": {"cpu": "x", "gpu": False},
        "seconds": 1.25,
        "worker": "here 1",
    }
    return Result(**(known | given))


def test_result_is_read_as_it_was_written(digits):
    [job] = jobs_of(digits)
    result = make_result()
    read = from_json(to_json(job, result), job)
    assert repr(read) == repr(result)  # NaN equals nothing


@pytest.mark.parametrize("change", ["truncated", "another job", "NaN", "unknown field"])
def test_damaged_result_is_refused(digits, change):
    [job] = jobs_of(digits)
    content = to_json(job, make_result())
    if change == "truncated":
        content = content[:-20]
    elif change == "another job":
        job = dataclasses.replace(job, seed=9)
    elif change == "NaN":
        content = content.replace(b"0.125", b"NaN")
    else:
        content = json.dumps(json.loads(content) | {"more": 1}).encode()
    with pytest.raises((TypeError, ValueError)):
        from_json(content, job)


def test_text_of_settings_can_be_typed_again():
    assert text_of({"dropout": 0.0, "shuffle": False, "architecture": "cnn"}) == (
        "dropout=0 shuffle=false architecture=cnn"
    )
