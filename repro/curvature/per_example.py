"""Products with sums of H_i and H_i^2, the Hessians of single examples, for any model.

One example's products are differentiated as in hvp.py, and those of a batch at once by
`tf.vectorized_map`. That holds a weight vector per example; layerwise.py does without.
"""

from collections.abc import Callable

import tensorflow as tf

from repro.curvature.weights import Point, join, split

BYTES_PER_BATCH = 2**28  # what the examples' vectors of one batch may take; about ten of them live


def examples_at_once(here: Point) -> int:
    """Return how many examples' vectors fit into BYTES_PER_BATCH."""
    bytes_each = sum(w.shape.num_elements() * w.dtype.size for w in here.weights)
    return max(1, BYTES_PER_BATCH // (10 * bytes_each))


def per_example(here: Point, loss: Callable) -> Callable:
    """Return `batch_sum(vector, inputs, targets)`: sum H_i v, sum H_i H_i v, float64 [2, size].

    Args:
      here: the model at a point; its batch norm must use moving statistics, or else the loss of an
        example depends on the others.
      loss: targets, outputs -> losses [b].
    """

    def product(direction, inputs, targets):
        """Return H_i times a direction, for one example without its batch axis."""
        inputs, targets = tf.nest.map_structure(lambda x: x[None], (inputs, targets))
        weights = [tf.identity(w) for w in here.weights]
        with tf.GradientTape() as outer:
            outer.watch(weights)
            with tf.GradientTape() as inner:
                inner.watch(weights)
                losses = loss(targets, here.outputs(weights, inputs))
            gradients = inner.gradient(losses, weights, unconnected_gradients="zero")
            slope = tf.add_n([tf.reduce_sum(g * d) for g, d in zip(gradients, direction)])
        return outer.gradient(slope, weights, unconnected_gradients="zero")

    def batch_sum(vector, inputs, targets):
        direction = split(vector, here.weights)

        def twice(example):
            once = product(direction, *example)
            return once, product(once, *example)

        once, again = tf.vectorized_map(twice, (inputs, targets))
        sums = [join([tf.reduce_sum(t, axis=0) for t in tensors]) for tensors in (once, again)]
        return tf.stack(sums), tf.shape(tf.nest.flatten(targets)[0])[0]

    return batch_sum
