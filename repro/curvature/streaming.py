"""Sums over data, batch by batch and replica by replica, as one product with a mean."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from repro.curvature.data import NEGATIVE, bounded, shares
from repro.curvature.full_float32 import full_float32, refuse_tpu
from repro.curvature.weights import Point

STRANGE = "is there a NaN or a huge number in `dataset`, or have the weights diverged?"
DIFFERENT = (
    "two passes gave different products ({gap:.1e} of their size), so no eigenvalue of them means "
    "anything. Does `dataset` differ between passes? Then leave out drop_remainder=True after "
    "shuffle(), or pass reshuffle_each_iteration=False, and cache() random maps. Or does `model` "
    "or `loss` draw random numbers? Then fix their seed"
)


@contextlib.contextmanager
def batch_errors() -> Iterator[None]:
    """Raise ValueError where TensorFlow cannot compute a batch, such as one with a wrong label.

    What it says itself comes after pages about generated code, in the last line.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        text = str(error).partition("\n\t [[")[0].strip().rpartition("\n")[2]
        raise ValueError(
            f"`model` or `loss` cannot be computed on a batch of `dataset`: {text[:300]}"
        ) from error


def mean_over_examples(
    batch_sum: Callable,
    stream: tf.data.Dataset,
    strategy: tf.distribute.Strategy | None,
    *,
    training: bool = False,
    agreement: float | None = None,
) -> Callable[[Point, np.ndarray], np.ndarray]:
    """Return `mean(here, vector)`: what `batch_sum` adds up over data, divided by the weights.

    The first product is taken twice and compared, unless `agreement` is None.

    Args:
      batch_sum: here, vector, inputs, targets, weights [b] -> float64 [r, size], the sum over
        examples times their weights; it is compiled, and runs in every replica on its share of a
        batch.
      stream: batches of `data.batches`.
      strategy: None: the current one.
      training: whether batches have statistics of their own, which examples of weight 0 would
        enter.
      agreement: relative difference up to which the first product and its repetition agree.

    Returns:
      a function that raises ValueError if data or products make no sense.

    Raises:
      ValueError: `strategy` is a TPU's, or TensorFlow has one.
    """
    refuse_tpu(strategy)
    strategy = strategy or tf.distribute.get_strategy()
    parts = shares(stream, strategy)
    compared = agreement is None

    def of_replica(here, values, vector, inputs, targets, weights):
        there = dataclasses.replace(here, values=tuple(values))
        total = batch_sum(there, vector, inputs, targets, weights)
        zeros, negative = (
            tf.math.count_nonzero(mask, dtype=tf.float64) for mask in (weights == 0, weights < 0)
        )
        return total, tf.stack([tf.reduce_sum(weights), zeros, negative])

    step = None

    def make_step(here):
        @tf.function(autograph=False, reduce_retracing=True)
        def step(values, vector, batch):
            found = strategy.run(functools.partial(of_replica, here), args=(values, vector, *batch))
            return [strategy.reduce("sum", part, axis=None) for part in found]

        return step

    @full_float32(strategy)
    @batch_errors()
    def once(here, vector):
        nonlocal step
        step = step or make_step(here)
        total, counts = 0.0, np.zeros(3)
        for batch in bounded(parts):
            share, count = step(here.values, vector, batch)
            total, counts = total + share.numpy(), counts + count.numpy()
        weight, zeros, negative = counts
        if negative:
            raise ValueError(NEGATIVE)
        if not weight:
            raise ValueError("there are no examples to take the mean over")
        if training and zeros:
            raise ValueError(
                "with training=True no example may have the weight 0, as it would enter the "
                "statistics of its batch; nor may a batch be left that cannot be divided among "
                f"{strategy.num_replicas_in_sync} replicas: choose another batch_size"
            )
        if not np.isfinite(total).all():
            raise ValueError(f"a Hessian-vector product is not finite: {STRANGE}")
        return total / weight

    def mean(here: Point, vector: np.ndarray) -> np.ndarray:
        nonlocal compared
        if np.shape(vector) != (here.size,):
            raise ValueError(f"the vector must have shape ({here.size},), not {np.shape(vector)}")
        vector = tf.constant(vector, tf.float64)
        found = once(here, vector)
        if not compared:
            check_equal(found, once(here, vector), agreement)
            compared = True
        return found

    return mean


def check_equal(first: np.ndarray, second: np.ndarray, agreement: float) -> None:
    """Raise ValueError if two products of the same vector are different."""
    gap, norm = np.linalg.norm(first - second), np.linalg.norm(first)
    if gap > agreement * norm:
        raise ValueError(DIFFERENT.format(gap=gap / norm if norm else np.inf))
