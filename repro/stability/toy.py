"""The one-dimensional escape of Wu, Ma, E 2018, section 2: two minima, one of which SGD leaves.

    f1 = min{x^2, 0.1 (x - 1)^2},  f2 = min{x^2, 1.9 (x - 1)^2},  f = (f1 + f2) / 2

Both minima have the sharpness 2. At x = 0 the two functions agree; at x = 1 their curvatures are
0.2 and 3.8, so that the non-uniformity is 1.8.
"""

import numpy as np

FACTORS = np.array([0.1, 1.9])  # of (x - 1)^2 in f1 and f2
SHARPNESS = 2.0  # of f at both minima
NONUNIFORMITY = float(FACTORS.max() - FACTORS.min())  # at x = 1: curvatures 2 -+ 1.8


def losses(x: np.ndarray) -> np.ndarray:
    """Return f1 and f2 at the points x [m], as [2, m]."""
    return np.minimum(x**2, FACTORS[:, None] * (x - 1) ** 2)


def slopes(x: np.ndarray) -> np.ndarray:
    """Return the derivatives of f1 and f2 at the points x [m], as [2, m]."""
    right = FACTORS[:, None] * (x - 1) ** 2 < x**2
    return np.where(right, 2 * FACTORS[:, None] * (x - 1), 2 * x)


def descend(
    learning_rate: float, iterations: int, *, start: float, runs: int, seed: int | None
) -> np.ndarray:
    """Return the path of each run, [iterations + 1, runs].

    Args:
      learning_rate: eta.
      iterations: steps.
      start: where all runs start.
      runs: how many.
      seed: of SGD's draws of f1 or f2; None: gradient descent on f.
    """
    rng = None if seed is None else np.random.default_rng(seed)
    path = np.empty((iterations + 1, runs))
    path[0] = start
    for step in range(iterations):
        slope = slopes(path[step])
        if rng is None:
            slope = slope.mean(0)
        else:
            slope = slope[rng.integers(0, 2, runs), np.arange(runs)]
        path[step + 1] = path[step] - learning_rate * slope
    return path


def thresholds() -> dict[str, float]:
    """Return the learning rates above which x = 1 is left, by criterion.

    `gd`: |1 - eta a| = 1. `mean_square`: (1 - eta a)^2 + eta^2 s^2 = 1. `nonuniformity`: eta s = 1.
    `almost_sure`: the mean of log|1 - eta a_i| is 0, here (1 - 0.2 eta)(3.8 eta - 1) = 1.
    """
    low, high = 2 * FACTORS
    # (1 - low eta)(high eta - 1) = 1: low high eta^2 - (low + high) eta + 2 = 0, the smaller root
    roots = np.roots([low * high, -(low + high), 2.0])
    return {
        "gd": 2 / SHARPNESS,
        "mean_square": 2 * SHARPNESS / (SHARPNESS**2 + NONUNIFORMITY**2),
        "nonuniformity": 1 / NONUNIFORMITY,
        "almost_sure": float(roots.real.min()),
    }
