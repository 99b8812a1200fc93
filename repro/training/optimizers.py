"""SGD and the learning-rate schedules of the papers."""

from collections.abc import Sequence

import keras
import tensorflow as tf


def exponential_decay(
    learning_rate: float, decay: float, steps_per_epoch: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return learning_rate * decay^epoch, constant within an epoch (Zhang et al. 2017, app. A)."""
    return keras.optimizers.schedules.ExponentialDecay(
        learning_rate, steps_per_epoch, decay, staircase=True
    )


def step_decay(
    learning_rate: float, factor: float, drop_at: Sequence[int], steps_per_epoch: int
) -> keras.optimizers.schedules.LearningRateSchedule | float:
    """Return a rate multiplied by `factor` once each of the epochs `drop_at` is over.

    Epoch 151 is the first at the lower rate where 150 is among `drop_at` (Liu et al. 2020's code).
    """
    if not drop_at:
        return learning_rate
    last_steps = [epoch * steps_per_epoch - 1 for epoch in drop_at]
    rates = [learning_rate * factor**drops for drops in range(len(drop_at) + 1)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(last_steps, rates)


class MomentumSGD(keras.optimizers.SGD):
    """SGD with momentum as TensorFlow 1 and PyTorch have it: v <- m v + g, w <- w - lr v.

    Keras has v <- m v - lr g, w <- w + v. At a constant rate the two take the same steps, up to
    rounding. Where the rate changes they differ: here a new rate acts on the old velocity at once,
    while Keras goes on at the old rate until the velocity has died away, for about 1 / (1 - m)
    steps. Without momentum both are plain SGD. Nesterov's variant is Keras's own.
    """

    def update_step(self, gradient, variable, learning_rate):
        """Take one step of one variable; Keras calls this, once on each replica."""
        if self.momentum == 0 or self.nesterov:
            super().update_step(gradient, variable, learning_rate)
            return
        velocity = self.momentums[self._get_variable_index(variable)].value
        momentum_step(variable, velocity, gradient, learning_rate, self.momentum)


def momentum_step(weights: tf.Variable, velocity: tf.Variable, gradient, rate, momentum) -> None:
    """Set v <- m v + g and w <- w - rate v in one pass over memory, on each replica by itself.

    TensorFlow 1's own kernel; step by step, the same numbers take twice as long, which is a third
    of a step of a perceptron. A gradient of a few rows, as an embedding's, is taken as a whole one.
    """
    gradient = tf.convert_to_tensor(gradient)
    rate, gradient, momentum = (tf.cast(x, weights.dtype) for x in (rate, gradient, momentum))
    tf.raw_ops.ResourceApplyMomentum(
        var=weights.handle, accum=velocity.handle, lr=rate, grad=gradient, momentum=momentum
    )


def sgd(learning_rate, momentum: float, precision: str = "float32") -> keras.optimizers.Optimizer:
    """Return SGD with momentum v <- m v + g, w <- w - lr v; its loss is scaled under float16.

    Weight decay is not here: Keras decouples it from the gradient, where the papers add an L2 term
    to the loss (see step.py).
    """
    optimizer = MomentumSGD(learning_rate, momentum=momentum)
    if precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def adam(learning_rate, precision: str = "float32") -> keras.optimizers.Optimizer:
    """Return Adam with Keras's betas and epsilon; its loss is scaled under float16."""
    optimizer = keras.optimizers.Adam(learning_rate)
    if precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
