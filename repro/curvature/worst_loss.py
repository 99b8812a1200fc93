"""The worst loss nearby: m-sharpness (Foret et al. 2021) and adaptive sharpness (Kwon et al. 2021).

Of a batch of m examples with the mean loss L the m-sharpness is the largest L(w + e) - L(w) over
the ball |e| <= rho, averaged over batches. In the adaptive one the ball is |e / w| <= rho, an
ellipsoid whose axes are as long as the weights (element by element): where the weights of a layer
are multiplied and those of the next one divided it goes with them, and its sharpness is unchanged.
"""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from repro.curvature import data
from repro.curvature.checks import look
from repro.curvature.data import Data
from repro.curvature.full_float32 import full_float32
from repro.curvature.hvp import ExampleLoss, dense_gradients
from repro.curvature.streaming import STRANGE, batch_errors
from repro.curvature.weights import join, point, split


@dataclasses.dataclass(frozen=True)
class WorstLoss:
    """How far the loss rises nearby, as far as ascent found it: a lower bound of the largest."""

    value: float  # mean over batches of the rise, weighted by their examples
    loss: float  # mean loss at the weights themselves
    standard_error: float  # of `value` over batches, NaN for one
    batches: int
    rho: float
    m: int
    steps: int
    adaptive: bool


@full_float32()
@batch_errors()
def m_sharpness(
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    *,
    rho: float,
    m: int,
    steps: int = 1,
    adaptive: bool = False,
    seed: int = 0,
    at: Sequence[np.ndarray] | None = None,
    variables: str | Sequence[str] | None = None,
) -> WorstLoss:
    """Return the worst loss in a ball around the weights, averaged over batches of m examples.

    A step goes to where the loss, made linear at the last point, is largest in the ball: from the
    weights themselves that is SAM's rho g / |g|, and ASAM's rho w^2 g / |w g|. On a convex loss
    every further step is at least as high; the highest point met counts, the middle of the ball
    among them.

    Args:
      model, loss, dataset, at, variables: as for `hvp.hessian`; batch norm uses its moving
        statistics. Without shuffling batches are of neighbours: shuffle before, if they are alike.
      rho: radius; with `adaptive` a share of each weight.
      m: examples of a batch, those of weight 0 left out, whatever batches the data comes in; the
        last one may have fewer.
      steps: of ascent, each a gradient of the batch.
      adaptive: scale the ball by the weights' magnitudes; weights of 0 then stay.
      seed: of the direction that is taken where the gradient is zero.

    Raises:
      ValueError: as for `hvp.hessian`; rho, m or steps make no sense; the loss at the weights, or
        one in the ball, is not finite.
    """
    if not rho > 0 or m < 1 or steps < 1:
        raise ValueError(f"rho={rho}, m={m} and steps={steps} must be above 0")
    here = point(model, at=at, variables=variables)
    stream = data.batches(dataset, m)
    loss = look(model, here, loss, data.first(stream)).loss
    weights = join(here.weights).numpy()
    scale = np.abs(weights) if adaptive else np.ones(here.size)
    rng = np.random.default_rng(seed)

    @tf.function(autograph=False, reduce_retracing=True)
    def at_offset(offset, inputs, targets, counts):
        moved = [w + part for w, part in zip(here.weights, split(offset, here.weights))]
        with tf.GradientTape() as tape:
            tape.watch(moved)
            losses = loss(targets, here.outputs(moved, inputs))
            summed = tf.reduce_sum(losses * tf.cast(counts, losses.dtype))
        mean = tf.reduce_sum(tf.cast(losses, tf.float64) * counts) / tf.reduce_sum(counts)
        return mean, join(dense_gradients(tape, summed, moved))

    bases, rises, sizes = [], [], []
    for inputs, targets, counts in stream.map(_counted).rebatch(m):
        data.check_weights(counts)
        base, gradient = at_offset(tf.zeros(here.size, tf.float64), inputs, targets, counts)
        best = float(base)
        if not np.isfinite(best):
            raise ValueError(f"the loss at the weights is not finite: {STRANGE}")
        for _ in range(steps):
            slope = scale * gradient.numpy()  # along the axes of the ball
            if not slope.any():
                slope = scale * rng.standard_normal(here.size)
            offset = tf.constant(rho * scale * _unit(slope))
            value, gradient = at_offset(offset, inputs, targets, counts)
            best = max(best, float(value)) if np.isfinite(value) else np.nan
            if not np.isfinite(best):
                raise ValueError(f"a loss within rho={rho:g} is not finite: choose a smaller rho")
        bases.append(float(base))
        rises.append(best - float(base))
        sizes.append(float(tf.reduce_sum(counts)))
    count = len(rises)
    if not count:
        raise ValueError("there are no examples to take the mean over")
    error = np.std(rises, ddof=1) / np.sqrt(count) if count > 1 else np.nan
    means = [float(np.average(values, weights=sizes)) for values in (rises, bases)]
    return WorstLoss(*means, float(error), count, float(rho), m, steps, adaptive)


def _unit(vector: np.ndarray) -> np.ndarray:
    """Return a vector [size] with length 1, however short it was; zero stays zero."""
    vector = vector / (np.abs(vector).max() or 1.0)  # squares of tiny numbers are 0
    return vector / (np.linalg.norm(vector) or 1.0)


@tf.autograph.experimental.do_not_convert
def _counted(inputs, targets, weights) -> tuple:
    """Return the examples of a batch whose weight is not 0; others are padding."""
    rows = tf.where(weights != 0)[:, 0]
    return tf.nest.map_structure(lambda x: tf.gather(x, rows), (inputs, targets, weights))
