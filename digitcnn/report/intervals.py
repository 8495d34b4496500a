"""The confidence interval of an accuracy."""

from __future__ import annotations

import math
from statistics import NormalDist

from .._validation import check_real, check_whole


def accuracy_interval(n_correct: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of an accuracy measured on a finite test set.

    Unlike accuracy +- 2 standard errors, it holds for few samples and for accuracies near 1. The formula is from
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
    Statistical Association 22, 1927.

    Parameters
    ----------
    n_correct : int
        Correctly predicted samples, 0..n.
    n : int
        Samples in all, at least 1.
    confidence : float, default 0.95
        Share of such intervals that contain the true accuracy, between 0 and 1.

    Returns
    -------
    tuple of (float, float)
        Lower and upper limit, 0..1.

    Raises
    ------
    TypeError
        If an argument is no number, or a count no whole number.
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> from digitcnn import accuracy_interval
    >>> low, high = accuracy_interval(355, 360)
    >>> print(f"{355 / 360:.1%}, {low:.1%} to {high:.1%}")
    98.6%, 96.8% to 99.4%
    """
    n = check_whole("n", n)
    n_correct = check_whole("n_correct", n_correct, 0, n)
    check_real("confidence", confidence, "a number between 0 and 1", lambda share: 0 < share < 1)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    accuracy = n_correct / n
    centre = accuracy + z**2 / (2 * n)
    half_width = z * math.sqrt(accuracy * (1 - accuracy) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    return max(0.0, (centre - half_width) / scale), min(1.0, (centre + half_width) / scale)
