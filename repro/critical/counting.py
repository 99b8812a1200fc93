"""How many critical subspaces and global minima a wider net has."""

import math
from collections.abc import Sequence


def critical_subspaces(r: int, m: int) -> int:
    """Return G(r, m), the affine subspaces of width m made by one critical point of width r.

    G = sum over k_1 + ... + k_r = m, k_i >= 1, of m! / (k_1! ... k_r!): the number of ways to
    assign m neurons onto r (Simsek et al. 2021). G counts one critical point up to permutation; the
    number of saddles of level m - r is G times the number of inequivalent points of width r.
    """
    return sum((-1) ** j * math.comb(r, j) * (r - j) ** m for j in range(r + 1))


def plateau_subspaces(positive: int, others: int, m: int) -> int:
    """Return how many of the G(r, m) subspaces of a minimum hold minima where all shares are > 0.

    By the sign rule (splitting.split_spectrum) these are the subspaces in which only neurons with
    a positive definite sign matrix are split: `positive` of the minimum's r neurons have one, the
    `others` must stay single. In the rest, shares within (0, 1) make strict saddles.
    """
    return math.perm(m, others) * critical_subspaces(positive, m - others)


def global_subspaces(r: int, m: int) -> int:
    """Return T(r, m), the affine subspaces whose union is the set of global minima.

    Besides the r teacher groups there may be j unlabelled groups whose outgoing weights sum to
    zero: T = sum_j G(r + j, m) / j!. This holds for activations without symmetries; the logistic
    sigma has more global minima (neurons.decompose).
    """
    return sum(critical_subspaces(r + j, m) // math.factorial(j) for j in range(m - r + 1))


def reflected_global_minima(outgoing: Sequence[int]) -> int:
    """Return the number of isolated zero-loss students as wide as a logistic teacher.

    Each is a permutation and a choice of reflected neurons whose outgoing weights sum to zero, so
    that the constant stays: 24 x 6 = 144 for outgoing (1, -1, 1, -1), 24 for (1, 1, 1, 1).
    """
    sums = [0]
    for weight in outgoing:
        sums += [total + weight for total in sums]
    return math.factorial(len(outgoing)) * sums.count(0)
