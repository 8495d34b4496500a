"""The values that a search tries: how they are typed, checked, combined and drawn."""

import itertools

import numpy as np
import pytest

from digitcnn.search.space import Range, drawn_combinations, grid_combinations, parse_range, parse_values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("learning_rate=1e-4,1e-3", ("learning_rate", (1e-4, 1e-3))),
        ("dropout=0, 0.5", ("dropout", (0.0, 0.5))),
        ("batchsize=50", ("batchsize", (50,))),
        ("architecture=cnn,softmax", ("architecture", ("cnn", "softmax"))),
        ("shuffle=true,false", ("shuffle", (True, False))),
        ("schedule=one_cycle", ("schedule", ("one_cycle",))),
    ],
)
def test_grid_values_have_the_setting_s_type(text, expected):
    name, values = parse_values(text)
    assert (name, values) == expected and [type(value) for value in values] == [type(value) for value in expected[1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat=1", "did you mean 'learning_rate'?"),
        ("learning_rate", "expected NAME=VALUE,VALUE,..., found 'learning_rate'"),
        ("learning_rate=", "learning_rate: expected a number above 0 that float32 can hold, found ''"),
        ("learning_rate=0.1,,0.2", "found ''"),
        ("learning_rate=0", "learning_rate: expected a number above 0 that float32 can hold, found 0.0"),
        ("learning_rate=nan", "found nan"),
        ("dropout=1", "dropout: expected a probability of dropping, 0 <= dropout < 1, found 1.0"),
        ("dropout=0,0.0", "dropout: expected each value once, found 0.0 twice"),
        ("batchsize=1.5", "batchsize: expected a whole number in 1..2147483647, found '1.5'"),
        ("batchsize=0", "found 0"),
        ("architecture=cn", "architecture: expected one of cnn, softmax"),
        ("shuffle=yes", "shuffle: expected one of true, false, found 'yes'"),
        ("random_seed=1,2", "random_seed: expected a setting that can be searched, found another: give --seeds"),
        ("image_shape=28", "it is read from the data"),
    ],
)
def test_grid_mistake_is_named(text, message):
    with pytest.raises(ValueError) as raised:
        parse_values(text)
    assert message in str(raised.value)


def test_range_texts():
    assert parse_range("learning_rate=1e-4..1e-2:log") == ("learning_rate", Range(1e-4, 1e-2, True))
    assert parse_range("batchsize=32..256") == ("batchsize", Range(32, 256, False))
    assert str(parse_range("shift=0..2.5")[1]) == "0.0..2.5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate=1e-4", "learning_rate: expected LOW..HIGH or LOW..HIGH:log, found '1e-4'"),
        ("learning_rate=1e-4..1e-2:lin", "expected LOW..HIGH or LOW..HIGH:log"),
        ("learning_rate=1e-4..1e-2:", "expected LOW..HIGH or LOW..HIGH:log"),
        ("learning_rate=1e-2..1e-4", "expected a lower number before .., found '1e-2..1e-4'"),
        ("dropout=0..0.5:log", "dropout: expected numbers above 0 for :log"),
        ("dropout=0.5..2", "dropout: expected a probability"),
        ("batchsize=1.5..3", "batchsize: expected a whole number"),
        ("architecture=cnn..softmax", "architecture: expected a setting that is a number, found one that is none"),
        ("shuffle=false..true", "shuffle: expected a setting that is a number"),
        ("seed=1..2", "expected one of"),
    ],
)
def test_range_mistake_is_named(text, message):
    with pytest.raises(ValueError) as raised:
        parse_range(text)
    assert message in str(raised.value)


def test_grid_combinations_are_the_product_in_order():
    grid = {"dropout": (0.0, 0.5), "batchsize": (10, 20, 30)}
    combinations = grid_combinations(grid)
    assert [tuple(found.values()) for found in combinations] == list(itertools.product(*grid.values()))
    assert grid_combinations({}) == [{}]


def test_grid_too_large_is_refused_before_it_is_listed():
    with pytest.raises(ValueError, match=r"--grid: expected at most 10,000 combinations, found 1,006,"):
        grid_combinations({name: tuple(range(1001)) for name in "abcdef"})


def test_draws_are_a_function_of_the_seed_and_differ():
    grid, ranges = {"dropout": (0.0, 0.5)}, {"learning_rate": Range(1e-4, 1e-2, True), "batchsize": Range(8, 64, True)}
    drawn = drawn_combinations(grid, ranges, 200, 3)
    assert drawn == drawn_combinations(grid, ranges, 200, 3) != drawn_combinations(grid, ranges, 200, 4)
    assert len({tuple(found.values()) for found in drawn}) == 200
    rates = np.array([found["learning_rate"] for found in drawn])
    assert rates.min() >= 1e-4 and rates.max() <= 1e-2
    assert 0.35 < np.mean(rates < 1e-3) < 0.65, "as many below the middle of the logarithms as above"
    assert all(rate == float(f"{rate:.4g}") for rate in rates)
    sizes = [found["batchsize"] for found in drawn]
    assert all(type(size) is int and 8 <= size <= 64 for size in sizes) and len(set(sizes)) > 20
    assert {found["dropout"] for found in drawn} == {0.0, 0.5}


def test_whole_numbers_are_drawn_evenly_with_both_ends():
    drawn = [Range(3, 5, False).draw(np.random.default_rng(seed)) for seed in range(300)]
    assert [70 < drawn.count(number) < 130 for number in (3, 4, 5)] == [True] * 3 and len(drawn) == 300


def test_more_draws_than_there_are_is_refused():
    assert len(drawn_combinations({"dropout": (0.0, 0.5)}, {}, 2, 0)) == 2
    with pytest.raises(ValueError, match="--random: .* found 3 and about 2 different ones"):
        drawn_combinations({"dropout": (0.0, 0.5)}, {}, 3, 0)
