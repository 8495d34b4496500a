"""What a reader answers: a digit with its probability, and the digits of a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Answer:
    """One digit as it was read; equal to another one with the same values, whatever `image` either has.

    Parameters
    ----------
    label : int or None
        The digit; None where the picture shows none.
    probability : float
        That `label` is right, calibrated; 0 where there is no digit.
    candidates : tuple of (int, float)
        All classes with their probabilities, the most probable first; empty where there is no digit.
    is_sure : bool
        Whether the probability is above the reader's threshold.
    image : ndarray of uint8, shape (28, 28), or None
        What the network saw.
    box : tuple of int, or None
        Left, top, right, bottom in pixels of the upright picture.
    why : str, default ''
        Why there is no digit.
    is_cut : bool, default False
        Whether connected ink was parted to find it, as that of digits that touch.
    disagreement : float, optional
        Of an ensemble's members about it, in nats: `Ensemble.doubt(X, "disagreement")`; None of a single model.
    """

    label: int | None
    probability: float
    candidates: tuple[tuple[int, float], ...]
    is_sure: bool
    # Not compared: an array has no single truth value, and the probabilities of all classes tell images apart.
    image: np.ndarray | None = field(default=None, compare=False)
    box: Box | None = None
    why: str = ""
    is_cut: bool = False
    disagreement: float | None = None

    def __str__(self) -> str:
        if self.label is None:
            return "no digit"
        about = "" if self.disagreement is None else f", disagreement {self.disagreement:.3f}"
        if self.is_sure:
            return f"{self.label}  probability {self.probability:.3f}{about}"
        doubt = ", ".join(f"{label} {probability:.2f}" for label, probability in self.candidates[:3])
        return f"not sure: {doubt}{about}"

    def to_json(self) -> dict[str, Any]:
        """Give the answer as JSON values.

        Returns
        -------
        dict
            'label', 'probability', 'sure', 'box', the first three 'candidates' and, of an ensemble, 'disagreement'.
        """
        about = {} if self.disagreement is None else {"disagreement": round(self.disagreement, 4)}
        return {
            "label": self.label,
            "probability": round(self.probability, 4),
            "sure": self.is_sure,
            "box": self.box and list(self.box),
            "candidates": [[label, round(probability, 4)] for label, probability in self.candidates[:3]],
            **about,
        }


Rows = tuple[tuple[tuple[Answer, ...], ...], ...]  # of numbers of digits


@dataclass(frozen=True)
class Reading:
    """The digits of one picture; equal to another one with equal answers in the same rows.

    Parameters
    ----------
    rows : tuple
        Rows of numbers of Answers, in reading order; empty where there is no digit.
    shape : tuple of int
        Height and width of the upright picture in pixels.
    turn : int, default 0
        Degrees, counter-clockwise, by which the page was turned to read it.
    why : str, default ''
        Why there is no digit.
    """

    rows: Rows
    shape: tuple[int, int]
    turn: int = 0
    why: str = ""

    @property
    def digits(self) -> tuple[Answer, ...]:
        """All answers in reading order."""
        return tuple(answer for row in self.rows for number in row for answer in number)

    @property
    def numbers(self) -> list[list[str]]:
        """Rows of numbers as text."""
        return [["".join(str(answer.label) for answer in number) for number in row] for row in self.rows]

    @property
    def text(self) -> str:
        """The digits, a line for each row."""
        return "\n".join("".join(row) for row in self.numbers)
