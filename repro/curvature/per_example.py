"""Products with sums of H_i and H_i^2, the Hessians of single examples, for any model.

One example's products are differentiated as in hvp.py, and those of a batch at once by
`tf.vectorized_map`. That holds a weight vector per example; layerwise.py does without. What cannot
be vectorised, such as the loops of recurrent layers, goes example by example.
"""

import tensorflow as tf

from repro.curvature.hvp import hessian_product
from repro.curvature.weights import Point, join, split

BYTES_PER_BATCH = 2**28  # what the examples' vectors of one batch may take; about ten of them live


def examples_at_once(here: Point) -> int:
    """Return how many examples' vectors fit into BYTES_PER_BATCH."""
    bytes_each = sum(w.shape.num_elements() * w.dtype.size for w in here.weights)
    return max(1, BYTES_PER_BATCH // (10 * bytes_each))


def per_example(loss, here: Point, vector, inputs, targets, weights) -> tf.Tensor:
    """Return sums over examples of H_i v and H_i H_i v times weights, float64 [2, size].

    Args:
      loss: targets, outputs -> losses [b].
      here: the model at a point; its batch norm must use moving statistics, or else the loss of an
        example depends on the others.
      vector, inputs, targets, weights: as for `streaming.mean_over_examples`.
    """
    direction = split(vector, here.weights)
    # Over one example alone vectorised sums may broadcast: a copy of it, weighing 0, stands by.
    count = tf.shape(weights)[0]
    rows = tf.range(tf.maximum(count, 2)) % count
    inputs, targets = tf.nest.map_structure(lambda x: tf.gather(x, rows), (inputs, targets))
    weights = tf.pad(weights, [[0, tf.maximum(2 - count, 0)]])
    once, again = tf.vectorized_map(
        lambda example: _twice(loss, here, direction, *example), (inputs, targets)
    )
    return tf.stack(
        [
            join([tf.tensordot(tf.cast(weights, t.dtype), t, 1) for t in tensors])
            for tensors in (once, again)
        ]
    )


def one_by_one(loss, here: Point, vector, inputs, targets, weights) -> tf.Tensor:
    """Return the same in a loop over examples: slower, and without a way of its own to be wrong."""
    direction = split(vector, here.weights)

    def add(number, sums):
        example = tf.nest.map_structure(lambda x: x[number], (inputs, targets))
        both = tf.stack([join(tensors) for tensors in _twice(loss, here, direction, *example)])
        return number + 1, sums + weights[number] * both

    count = tf.shape(weights)[0]
    start = (tf.constant(0), tf.zeros([2, here.size], tf.float64))
    return tf.while_loop(lambda number, _: number < count, add, start, parallel_iterations=1)[1]


def _twice(loss, here: Point, direction, inputs, targets) -> tuple[list, list]:
    """Return H_i times a direction and H_i^2 times it, for one example without its batch axis."""
    inputs, targets = tf.nest.map_structure(lambda x: x[None], (inputs, targets))
    one = tf.ones([1], tf.float64)
    once = hessian_product(loss, here, direction, inputs, targets, one)
    return once, hessian_product(loss, here, once, inputs, targets, one)
