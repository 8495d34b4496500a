"""The training loop, with no knowledge of how a step is made: epochs, steps, progress, interruption."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from .batches import batch_generator

# What is fed to a step: images float32 or uint8 [batch, 784], labels int32 [batch] -> mean loss.
StepFunction = Callable[[np.ndarray, np.ndarray], float]


def verbosity(verbose: bool | str) -> set[str]:
    """What `verbose` shows, of {'lines', 'bar'}. Raises ValueError for a value it cannot have."""
    if isinstance(verbose, bool):
        return {"lines", "bar"} if verbose else set()
    if verbose not in ("lines", "bar"):
        raise ValueError(f"verbose: expected True, False, 'lines' or 'bar', found {verbose!r}")
    return {verbose}


def bar_fits(show: bool) -> bool:
    """Whether a bar that is asked for has where to be drawn: a terminal or a notebook, not a file."""
    return show and ("ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty()))


@dataclass
class Progress:
    """Where training stands. With `global_step`, it says which batch comes next.

    epoch: finished epochs. Of the open epoch: epoch_start, the global step at which it began;
    n_images, batchsize: what it goes over; loss_sum, n_samples: the loss so far.
    """

    epoch: int = 0
    epoch_start: int = 0
    n_images: int = 0
    batchsize: int = 1
    loss_sum: float = 0.0
    n_samples: int = 0

    @property
    def batches_per_epoch(self) -> int:
        """Batches of the open epoch, the last of them with what is left."""
        return -(-self.n_images // self.batchsize)

    @property
    def mean_loss(self) -> float:
        """Over the samples of the open epoch."""
        return self.loss_sum / self.n_samples if self.n_samples else float("nan")

    def open_epoch(self, global_step: int, n_images: int, batchsize: int) -> None:
        """Go on in the open epoch; begin one if the number of images or the batch size has changed,
        or if the steps since it began are not those that are accounted for here.
        """
        done = global_step - self.epoch_start
        accounted = self.n_samples == min(done * self.batchsize, self.n_images)
        if (n_images, batchsize) != (self.n_images, self.batchsize) or done > self.batches_per_epoch or not accounted:
            self.n_images, self.batchsize = n_images, batchsize
            self.begin_epoch(self.epoch, global_step)

    def begin_epoch(self, epoch: int, global_step: int) -> None:
        """Forget the open epoch and begin one, after `epoch` finished ones."""
        self.epoch, self.epoch_start = epoch, global_step
        self.loss_sum, self.n_samples = 0.0, 0


@contextlib.contextmanager
def interrupts_between_steps() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back until the function that this gives is called, which raises KeyboardInterrupt.

    So a step and its accounting are never torn apart. A second Ctrl-C acts at once. Another handler
    than Python's own, or another thread than the main one, is left alone.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: None
        return
    held = []

    def hold(*_):
        if held:
            raise KeyboardInterrupt
        held.append(True)

    def let_through():
        if held:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, hold)
    try:
        yield let_through
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
    on_epoch: Callable[[float], None],
    show_bar: bool,
) -> None:
    """Train from `global_step` up to `last_step` on the images of `progress`'s open epoch.

    Batch k of epoch e is a pure function of (random_seed, e, k), so where a run was interrupted,
    and how often, leaves no trace. on_epoch(epoch) is called when an epoch is
    finished, with its number, and once at the end of a run that stops within one, with a fraction.
    """
    with (
        interrupts_between_steps() as let_interrupts_through,
        tqdm(
            total=last_step - global_step, unit="step", disable=not bar_fits(show_bar), dynamic_ncols=True, leave=False
        ) as bar,
    ):
        while True:  # at least once: an interruption may have left a whole epoch without its validation
            bar.set_description(f"epoch {progress.epoch + 1}")
            start = global_step - progress.epoch_start
            batches = batch_generator(X, y, progress.batchsize, shuffle, random_seed, epoch=progress.epoch, start=start)
            for X_batch, y_batch in batches:
                loss = step(X_batch, y_batch)
                progress.loss_sum += float(loss) * len(y_batch)
                progress.n_samples += len(y_batch)
                global_step += 1
                bar.update()
                let_interrupts_through()
                if global_step == last_step:
                    break  # within an epoch
            done = global_step - progress.epoch_start
            if done == progress.batches_per_epoch:
                on_epoch(progress.epoch + 1)
                progress.begin_epoch(progress.epoch + 1, global_step)
            else:
                on_epoch(progress.epoch + done / progress.batches_per_epoch)
            let_interrupts_through()
            if global_step == last_step:
                break
