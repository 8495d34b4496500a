"""Tell numbers from words and signs, by the size of their characters and by how much each looks like a digit."""

from __future__ import annotations

import numpy as np

# The probability at which a character speaks neither for a digit nor against it. With a network trained on digits
# alone, most letters are below and 95% of digits above.
NEUTRAL = 0.93
# The logarithm of odds that one character adds or takes at most.
MOST = 3.0
# Heights differ by this, in logarithms, within one hand; what differs by more loses SIZE_COST for each unit more.
SAME_SIZE, SIZE_COST = 0.25, 4.0
# How much the rest of the row counts for a number in it.
ROW_SHARE = 0.3
SHARES = (-1.5, 8.0)
# What a character counts without a judge: a little for a digit, so that size alone decides.
UNJUDGED = 0.95


def are_numbers(rows: list[list[list[int]]], boxes: np.ndarray, scores: np.ndarray) -> list[list[float]]:
    """Whether each group of each row is a number; boxes int [n, 4] and probabilities float [n] of its characters."""
    if not len(boxes):
        return []
    probability = np.clip(scores, 1e-3, 1 - 1e-3)
    neutral = np.log(NEUTRAL / (1 - NEUTRAL))
    looks = np.clip(np.log(probability / (1 - probability)) - neutral, -MOST, MOST)
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
    kept = []
    for row in rows:
        own = [evidence[group].sum() for group in row]
        shares = np.clip(own, *SHARES)
        kept.append([float(one + ROW_SHARE * (shares.sum() - share)) for one, share in zip(own, shares, strict=True)])
    return kept
