"""The spectral density by stochastic Lanczos quadrature (Ghorbani, Krishnan, Xiao 2019)."""

import dataclasses

import numpy as np

from repro.curvature.hvp import Operator
from repro.curvature.krylov import orthogonal, rows_that_fit


@dataclasses.dataclass(frozen=True)
class SpectralDensity:
    """Gauss quadratures of the spectral measure, one per probe: sums of point masses."""

    nodes: np.ndarray = dataclasses.field(repr=False)  # [probes, steps], where the masses are
    weights: np.ndarray = dataclasses.field(repr=False)  # [probes, steps], each probe's add up to 1
    size: int  # of the operator
    iterations: int  # products taken
    converged: bool = True  # a fixed number of steps always ends
    remembered: int | None = None  # vectors that memory had room for; fewer than steps: see below

    def evaluate(self, grid: np.ndarray, sigma: float) -> np.ndarray:
        """Return the density per unit of eigenvalue at points [g], smoothed by N(0, sigma^2).

        Raises:
          ValueError: sigma is not above 0.
        """
        return np.mean(self._smoothed(grid, sigma), axis=0)

    def standard_error(self, grid: np.ndarray, sigma: float) -> np.ndarray:
        """Return the standard error over probes of `evaluate`; NaN for a single probe."""
        if len(self.nodes) == 1:
            return np.full(len(grid), np.nan)
        return np.std(self._smoothed(grid, sigma), axis=0, ddof=1) / np.sqrt(len(self.nodes))

    def moment(self, power: int) -> tuple[float, float]:
        """Return an estimate of tr(A^power) / size, and its standard error over probes."""
        per_probe = np.sum(self.weights * self.nodes**power, axis=1)
        if len(per_probe) == 1:
            return float(per_probe[0]), np.nan
        error = np.std(per_probe, ddof=1) / np.sqrt(len(per_probe))
        return float(per_probe.mean()), float(error)

    def _smoothed(self, grid: np.ndarray, sigma: float) -> np.ndarray:
        if not sigma > 0:
            raise ValueError(f"sigma={sigma} must be above 0: the width of what smooths the masses")
        distance = (np.asarray(grid)[None, :, None] - self.nodes[:, None, :]) / sigma
        bumps = np.exp(-0.5 * distance**2) / (sigma * np.sqrt(2 * np.pi))
        return np.sum(self.weights[:, None, :] * bumps, axis=2)


def lanczos_quadrature(
    operator: Operator,
    *,
    probes: int = 4,
    steps: int = 80,
    seed: int = 0,
    memory_limit: float | None = None,
) -> SpectralDensity:
    """Return the spectral density of an operator.

    Nodes are the eigenvalues of T after `steps` of fully re-orthogonalised Lanczos, weights the
    squared first components of its eigenvectors, averaged over Gaussian probes, which are isotropic
    once normalised. Moments up to 2 * steps - 1 of each probe's measure are exact.

    Args:
      operator: symmetric.
      probes: how many random vectors.
      steps: of Lanczos from each of them.
      seed: of the probes.
      memory_limit: bytes for the vectors of one probe, steps x size float64; None: a quarter of the
        machine's. Where they do not fit, new vectors are orthogonalised against the newest ones
        only: copies of eigenvalues may then appear among the nodes, but share their weight.

    Raises:
      ValueError: no probes, no steps, or no room for three vectors.
    """
    if probes < 1 or steps < 1:
        raise ValueError(f"probes={probes} and steps={steps} must be at least 1")
    rng = np.random.default_rng(seed)
    steps = min(steps, operator.size)
    rows = min(steps, rows_that_fit(operator.size, memory_limit, min(steps, 3)))
    nodes, weights = [], []
    for _ in range(probes):
        values, vectors = np.linalg.eigh(_tridiagonal(operator, steps, rows, rng))
        nodes.append(values)
        weights.append(vectors[0] ** 2)
    return SpectralDensity(
        np.stack(nodes), np.stack(weights), operator.size, probes * steps, remembered=rows
    )


def _tridiagonal(operator: Operator, steps: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Return T [steps, steps] of Lanczos from a random vector, which remembers so many vectors."""
    basis, projected = np.empty((rows, operator.size)), np.zeros((steps, steps))
    vector = rng.standard_normal(operator.size)
    for step in range(steps):
        vector = vector / np.linalg.norm(vector)
        basis[step % rows] = vector
        product = operator.product(vector)
        projected[step, step] = vector @ product
        if step + 1 == steps:
            break
        vector = orthogonal(product, basis[: step + 1])
        beta = np.linalg.norm(vector)
        if beta <= 1e-13 * np.linalg.norm(product):
            beta, vector = 0.0, orthogonal(rng.standard_normal(operator.size), basis[: step + 1])
        projected[step, step + 1] = projected[step + 1, step] = beta
    return projected
