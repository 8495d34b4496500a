"""Learning rates as functions of `global_step`, in the graph."""

from __future__ import annotations

import tensorflow as tf

from .layers import global_step, whole_number

v1 = tf.compat.v1


SCHEDULES = ("constant", "one_cycle")


WARM_UP = 0.3  # of the steps


FIRST, LAST = 1e-2, 1e-3  # of the peak


# The names of what `train` feeds and runs, in the box `train`.
RATE, STEP = "train/learning_rate", "train/schedule/step"


N_STEPS, SET_N_STEPS = "train/schedule/fed_n_steps", "train/schedule/set_n_steps"


def one_cycle(peak: float, step: tf.Tensor, n_steps: tf.Tensor) -> tf.Tensor:
    """The one-cycle policy of Smith & Topin 2018 (Super-Convergence), linear, float32 [].

    step, n_steps: scalars. From peak/100 at step 0 up to the peak after 30% of n_steps, down to
    peak/1000 at its end, and so on after it.
    """
    done = tf.minimum(tf.cast(step, tf.float32) / tf.cast(n_steps, tf.float32), 1.0)
    up = FIRST + (1 - FIRST) * done / WARM_UP
    down = LAST + (1 - LAST) * (1 - done) / (1 - WARM_UP)
    return peak * tf.minimum(up, down)


def learning_rate(schedule: str, peak: float) -> tf.Tensor | float:
    """The rate of a training step, to be called in the scope `train`: float32 [], or a plain number.

    'one_cycle' makes the variable train/schedule/n_steps, which `train` sets when it begins anew and
    which is saved with the model, so that a training that goes on keeps to its schedule.
    """
    if schedule == "constant":
        return peak
    with v1.name_scope("schedule"):
        n_steps = whole_number("train/schedule/n_steps", 1)
        fed = v1.placeholder_with_default(tf.constant(1, tf.int64), [], name="fed_n_steps")
        tf.group(v1.assign(n_steps, fed), name="set_n_steps")
        step = tf.identity(global_step(), name="step")
        rate = one_cycle(peak, step, n_steps)
    return tf.identity(rate, name="learning_rate")
