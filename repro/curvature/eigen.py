"""Extreme eigenvalues of a symmetric operator: Lanczos, and power iteration as papers ran it."""

import dataclasses
import math
import numbers

import numpy as np

from repro.curvature.hvp import Operator, check
from repro.curvature.krylov import Krylov, lanczos_steps, rows_that_fit

ENDS = ("largest", "smallest")
MISSED = 1e-6  # chance up to which an eigenvalue may be missed
BEYOND = 0.01  # of the spectral radius: so far beyond those found none may be missed
NOISE = 0.1  # that a given start gets, so that it has a share of every eigenvector


@dataclasses.dataclass(frozen=True)
class Eigenpairs:
    """Eigenvalues with what is known about their errors.

    An eigenvalue of the operator lies within `residuals[i]` of `values[i]`, up to the rounding of
    the operator's own products.
    """

    values: np.ndarray  # [k], from the end that was asked for, each as often as it occurs
    vectors: np.ndarray = dataclasses.field(repr=False)  # [size, k], of norm 1
    residuals: np.ndarray  # [k], |A v - value v| at most
    iterations: int  # products taken
    converged: bool  # whether residuals met the tolerance, and no value or copy of it is missing
    # [k], how many values within the tolerance of this one were found, itself included. Of the last
    # value there may be more, and of the only one (k = 1) no other was looked for.
    multiplicities: np.ndarray
    restarts: int = 0  # of Lanczos, where the memory limit had no room for all vectors


@dataclasses.dataclass(frozen=True)
class _Search:
    """What one run of Lanczos found; values as if the largest were wanted."""

    values: np.ndarray  # [k], descending
    vectors: np.ndarray  # [size, k]
    residuals: np.ndarray  # [k]
    iterations: int
    converged: bool
    restarts: int
    extent: tuple[float, float]  # the smallest and the largest Ritz value seen


def lanczos(
    operator: Operator,
    k: int = 1,
    *,
    which: str = "largest",
    tolerance: float = 1e-6,
    max_iterations: int = 300,
    start: np.ndarray | None = None,
    seed: int = 0,
    memory_limit: float | None = None,
) -> Eigenpairs:
    """Return the k algebraically largest or smallest eigenvalues, by Lanczos.

    Stops once all k residuals |beta_m s_mi| are at most `tolerance` times the largest eigenvalue in
    magnitude, and an eigenvalue further out by 1 % of that (or by the tolerance, if it is larger)
    would have shown itself but for a chance of 1e-6: a small residual says that an eigenvalue is
    near, not that it is the last one.

    One Krylov space has one vector of each multiple eigenvalue. So for k > 1 more searches follow,
    each orthogonal to all vectors found, until one ends beneath the k-th value: by convergence, or
    once a copy above it would have shown itself but for the same chance (Kuczynski, Wozniakowski
    1992).

    Args:
      operator: symmetric.
      k: how many, 1..size.
      which: `largest` or `smallest`, both by sign: -3 is smaller than 1.
      tolerance: on the residuals, relative to the spectral radius.
      max_iterations: products of one search at most, however far it got.
      start: [size], such as the eigenvector at an earlier checkpoint, to which a tenth of noise
        is added, lest another eigenvector that has overtaken it has no share in it; None: Gaussian.
      seed: of the random vectors.
      memory_limit: bytes for the vectors of a search, iterations x size float64; where they do not
        fit Lanczos restarts, which takes more products. None: a quarter of the machine's.

    Raises:
      ValueError: k, which, max_iterations, memory_limit or start make no sense.
    """
    check("end", which, ENDS)
    if not isinstance(k, numbers.Integral) or not 1 <= k <= operator.size:
        raise ValueError(f"k={k} must be a whole number from 1 to that of weights, {operator.size}")
    if max_iterations < k:
        raise ValueError(f"max_iterations={max_iterations} are too few for k={k} eigenvalues")
    rng = np.random.default_rng(seed)
    given = start is not None
    start = _start(start, operator.size, rng)
    if given:
        noise = rng.standard_normal(operator.size)
        start = start / np.linalg.norm(start) + NOISE * noise / np.linalg.norm(noise)
    wanted = min(max_iterations, operator.size)
    rows = min(wanted, rows_that_fit(operator.size, memory_limit, min(wanted, 2 * k + 4)))
    sign = 1.0 if which == "largest" else -1.0
    turned = Operator(operator.size, lambda vector: sign * operator.product(vector))
    limits = {"tolerance": tolerance, "max_iterations": max_iterations, "rows": rows, "rng": rng}
    found = _search(turned, k, start, share=MISSED * (NOISE if given else 1), **limits)
    if k > 1 and found.converged:
        found = _with_copies(turned, k, found, **limits)
    scale = max(map(abs, found.extent))
    order = np.argsort(-found.values, kind="stable")
    values = found.values[order]
    near = np.abs(values[:, None] - values[None]) <= max(2 * tolerance, 1e-12) * scale
    return Eigenpairs(
        sign * values[:k],
        found.vectors[:, order[:k]],
        found.residuals[order[:k]],
        found.iterations,
        found.converged,
        near.sum(axis=1)[:k],
        found.restarts,
    )


def _search(
    operator: Operator,
    k: int,
    start: np.ndarray,
    *,
    tolerance: float,
    max_iterations: int,
    rows: int,
    rng: np.random.Generator,
    share: float = MISSED,
    before: _Search | None = None,
) -> _Search:
    """Find the k largest eigenvalues, or the largest besides those found `before`.

    In the second case it also ends once no eigenvalue as large as the smallest of those before can
    have been missed. `share` times 1.25 / sqrt(size) is what the start has of any eigenvector, but
    for a chance of MISSED.
    """
    outside = None if before is None else before.vectors.T
    free = operator.size - (0 if outside is None else len(outside))
    low, high = (math.inf, -math.inf) if before is None else before.extent
    steps = lanczos_steps(operator, start, rng, rows=rows, outside=outside)
    for done, krylov in enumerate(steps, 1):
        if len(krylov.projected) < k:
            continue
        values, vectors = krylov.ritz()
        low, high = min(low, values[0]), max(high, values[-1])
        residuals = np.abs(krylov.beta * vectors[-1, : -k - 1 : -1])
        scale = max(abs(low), abs(high))
        limit = values[-1] + max(tolerance, BEYOND) * scale
        converged = bool((residuals <= tolerance * scale).all())
        converged = converged and _none_beyond(limit, values, krylov, share)
        if len(krylov.projected) == free:
            converged = True  # all of space: the residuals are rounding
        if before is not None and not krylov.restarts:
            least = before.values.min()
            converged = converged or _none_missed(values[-1], least, low, done, operator.size)
        if converged or done >= max_iterations:
            break
    return _Search(
        values[: -k - 1 : -1],
        krylov.basis.T @ vectors[:, : -k - 1 : -1],
        residuals,
        done,
        converged,
        krylov.restarts,
        (low, high),
    )


def _none_beyond(limit: float, values: np.ndarray, krylov: Krylov, share: float) -> bool:
    """Return whether an eigenvalue at `limit` or above would have shown itself.

    The next vector of Lanczos is p(A) times the start, over the product of all betas; the zeros of
    p are the Ritz `values`, with those that restarts dropped (a restart filters by them). As its
    norm is 1, |p(x)| times what the start has of an eigenvector is at most that product, x being
    its eigenvalue (van Dorsselaer, Hochstenbach, van der Vorst 2000).
    """
    if krylov.log_betas == -math.inf:
        return True  # the space is invariant: it holds all there is
    zeros = np.append(values, krylov.dropped)
    of_start = math.log(1.25 * share / math.sqrt(krylov.basis.shape[1]))
    return bool(np.log(limit - zeros).sum() + of_start > krylov.log_betas)


def _none_missed(value: float, least: float, low: float, steps: int, size: int) -> bool:
    """Return whether m steps from a random start would have come above `value`.

    Were there an eigenvalue `least`, the largest Ritz value would be a share e of the spectrum
    beneath it with a chance of at most 1.648 sqrt(size) exp(-sqrt(e) (2 m - 1)).
    """
    if value >= least or least <= low:
        return False
    share = (least - value) / (least - low)
    needed = math.log(1.648 / MISSED) + math.log(size) / 2
    return bool(needed <= math.sqrt(share) * (2 * steps - 1))


def _with_copies(operator: Operator, k: int, found: _Search, **limits) -> _Search:
    """Return what was found, with the copies of eigenvalues that one Krylov space leaves out."""
    tolerance, rng = limits["tolerance"], limits["rng"]
    while len(found.values) < operator.size:
        # Of more than k values only those above the k-th one are sought.
        least = np.sort(found.values)[-k]
        top = dataclasses.replace(found, values=np.maximum(found.values, least))
        more = _search(operator, 1, rng.standard_normal(operator.size), before=top, **limits)
        found = dataclasses.replace(
            found,
            iterations=found.iterations + more.iterations,
            converged=more.converged,
            restarts=found.restarts + more.restarts,
            extent=more.extent,
        )
        slack = tolerance * max(map(abs, found.extent))
        if not more.converged or more.values[0] < least - 2 * slack:
            return found
        # Orthogonal to vectors that are eigenvectors only up to their own residuals.
        residual = math.sqrt(more.residuals[0] ** 2 + np.sum(found.residuals**2))
        found = dataclasses.replace(
            found,
            values=np.append(found.values, more.values),
            vectors=np.column_stack([found.vectors, more.vectors]),
            residuals=np.append(found.residuals, residual),
        )
        if more.values[0] <= least + slack:
            return found
    return found


def power_iteration(
    operator: Operator,
    *,
    tolerance: float = 1e-3,
    max_iterations: int = 50,
    start: np.ndarray | None = None,
    seed: int = 0,
) -> Eigenpairs:
    """Return the eigenvalue of largest magnitude, by power iteration as Wu et al. 2018 ran it.

    Stops once the Rayleigh quotient changes by less than `tolerance`, relatively; the defaults are
    those of their scans. `converged` says that this rule ended it, no more: a small change is no
    small error, nor does it say that no other eigenvalue is larger. Compare `residuals`, which
    `lanczos` brings down by several orders of magnitude in as many products.

    Raises:
      ValueError: max_iterations or start make no sense.
    """
    if max_iterations < 1:
        raise ValueError(f"max_iterations={max_iterations} must be at least 1")
    rng = np.random.default_rng(seed)
    vector = _start(start, operator.size, rng)
    vector = vector / np.linalg.norm(vector)
    value, converged = np.inf, False
    for iteration in range(1, max_iterations + 1):
        product = operator.product(vector)
        before, value = value, float(vector @ product)
        residual = np.linalg.norm(product - value * vector)
        # At the first step `before` is infinite, and a zero operator is done at once.
        converged = bool(abs(value - before) <= tolerance * abs(value) or residual == 0)
        norm = np.linalg.norm(product)
        if converged or iteration == max_iterations or norm == 0:
            break
        vector = product / norm
    return Eigenpairs(
        np.array([value]),
        vector[:, None],
        np.array([residual]),
        iteration,
        converged,
        np.array([1]),
    )


def _start(start: np.ndarray | None, size: int, rng: np.random.Generator) -> np.ndarray:
    if start is None:
        return rng.standard_normal(size)
    start = np.asarray(start, np.float64)
    if start.shape != (size,) or not np.isfinite(start).all() or not start.any():
        raise ValueError(f"the start vector must be finite, not zero, and of shape ({size},)")
    return start
