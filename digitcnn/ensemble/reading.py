"""A reader of pictures that asks an ensemble."""

from __future__ import annotations

import functools
import os

from .._validation import check_path
from ..reading.calibration import Calibration
from ..reading.reader import Reader
from .ensemble import Ensemble


def restore_reader(path: str | os.PathLike) -> Reader:
    """A reader with the ensemble in a folder, whose answers have the members' disagreement.

    Probabilities are the ensemble's own, but for the members' label smoothing if that is the same. Raises as
    `Ensemble.restore`.
    """
    ensemble = Ensemble.restore(path)
    smoothings = {member.label_smoothing for member in ensemble.members}
    calibration = Calibration()
    if len(smoothings) == 1 and ensemble.rule != "majority":  # shares of votes have no smoothing
        calibration = Calibration.for_smoothing(smoothings.pop(), ensemble.n_classes)
    disagreement = functools.partial(ensemble.doubt, measure="disagreement")
    name = f"{check_path('path', path)}, an ensemble of {len(ensemble)}"
    return Reader(ensemble, name, calibration, doubt=disagreement)
