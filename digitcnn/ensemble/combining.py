"""Combines the probabilities of several models, and measures how doubtful their answer is. NumPy alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._validation import check_array
from ..data.arrays import MAX_SUM_ERROR
from ..settings import check_name

MAX_MEMBERS = 1_000
RULES = {
    "mean": "mean of the members' probabilities",
    "confident": "probabilities of the member whose highest one is the highest",
    "majority": "share of the members that vote for each class (plurality voting: the most votes win)",
}


def check_rule(rule: Any) -> str:
    """The name of a rule. Raises ValueError for one that is not in RULES."""
    check_name("rule", rule, tuple(RULES))
    return rule


def check_probabilities(probabilities: Any) -> np.ndarray:
    """Probabilities of several models, float [members, n, classes]. Raises TypeError or ValueError."""
    expected = "probabilities [members, n, classes]"
    found = check_array("probabilities", probabilities, expected)
    if found.dtype.kind != "f":
        raise TypeError(f"probabilities: expected {expected} as floats, found dtype {found.dtype}")
    if found.ndim != 3 or 0 in (found.shape[0], found.shape[2]):
        raise ValueError(f"probabilities: expected shape [members, n, classes], found {list(found.shape)}")
    # Written so that NaN is wrong.
    if not ((found >= 0) & (found <= 1 + MAX_SUM_ERROR)).all():
        raise ValueError("probabilities: expected numbers 0..1, found others")
    if not (np.abs(found.sum(axis=2, dtype=np.float64) - 1) <= MAX_SUM_ERROR).all():
        raise ValueError("probabilities: expected rows that sum to 1, found others")
    return found


def combine(probabilities: np.ndarray, rule: str = "mean") -> np.ndarray:
    """Combine the members' probabilities by a rule of RULES.

    Parameters
    ----------
    probabilities : ndarray of float, shape (members, n, classes)
        Of each member; rows sum to 1.
    rule : str, default 'mean'
        'mean', 'confident' or 'majority'. Of equally confident members the first one answers. A member votes for
        its most probable class, of equals the lowest.

    Returns
    -------
    ndarray of float32, shape (n, classes)
        Rows that sum to 1.

    Raises
    ------
    TypeError, ValueError
        If the probabilities are none, or there is no such rule.
    """
    members = check_probabilities(probabilities)
    check_rule(rule)
    if rule == "mean":
        return members.mean(axis=0, dtype=np.float64).astype(np.float32)
    if rule == "confident":
        surest = members.max(axis=2).argmax(axis=0)
        return members[surest, np.arange(members.shape[1])].astype(np.float32)
    return (_votes(members) / len(members)).astype(np.float32)


def combined_labels(probabilities: np.ndarray, rule: str = "mean") -> np.ndarray:
    """The class that the members answer together.

    Parameters
    ----------
    probabilities : ndarray of float, shape (members, n, classes)
        Of each member; rows sum to 1.
    rule : str, default 'mean'
        As for `combine`. Of classes with as many votes, the one with the highest mean probability wins; of classes
        that are equal in all, the lowest.

    Returns
    -------
    ndarray of int32, shape (n,)
        Labels.
    """
    scores = combine(probabilities, rule)
    if rule == "majority":
        votes = _votes(np.asarray(probabilities))
        is_ahead = votes == votes.max(axis=1, keepdims=True)
        scores = np.where(is_ahead, combine(probabilities, "mean"), -1.0)
    return scores.argmax(axis=1).astype(np.int32)


def _votes(members: np.ndarray) -> np.ndarray:
    """Members that vote for each class, int64 [n, classes]."""
    chosen = members.argmax(axis=2)  # [members, n]
    return (chosen[:, :, np.newaxis] == np.arange(members.shape[2])).sum(axis=0)


def disagreement(probabilities: np.ndarray) -> np.ndarray:
    """Measure how much the members disagree about each image: their Jensen-Shannon divergence.

    It is the entropy of the mean less the mean of the entropies (Lin, "Divergence measures based on the Shannon
    entropy", 1991), and the mutual information between the answer and the member that gives it (Houlsby et al.,
    arXiv:1112.5745). An image on which all members are equally unsure has none.

    Parameters
    ----------
    probabilities : ndarray of float, shape (members, n, classes)
        Of each member; rows sum to 1.

    Returns
    -------
    ndarray of float64, shape (n,)
        In nats: 0 where all members answer alike, at most the logarithm of the number of members or of classes,
        whichever is lower.
    """
    members = check_probabilities(probabilities).astype(np.float64)
    # The difference of two entropies of float32 probabilities may be a rounding error below 0.
    return np.maximum(_entropy(members.mean(axis=0)) - _entropy(members).mean(axis=0), 0.0)


def margin_uncertainty(probabilities: np.ndarray) -> np.ndarray:
    """Measure how narrowly the first class of each image wins, in the members' mean probabilities.

    It is the margin of Scheffer, Decomain and Wrobel, "Active hidden Markov models for information extraction", 2001,
    as a measure that is high where the margin is small.

    Parameters
    ----------
    probabilities : ndarray of float, shape (members, n, classes)
        Of each member; rows sum to 1.

    Returns
    -------
    ndarray of float64, shape (n,)
        1 less the margin between the two highest mean probabilities: 0 where all members are sure of one class, 1
        where two classes are equal.
    """
    means = check_probabilities(probabilities).mean(axis=0, dtype=np.float64)
    highest = np.sort(means, axis=-1)[:, -2:]
    margin = highest[:, -1] - (highest[:, 0] if means.shape[1] > 1 else 0.0)
    return np.clip(1.0 - margin, 0.0, 1.0)


DOUBT_MEASURES = {"margin": margin_uncertainty, "disagreement": disagreement}


def check_measure(measure: Any) -> str:
    """The name of a measure of doubt. Raises ValueError for one that is not in DOUBT_MEASURES."""
    check_name("measure", measure, tuple(DOUBT_MEASURES))
    return measure


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    """In nats, over the last axis; 0 log 0 is 0."""
    logarithms = np.log(np.where(probabilities > 0, probabilities, 1.0))
    return -(probabilities * logarithms).sum(axis=-1)
