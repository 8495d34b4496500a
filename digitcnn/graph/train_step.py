"""The training step: loss, learning rate, Adam, the count of steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import tensorflow as tf

from .augmentation import Augmentation

v1 = tf.compat.v1


@dataclass(frozen=True)
class TrainStep:
    """What a training step is made of besides the architecture.

    learning_rate: Adam's, or the peak of a `schedule` of schedules.py. label_smoothing: the share of a
    label's weight that is spread over all classes (Szegedy et al. 2016, section 7).
    """

    learning_rate: float
    schedule: str = "constant"
    label_smoothing: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)


def _count_step(count: tf.Variable, after: list[tf.Operation]) -> tf.Operation:
    one = tf.constant(1, tf.int64)
    with tf.control_dependencies(after):
        return tf.raw_ops.AssignAddVariableOp(resource=count.handle, value=one, name="count_step")


def _updates() -> list[tf.Operation]:
    return [update.op for update in v1.get_collection(v1.GraphKeys.UPDATE_OPS)]
