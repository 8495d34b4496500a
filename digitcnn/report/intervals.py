"""What an accuracy on a finite test set is worth."""

from __future__ import annotations

import math
from statistics import NormalDist

from .._validation import check_real, check_whole


def accuracy_interval(n_correct: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval that holds the true accuracy with the given confidence, by Wilson's score.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22,
    1927. Right for few samples and for accuracies near 1, where accuracy +- 2 standard errors is not.
    Raises TypeError or ValueError unless 0 <= n_correct <= n, n >= 1 and 0 < confidence < 1.
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
