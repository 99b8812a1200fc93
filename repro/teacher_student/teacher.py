"""Simsek et al.'s teacher (ICML 2021) on its grid of 1,681 points, as exact decimals.

A neuron is a pair (w, a) of incoming and outgoing weights; the net is f(x) = sum_i a_i sigma(w_i.x)
with the logistic sigma and no biases. The weights w are those of the authors' released code; its
outgoing weights are all 1, those on the EPFL slides alternate in sign, and both are kept.

Decimals such as 0.6 are no binary fractions. Interval arithmetic must start from the decimal, so
weights are stored as strings here and become float64 only where float64 is meant.
"""

import dataclasses

import numpy as np

GRID_REACH, GRID_STEP = 5.0, 0.25  # both coordinates are -5, -4.75, ..., 5
INCOMING = (("0.6", "0.5"), ("-0.5", "0.5"), ("-0.2", "-0.6"), ("0.1", "-0.6"))
TEACHERS = {"alternating": (1, -1, 1, -1), "ones": (1, 1, 1, 1)}


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A teacher net: `incoming` decimal strings [r, 2], `outgoing` integers [r]."""

    name: str
    incoming: tuple[tuple[str, str], ...]
    outgoing: tuple[int, ...]

    @property
    def weights(self) -> np.ndarray:
        """Incoming weights as float64 [r, 2], each within half a unit in the last place."""
        return np.array(self.incoming, dtype=np.float64)

    @property
    def signs(self) -> np.ndarray:
        """Outgoing weights as float64 [r], exact."""
        return np.array(self.outgoing, dtype=np.float64)

    def output(self, points: np.ndarray) -> np.ndarray:
        """Return the labels [n] of points [n, 2]."""
        return (1 / (1 + np.exp(-points @ self.weights.T))) @ self.signs


def get(name: str) -> Teacher:
    """Return the teacher of this name.

    Raises:
      ValueError: there is none; the message lists those there are.
    """
    if name not in TEACHERS:
        raise ValueError(f"unknown teacher {name!r}; choose from {', '.join(TEACHERS)}")
    return Teacher(name, INCOMING, TEACHERS[name])


def grid() -> np.ndarray:
    """Return the 1,681 points [1681, 2] of the grid; multiples of 1/4, so exact in float64."""
    ticks = np.arange(-GRID_REACH, GRID_REACH + GRID_STEP, GRID_STEP)
    return np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)


def half_grid() -> np.ndarray:
    """Return one point of each pair x, -x of the grid, [840, 2], without the origin.

    The grid is symmetric about the origin and sigma(z) - 1/2 is odd, so these points carry all
    the loss has to say about the odd part of a net; see critical/loss.py.
    """
    points = grid()
    return points[len(points) // 2 + 1 :]
