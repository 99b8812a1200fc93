"""How SGD's noise is aligned with the curvature (Wu, Wang, Su 2022), and the bound it gives.

At weights w the losses of n examples have gradients g_i with the covariance Sigma, and their mean L
has the Hessian H. The alignment factor is

    mu = Tr(Sigma H) / (2 L ||H||_F^2)

(their Definition 2.1, with G, the Gauss-Newton matrix, for H: at a global minimum they are one).
Near a global minimum, where L(w) is half of a quadratic form of H, a step of SGD multiplies L by at
least eta^2 mu ||H||_F^2 / B. So where SGD can stay

    ||H||_F <= sqrt(B / mu) / eta,

whatever the number of weights and of examples. With batches drawn without replacement B is B
(n - 1) / (n - B). The factor is the same for any multiple of the loss. Where squared errors of one
output say nothing of its gradient it is about 1, and about 1 / k for k such outputs alike.
"""

import dataclasses
import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from repro.curvature import data, traces
from repro.curvature.checks import look
from repro.curvature.data import Data
from repro.curvature.gradients import make_gradient
from repro.curvature.hvp import ARRAY_BATCH, ExampleLoss, Operator, hessian
from repro.curvature.stability import noise_reduction
from repro.curvature.weights import point


@dataclasses.dataclass(frozen=True)
class FrobeniusNorm:
    """An estimate of ||H||_F, the root of the sum of the squares of all eigenvalues."""

    value: float
    standard_error: float
    iterations: int  # products with H taken
    converged: bool  # whether the standard error of its square met the tolerance


@dataclasses.dataclass(frozen=True)
class Alignment:
    """An estimate of mu, the alignment of SGD's noise with the Hessian."""

    value: float
    standard_error: float  # of both random traces together
    noise_trace: float  # Tr(Sigma H)
    noise_trace_standard_error: float
    loss: float  # L
    frobenius: FrobeniusNorm
    iterations: int  # products with H taken, those for ||H||_F too
    converged: bool  # whether both relative standard errors met the tolerance

    def of_sgd(self, learning_rate: float, batch_size: int, examples: int) -> dict:
        """Return what a result says of SGD at these weights, with `bound`: see frobenius_bound.

        The bound is None where there is none.
        """
        bound = frobenius_bound(learning_rate, batch_size, examples, self.value)
        return {
            "frobenius": self.frobenius.value,
            "frobenius_standard_error": self.frobenius.standard_error,
            "alignment": self.value,
            "alignment_standard_error": self.standard_error,
            "bound": bound if math.isfinite(bound) else None,
            "loss": self.loss,
            "converged": self.converged,
        }


def frobenius_norm(
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    *,
    tolerance: float = 0.05,
    max_iterations: int = 60,
    seed: int = 0,
    at: Sequence[np.ndarray] | None = None,
    variables: str | Sequence[str] | None = None,
    batch_size: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> FrobeniusNorm:
    """Return ||H||_F = Tr(H^2)^(1/2), the trace by Hutch++, all `max_iterations` used.

    Args:
      model, loss, dataset, at, variables, batch_size, strategy: as for `hvp.hessian`.
      tolerance: largest standard error of the trace, as a share of it, to count as converged.
      max_iterations: products with H^2, each two with H; 12 or more.
      seed: of the random vectors.

    Raises:
      ValueError: as for `hvp.hessian`; too few iterations.
    """
    operator = hessian(
        model,
        loss,
        dataset,
        at=at,
        variables=variables,
        batch_size=batch_size,
        strategy=strategy,
    )
    return _frobenius(operator, tolerance, max_iterations, seed)


def noise_alignment(
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    *,
    tolerance: float = 0.05,
    max_iterations: int = 200,
    seed: int = 0,
    at: Sequence[np.ndarray] | None = None,
    variables: str | Sequence[str] | None = None,
    batch_size: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> Alignment:
    """Return mu = Tr(Sigma H) / (2 L ||H||_F^2).

    Tr(Sigma H) is the mean of u^T H u over u = sum_i e_i (g_i - g) / sqrt(n) with random signs e_i,
    whose covariance is Sigma: a gradient and a product for each, for any model.

    Args:
      model, loss, dataset, at, variables, batch_size, strategy: as for `hvp.hessian`; all examples
        must weigh the same, or 0, as SGD draws them alike.
      tolerance: largest standard error of each trace, as a share of it, to count as converged.
      max_iterations: vectors u at most; for ||H||_F half as many products with H^2.
      seed: of the random vectors.

    Raises:
      ValueError: as for `hvp.hessian`; fewer than 24 iterations, weights that differ, a loss or a
        Hessian that is zero, of which the factor is 0 / 0.
    """
    if max_iterations < 24:
        raise ValueError(f"max_iterations={max_iterations} must be at least 24")
    options = {"batch_size": batch_size, "strategy": strategy, "at": at, "variables": variables}
    operator = hessian(model, loss, dataset, **options)
    stream = data.batches(dataset, ARRAY_BATCH if batch_size is None else batch_size)
    weights = np.concatenate([w.numpy() for _, _, w in stream])
    counted = weights > 0  # what weighs nothing is padding
    if len(np.unique(weights[counted])) > 1:
        raise ValueError("SGD draws all examples alike: weights of `dataset` differ")
    here = point(model, at=at, variables=variables)
    exact = look(model, here, loss, data.first(stream)).loss
    gradient = make_gradient(exact, here, stream, compiled=True)
    value, mean = gradient()

    rng, samples = np.random.default_rng(seed), []
    while len(samples) < max_iterations:
        signs = rng.choice((-1.0, 1.0), len(weights))
        # mean_i e_i (g_i - g), times sqrt(n)
        noise = gradient(signs)[1] - signs[counted].mean() * mean
        noise *= math.sqrt(counted.sum())
        samples.append(noise @ operator.product(noise))
        error = traces.standard_error(samples)
        converged = bool(error <= tolerance * abs(np.mean(samples)))
        if converged:
            break
    trace = float(np.mean(samples))
    norm = _frobenius(operator, tolerance, max_iterations // 2, seed)
    if value <= 0 or norm.value == 0:
        raise ValueError(f"the alignment is 0 / 0 at loss {value:g} and ||H||_F {norm.value:g}")
    mu = trace / (2 * value * norm.value**2)
    shares = error / abs(trace) if trace else 0.0, 2 * norm.standard_error / norm.value
    return Alignment(
        mu,
        abs(mu) * math.hypot(*shares),
        trace,
        error,
        value,
        norm,
        len(samples) + norm.iterations,
        converged and norm.converged,
    )


def frobenius_bound(
    learning_rate: float, batch_size: int, examples: int, alignment: float = 1.0
) -> float:
    """Return the largest ||H||_F where SGD can stay, sqrt(B (n - 1) / ((n - B) mu)) / eta.

    Infinite for GD, B = n, whose steps have no noise, and where the alignment is not above 0.
    """
    if alignment <= 0:
        return math.inf
    return noise_reduction(batch_size, examples) / (learning_rate * math.sqrt(alignment))


def _frobenius(operator: Operator, tolerance: float, probes: int, seed: int) -> FrobeniusNorm:
    squared = Operator(operator.size, lambda v: operator.product(operator.product(v)))
    found = traces.hutch_plus_plus(squared, tolerance=tolerance, max_iterations=probes, seed=seed)
    value = math.sqrt(max(found.value, 0.0))
    error = found.standard_error / (2 * value) if value else math.sqrt(found.standard_error)
    return FrobeniusNorm(value, error, 2 * found.iterations, found.converged)
