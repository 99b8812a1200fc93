"""The points of Liu et al. 2020, Figure 1: two blobs in the plane, true or random labels."""

import numpy as np

CENTRE, DEVIATION = 0.2, 0.15  # of each coordinate, before classes are moved apart
SEPARATION = 0.65  # of a class from the centre, along the first coordinate
JITTER = 0.1  # deviation of augmented points
WINDOW = ((-1.25, 1.8), (-0.75, 1.25))  # what the figure shows

_TRAIN, _TEST, _LABELS, _JITTER = range(4)  # streams of random numbers


def two_blobs(per_class: int, seed: int, *, test: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return points float32 [2 * per_class, 2] and labels float32, 1 for the blob on the right."""
    rng = np.random.default_rng([seed, _TEST if test else _TRAIN])
    labels = np.repeat([1.0, 0.0], per_class)
    points = rng.normal(CENTRE, DEVIATION, (2 * per_class, 2))
    points[:, 0] += SEPARATION * (2 * labels - 1)
    return points.astype(np.float32), labels.astype(np.float32)


def coin_labels(count: int, seed: int) -> np.ndarray:
    """Return fair random labels, float32 [count]."""
    return np.random.default_rng([seed, _LABELS]).integers(0, 2, count).astype(np.float32)


def with_jittered_copies(
    points: np.ndarray, labels: np.ndarray, copies: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points and `copies` jittered ones of each, drawn once: augmentation."""
    rng = np.random.default_rng([seed, _JITTER])
    noise = rng.normal(0, JITTER, (copies, *points.shape)).astype(np.float32)
    everything = np.concatenate([points, *(points + shift for shift in noise)])
    return everything, np.tile(labels, copies + 1)


def window_grid(columns: int, rows: int) -> np.ndarray:
    """Return the points of a grid over WINDOW, float32 [rows * columns, 2], row by row."""
    (left, right), (low, high) = WINDOW
    x, y = np.meshgrid(np.linspace(left, right, columns), np.linspace(low, high, rows))
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
