"""Where training stands."""

from __future__ import annotations

from dataclasses import dataclass


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
