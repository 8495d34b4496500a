"""The training loop, with no knowledge of how a step is made: epochs, steps, progress, interruption."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .bars import bar_options, tqdm
from .batches import batch_generator

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


@dataclass
class Progress:
    """Where training stands. With `global_step`, it says which batch comes next.

    epoch: finished epochs. Of the open epoch: epoch_start, the global step at which it began;
    n_images, batchsize: what it goes over; loss_sum, n_samples: the loss so far; n_correct: how many of
    them were read rightly when they were trained on, or None if they were not all looked at for that.
    """

    epoch: int = 0
    epoch_start: int = 0
    n_images: int = 0
    batchsize: int = 1
    loss_sum: float = 0.0
    n_samples: int = 0
    n_correct: int | None = 0

    @property
    def batches_per_epoch(self) -> int:
        """Batches of the open epoch, the last of them with what is left."""
        return -(-self.n_images // self.batchsize)

    @property
    def mean_loss(self) -> float:
        """Over the samples of the open epoch."""
        return self.loss_sum / self.n_samples if self.n_samples else float("nan")

    @property
    def accuracy(self) -> float | None:
        """Over the samples of the open epoch, each as it was read when it was trained on; None if not counted."""
        return self.n_correct / self.n_samples if self.n_samples and self.n_correct is not None else None

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
        self.loss_sum, self.n_samples, self.n_correct = 0.0, 0, 0

    def count(self, mean_loss: float, n_samples: int, n_correct: int | None) -> None:
        """Account for a step on `n_samples` images."""
        self.loss_sum += mean_loss * n_samples
        self.n_samples += n_samples
        self.n_correct = None if None in (self.n_correct, n_correct) else self.n_correct + n_correct


MAX_TO_KEEP = 2  # checkpoints: the newest, and one to fall back on
TERMINATED = 143  # 128 + SIGTERM, as shells have it


@contextlib.contextmanager
def hold_signals(terminates: bool) -> Iterator[Callable[[], BaseException | None]]:
    """Hold Ctrl-C back, and SIGTERM if it `terminates`; gives a function that tells what is to be raised.

    That is None, KeyboardInterrupt or SystemExit(143). So a step and its accounting are never torn
    apart. A second signal acts at once. Handlers that are not Python's own are left alone, and so are
    all of them in another thread than the main one.
    """
    held: list[BaseException] = []
    ours = {signal.SIGINT: (signal.default_int_handler, KeyboardInterrupt())}
    if terminates:
        ours[signal.SIGTERM] = (signal.SIG_DFL, SystemExit(TERMINATED))
    if threading.current_thread() is not threading.main_thread():
        ours = {}
    ours = {number: own for number, own in ours.items() if signal.getsignal(number) is own[0]}

    def hold(number, _):
        if held:
            raise ours[number][1]
        held.append(ours[number][1])

    for number in ours:
        signal.signal(number, hold)
    try:
        yield lambda: held[0] if held else None
    finally:
        for number, (handler, _) in ours.items():
            signal.signal(number, handler)
    if held:  # since it was last asked for
        raise held[0]


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
