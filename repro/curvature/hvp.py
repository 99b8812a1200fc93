"""Products with the Hessian and the Gauss-Newton matrix of a mean loss, streamed over data.

Hessians are differentiated in reverse over reverse mode, which also works through the all-reduce
of synchronised batch norm and through the loops of recurrent layers, and never compiled by XLA:
through max-pooling its float32 products are 2 % off and its float64 ones do not compile.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from repro.curvature import data
from repro.curvature.checks import look
from repro.curvature.data import Data
from repro.curvature.streaming import mean_over_examples
from repro.curvature.weights import Point, join, point, split

# (targets [b, ...], outputs [b, ...]) -> losses [b]
ExampleLoss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

ARRAY_BATCH = 1000  # examples of arrays that are differentiated at once, unless told otherwise


@dataclasses.dataclass(frozen=True)
class Operator:
    """A symmetric matrix known by its products with vectors, float64 [size] -> float64 [size]."""

    size: int
    product: Callable[[np.ndarray], np.ndarray] = dataclasses.field(repr=False)


def hessian(
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    *,
    at: Sequence[np.ndarray] | None = None,
    variables: str | Sequence[str] | None = None,
    training: bool = False,
    batch_size: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> Operator:
    """Return the Hessian of the mean of the examples' losses.

    Every example weighs the same, or as much as its weight in the dataset says, however the data is
    cut into batches: sums over batches are added up in float64 and divided by the sum of weights.
    Regularisers of the model's layers are no part of it. The first product is taken twice, to see
    that data and model do not differ between passes.

    Args:
      model: any built Keras model.
      loss: targets, outputs -> losses [b] of the examples, without a mean. With several outputs
        both are nested as the model and the dataset have them. It gets floats as float64, whatever
        the model computes in, if it can take them: see exact_loss.py.
      dataset: arrays (inputs, targets) or (inputs, targets, weights), or a batched tf.data.Dataset
        of such tuples.
      at, variables: as for `weights.point`.
      training: False: batch norm uses its moving statistics; True: those of each batch.
      batch_size: examples of arrays differentiated at once, 1000 unless told otherwise; with
        `training=True` also those that batch norm takes its statistics over.
      strategy: under which the products are computed; None: the current one.

    Raises:
      ValueError: the data, the loss or the model are not of these kinds; the message names the
        argument and the way out. Products raise it too if something in them is not finite, or two
        passes differ.
    """
    return operators(
        "hessian",
        model,
        loss,
        dataset,
        at=at,
        variables=variables,
        training=training,
        batch_size=batch_size,
        strategy=strategy,
    )[0]


def gauss_newton(
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    *,
    at: Sequence[np.ndarray] | None = None,
    variables: str | Sequence[str] | None = None,
    training: bool = False,
    batch_size: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> Operator:
    """Return the generalised Gauss-Newton matrix, mean of J_i^T (d2 loss / d outputs2) J_i.

    It is the Hessian without the outputs' own curvature, to which it is equal where the loss of
    every example is at its minimum (interpolation). Arguments and errors as those of `hessian`.
    """
    return operators(
        "gauss_newton",
        model,
        loss,
        dataset,
        at=at,
        variables=variables,
        training=training,
        batch_size=batch_size,
        strategy=strategy,
    )[0]


def operators(
    matrix: str,
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    *,
    at: Sequence[np.ndarray] | None = None,
    variables: str | Sequence[str] | None = None,
    training: bool = False,
    batch_size: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> tuple[Operator, Callable[[Sequence], Operator]]:
    """Return a matrix at a point, and a function `at -> matrix` for other points.

    Arguments as those of `hessian`, but `matrix`: a name in MATRICES. Other points are not traced
    again, nor checked.
    """
    check("matrix", matrix, MATRICES)
    here = point(model, at=at, variables=variables, training=training)
    stream = data.batches(dataset, ARRAY_BATCH if batch_size is None else batch_size)
    seen = look(model, here, loss, data.first(stream))
    mean = mean_over_examples(
        functools.partial(MATRICES[matrix], seen.loss),
        stream,
        strategy,
        training=training,
        agreement=seen.agreement,
    )

    def at_point(there: Point) -> Operator:
        return Operator(there.size, lambda vector: mean(there, vector)[0])

    return at_point(here), lambda values: at_point(here.moved(values))


def hessian_sum(loss, here: Point, vector, inputs, targets, weights) -> tf.Tensor:
    """Return the sum of the examples' Hessians, times their weights and a vector, [1, size]."""
    direction = split(vector, here.weights)
    return join(hessian_product(loss, here, direction, inputs, targets, weights))[None]


def hessian_product(loss, here: Point, direction, inputs, targets, weights) -> list[tf.Tensor]:
    """Return the same for a direction shaped as the point's weights, and shaped as it."""
    values = [tf.identity(w) for w in here.weights]
    with tf.GradientTape() as outer:
        outer.watch(values)
        with tf.GradientTape() as inner:
            inner.watch(values)
            losses = loss(targets, here.outputs(values, inputs))
            losses *= tf.cast(weights, losses.dtype)
        gradients = dense_gradients(inner, losses, values)
        slope = tf.add_n([tf.reduce_sum(g * v) for g, v in zip(gradients, direction)])
    return _known(dense_gradients(outer, slope, values), losses, weights)


def gauss_newton_sum(loss, here: Point, vector, inputs, targets, weights) -> tf.Tensor:
    """Return the sum of the examples' Gauss-Newton matrices, times weights and a vector.

    The change of the outputs along the vector is the derivative of J^T u with respect to u. That
    is reverse mode only, which forward mode is not a match for in loops; the value of J^T u itself
    is never computed.
    """
    values = [tf.identity(w) for w in here.weights]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(values)
        outputs = tf.nest.map_structure(tf.identity, here.outputs(values, inputs))
    flat = tf.nest.flatten(outputs)
    dummies = [tf.zeros_like(o) for o in flat]
    with tf.GradientTape() as forward:
        forward.watch(dummies)
        pulled = dense_gradients(tape, flat, values, dummies)
    changes = dense_gradients(forward, pulled, dummies, split(vector, here.weights))
    with tf.GradientTape() as outer:
        outer.watch(flat)
        with tf.GradientTape() as inner:
            inner.watch(flat)
            losses = loss(targets, tf.nest.pack_sequence_as(outputs, flat))
            losses *= tf.cast(weights, losses.dtype)
        slopes = dense_gradients(inner, losses, flat)
        slope = tf.add_n([tf.reduce_sum(s * c) for s, c in zip(slopes, changes)])
    curved = dense_gradients(outer, slope, flat)
    return join(_known(dense_gradients(tape, flat, values, curved), losses, weights))[None]


def _known(products: list[tf.Tensor], losses: tf.Tensor, weights: tf.Tensor) -> list[tf.Tensor]:
    """Return products, but NaN where a loss that counts is no number.

    Second derivatives may be finite there: those of a squared error do not ask for the target.
    """
    known = tf.reduce_all(tf.math.is_finite(losses) | (weights <= 0))
    return [tf.where(known, product, np.nan) for product in products]


MATRICES = {"hessian": hessian_sum, "gauss_newton": gauss_newton_sum}


def dense_gradients(tape, target, sources, output_gradients=None) -> list[tf.Tensor]:
    """Return gradients as tensors: zeros where there are none, embeddings' rows put in place."""
    found = tape.gradient(target, sources, output_gradients, unconnected_gradients="zero")
    return [tf.convert_to_tensor(g) for g in found]


def dense(operator: Operator, limit: int = 20_000) -> np.ndarray:
    """Return an operator as a matrix, float64 [size, size], a product per column.

    Raises:
      ValueError: it has more than `limit` rows.
    """
    if operator.size > limit:
        raise ValueError(f"a dense matrix of {operator.size} weights is over the limit, {limit}")
    matrix = np.stack([operator.product(row) for row in np.eye(operator.size)])
    return (matrix + matrix.T) / 2


def check(what: str, name: str, choices) -> None:
    """Raise ValueError unless a name is one of the choices."""
    if name not in choices:
        raise ValueError(f"unknown {what} {name!r}; choose from {', '.join(choices)}")
