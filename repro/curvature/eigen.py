"""Extreme eigenvalues of a symmetric operator: Lanczos, and power iteration as papers ran it."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from repro.curvature.hvp import Operator

ENDS = ("largest", "smallest")


@dataclasses.dataclass(frozen=True)
class Eigenpairs:
    """Eigenvalues with what is known about their errors.

    An eigenvalue of the operator lies within `residuals[i]` of `values[i]`, up to the rounding of
    the operator's own products.
    """

    values: np.ndarray  # [k], from the end that was asked for
    vectors: np.ndarray  # [size, k], of norm 1
    residuals: np.ndarray  # [k], |A v - value v|
    iterations: int  # products taken
    converged: bool  # whether all residuals met the tolerance


@dataclasses.dataclass(frozen=True)
class Krylov:
    """What m steps of Lanczos know: A basis^T = basis^T T + the next vector times betas[-1]."""

    alphas: np.ndarray  # [m], diagonal of T
    betas: np.ndarray  # [m], beneath the diagonal; the last one leads out of the basis
    basis: np.ndarray  # [m, size], orthonormal rows

    def ritz(self) -> tuple[np.ndarray, np.ndarray]:
        """Return eigenvalues [m], ascending, and eigenvectors [m, m] of T."""
        beside = self.betas[:-1]
        return np.linalg.eigh(np.diag(self.alphas) + np.diag(beside, 1) + np.diag(beside, -1))


def lanczos_steps(
    operator: Operator, start: np.ndarray, rng: np.random.Generator
) -> Iterator[Krylov]:
    """Yield the Krylov space of a start vector after each step, until it is all of space.

    Scalars and vectors are float64 and every new vector is orthogonalised against all others,
    twice: without that, rounding lets copies of converged eigenvalues appear. Where the space is
    invariant (next vector zero) a random orthogonal vector goes on from there, with beta 0.
    """
    alphas, betas = [], []
    basis = np.empty((min(16, operator.size), operator.size))
    vector = start / np.linalg.norm(start)
    for step in range(operator.size):
        if step == len(basis):
            more = np.empty((min(step, operator.size - step), operator.size))
            basis = np.concatenate([basis, more])
        basis[step] = vector
        product = operator.product(vector)
        alphas.append(vector @ product)
        scale = np.linalg.norm(product)
        vector = _orthogonal(product, basis[: step + 1])
        beta = np.linalg.norm(vector)
        if beta <= 1e-13 * scale or step + 1 == operator.size:
            beta = 0.0
        betas.append(beta)
        yield Krylov(np.array(alphas), np.array(betas), basis[: step + 1])
        if beta == 0.0:
            vector = _orthogonal(rng.standard_normal(operator.size), basis[: step + 1])
        vector = vector / np.linalg.norm(vector)


def _orthogonal(vector: np.ndarray, basis: np.ndarray) -> np.ndarray:
    for _ in range(2):
        vector = vector - basis.T @ (basis @ vector)
    return vector


def lanczos(
    operator: Operator,
    k: int = 1,
    *,
    which: str = "largest",
    tolerance: float = 1e-6,
    max_iterations: int = 300,
    start: np.ndarray | None = None,
    seed: int = 0,
) -> Eigenpairs:
    """Return the k algebraically largest or smallest eigenvalues, by Lanczos.

    Stops once all k residuals |beta_m s_mi| are at most `tolerance` times the largest eigenvalue in
    magnitude. Of a multiple eigenvalue one copy is found, unless the Krylov space closes before.
    Memory: iterations x size float64.

    Args:
      operator: symmetric.
      k: how many, 1..size.
      which: `largest` or `smallest`, both by sign: -3 is smaller than 1.
      tolerance: on the residuals, relative to the spectral radius.
      max_iterations: products at most, however far it got.
      start: [size], such as the eigenvector at an earlier checkpoint; None: Gaussian.
      seed: of the random vectors.

    Raises:
      ValueError: k, which, max_iterations or start make no sense.
    """
    if which not in ENDS:
        raise ValueError(f"unknown end {which!r} of the spectrum; choose from {', '.join(ENDS)}")
    if not 1 <= k <= operator.size:
        raise ValueError(f"k={k} must lie between 1 and the number of weights, {operator.size}")
    if max_iterations < min(k, operator.size):
        raise ValueError(f"max_iterations={max_iterations} are too few for k={k} eigenvalues")
    rng = np.random.default_rng(seed)
    start = _start(start, operator.size, rng)
    for krylov in lanczos_steps(operator, start, rng):
        done = len(krylov.alphas)
        if done < k:
            continue
        values, vectors = krylov.ritz()
        chosen = slice(-1, -k - 1, -1) if which == "largest" else slice(0, k)
        residuals = np.abs(krylov.betas[-1] * vectors[-1, chosen])
        converged = bool((residuals <= tolerance * np.abs(values).max()).all())
        if done == operator.size:
            converged = True  # all of space: the residuals are rounding
        if converged or done >= max_iterations:
            break
    return Eigenpairs(
        values[chosen], krylov.basis.T @ vectors[:, chosen], residuals, done, converged
    )


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
    those of their scans. A small change is no small error: compare `residuals`, which `lanczos`
    brings down by several orders of magnitude in as many products.
    """
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
        np.array([value]), vector[:, None], np.array([residual]), iteration, converged
    )


def _start(start: np.ndarray | None, size: int, rng: np.random.Generator) -> np.ndarray:
    if start is None:
        return rng.standard_normal(size)
    start = np.asarray(start, np.float64)
    if start.shape != (size,) or not np.isfinite(start).all() or not start.any():
        raise ValueError(f"the start vector must be finite, not zero, and of shape ({size},)")
    return start
