"""The result of a test, with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..report.intervals import accuracy_interval


@dataclass(frozen=True)
class TestResult:
    """n_correct of n test images, as an accuracy with its 95% interval."""

    __test__ = False  # pytest: not a test class

    n_correct: int
    n: int

    @property
    def accuracy(self) -> float:
        """Share of correct predictions."""
        return self.n_correct / self.n

    @classmethod
    def of(cls, description: dict[str, Any]) -> TestResult:
        """The result in a complete run's description."""
        n = description["test"]["n"]
        return cls(round(description["test"]["accuracy"] * n), n)

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper limit of the 95% confidence interval."""
        return accuracy_interval(self.n_correct, self.n)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.accuracy:.2%} (95% interval {low:.2%} to {high:.2%}; {self.n_correct:,} of {self.n:,})"
