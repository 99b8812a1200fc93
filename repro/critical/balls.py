"""Ball arithmetic (Arb, python-flint): numbers with proved errors, and matrices of them.

Every number is a ball that contains the true value, whatever was rounded on the way; a comparison
such as `x > 0` holds only if it holds for the whole ball.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence

from flint import arb, arb_mat, ctx


class NotCertified(ValueError):
    """A bound is not sharp enough, or the statement is false."""


@contextlib.contextmanager
def precision(bits: int) -> Iterator[None]:
    """Compute with this many bits inside the block."""
    before, ctx.prec = ctx.prec, bits
    try:
        yield
    finally:
        ctx.prec = before


def inertia(matrix: arb_mat, shift: arb) -> int:
    """Return how many eigenvalues of a symmetric matrix lie below `shift`; none may lie on it.

    By Sylvester's law this is the number of negative pivots of an L D L^T factorisation of
    matrix - shift.

    Raises:
      NotCertified: a pivot's ball contains zero.
    """
    rows = matrix.tolist()
    size, negative = len(rows), 0
    for i in range(size):
        rows[i][i] -= shift
    for i in range(size):
        pivot = rows[i][i]
        if not (pivot > 0 or pivot < 0):
            raise NotCertified(f"an eigenvalue cannot be told from {float(shift.mid()):g}")
        negative += int(pivot < 0)
        for j in range(i + 1, size):
            factor = rows[j][i] / pivot
            for k in range(i + 1, size):
                rows[j][k] -= factor * rows[i][k]
    return negative


def norm(values: Sequence[arb]) -> arb:
    """Return the Euclidean norm."""
    return sum((value * value for value in values), arb(0)).sqrt()


def above(value: arb) -> float:
    """Return a double that is at least every number of a ball."""
    return math.nextafter(float(value.upper()), math.inf)


def below(value: arb) -> float:
    """Return a double that is at most every number of a ball."""
    return math.nextafter(float(value.lower()), -math.inf)


def middle(matrix: arb_mat) -> arb_mat:
    """Return the matrix of the balls' centres."""
    return arb_mat([[x.mid() for x in row] for row in matrix.tolist()])
