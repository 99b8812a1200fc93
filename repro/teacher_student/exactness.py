"""What holds exactly: the counts of Simsek et al., and the half grid's loss."""

import numpy as np

from repro.critical import counting, newton
from repro.critical.loss import Problem

STUDENTS, WIDTH = 100, 5


def check(grid: np.ndarray, labels: np.ndarray, given: Problem) -> dict:
    """Return G and T of width 5, and the half grid's largest relative error of the loss.

    Args:
      grid: all points, [N, 2].
      labels: the teacher's output there, [N].
      given: the same problem on half the grid.
    """
    theta = np.random.default_rng(0).uniform(-1.5, 1.5, (STUDENTS, 3, WIDTH))
    outputs = [a @ (1 / (1 + np.exp(-(grid @ np.stack([x, y])).T))) for x, y, a in theta]
    full = np.mean((np.array(outputs) - labels) ** 2, axis=1)
    half, _, _ = newton.evaluate(theta, given)
    return {
        "grid": len(grid),
        "G": [counting.critical_subspaces(r, WIDTH) for r in (4, 3, 2)],
        "T": counting.global_subspaces(4, WIDTH),
        "half_grid_error": float(np.abs(half / full - 1).max()),
    }
