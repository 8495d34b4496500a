"""Tell numbers from words and signs, by the size of their characters and by how much each looks like a digit."""

from __future__ import annotations

from itertools import combinations

import numpy as np

# The probability at which a character speaks neither for a digit nor against it. With a network trained on digits
# alone, most letters are below and 95% of digits above.
NEUTRAL = 0.945
# The logarithm of odds that one character adds or takes at most.
MAX_EVIDENCE = 3.0
# Heights differ by this, in logarithms, within one hand; what differs by more loses SIZE_COST for each unit more.
SAME_SIZE, SIZE_COST = 0.2, 8.0
# Of its height the widest bracket; times what it encloses the lowest.
BRACKET_WIDTH, BRACKET_HEIGHT = 0.45, 1.15
# How much the rest of the row counts for a number in it.
ROW_SHARE = 0.3
SHARES = (-1.5, 8.0)
# What a character counts without a judge: a little for a digit, so that size alone decides.
UNJUDGED = 0.97


def are_numbers(
    rows: list[list[list[int]]], boxes: np.ndarray, scores: np.ndarray, is_cut: np.ndarray
) -> list[list[float]]:
    """Whether each group of each row is a number.

    Parameters
    ----------
    rows : list of list of list of int
        Numbers of the characters in each group of each row.
    boxes : ndarray of int, shape (n, 4)
        Of the characters: left, top, right, bottom.
    scores : ndarray of float, shape (n,)
        How much each is like a digit, in 0..1.
    is_cut : ndarray of bool, shape (n,)
        Whether each was cut off something.

    Returns
    -------
    list of list of float
        What speaks for each group; a number if above 0.
    """
    if not len(boxes):
        return []
    probability = np.clip(scores, 1e-3, 1 - 1e-3)
    neutral = np.log(NEUTRAL / (1 - NEUTRAL))
    looks = np.clip(np.log(probability / (1 - probability)) - neutral, -MAX_EVIDENCE, MAX_EVIDENCE)
    heights = (boxes[:, 3] - boxes[:, 1]).astype(float)
    sizes = np.zeros(len(boxes))
    groups = [group for row in rows for group in row]
    totals = np.array([looks[group].sum() for group in groups])
    sure = [group for group, total in zip(groups, totals, strict=True) if total > 0] or groups
    usual = float(np.median(np.concatenate([heights[group] for group in sure])))
    for group in groups:
        off = abs(np.log(np.median(heights[group]) / usual))
        sizes[group] = -SIZE_COST * max(off - SAME_SIZE, 0)
    evidence = looks + sizes
    for group in groups:
        evidence[_in_brackets(group, boxes, is_cut | (scores < NEUTRAL))] = -MAX_EVIDENCE
    kept = []
    for row in rows:
        own = [_of_group(evidence[group]) for group in row]
        shares = np.clip(own, *SHARES)
        # A word beside numbers gains nothing from them, if it is smaller or larger.
        gains = [
            min(shares.sum() - own, 0) if sizes[group[0]] else shares.sum() - own
            for group, own in zip(row, shares, strict=True)
        ]
        kept.append([float(one + ROW_SHARE * gain) for one, gain in zip(own, gains, strict=True)])
    return kept


def _in_brackets(group: list[int], boxes: np.ndarray, may_be_sign: np.ndarray) -> list[int]:
    """The brackets of a group, which look like a 1 each, and what they enclose, if that may be a sign; else nothing."""
    widths, heights = (boxes[group, 2:] - boxes[group, :2]).T.astype(float)
    narrow = np.flatnonzero(widths <= BRACKET_WIDTH * heights)
    for left, right in combinations(narrow.tolist(), 2):
        inside = group[left + 1 : right]
        is_lower = heights[left + 1 : right].max(initial=0) * BRACKET_HEIGHT <= min(heights[left], heights[right])
        if inside and may_be_sign[inside].all() and is_lower:
            return group[left : right + 1]
    return []


def _of_group(evidence: np.ndarray) -> float:
    """What the characters of a group say together; among three or more, the worst may be a badly written digit."""
    return float(evidence.sum() - (0.5 * min(evidence.min(), 0) if len(evidence) >= 3 else 0))
