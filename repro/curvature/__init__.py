"""Curvature of a loss at any weights: eigenvalues, trace, density, sharpness, non-uniformity.

    from repro import curvature
    a = curvature.sharpness(model, loss, (images, labels))
    s = curvature.nonuniformity(model, loss, (images, labels))
    top = curvature.top_eigenvalues(model, loss, dataset, k=5)
    matrix = curvature.dense(curvature.hessian(small_model, loss, dataset))

`loss(targets, outputs)` returns the losses [b] of the examples of a batch, `dataset` is a pair of
arrays or a batched tf.data.Dataset of pairs. See `hvp.hessian` for the options all have.
"""

import keras

from repro.curvature import density as _density
from repro.curvature import eigen as _eigen
from repro.curvature import traces as _traces
from repro.curvature.density import SpectralDensity
from repro.curvature.eigen import Eigenpairs
from repro.curvature.hvp import Data, ExampleLoss, Operator, dense, gauss_newton, hessian
from repro.curvature.stability import Measure, nonuniformity, sharpness, theorem_1
from repro.curvature.traces import TraceEstimate

MATRICES = {"hessian": hessian, "gauss_newton": gauss_newton}
EIGEN_METHODS = ("lanczos", "power")
TRACE_METHODS = {"hutchinson": _traces.hutchinson, "hutch++": _traces.hutch_plus_plus}

__all__ = [
    "Eigenpairs", "Measure", "Operator", "SpectralDensity", "TraceEstimate", "dense",
    "gauss_newton", "hessian", "nonuniformity", "sharpness", "spectral_density", "theorem_1",
    "top_eigenvalues", "trace",
]  # fmt: skip


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
    start=None,
    seed: int = 0,
    **options,
) -> Eigenpairs:
    """Return the k largest or smallest eigenvalues of the Hessian of the mean loss, with vectors.

    Args:
      model, loss, dataset, **options: as for `hvp.hessian`.
      k, which, tolerance, max_iterations, start, seed: as for `eigen.lanczos`.
      method: `lanczos`, or `power`: the one eigenvalue of largest magnitude.
      matrix: `hessian` or `gauss_newton`.

    Raises:
      ValueError: an unknown choice, a k out of range, data or products that make no sense.
    """
    operator = _operator(matrix, model, loss, dataset, options)
    _check("method", method, EIGEN_METHODS)
    limits = {"tolerance": tolerance, "max_iterations": max_iterations}
    begin = {"start": start, "seed": seed}
    if method == "lanczos":
        return _eigen.lanczos(operator, k, which=which, **limits, **begin)
    if k != 1 or which != "largest":
        raise ValueError("power iteration finds the one eigenvalue of largest magnitude")
    return _eigen.power_iteration(operator, **limits, **begin)


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
    **options,
) -> TraceEstimate:
    """Return the trace of the Hessian: `hutchinson`, or `hutch++` with all `max_iterations`."""
    _check("method", method, TRACE_METHODS)
    operator = _operator(matrix, model, loss, dataset, options)
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
    **options,
) -> SpectralDensity:
    """Return the density of the Hessian's eigenvalues by stochastic Lanczos quadrature."""
    operator = _operator(matrix, model, loss, dataset, options)
    return _density.lanczos_quadrature(operator, probes=probes, steps=steps, seed=seed)


def _operator(matrix: str, model, loss, dataset, options: dict) -> Operator:
    _check("matrix", matrix, MATRICES)
    return MATRICES[matrix](model, loss, dataset, **options)


def _check(what: str, name: str, choices) -> None:
    if name not in choices:
        raise ValueError(f"unknown {what} {name!r}; choose from {', '.join(choices)}")
