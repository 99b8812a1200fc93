"""The first two moments of the examples' Hessians, as products: H, mean H_i^2, Sigma."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from repro.curvature import layerwise, per_example
from repro.curvature.hvp import Data, ExampleLoss, Operator, batches, hessian, mean_over_examples
from repro.curvature.weights import point

METHODS = ("auto", "layerwise", "per_example")


@dataclasses.dataclass(frozen=True)
class Moments:
    """Products with mean H_i^2 and mean H_i of `examples` examples."""

    size: int
    examples: int
    first: Operator  # H
    both: Callable[[np.ndarray], np.ndarray]  # v -> H v, mean H_i (H_i v), float64 [2, size]

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
    batch_size: int = 250,
    strategy=None,
    training: bool = False,
    **where,
) -> Moments:
    """Return products with the first two moments of the examples' Hessians.

    Args:
      model, loss, dataset, strategy, **where: as for `hvp.hessian`.
      method: `layerwise`: exact and fast, for chains of dense and convolutional layers.
        `per_example`: for any model, a vector of weights per example. `auto`: layerwise where it
        can be.
      batch_size: examples of arrays at once; `per_example` takes fewer if memory wants it.
      training: must be False, as an example has no Hessian of its own under batch statistics.

    Raises:
      ValueError: unknown or impossible method, training, fewer than two examples.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; choose from {', '.join(METHODS)}")
    if training:
        raise ValueError("the Hessian of one example needs frozen batch norm: training=False")
    here = point(model, **where)
    layers = layerwise.chain(model, here) if method != "per_example" else None
    if method == "layerwise" and layers is None:
        raise ValueError(f"{model.name} is no chain of dense and convolutional layers")
    if layers is None:
        batch_sum = per_example.per_example(here, loss)
        batch_size = min(batch_size, per_example.examples_at_once(here))
    else:
        batch_sum = layerwise.layerwise(here, loss, layers)
    stream = batches(dataset, batch_size)
    examples = sum(int(np.shape(targets)[0]) for _, targets in stream)
    if examples < 2:
        raise ValueError(f"non-uniformity needs at least 2 examples, not {examples}")
    return Moments(
        here.size,
        examples,
        hessian(model, loss, dataset, strategy=strategy, **where),
        mean_over_examples(batch_sum, here, stream, strategy),
    )
