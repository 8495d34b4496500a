"""The training step: learning rate, label smoothing, Adam, batch normalization's statistics, step count."""

from __future__ import annotations

import tensorflow as tf

from ..settings import Settings
from .architectures import ARCHITECTURES
from .gradients import training_gradients
from .layers import global_step, integer_variable
from .schedules import SCHEDULES

v1 = tf.compat.v1

# Names of the tensors and operations of a schedule that training feeds, fetches and runs.
RATE, STEP = "train/learning_rate", "train/schedule/step"
N_STEPS, SET_N_STEPS = "train/schedule/fed_n_steps", "train/schedule/set_n_steps"


def minimize(loss: tf.Tensor, one_hot: tf.Tensor, logits: tf.Tensor, settings: Settings) -> None:
    """Add the operation that takes a step of Adam, under the architecture's name.

    With label smoothing, the step minimizes the cross-entropy with smoothed labels (Szegedy et al. 2016, section 7).

    Parameters
    ----------
    loss : Tensor
        Mean cross-entropy without label smoothing, float32 [].
    one_hot, logits : Tensor
        Labels and the network's output, float32 [n, classes].
    settings : Settings
        Has learning rate, schedule, label smoothing and architecture.
    """
    with v1.name_scope("train"):
        objective = loss
        if settings.label_smoothing:
            with v1.name_scope("label_smoothing"):
                smooth = one_hot * (1 - settings.label_smoothing) + settings.label_smoothing / settings.n_classes
                objective = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(smooth, logits))
        rate = learning_rate(settings.schedule, settings.learning_rate)
        with training_gradients():
            step = v1.train.AdamOptimizer(rate).minimize(objective)
        # Only a training step updates the moving averages of batch normalization. Their momentum depends on the step
        # count, which is therefore incremented after them.
        counted = count_step([step, *statistics_updates()])
    tf.group(counted, name=ARCHITECTURES[settings.architecture].names.train_op + "/")


def learning_rate(schedule: str, peak: float) -> tf.Tensor | float:
    """Return the learning rate of a training step, float32 [] or a plain number; call it in the scope `train`.

    A schedule makes the variable train/schedule/n_steps, its length, which a new training sets. It is saved with the
    model, so that a resumed training keeps its schedule.
    """
    lines = SCHEDULES[schedule]
    if lines is None:
        return peak
    with v1.name_scope("schedule"):
        n_steps = integer_variable("train/schedule/n_steps", 1)
        fed = v1.placeholder_with_default(tf.constant(1, tf.int64), [], name="fed_n_steps")
        tf.group(v1.assign(n_steps, fed), name="set_n_steps")
        step = tf.identity(global_step(), name="step")
        progress = tf.minimum(tf.cast(step, tf.float32) / tf.cast(n_steps, tf.float32), 1.0)
        rate = peak * tf.minimum(*lines(progress))
    return tf.identity(rate, name="learning_rate")


def count_step(after: list[tf.Operation]) -> tf.Operation:
    """Add 1 to `global_step` once the operations of `after` have run."""
    one = tf.constant(1, tf.int64)
    with tf.control_dependencies(after):
        return tf.raw_ops.AssignAddVariableOp(resource=global_step().handle, value=one, name="count_step")


def statistics_updates() -> list[tf.Operation]:
    """Return the operations that update batch normalization's moving averages, also of TensorFlow's own layers."""
    return [update.op for update in v1.get_collection(v1.GraphKeys.UPDATE_OPS)]
