"""Products with the Hessian and the Gauss-Newton matrix of a mean loss, streamed over data.

Hessians are differentiated in reverse over reverse mode, which also works through the all-reduce
of synchronised batch norm, and never compiled by XLA: through max-pooling its float32 products are
2 % off and its float64 ones do not compile.
"""

import dataclasses
from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

from repro.curvature.weights import Point, join, point, split

# (targets [b, ...], outputs [b, ...]) -> losses [b]
ExampleLoss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
# (inputs, targets) with examples along the first axis, or batches of such pairs. A dataset must
# return the same examples whenever it is iterated.
Data = tuple | tf.data.Dataset

ARRAY_BATCH = 1000  # examples of arrays that are differentiated at once, unless told otherwise


@dataclasses.dataclass(frozen=True)
class Operator:
    """A symmetric matrix known by its products with vectors, float64 [size] -> float64 [size]."""

    size: int
    product: Callable[[np.ndarray], np.ndarray]


def hessian(
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    *,
    batch_size: int = ARRAY_BATCH,
    strategy: tf.distribute.Strategy | None = None,
    **where,
) -> Operator:
    """Return the Hessian of the mean of the examples' losses.

    Every example weighs the same, however the data is cut into batches: sums over batches are
    added up in float64 and divided by the number of examples.

    Args:
      model: any built Keras model.
      loss: targets, outputs -> losses [b] of the examples, without a mean.
      dataset: arrays (inputs, targets), or a batched tf.data.Dataset of such pairs.
      batch_size: examples of arrays differentiated at once; with `training=True` also those that
        batch norm takes its statistics over.
      strategy: under which the products are computed; None: the current one.
      **where: `at`, `variables`, `training`; see `weights.point`.

    Returns:
      products raise ValueError if something in them is not finite, or the data is empty.
    """
    here = point(model, **where)

    def batch_sum(vector, inputs, targets):
        weights = list(here.weights)
        with tf.GradientTape() as outer:
            outer.watch(weights)
            with tf.GradientTape() as inner:
                inner.watch(weights)
                losses = loss(targets, here.outputs(weights, inputs))
            gradients = inner.gradient(losses, weights, unconnected_gradients="zero")
            pairs = zip(gradients, split(vector, weights))
            slope = tf.add_n([tf.reduce_sum(g * v) for g, v in pairs])
        products = outer.gradient(slope, weights, unconnected_gradients="zero")
        return join(products)[None], tf.size(losses)

    mean = mean_over_examples(batch_sum, here, batches(dataset, batch_size), strategy)
    return Operator(here.size, lambda vector: mean(vector)[0])


def gauss_newton(
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    *,
    batch_size: int = ARRAY_BATCH,
    strategy: tf.distribute.Strategy | None = None,
    **where,
) -> Operator:
    """Return the generalised Gauss-Newton matrix, mean of J_i^T (d2 loss / d outputs2) J_i.

    It is the Hessian without the outputs' own curvature, to which it is equal where the loss of
    every example is at its minimum (interpolation). Arguments as those of `hessian`.
    """
    here = point(model, **where)

    def batch_sum(vector, inputs, targets):
        weights = list(here.weights)
        with tf.autodiff.ForwardAccumulator(weights, split(vector, weights)) as forward:
            with tf.GradientTape() as tape:
                tape.watch(weights)
                outputs = here.outputs(weights, inputs)
            change = forward.jvp(outputs, unconnected_gradients="zero")
        with tf.GradientTape() as outer:
            outer.watch(outputs)
            with tf.GradientTape() as inner:
                inner.watch(outputs)
                losses = loss(targets, outputs)
            slope = tf.reduce_sum(inner.gradient(losses, outputs) * change)
        curved = outer.gradient(slope, outputs, unconnected_gradients="zero")
        products = tape.gradient(outputs, weights, curved, unconnected_gradients="zero")
        return join(products)[None], tf.size(losses)

    mean = mean_over_examples(batch_sum, here, batches(dataset, batch_size), strategy)
    return Operator(here.size, lambda vector: mean(vector)[0])


def dense(operator: Operator, limit: int = 20_000) -> np.ndarray:
    """Return an operator as a matrix, float64 [size, size], a product per column.

    Raises:
      ValueError: it has more than `limit` rows.
    """
    if operator.size > limit:
        raise ValueError(f"a dense matrix of {operator.size} weights is over the limit, {limit}")
    matrix = np.stack([operator.product(row) for row in np.eye(operator.size)])
    return (matrix + matrix.T) / 2


def batches(dataset: Data, batch_size: int) -> tf.data.Dataset:
    """Return arrays cut into batches of at most `batch_size`, and a batched dataset as it is."""
    if isinstance(dataset, tf.data.Dataset):
        return dataset
    with tf.device("CPU"):
        arrays = tf.nest.map_structure(tf.convert_to_tensor, tuple(dataset))
        return tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size)


def mean_over_examples(
    batch_sum: Callable,
    here: Point,
    stream: Iterable,
    strategy: tf.distribute.Strategy | None = None,
) -> Callable[[np.ndarray], np.ndarray]:
    """Return `mean(vector)`: what `batch_sum` adds up over a stream, divided by its examples.

    Args:
      batch_sum: vector, inputs, targets -> float64 [r, size], number of examples; it is compiled,
        and runs in every replica on its share of a batch.
      here: whose `size` vectors have.
      stream: a tf.data.Dataset of pairs (inputs, targets).
      strategy: None: the current one.
    """
    strategy = strategy or tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync > 1:
        stream = strategy.experimental_distribute_dataset(stream)

    @tf.function(reduce_retracing=True)
    def step(vector, batch):
        total, count = strategy.run(batch_sum, args=(vector, *batch))
        return strategy.reduce("sum", total, axis=None), strategy.reduce("sum", count, axis=None)

    def mean(vector: np.ndarray) -> np.ndarray:
        if np.shape(vector) != (here.size,):
            raise ValueError(f"the vector must have shape ({here.size},), not {np.shape(vector)}")
        vector = tf.constant(vector, tf.float64)
        total, count = 0.0, 0
        for batch in stream:
            share, examples = step(vector, batch)
            total, count = total + share.numpy(), count + int(examples)
        if not count:
            raise ValueError("there are no examples to take the mean over")
        if not np.isfinite(total).all():
            raise ValueError("a Hessian-vector product is not finite: have the weights diverged?")
        return total / count

    return mean
