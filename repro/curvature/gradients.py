"""Sums of the examples' gradients, each times a factor of its own, as one flat vector."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from repro.curvature.full_float32 import full_float32
from repro.curvature.hvp import dense_gradients
from repro.curvature.streaming import STRANGE, batch_errors
from repro.curvature.weights import Point, join


def make_gradient(loss, here: Point, stream: tf.data.Dataset, *, compiled: bool) -> Callable:
    """Return `gradient(factors=None) -> (mean loss, mean gradient)` over the examples.

    `factors` [n] are numbers that the examples' losses are multiplied by, in the order of the
    stream; None is one for each. Both means are weighted by the examples' weights, the loss a
    number and the gradient float64 [size]; sums over batches are float64.

    Args:
      loss: targets, outputs -> losses [b].
      here: the weights where it is taken.
      stream: batches of `data.batches`.
      compiled: whether the sum over a batch becomes a tf.function, which one pass does not repay.

    The function raises ValueError where something is not finite, or factors and examples are not
    as many.
    """

    def of_batch(inputs, targets, weights):
        values = [tf.identity(w) for w in here.weights]
        with tf.GradientTape() as tape:
            tape.watch(values)
            losses = loss(targets, here.outputs(values, inputs))
            summed = tf.reduce_sum(losses * tf.cast(weights, losses.dtype))
        exact = tf.reduce_sum(tf.cast(losses, tf.float64) * weights)
        return exact, join(dense_gradients(tape, summed, values))

    if compiled:
        of_batch = tf.function(of_batch, autograph=False, reduce_retracing=True)

    @full_float32()
    @batch_errors()
    def gradient(factors: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        value, total, whole, done = 0.0, np.zeros(here.size), 0.0, 0
        for inputs, targets, weights in stream:
            whole += float(tf.reduce_sum(weights))
            count = len(weights)
            if factors is not None:
                weights = weights * factors[done : done + count]
            done += count
            share, part = of_batch(inputs, targets, weights)
            value, total = value + float(share), total + part.numpy()
        if factors is not None and len(factors) != done:
            raise ValueError(f"{len(factors)} factors do not fit {done} examples")
        if not whole:
            raise ValueError("there are no examples to take the mean over")
        if not (np.isfinite(value) and np.isfinite(total).all()):
            raise ValueError(f"the loss or its gradient is not finite: {STRANGE}")
        return value / whole, total / whole

    return gradient
