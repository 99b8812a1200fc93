"""What one asks of the spectrum of a model's Hessian, options written out."""

from collections.abc import Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from repro.curvature import density, eigen, traces
from repro.curvature.data import Data
from repro.curvature.density import SpectralDensity
from repro.curvature.eigen import Eigenpairs
from repro.curvature.hvp import ExampleLoss, check, operators
from repro.curvature.traces import TraceEstimate

EIGEN_METHODS = ("lanczos", "power")
TRACE_METHODS = {"hutchinson": traces.hutchinson, "hutch++": traces.hutch_plus_plus}


def top_eigenvalues(
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    k: int = 1,
    *,
    which: str = "largest",
    method: str = "lanczos",
    matrix: str = "hessian",
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
) -> Eigenpairs:
    """Return the k largest or smallest eigenvalues of the Hessian of the mean loss, with vectors.

    Args:
      model, loss, dataset, at, variables, training, batch_size, strategy: as for `hvp.hessian`.
      k, which, tolerance, max_iterations, start, seed, memory_limit: as for `eigen.lanczos`.
      method: `lanczos`, or `power`: the one eigenvalue of largest magnitude.
      matrix: `hessian` or `gauss_newton`.

    Raises:
      ValueError: an unknown choice, a k out of range, data or products that make no sense.
    """
    check("method", method, EIGEN_METHODS)
    if method == "power" and (k != 1 or which != "largest"):
        raise ValueError("power iteration finds the one eigenvalue of largest magnitude")
    operator, _ = operators(
        matrix,
        model,
        loss,
        dataset,
        at=at,
        variables=variables,
        training=training,
        batch_size=batch_size,
        strategy=strategy,
    )
    if method == "power":
        return eigen.power_iteration(
            operator, tolerance=tolerance, max_iterations=max_iterations, start=start, seed=seed
        )
    return eigen.lanczos(
        operator,
        k,
        which=which,
        tolerance=tolerance,
        max_iterations=max_iterations,
        start=start,
        seed=seed,
        memory_limit=memory_limit,
    )


def along(
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    points: Iterable[Sequence[np.ndarray]],
    k: int = 1,
    *,
    which: str = "largest",
    matrix: str = "hessian",
    tolerance: float = 1e-4,
    max_iterations: int = 200,
    seed: int = 0,
    memory_limit: float | None = None,
    variables: str | Sequence[str] | None = None,
    training: bool = False,
    batch_size: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> list[Eigenpairs]:
    """Return the k largest or smallest eigenvalues at several points of weight space, in order.

    Nothing is traced or checked twice, and each search starts from the vectors at the point before.

    Args:
      points: each a value for all of `model.trainable_variables`, such as the checkpoints of a run
        or the nodes of a path; they are used one after another, and may come from a generator.
      others: as for `top_eigenvalues`.

    Raises:
      ValueError: as for `top_eigenvalues`; a point that does not fit.
    """
    _, operator_at = operators(
        matrix,
        model,
        loss,
        dataset,
        variables=variables,
        training=training,
        batch_size=batch_size,
        strategy=strategy,
    )
    found, start = [], None
    for values in points:
        operator = operator_at(values)
        pairs = eigen.lanczos(
            operator,
            k,
            which=which,
            tolerance=tolerance,
            max_iterations=max_iterations,
            start=start,
            seed=seed,
            memory_limit=memory_limit,
        )
        found.append(pairs)
        start = pairs.vectors.sum(axis=1)
    return found


def trace(
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    *,
    method: str = "hutchinson",
    matrix: str = "hessian",
    tolerance: float = 0.05,
    max_iterations: int = 200,
    seed: int = 0,
    at: Sequence[np.ndarray] | None = None,
    variables: str | Sequence[str] | None = None,
    training: bool = False,
    batch_size: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> TraceEstimate:
    """Return the trace of the Hessian: `hutchinson`, or `hutch++` with all `max_iterations`.

    Args:
      model, loss, dataset, at, variables, training, batch_size, strategy: as for `hvp.hessian`.
      method, tolerance, max_iterations, seed: see `traces`.
      matrix: `hessian` or `gauss_newton`.

    Raises:
      ValueError: as for `top_eigenvalues`.
    """
    check("method", method, TRACE_METHODS)
    operator, _ = operators(
        matrix,
        model,
        loss,
        dataset,
        at=at,
        variables=variables,
        training=training,
        batch_size=batch_size,
        strategy=strategy,
    )
    estimate = TRACE_METHODS[method]
    return estimate(operator, tolerance=tolerance, max_iterations=max_iterations, seed=seed)


def spectral_density(
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    *,
    matrix: str = "hessian",
    probes: int = 4,
    steps: int = 80,
    seed: int = 0,
    memory_limit: float | None = None,
    at: Sequence[np.ndarray] | None = None,
    variables: str | Sequence[str] | None = None,
    training: bool = False,
    batch_size: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> SpectralDensity:
    """Return the density of the Hessian's eigenvalues by stochastic Lanczos quadrature.

    Args:
      model, loss, dataset, at, variables, training, batch_size, strategy: as for `hvp.hessian`.
      matrix: `hessian` or `gauss_newton`.
      probes, steps, seed, memory_limit: as for `density.lanczos_quadrature`.

    Raises:
      ValueError: as for `top_eigenvalues`.
    """
    operator, _ = operators(
        matrix,
        model,
        loss,
        dataset,
        at=at,
        variables=variables,
        training=training,
        batch_size=batch_size,
        strategy=strategy,
    )
    return density.lanczos_quadrature(
        operator, probes=probes, steps=steps, seed=seed, memory_limit=memory_limit
    )
