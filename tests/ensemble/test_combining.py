"""Rules and disagreement, by numbers made by hand."""

import numpy as np
import pytest

from digitcnn.ensemble.combining import RULES, combine, combined_labels, disagreement, margin_uncertainty

# Three members, five images, three classes.
MEMBERS = np.array(
    [
        [[0.6, 0.4, 0.0], [0.9, 0.1, 0.0], [0.5, 0.3, 0.2], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]],
        [[0.6, 0.4, 0.0], [0.2, 0.8, 0.0], [0.1, 0.8, 0.1], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]],
        [[0.0, 1.0, 0.0], [0.2, 0.8, 0.0], [0.1, 0.0, 0.9], [0.5, 0.0, 0.5], [1.0, 0.0, 0.0]],
    ],
    np.float32,
)
LABELS = {
    # Image 3: all classes have a mean of 1/3, and the lowest is the answer.
    "mean": [1, 1, 2, 0, 0],
    "confident": [1, 0, 2, 0, 0],
    # Image 2: one vote for each class, and class 2 has the highest mean. Image 3: votes for 0, 1 and 0.
    "majority": [0, 1, 2, 0, 0],
}
FIRST_ROW = {"mean": [0.4, 0.6, 0.0], "confident": [0.0, 1.0, 0.0], "majority": [2 / 3, 1 / 3, 0.0]}


@pytest.mark.parametrize("rule", RULES)
def test_rules_by_hand(rule):
    combined = combine(MEMBERS, rule)
    assert combined.dtype == np.float32 and combined.shape == (5, 3)
    np.testing.assert_allclose(combined[0], FIRST_ROW[rule], atol=1e-6)
    np.testing.assert_allclose(combined.sum(axis=1), 1, atol=1e-6)
    labels = combined_labels(MEMBERS, rule)
    assert labels.dtype == np.int32 and labels.tolist() == LABELS[rule]


def test_ties_are_broken_as_documented():
    even = np.array([[[0.7, 0.3, 0.0]], [[0.2, 0.8, 0.0]]], np.float32)
    assert combined_labels(even, "majority").tolist() == [1], "as many votes: the highest mean"
    same = np.array([[[0.2, 0.8, 0.0]], [[0.8, 0.2, 0.0]]], np.float32)
    assert combined_labels(same, "confident").tolist() == [1], "equally confident: the first member"
    assert combined_labels(same, "majority").tolist() == [0], "equal in all: the lowest class"
    assert combined_labels(same, "mean").tolist() == [0]


@pytest.mark.parametrize("rule", RULES)
def test_one_member_answers_alone(rule):
    one = MEMBERS[:1, :3]
    assert combined_labels(one, rule).tolist() == one[0].argmax(axis=1).tolist()
    if rule != "majority":
        np.testing.assert_array_equal(combine(one, rule), one[0])


def test_disagreement_by_hand():
    found = disagreement(MEMBERS)
    assert found.shape == (5,) and found.dtype == np.float64
    assert found[4] == 0
    # Mean (1/3, 1/3, 1/3), each member's entropy is log 2.
    assert found[3] == pytest.approx(np.log(3) - np.log(2))
    opposed = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert disagreement(opposed) == pytest.approx([np.log(2)]), "the highest of two members"
    unsure = np.full((4, 1, 10), 0.1)
    assert disagreement(unsure) == pytest.approx([0], abs=1e-12), "all unsure, but alike"


def test_disagreement_is_the_mean_divergence_from_the_mean(rng):
    """The other form of the same number: the mean Kullback-Leibler divergence of the members from their mean."""
    members = rng.dirichlet(np.full(5, 0.3), size=(7, 40)) + 1e-9
    members /= members.sum(axis=2, keepdims=True)
    divergence = (members * np.log(members / members.mean(axis=0))).sum(axis=2).mean(axis=0)
    np.testing.assert_allclose(disagreement(members), divergence, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(disagreement(members[::-1]), divergence, rtol=1e-9, atol=1e-12)


def test_margin_uncertainty_by_hand():
    """One class is sure, two are equal, and the members' mean decides."""
    members = np.array([[[1, 0, 0], [0.5, 0.5, 0], [0.9, 0.1, 0]], [[1, 0, 0], [0.5, 0.5, 0], [0.5, 0.3, 0.2]]])
    assert margin_uncertainty(members) == pytest.approx([0, 1, 0.5])
    assert margin_uncertainty(np.ones((2, 4, 1))).tolist() == [0, 0, 0, 0], "one class always wins"


BAD = {
    "one model's": (MEMBERS[0], ValueError, r"expected shape \[members, n, classes\], found \[5, 3\]"),
    "no member": (MEMBERS[:0], ValueError, "expected shape"),
    "whole numbers": (MEMBERS.astype(int), TypeError, "found dtype int64"),
    "NaN": (np.full((2, 1, 3), np.nan), ValueError, r"expected numbers 0\.\.1"),
    "negative": (np.array([[[1.5, -0.5]]]), ValueError, r"expected numbers 0\.\.1"),
    "logits": (np.array([[[0.5, 0.1]]]), ValueError, "expected rows that sum to 1"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_probability_raises(kind):
    probabilities, error, message = BAD[kind]
    for function in (combine, combined_labels, disagreement, margin_uncertainty):
        with pytest.raises(error, match=f"probabilities: .*{message}"):
            function(probabilities)


def test_unknown_rule_raises():
    with pytest.raises(ValueError, match="rule: expected one of mean, confident, majority, found 'mode'"):
        combine(MEMBERS, "mode")
