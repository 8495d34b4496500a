"""The names of the summaries on request, which each take time to write. No TensorFlow here."""

from __future__ import annotations

import os
from collections.abc import Collection

from .._validation import did_you_mean

# Name and description, for help texts; the limits are those of training_log.py.
SUMMARIES: dict[str, str] = {
    "histograms": "weights, and activations of up to 500 validation images, after each epoch",
    "images": "misread validation digits and the first convolution's filters, after each epoch",
    "projector": "the last hidden layer's output for up to 1,000 validation images, at the end",
    "trace": "time and memory of the operations in one step",
}


def check_summaries(summaries: Collection[str], logdir: os.PathLike | None) -> tuple[str, ...]:
    """Return each requested name once, in the order of SUMMARIES. Raises TypeError or ValueError."""
    if isinstance(summaries, str) or not isinstance(summaries, Collection):
        raise TypeError(f"summaries: expected a collection of names, of {', '.join(SUMMARIES)}, found {summaries!r}")
    for name in summaries:
        if not isinstance(name, str) or name not in SUMMARIES:
            hint = did_you_mean(name, SUMMARIES)
            raise ValueError(f"summaries: expected any of {', '.join(SUMMARIES)}, found {name!r}{hint}")
    if summaries and logdir is None:
        raise ValueError("summaries: expected a logdir to write them into, found none; give logdir as well")
    return tuple(name for name in SUMMARIES if name in summaries)
