"""What `DigitCNN.train` is asked for besides the data, checked before anything is done."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from .._validation import MAX_COUNT, check_bool, check_text_path, check_whole
from ..cluster.hosts import Place
from ..settings import MAX_TO_KEEP
from ..tensorboard.summaries import check_summaries


def verbosity(verbose: bool | str) -> set[str]:
    """What `verbose` shows, of {'lines', 'bar'}. Raises ValueError for another value."""
    if isinstance(verbose, bool):
        return {"lines", "bar"} if verbose else set()
    if verbose not in ("lines", "bar"):
        raise ValueError(f"verbose: expected True, False, 'lines' or 'bar', found {verbose!r}")
    return {verbose}


@dataclass(kw_only=True)
class TrainingOptions:
    """The arguments of `DigitCNN.train`, whose docstring explains them, with `epochs` from the settings.

    `shown` is what `verbose` shows. Raises TypeError or ValueError that names the argument.
    """

    epochs: int
    steps: int | None = None
    initialize: bool = True
    verbose: bool | str = True
    logdir: str | os.PathLike | None = None
    summaries: Collection[str] = ()
    checkpoint_dir: str | os.PathLike | None = None
    checkpoint_every: int | None = None
    max_to_keep: int = MAX_TO_KEEP
    resume: bool = False
    place: Place = field(default_factory=Place)

    def __post_init__(self):
        self.shown: set[str] = verbosity(self.verbose)
        self.initialize = check_bool("initialize", self.initialize)
        self.epochs = check_whole("epochs", self.epochs, 1, MAX_COUNT)
        self.steps = None if self.steps is None else check_whole("steps", self.steps, 1, MAX_COUNT)
        # As `train` hands them on: paths, and names without repetition.
        self.log_folder: Path | None = None if self.logdir is None else check_text_path("logdir", self.logdir)
        self.named_summaries: tuple[str, ...] = check_summaries(self.summaries, self.log_folder)
        self.checkpoint_folder: Path | None = None
        if self.checkpoint_dir is not None:
            self.checkpoint_folder = check_text_path("checkpoint_dir", self.checkpoint_dir)
        if self.checkpoint_every is not None:
            self.checkpoint_every = check_whole("checkpoint_every", self.checkpoint_every, 1, MAX_COUNT)
        # As a number of Python's: the negative of one of NumPy's without a sign is another large number.
        self.max_to_keep = check_whole("max_to_keep", self.max_to_keep, 1, MAX_COUNT)
        if self.checkpoint_dir is None and self.checkpoint_every is not None:
            raise ValueError("checkpoint_every: expected a checkpoint_dir beside it, found none")
        if self.checkpoint_dir is None and self.resume:
            raise ValueError("resume: expected a checkpoint_dir to resume from, found none")
        self.resume = check_bool("resume", self.resume)

    def without_files(self) -> TrainingOptions:
        """The same for a worker that writes nothing and shows nothing, since worker 0 does."""
        files = {"logdir": None, "summaries": (), "checkpoint_dir": None, "checkpoint_every": None, "resume": False}
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return TrainingOptions(**(given | files | {"verbose": False}))
