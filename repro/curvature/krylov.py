"""Lanczos steps in float64, fully re-orthogonalised, within a limit of memory."""

import dataclasses
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from repro.curvature.hvp import Operator

CGROUP = Path("/sys/fs/cgroup/memory.max")  # the limit of a container
UNKNOWN_MEMORY = 2**34  # taken for the machine's where it does not say


@dataclasses.dataclass(frozen=True)
class Krylov:
    """What steps of Lanczos know: A basis^T = basis^T T + the next vector times beta, last column.

    T is tridiagonal until the first restart.
    """

    projected: np.ndarray = dataclasses.field(repr=False)  # T, [m, m]
    beta: float  # how far the last product leads out of the basis
    basis: np.ndarray = dataclasses.field(repr=False)  # [m, size], orthonormal rows
    restarts: int
    dropped: np.ndarray  # Ritz values that restarts took out
    log_betas: float  # sum of the logarithms of all betas there were; -inf once one was 0

    def ritz(self) -> tuple[np.ndarray, np.ndarray]:
        """Return eigenvalues [m], ascending, and eigenvectors [m, m] of T."""
        return np.linalg.eigh(self.projected)


def memory() -> int:
    """Return a quarter of the memory of this machine, or of its container, in bytes."""
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        whole = UNKNOWN_MEMORY
    text = CGROUP.read_text().strip() if CGROUP.is_file() else "max"
    return min(whole, int(text) if text.isdigit() else whole) // 4


def rows_that_fit(size: int, memory_limit: float | None, needed: int) -> int:
    """Return how many vectors of a size a limit of memory has room for.

    Args:
      size: of the vectors, float64.
      memory_limit: bytes; None: `memory()`.
      needed: at least so many there must be.

    Raises:
      ValueError: there is room for fewer.
    """
    limit = memory() if memory_limit is None else memory_limit
    fit = int(limit // (8 * size))
    if fit < needed:
        raise ValueError(
            f"memory_limit={limit / 2**30:.3g} GiB has room for {fit} vectors of {size:,} weights, "
            f"and at least {needed} are needed: {needed * 8 * size / 2**30:.3g} GiB"
        )
    return fit


def lanczos_steps(
    operator: Operator,
    start: np.ndarray,
    rng: np.random.Generator,
    *,
    rows: int,
    end: str = "largest",
    outside: np.ndarray | None = None,
) -> Iterator[Krylov]:
    """Yield the Krylov space of a start vector after each step, until it is all of space.

    Scalars and vectors are float64 and every new vector is orthogonalised against all others,
    twice: without that, rounding lets copies of converged eigenvalues appear. Where the space is
    invariant (next vector zero) a random orthogonal vector goes on from there, with beta 0. A basis
    that is full shrinks to the half of its Ritz vectors from one end (thick restart; Wu, Simon
    2000).

    Args:
      rows: how many vectors the basis has room for.
      end: `largest` or `smallest`, the Ritz values whose vectors survive a restart.
      outside: [j, size], orthonormal rows; all happens in the space orthogonal to them.
    """
    size = operator.size
    outside = np.empty((0, size)) if outside is None else outside
    free = size - len(outside)
    rows = min(rows, free)
    basis, projected = np.empty((rows, size)), np.zeros((rows, rows))  # taken as it is filled
    vector = orthogonal(start, outside)
    vector = vector / np.linalg.norm(vector)
    done, restarts, dropped, log_betas = 0, 0, np.empty(0), 0.0
    while True:
        basis[done] = vector
        product = operator.product(vector)
        projected[done, done] = vector @ product
        scale = np.linalg.norm(product)
        done += 1
        vector = orthogonal(product, basis[:done], outside)
        beta = float(np.linalg.norm(vector))
        if beta <= 1e-13 * scale or done == free:
            beta = 0.0
        log_betas += math.log(beta) if beta else -math.inf
        known = projected[:done, :done].copy()
        yield Krylov(known, beta, basis[:done], restarts, dropped, log_betas)
        if done == free:
            return
        coupling = np.zeros(done)
        coupling[-1] = beta
        if done == rows:
            coupling, gone = _shrink(projected, basis, beta, end)
            done, dropped = len(coupling), np.append(dropped, gone)
            restarts += 1
        if beta == 0.0:
            vector = orthogonal(rng.standard_normal(size), basis[:done], outside)
        vector = vector / np.linalg.norm(vector)
        projected[done, :done] = projected[:done, done] = coupling


def _shrink(
    projected: np.ndarray, basis: np.ndarray, beta: float, end: str
) -> tuple[np.ndarray, np.ndarray]:
    """Put the Ritz vectors of one end in place of the basis; return their coupling, and what went.

    It needs room for no second basis: columns are turned a few at a time.
    """
    values, vectors = np.linalg.eigh(projected)
    keep = len(basis) // 2
    chosen = slice(None, -keep - 1, -1) if end == "largest" else slice(0, keep)
    gone = np.delete(values, np.arange(len(values))[chosen])
    values, vectors = values[chosen], vectors[:, chosen]
    for begin in range(0, basis.shape[1], 2**16):
        part = slice(begin, begin + 2**16)
        basis[:keep, part] = vectors.T @ basis[:, part]
    projected[:] = 0
    projected[range(keep), range(keep)] = values
    return beta * vectors[-1], gone


def orthogonal(vector: np.ndarray, *bases: np.ndarray) -> np.ndarray:
    """Return a vector [size] without its parts along the rows of bases [m, size], taken twice."""
    for _ in range(2):
        for basis in bases:
            vector = vector - basis.T @ (basis @ vector)
    return vector
