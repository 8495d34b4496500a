"""The training loop, with no knowledge of how a step is made: epochs, steps, progress, interruption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from .batches import batch_generator

# What is fed to a step: images float32 or uint8 [batch, 784], labels int32 [batch] -> mean loss.
StepFunction = Callable[[np.ndarray, np.ndarray], float]

VERBOSITY = {
    True: {"lines", "bar"},
    False: set(),
    "lines": {"lines"},
    "bar": {"bar"},
}


def verbosity(verbose: bool | str) -> set[str]:
    """What `verbose` shows, of {'lines', 'bar'}. Raises ValueError for a value it cannot have."""
    if verbose not in VERBOSITY:
        raise ValueError(f"verbose: expected True, False, 'lines' or 'bar', found {verbose!r}")
    return VERBOSITY[verbose]


@dataclass
class Progress:
    """Where training stands. With `global_step`, it says which batch comes next.

    epoch: finished epochs. epoch_start: the global step at which the open epoch began.
    batches_per_epoch: of the open epoch. loss_sum, n_samples: over the open epoch so far.
    """

    epoch: int = 0
    epoch_start: int = 0
    batches_per_epoch: int = 0
    loss_sum: float = 0.0
    n_samples: int = 0

    @property
    def mean_loss(self) -> float:
        """Over the samples of the open epoch."""
        return self.loss_sum / self.n_samples if self.n_samples else float("nan")

    def open_epoch(self, global_step: int, batches_per_epoch: int) -> int:
        """Go on in the open epoch; the next batch's number.

        If the data have changed, or steps were run or undone elsewhere, an epoch begins.
        """
        done = global_step - self.epoch_start
        if batches_per_epoch != self.batches_per_epoch or not 0 <= done <= batches_per_epoch:
            self.begin_epoch(self.epoch, global_step, batches_per_epoch)
        return global_step - self.epoch_start

    def begin_epoch(self, epoch: int, global_step: int, batches_per_epoch: int) -> None:
        """Forget the open epoch and begin one, after `epoch` finished ones."""
        self.epoch, self.epoch_start, self.batches_per_epoch = epoch, global_step, batches_per_epoch
        self.loss_sum, self.n_samples = 0.0, 0


def run_epochs(
    step: StepFunction,
    X: np.ndarray,
    y: np.ndarray,
    *,
    batchsize: int,
    shuffle: bool,
    random_seed: int,
    progress: Progress,
    global_step: int,
    last_step: int,
    on_epoch: Callable[[float], None],
    show_bar: bool,
) -> None:
    """Train from `global_step` up to `last_step`, over as many epochs as that takes.

    Batch k of epoch e is a pure function of (random_seed, e, k), so where a run was interrupted,
    and how often, leaves no trace. on_epoch(epoch) is called when an epoch is finished, with its
    number, and once at the end of a run that stops within one, with the fraction done.
    """
    batches_per_epoch = -(-len(X) // batchsize)
    with tqdm(
        total=last_step - global_step, unit="step", disable=None if show_bar else True, dynamic_ncols=True, leave=False
    ) as bar:
        while True:  # at least once: an interruption may have left a whole epoch without its validation
            start = progress.open_epoch(global_step, batches_per_epoch)
            bar.set_description(f"epoch {progress.epoch + 1}")
            batches = batch_generator(X, y, batchsize, shuffle, random_seed, epoch=progress.epoch, start=start)
            for X_batch, y_batch in batches:
                loss = step(X_batch, y_batch)
                progress.loss_sum += float(loss) * len(y_batch)
                progress.n_samples += len(y_batch)
                global_step += 1
                bar.update()
                if global_step == last_step:
                    break  # within an epoch
            done = global_step - progress.epoch_start
            if done == batches_per_epoch:
                on_epoch(progress.epoch + 1)
                progress.begin_epoch(progress.epoch + 1, global_step, batches_per_epoch)
            else:
                on_epoch(round(progress.epoch + done / batches_per_epoch, 2))
            if global_step == last_step:
                break
