"""What holds exactly: the counts of Simsek et al., and the closed form of the loss."""

import numpy as np

from repro.critical import counting, newton
from repro.critical.loss import Problem

STUDENTS, WIDTH = 100, 5


def check(grid: np.ndarray, labels: np.ndarray, given: Problem) -> dict:
    """Return G and T of width 5, and the largest relative error of the loss in `given`.

    Args:
      grid: all points, [N, 2], or [N, 3] for students with biases.
      labels: the teacher's output there, [N].
      given: the same problem, without biases on half the grid.
    """
    shape = (STUDENTS, grid.shape[1] + 1, WIDTH)
    theta = np.random.default_rng(0).uniform(-1.5, 1.5, shape)
    outputs = [each[-1] @ (1 / (1 + np.exp(-(grid @ each[:-1]).T))) for each in theta]
    full = np.mean((np.array(outputs) - labels) ** 2, axis=1)
    half, _, _ = newton.evaluate(theta, given)
    return {
        "grid": len(grid),
        "G": [counting.critical_subspaces(r, WIDTH) for r in (4, 3, 2)],
        "T": counting.global_subspaces(4, WIDTH),
        "half_grid_error": float(np.abs(half / full - 1).max()),
    }
