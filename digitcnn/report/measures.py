"""What a classifier's answers say about it: confusion matrix, precision and recall, calibration, mistakes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

N_BINS = 10  # of a calibration curve: a tenth each, so that a bin of a good classifier's few doubts is not empty


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, n_classes: int) -> np.ndarray:
    """Count the images of each true class (row) that are read as each class (column): int64 [n_classes, n_classes].

    labels, predictions: whole numbers 0..n_classes-1, [n]. The orientation is scikit-learn's; the table is K. Pearson's
    contingency table ("On the theory of contingency and its relation to association and normal correlation", 1904).
    """
    places = labels.astype(np.int64) * n_classes + predictions
    return np.bincount(places, minlength=n_classes**2).reshape(n_classes, n_classes)


def precision_and_recall(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute both for each class, float64 [n_classes]; NaN where there is nothing to divide by.

    Precision is the share of the images read as the class that belong to it, recall the share of the class's images
    that are read as it: C. J. van Rijsbergen, "Information Retrieval", 2nd edition, 1979, chapter 7.
    """
    right = np.diag(confusion)
    return _share(right, confusion.sum(axis=0)), _share(right, confusion.sum(axis=1))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide, with NaN where the whole is 0; float64, of the arguments' shape."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole != 0)


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes, the lower first, and how often either is read as the other."""

    low: int
    high: int
    low_as_high: int
    high_as_low: int

    @property
    def n(self) -> int:
        """Mistakes of both kinds."""
        return self.low_as_high + self.high_as_low


def most_confused(confusion: np.ndarray, n_pairs: int = 10) -> list[ConfusedPair]:
    """List the pairs of classes with the most mistakes between them, the most first; ties by class.

    The sum of both directions is the symmetric part of the confusion matrix, doubled: C + C^T.
    """
    low, high = np.triu_indices(len(confusion), 1)
    both = (confusion + confusion.T)[low, high]
    order = np.argsort(-both, kind="stable")[:n_pairs]
    pairs = [(int(low[i]), int(high[i])) for i in order if both[i]]
    return [ConfusedPair(a, b, int(confusion[a, b]), int(confusion[b, a])) for a, b in pairs]


def surest_mistakes(labels: np.ndarray, probabilities: np.ndarray, n: int) -> np.ndarray:
    """Find the misread images whose wrong answer has the highest probability: at most `n` positions, surest first.

    labels [n_images], probabilities [n_images, n_classes]; the answer is the class of the highest probability.
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:n]


@dataclass(frozen=True, eq=False)  # arrays have no single truth value
class CalibrationCurve:
    """How often answers of about the same probability are right.

    Parameters
    ----------
    counts, n_correct : ndarray of int64, shape (n_bins,)
        Answers, and right ones among them, in each bin of probability.
    confidences : ndarray of float64, shape (n_bins,)
        Mean probability of a bin's answers; NaN where it has none.
    """

    counts: np.ndarray
    n_correct: np.ndarray
    confidences: np.ndarray

    @property
    def accuracies(self) -> np.ndarray:
        """Share of right answers in each bin, float64 [n_bins]; NaN where it has none."""
        return _share(self.n_correct, self.counts)

    @property
    def expected_error(self) -> float:
        """The expected calibration error, 0..1: the mean over answers of |accuracy - confidence| of their bins.

        Equation 3 of C. Guo et al., "On calibration of modern neural networks", ICML 2017.
        """
        differences = np.nan_to_num(np.abs(self.accuracies - self.confidences))
        return float(self.counts @ differences / self.counts.sum())


def calibrate(labels: np.ndarray, probabilities: np.ndarray, n_bins: int = N_BINS) -> CalibrationCurve:
    """Sort the answers into bins of equal width, each with its upper limit, by the highest probability.

    labels [n], probabilities [n, n_classes]. The bins are those of C. Guo et al., "On calibration of modern neural
    networks", ICML 2017, section 2: ((m - 1) / M, m / M].
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    is_right = probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    sums = np.bincount(bins, weights=confidence, minlength=n_bins)
    return CalibrationCurve(counts, np.bincount(bins[is_right], minlength=n_bins), _share(sums, counts))


def rejection_curve(is_right: np.ndarray, doubt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy on what is left if all answers with more than some doubt are rejected, for each such limit.

    is_right bool [n], doubt float [n]. Returns the rejected part, 0..1, ascending from 0, and the accuracy, both
    float64 [limits]: as many as there are different doubts. It is the accuracy-rejection curve of M. Nadeem et al.,
    "Accuracy-rejection curves for comparing classification methods with a reject option", 2009.
    """
    order = np.argsort(doubt, kind="stable")
    kept = np.append(np.flatnonzero(np.diff(doubt[order])) + 1, len(doubt))[::-1]
    return 1 - kept / len(doubt), np.cumsum(is_right[order])[kept - 1] / kept
