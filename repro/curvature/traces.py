"""The trace of a symmetric operator from random products, with its standard error."""

import dataclasses

import numpy as np

from repro.curvature.hvp import Operator

FEWEST_PROBES = 4  # before a sample deviation means anything


@dataclasses.dataclass(frozen=True)
class TraceEstimate:
    """An estimate of a trace."""

    value: float
    standard_error: float
    iterations: int  # products taken
    converged: bool  # whether the standard error met the tolerance


def hutchinson(
    operator: Operator, *, tolerance: float = 0.05, max_iterations: int = 200, seed: int = 0
) -> TraceEstimate:
    """Return the mean of z^T A z over random signs z (Hutchinson 1990).

    Stops once the standard error is at most `tolerance` times the mean. A rule on the change of the
    running mean, as others have it, stops early by luck.

    Raises:
      ValueError: fewer than FEWEST_PROBES iterations are allowed.
    """
    if max_iterations < FEWEST_PROBES:
        raise ValueError(f"max_iterations={max_iterations} must be at least {FEWEST_PROBES}")
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(max_iterations):
        probe = rng.choice((-1.0, 1.0), operator.size)
        samples.append(probe @ operator.product(probe))
        error = standard_error(samples)
        converged = bool(error <= tolerance * abs(np.mean(samples)))
        if converged:
            break
    return TraceEstimate(float(np.mean(samples)), error, len(samples), converged)


def hutch_plus_plus(
    operator: Operator, *, tolerance: float = 0.05, max_iterations: int = 200, seed: int = 0
) -> TraceEstimate:
    """Return the trace by Hutch++ (Meyer, Musco, Musco, Woodruff 2021), from `max_iterations`.

    A third of the products finds the range Q where most of A lives, a third takes the trace there
    exactly, and a third estimates what is left. The error falls as 1 / products where Hutchinson's
    falls as their root, for operators whose eigenvalues decay. An operator whose rank Q covers is
    exact and has the standard error 0.

    Raises:
      ValueError: fewer than 3 * FEWEST_PROBES iterations are allowed.
    """
    third = max_iterations // 3
    if third < FEWEST_PROBES:
        raise ValueError(f"max_iterations={max_iterations} must be at least {3 * FEWEST_PROBES}")
    rng = np.random.default_rng(seed)
    columns = min(third, operator.size)
    sketch = np.stack(
        [operator.product(rng.choice((-1.0, 1.0), operator.size)) for _ in range(columns)], axis=1
    )
    basis = np.linalg.qr(sketch)[0]
    inside = sum(column @ operator.product(column) for column in basis.T)
    samples = []
    for _ in range(third if columns < operator.size else 0):
        probe = rng.choice((-1.0, 1.0), operator.size)
        probe = probe - basis @ (basis.T @ probe)
        samples.append(probe @ operator.product(probe))
    value = float(inside + (np.mean(samples) if samples else 0.0))
    error = standard_error(samples) if samples else 0.0
    converged = bool(error <= tolerance * abs(value))
    return TraceEstimate(value, error, 2 * columns + len(samples), converged)


def standard_error(samples: list[float]) -> float:
    """Return the standard error of a mean; infinite for fewer than FEWEST_PROBES samples."""
    if len(samples) < FEWEST_PROBES:
        return np.inf
    return float(np.std(samples, ddof=1) / np.sqrt(len(samples)))
