"""The training loop, with no knowledge of how a step is made: epochs, steps, progress, interruption."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._progress import bar_options, tqdm
from ..data.batches import batch_generator
from ..engine.state import Progress
from .signals import hold_signals

# What is fed to a step: images float32 or uint8 [batch, pixels], labels int32 [batch] -> mean loss, and
# how many were read rightly, or None if that is not counted.
StepFunction = Callable[[np.ndarray, np.ndarray], tuple[float, int | None]]


def verbosity(verbose: bool | str) -> set[str]:
    """What `verbose` shows, of {'lines', 'bar'}. Raises ValueError for a value it cannot have."""
    if isinstance(verbose, bool):
        return {"lines", "bar"} if verbose else set()
    if verbose not in ("lines", "bar"):
        raise ValueError(f"verbose: expected True, False, 'lines' or 'bar', found {verbose!r}")
    return {verbose}


MAX_TO_KEEP = 2  # checkpoints: the newest, and one to fall back on


def run_epochs(
    step: StepFunction,
    X: np.ndarray,
    y: np.ndarray,
    *,
    shuffle: bool,
    random_seed: int,
    progress: Progress,
    global_step: int,
    last_step: int,
    on_epoch: Callable[[float], str],
    checkpoint: Callable[[], None] | None,
    checkpoint_every: int | None,
    shown: set[str],
) -> None:
    """Train from `global_step` up to `last_step` on the images of `progress`'s open epoch.

    Batch k of epoch e is a pure function of (random_seed, e, k), so where a run was interrupted,
    and how often, leaves no trace. on_epoch(epoch) is called when an epoch is finished, with its
    number, and once at the end of a run that stops within one, with a fraction; it gives a line to show.
    checkpoint() is called after each epoch, at the end, after every `checkpoint_every` steps if it is given,
    and before an interruption takes effect. shown: as `verbosity` has it.
    """
    save = checkpoint or (lambda: None)

    with (
        hold_signals(terminates=checkpoint is not None) as interrupted,
        tqdm(total=last_step - global_step, unit="step", **bar_options("bar" in shown)) as bar,
    ):
        while True:  # at least once: an interruption may have left a whole epoch without its validation
            bar.set_description(f"epoch {progress.epoch + 1}")
            start = global_step - progress.epoch_start
            epoch_end = progress.epoch_start + progress.batches_per_epoch
            batches = batch_generator(X, y, progress.batchsize, shuffle, random_seed, epoch=progress.epoch, start=start)
            for X_batch, y_batch in batches:
                loss, n_correct = step(X_batch, y_batch)
                progress.count(loss, len(y_batch), n_correct)
                global_step += 1
                bar.update()
                if global_step in (last_step, epoch_end):
                    break  # before an interruption too: nothing is to be done twice
                interruption = interrupted()
                if interruption or (checkpoint_every and global_step % checkpoint_every == 0):
                    save()
                if interruption:
                    raise interruption
            if global_step == epoch_end:
                line = on_epoch(progress.epoch + 1)
                progress.begin_epoch(progress.epoch + 1, global_step)
            else:
                line = on_epoch(progress.epoch + (global_step - progress.epoch_start) / progress.batches_per_epoch)
            save()
            if "lines" in shown:  # after the saving: whoever reads it may go away
                tqdm.write(line)
            if interruption := interrupted():
                raise interruption
            if global_step == last_step:
                break
