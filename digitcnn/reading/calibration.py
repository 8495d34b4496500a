"""Probabilities that mean what they say: a temperature, and the threshold of doubt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# A probability that the most probable class of a perfect network is given, which label smoothing keeps lower.
CERTAIN = 0.998
THRESHOLD = 0.6  # from which an answer is sure; that of the weights that ship


@dataclass(frozen=True)
class Calibration:
    """How a network's probabilities become those of answers.

    Parameters
    ----------
    temperature : float, default 1.0
        Divides the logits (Guo, Pleiss, Sun, Weinberger, arXiv:1706.04599); above 1 it lowers probabilities.
    threshold : float, default 0.6
        Probability from which an answer is sure.
    """

    temperature: float = 1.0
    threshold: float = THRESHOLD

    @classmethod
    def for_smoothing(cls, label_smoothing: float, n_classes: int) -> Calibration:
        """Undo what label smoothing does to a network's probabilities.

        Parameters
        ----------
        label_smoothing : float
            Share of the target that training spread over all classes, in 0..1.
        n_classes : int
            Number of classes.

        Returns
        -------
        Calibration
            Its temperature turns the target of training, 0.91 for a smoothing of 0.1 and ten classes, into 0.998.
        """
        if not label_smoothing or n_classes < 2:
            return cls()
        other = label_smoothing / n_classes
        smoothed = np.log((1 - label_smoothing + other) / other)
        certain = np.log(CERTAIN / ((1 - CERTAIN) / (n_classes - 1)))
        return cls(temperature=min(1.0, float(smoothed / certain)))

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities of answers, float64 [n, classes], from a network's own."""
        logits = np.log(np.maximum(np.asarray(probabilities, np.float64), 1e-30)) / self.temperature
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the least cross-entropy on images that the network was not trained on.

    Parameters
    ----------
    probabilities : array of shape (n, classes)
        The network's own.
    labels : array of int, shape (n,)
        Classes of the images.

    Returns
    -------
    float
        Found on a grid of 1% steps between 0.2 and 5.
    """
    rows = np.arange(len(labels))

    def loss(temperature: float) -> float:
        return -float(np.log(Calibration(temperature)(probabilities)[rows, labels] + 1e-12).mean())

    return float(min(np.exp(np.arange(np.log(0.2), np.log(5), 0.01)), key=loss))
