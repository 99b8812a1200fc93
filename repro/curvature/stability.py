"""Sharpness, non-uniformity and what linear stability says about them (Wu, Ma, E 2018).

At weights w the losses f_i of n examples have Hessians H_i. With H = mean H_i and
Sigma = mean H_i^2 - H^2,

    sharpness       a = lambda_max(H)
    non-uniformity  s = lambda_max(Sigma^(1/2)) = lambda_max(Sigma)^(1/2).

A minimum where SGD with learning rate eta and batches of B, drawn without replacement, can stay has
a <= 2 / eta and s <= sqrt(B (n - 1) / (n - B)) / eta. The numbers belong to the loss as it is
passed: half of a loss has half of both. The paper's is the squared error, averaged over outputs.
"""

import dataclasses
import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from repro.curvature.data import Data
from repro.curvature.eigen import Eigenpairs, lanczos
from repro.curvature.hvp import ExampleLoss, hessian
from repro.curvature.moments import Moments, moments


@dataclasses.dataclass(frozen=True)
class Measure:
    """A sharpness or a non-uniformity."""

    value: float
    residual: float  # the distance to a true one is at most this, up to rounding
    iterations: int  # of Lanczos
    converged: bool
    # [size], where it is attained; a warm start for the next checkpoint
    vector: np.ndarray = dataclasses.field(repr=False)
    restarts: int = 0  # of Lanczos, where the memory limit had no room for all vectors

    def without_vector(self) -> dict:
        """Return all but the vector, for a result in JSON."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k != "vector"}


def sharpness(
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    *,
    tolerance: float = 1e-4,
    max_iterations: int = 200,
    start: np.ndarray | None = None,
    seed: int = 0,
    memory_limit: float | None = None,
    at: Sequence[np.ndarray] | None = None,
    variables: str | Sequence[str] | None = None,
    training: bool = False,
    batch_size: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> Measure:
    """Return a = lambda_max(H), with sign: zero or above at a minimum.

    Args:
      model, loss, dataset, at, variables, training, batch_size, strategy: as for `hvp.hessian`.
      tolerance, max_iterations, start, seed, memory_limit: as for `eigen.lanczos`.

    Raises:
      ValueError: as for both.
    """
    operator = hessian(
        model,
        loss,
        dataset,
        at=at,
        variables=variables,
        training=training,
        batch_size=batch_size,
        strategy=strategy,
    )
    return _measure(
        lanczos(
            operator,
            tolerance=tolerance,
            max_iterations=max_iterations,
            start=start,
            seed=seed,
            memory_limit=memory_limit,
        )
    )


def nonuniformity(
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    *,
    method: str = "auto",
    tolerance: float = 1e-4,
    max_iterations: int = 200,
    start: np.ndarray | None = None,
    seed: int = 0,
    memory_limit: float | None = None,
    at: Sequence[np.ndarray] | None = None,
    variables: str | Sequence[str] | None = None,
    training: bool = False,
    batch_size: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> Measure:
    """Return s = lambda_max(Sigma)^(1/2), from all examples.

    Arguments and errors as those of `sharpness` and `moments`; the tolerance is that of
    lambda_max(Sigma).
    """
    both = moments(
        model,
        loss,
        dataset,
        method=method,
        at=at,
        variables=variables,
        training=training,
        batch_size=batch_size,
        strategy=strategy,
    )
    return _root(
        lanczos(
            both.covariance(),
            tolerance=tolerance,
            max_iterations=max_iterations,
            start=start,
            seed=seed,
            memory_limit=memory_limit,
        )
    )


def sharpness_and_nonuniformity(
    both: Moments,
    *,
    tolerance: float = 1e-4,
    max_iterations: int = 200,
    starts: Sequence[np.ndarray | None] = (None, None),
    seed: int = 0,
    memory_limit: float | None = None,
) -> tuple[Measure, Measure]:
    """Return a and s where moments are taken, which `both.at(weights)` moves along a training.

    Args:
      both: of `moments.moments`, at any point.
      tolerance, max_iterations, seed, memory_limit: as for `eigen.lanczos`.
      starts: the vectors to start either search from, such as those found at the point before.

    Raises:
      ValueError: as for `eigen.lanczos`.
    """
    found = [
        lanczos(
            operator,
            tolerance=tolerance,
            max_iterations=max_iterations,
            start=start,
            seed=seed,
            memory_limit=memory_limit,
        )
        for operator, start in zip((both.first, both.covariance()), starts, strict=True)
    ]
    return _measure(found[0]), _root(found[1])


def theorem_1(
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    *,
    learning_rate: float,
    sgd_batch_size: int,
    method: str = "auto",
    tolerance: float = 1e-4,
    max_iterations: int = 200,
    start: np.ndarray | None = None,
    seed: int = 0,
    memory_limit: float | None = None,
    at: Sequence[np.ndarray] | None = None,
    variables: str | Sequence[str] | None = None,
    training: bool = False,
    batch_size: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> Measure:
    """Return lambda_max{(I - eta H)^2 + eta^2 (n - B) / (B (n - 1)) Sigma} (Theorem 1).

    SGD is stable if it is at most 1. A network with more weights than examples times outputs has
    directions of no curvature at its minima, so there the value cannot be less than 1. Arguments
    and errors as those of `nonuniformity`, but `learning_rate` (eta) and `sgd_batch_size` (B), of
    the SGD in question; weights other than 0 must be equal, as SGD draws all examples alike.
    """
    both = moments(
        model,
        loss,
        dataset,
        method=method,
        at=at,
        variables=variables,
        training=training,
        batch_size=batch_size,
        strategy=strategy,
    )
    return theorem_1_of(
        both,
        learning_rate=learning_rate,
        sgd_batch_size=sgd_batch_size,
        tolerance=tolerance,
        max_iterations=max_iterations,
        start=start,
        seed=seed,
        memory_limit=memory_limit,
    )


def theorem_1_of(
    both: Moments,
    *,
    learning_rate: float,
    sgd_batch_size: int,
    tolerance: float = 1e-4,
    max_iterations: int = 200,
    start: np.ndarray | None = None,
    seed: int = 0,
    memory_limit: float | None = None,
) -> Measure:
    """Return what `theorem_1` does, from moments that were made before; errors as there."""
    if not both.uniform:
        raise ValueError("Theorem 1 is about examples drawn alike: weights of `dataset` differ")
    noise = (learning_rate / noise_reduction(sgd_batch_size, both.examples)) ** 2
    return _measure(
        lanczos(
            both.stability(learning_rate, noise),
            tolerance=tolerance,
            max_iterations=max_iterations,
            start=start,
            seed=seed,
            memory_limit=memory_limit,
        )
    )


def noise_reduction(batch_size: int, examples: int) -> float:
    """Return sqrt(B (n - 1) / (n - B)), infinite at B = n.

    Raises:
      ValueError: B outside 1..n.
    """
    if not 1 <= batch_size <= examples:
        raise ValueError(f"batch_size={batch_size} must lie between 1 and n={examples}")
    if batch_size == examples:
        return math.inf
    return math.sqrt(batch_size * (examples - 1) / (examples - batch_size))


def sharpness_margin(a: float, learning_rate: float, momentum: float = 0.0) -> float:
    """Return a over its bound 2 (1 + momentum) / eta; stable up to 1 (momentum: heavy ball, GD)."""
    return a * learning_rate / (2 * (1 + momentum))


def nonuniformity_margin(s: float, learning_rate: float, batch_size: int, examples: int) -> float:
    """Return s over its bound sqrt(B (n - 1) / (n - B)) / eta; 0 at B = n, where there is none."""
    return s * learning_rate / noise_reduction(batch_size, examples)


def _measure(found: Eigenpairs) -> Measure:
    return Measure(
        float(found.values[0]),
        float(found.residuals[0]),
        found.iterations,
        found.converged,
        found.vectors[:, 0],
        found.restarts,
    )


def _root(covariance: Eigenpairs) -> Measure:
    """Return s of the largest eigenvalue of Sigma."""
    found = _measure(covariance)
    # Rounding alone can make lambda_max(Sigma) negative, where all examples have the same Hessian.
    value = math.sqrt(max(found.value, 0.0))
    # |sqrt(x) - sqrt(y)| is at most |x - y| / sqrt(x) and at most |x - y|^(1/2).
    bounds = [math.sqrt(found.residual), *([found.residual / value] if value else [])]
    return dataclasses.replace(found, value=value, residual=min(bounds))
