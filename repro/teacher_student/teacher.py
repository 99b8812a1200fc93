"""Simsek et al.'s teacher (ICML 2021) on its grid of 1,681 points, as exact decimals.

A neuron is a pair (w, a) of incoming and outgoing weights; the net is f(x) = sum_i a_i sigma(w_i.x)
with the logistic sigma and no biases, though its students may have some. The weights w are those of
the authors' released code; its outgoing weights are all 1, those on the EPFL slides alternate in
sign, and both are kept.

Decimals such as 0.6 are no binary fractions. Interval arithmetic must start from the decimal, so
weights are stored as strings here and become float64 only where float64 is meant.
"""

import dataclasses

import numpy as np

GRID_REACH, GRID_STEP = 5.0, 0.25  # both coordinates are -5, -4.75, ..., 5
INCOMING = (("0.6", "0.5"), ("-0.5", "0.5"), ("-0.2", "-0.6"), ("0.1", "-0.6"))
TEACHERS = {"alternating": (1, -1, 1, -1), "ones": (1, 1, 1, 1)}
BIASED = " with biases"  # ends the name of a teacher of students with biases


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A teacher net: `incoming` decimal strings [r, 2], `outgoing` integers [r].

    If its students have biases `incoming` is [r, 3], with its own biases, all 0, in the last
    column.
    """

    name: str
    incoming: tuple[tuple[str, ...], ...]
    outgoing: tuple[int, ...]

    @property
    def biases(self) -> bool:
        """Whether its students have biases."""
        return len(self.incoming[0]) > 2

    @property
    def weights(self) -> np.ndarray:
        """Incoming weights as float64 [r, d], each within half a unit in the last place."""
        return np.array(self.incoming, dtype=np.float64)

    @property
    def signs(self) -> np.ndarray:
        """Outgoing weights as float64 [r], exact."""
        return np.array(self.outgoing, dtype=np.float64)

    def output(self, points: np.ndarray) -> np.ndarray:
        """Return the labels [n] of points [n, 2]."""
        return (1 / (1 + np.exp(-points @ self.weights[:, :2].T))) @ self.signs


def get(name: str, *, biases: bool = False) -> Teacher:
    """Return the teacher of this name.

    Args:
      name: one of TEACHERS, or the name that a teacher of students with biases has.
      biases: whether its students have biases.

    Raises:
      ValueError: there is none; the message lists those there are.
    """
    plain = name.removesuffix(BIASED)
    if plain not in TEACHERS:
        raise ValueError(f"unknown teacher {name!r}; choose from {', '.join(TEACHERS)}")
    if biases or name != plain:
        return Teacher(plain + BIASED, tuple((*w, "0") for w in INCOMING), TEACHERS[plain])
    return Teacher(plain, INCOMING, TEACHERS[plain])


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


def whole_grid(net: Teacher) -> np.ndarray:
    """Return the grid as a teacher's students see it: [1681, 2], with biases [1681, 3], ones last.

    A bias is the weight of an input that is always 1.
    """
    points = grid()
    return np.column_stack([points, np.ones(len(points))]) if net.biases else points


def inputs(net: Teacher) -> np.ndarray:
    """Return the points on which the loss is computed: half the grid, or all of it with biases."""
    return whole_grid(net) if net.biases else half_grid()
