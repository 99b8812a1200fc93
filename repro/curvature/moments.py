"""The first two moments of the examples' Hessians, as products: H, mean H_i^2, Sigma."""

import contextlib
import dataclasses
import functools
import weakref
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from repro.curvature import data, layerwise, per_example
from repro.curvature.checks import Look, look
from repro.curvature.data import Data
from repro.curvature.full_float32 import full_float32
from repro.curvature.hvp import ARRAY_BATCH, ExampleLoss, Operator, check, hessian_sum
from repro.curvature.streaming import STRANGE, batch_errors, check_equal, mean_over_examples
from repro.curvature.weights import Point, point

METHODS = ("auto", "layerwise", "per_example")
# model -> loss -> {what was asked for: number of the way that was right}
_RIGHT: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
ARRAY_BATCH_MOMENTS = 250  # examples of arrays at once, unless told otherwise


@dataclasses.dataclass(frozen=True)
class Moments:
    """Products with mean H_i^2 and mean H_i of `examples` examples."""

    size: int
    examples: int  # whose weight is not 0
    uniform: bool  # whether their weights are all the same
    first: Operator  # H
    # v -> H v, mean H_i (H_i v), float64 [2, size]
    both: Callable[[np.ndarray], np.ndarray] = dataclasses.field(repr=False)
    # values of the trainable weights -> the moments there, neither traced nor checked again; batch
    # norm keeps the statistics of the first point
    at: Callable[[Sequence[np.ndarray]], "Moments"] = dataclasses.field(repr=False)

    def covariance(self) -> Operator:
        """Return Sigma = mean H_i^2 - H^2."""

        def product(vector):
            mean, second = self.both(vector)
            return second - self.first.product(mean)

        return Operator(self.size, product)

    def stability(self, learning_rate: float, noise: float) -> Operator:
        """Return (I - eta H)^2 + noise * Sigma."""
        eta = learning_rate

        def product(vector):
            if not noise:  # GD's: no example has to be looked at by itself
                mean = self.first.product(vector)
                return vector - 2 * eta * mean + eta**2 * self.first.product(mean)
            mean, second = self.both(vector)
            squared = self.first.product(mean)
            return vector - 2 * eta * mean + eta**2 * squared + noise * (second - squared)

        return Operator(self.size, product)


def moments(
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    *,
    method: str = "auto",
    at: Sequence[np.ndarray] | None = None,
    variables: str | Sequence[str] | None = None,
    training: bool = False,
    batch_size: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> Moments:
    """Return products with the first two moments of the examples' Hessians.

    The way that is taken has computed two examples as the general one does, example by example,
    before it is; and its first mean H_i v is compared with the H v of whole batches, in which an
    example of which others' losses depend would differ.

    Args:
      model, loss, dataset, at, variables, strategy: as for `hvp.hessian`.
      method: `layerwise`: exact and fast, for chains of Keras's own dense and convolutional layers.
        `per_example`: for any model, a vector of weights per example. `auto`: layerwise where it
        can be.
      training: must be False, as an example has no Hessian of its own under batch statistics.
      batch_size: examples of arrays at once, 250 unless told otherwise; `per_example` takes fewer,
        also of a dataset, if memory wants it.

    Raises:
      ValueError: as for `hvp.hessian`; unknown or impossible method, fewer than two examples.
    """
    check("method", method, METHODS)
    if training:
        raise ValueError("the Hessian of one example needs frozen batch norm: training=False")
    here = point(model, at=at, variables=variables)
    whole = data.batches(dataset, ARRAY_BATCH if batch_size is None else batch_size)
    stream = data.batches(dataset, ARRAY_BATCH_MOMENTS if batch_size is None else batch_size)
    batch = data.first(stream)
    seen = look(model, here, loss, batch)
    examples, uniform = _count(stream)
    if examples < 2:
        raise ValueError(f"non-uniformity needs at least 2 examples, not {examples}")
    batch_sum, layered = _way(method, model, loss, here, batch, seen)
    if not layered:
        # A dataset's own batches may be too large for a vector of weights per example.
        stream = stream.rebatch(min(len(batch[2]), per_example.examples_at_once(here)))
    mean = mean_over_examples(batch_sum, stream, strategy)
    first = mean_over_examples(functools.partial(hessian_sum, seen.loss), whole, strategy)
    compared = False

    def at_point(there: Point) -> Moments:
        def both(vector: np.ndarray) -> np.ndarray:
            nonlocal compared
            found = mean(there, vector)
            if not compared:
                check_equal(found[0], first(there, vector)[0], seen.agreement)
                compared = True
            return found

        return Moments(
            there.size,
            examples,
            uniform,
            Operator(there.size, lambda vector: first(there, vector)[0]),
            both,
            lambda values: at_point(there.moved(values)),
        )

    return at_point(here)


def _count(stream: tf.data.Dataset) -> tuple[int, bool]:
    """Return how many examples weigh something, and whether all those weigh the same."""
    parts = data.bounded(stream.map(lambda inputs, targets, weights: weights))
    weights = np.concatenate([part.numpy() for part in parts])
    weights = weights[weights > 0]
    return len(weights), bool(len(weights) == 0 or np.ptp(weights) == 0)


def _way(
    method: str, model: keras.Layer, loss: ExampleLoss, here: Point, batch: tuple, seen: Look
) -> tuple[Callable, bool]:
    """Return the fastest way that is right on two examples, and whether it goes by layers.

    Found once for a model and a loss, not again for other weights or data. Where two examples
    cannot tell, it is the slowest, which differentiates the model itself, for this time.

    Raises:
      ValueError: the method asked for is not possible, or not right.
    """
    chained = layerwise.chain(model, here) if method != "per_example" else None
    if method == "layerwise" and chained is None:
        raise ValueError(
            f"{model.name} is no chain of Keras's own dense and convolutional layers: use auto"
        )
    ways = [(functools.partial(per_example.per_example, seen.loss), False)]
    ways.append((functools.partial(per_example.one_by_one, seen.loss), False))
    if chained is not None:
        ways.insert(0, (functools.partial(layerwise.layerwise, chained, seen.loss), True))
    try:
        known = _RIGHT.setdefault(model, weakref.WeakKeyDictionary()).setdefault(loss, {})
    except TypeError:  # a loss without a hash, or without weak references
        known = {}
    asked = method, here.chosen, chained is None
    if asked not in known:
        right = _first_right(ways, here, batch, seen.agreement)
        if right is None:
            return ways[-1]
        known[asked] = right
    if method == "layerwise" and known[asked]:
        raise ValueError(
            f"layerwise is not right on {model.name}: two examples' products are not those of the "
            "model itself; use auto"
        )
    return ways[known[asked]]


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep TensorFlow from logging pages of generated code for what is tried, and may fail."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("CRITICAL")
    try:
        yield
    finally:
        logger.setLevel(level)


@full_float32()
@batch_errors()
def _first_right(ways: list, here: Point, batch: tuple, agreement: float) -> int | None:
    """Return the number of the first way that computes two examples as the last one does.

    None where one of the two has no curvature, on which wrong ways agree as well.
    """
    two = tf.nest.map_structure(lambda x: x[:2], batch[:2])
    two = *two, tf.ones([len(batch[2][:2])], tf.float64)
    vector = tf.constant(np.random.default_rng(0).standard_normal(here.size))
    expected = ways[-1][0](here, vector, *two).numpy()  # not traced: for two examples it is dear
    if not np.isfinite(expected).all():
        raise ValueError(f"a Hessian-vector product is not finite: {STRANGE}")
    scale = np.linalg.norm(expected, axis=1)
    if not scale.all():
        return None
    for number, (way, _) in enumerate(ways[:-1]):
        # Of TensorFlow, for what cannot be vectorised.
        with _silent(), contextlib.suppress(Exception):
            # traced, as it will be: what works step by step need not work in a graph
            found = tf.function(functools.partial(way, here), autograph=False)(vector, *two).numpy()
            if (np.linalg.norm(found - expected, axis=1) <= agreement * scale).all():
                return number
    return len(ways) - 1
