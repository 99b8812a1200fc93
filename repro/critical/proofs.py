"""What a certificate's claim rests on, computed in ball arithmetic from its point alone.

* isolated minima: Lemmas 1 and 2 of Safran and Shamir (2017), as their verification code has them,
  with the third-derivative bound of this problem: a strict local minimum within `radius`, with a
  loss of at least `loss_floor` > 0. The global minimum has loss zero, so it is another one.
* isolated saddles: Newton and Kantorovich's theorem: one critical point within `radius`, whose
  Hessian has exactly `index` negative eigenvalues.
* split points: the sign rule of Fukumizu and Amari at a certified narrower point.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from flint import arb, arb_mat

from repro.critical import balls, intervals
from repro.critical.balls import NotCertified, above, below
from repro.critical.intervals import ExactProblem

BITS = 192  # doubles with a correction carry 106 bits
# Eigenvalues below this count as zero in inertia_of_split: those of constructed points are exact
# zeros with errors of 1e-30, and no others here are below 1e-14.
ZERO_EIGENVALUE = 1e-20


def exact(inputs: np.ndarray, incoming, outgoing, *, halved: bool = True) -> ExactProblem:
    """Return the problem in balls of BITS bits; arguments as for intervals.exact_problem."""
    with balls.precision(BITS):
        return intervals.exact_problem(inputs, incoming, outgoing, halved=halved)


def ball(claim: Mapping, radius: float = 0.0) -> list[list[arb]]:
    """Return balls of a radius around a claim's point, doubles plus their correction."""
    pairs = [zip(row, rest) for row, rest in zip(claim["point"], claim["correction"])]
    return [[arb(x) + arb(d, radius) for x, d in row] for row in pairs]


def isolated(claim: Mapping, given: ExactProblem) -> dict:
    """Return the bounds that prove a claim about an isolated minimum or saddle.

    Args:
      claim: its kind, index, point, correction, lambda and rho.
      given: made by exact().

    Raises:
      NotCertified: they do not prove it.
    """
    with balls.precision(BITS):
        loss, gradient, hessian = intervals.derivatives(ball(claim), given)
        smallest, rho = arb(claim["lambda"]), arb(claim["rho"])
        index = claim["index"]
        if not smallest > 0:
            raise NotCertified("the smallest eigenvalue must be positive in size")
        if {balls.inertia(hessian, smallest), balls.inertia(hessian, -smallest)} != {index}:
            raise NotCertified(f"the Hessian does not have {index} negative eigenvalues")
        slope = balls.norm(gradient).upper()
        third = intervals.third_derivative_bound(ball(claim), given, rho)
        if claim["kind"] == "minimum":
            radius = _lemma_1(slope, smallest, third, index)
        else:
            radius = _kantorovich(slope, smallest, third)
        if not radius <= rho:
            raise NotCertified("the point's ball is larger than that of the third derivatives")
        if not third * radius < smallest:
            raise NotCertified("eigenvalues may change sign within the ball")
        bounds = {
            "lambda": claim["lambda"],
            "loss": [below(loss), above(loss)],
            "gradient_norm": above(slope),
            "third_derivative": above(third),
            "radius": above(radius),
        }
        if claim["kind"] == "minimum":
            bounds["loss_floor"] = below(_lemma_2(loss, slope, hessian, third, radius))
            if not bounds["loss_floor"] > 0:
                raise NotCertified("the loss may be zero")
        return bounds


def split(claim: Mapping, given: ExactProblem) -> dict:
    """Return index, width and matrix signs of a split point; signs hold in the parent's whole ball.

    Args:
      claim: its parent's certificate, and splits as certificates.certify_split describes them.
      given: made by exact().

    Raises:
      NotCertified: a sign is uncertain.
    """
    parent = claim["parent"]
    with balls.precision(BITS):
        index, width, signs = parent["index"], len(parent["point"][0]), []
        if len({neuron for neuron, _ in claim["splits"]}) < len(claim["splits"]):
            raise NotCertified("a neuron is split twice")
        for neuron, given_shares in claim["splits"]:
            shares = _shares(given_shares)
            if not all(share > 0 or share < 0 for share in shares):
                raise NotCertified("a share is zero")
            positive, negative = sum(s > 0 for s in shares) - 1, sum(s < 0 for s in shares)
            matrix = intervals.sign_matrix(ball(parent, parent["radius"]), neuron, given)
            below, size = balls.inertia(matrix, arb(0)), matrix.nrows()
            index += (size - below) * negative + below * positive
            width += len(shares) - 1
            signs.append({0: 1, size: -1}.get(below, 0))
    return {"index": index, "width": width, "signs": signs}


def inertia_of_split(
    parent: Mapping, splits: Sequence[tuple[int, Sequence[float]]], given: ExactProblem
) -> list[int]:
    """Count negative, zero and positive eigenvalues of the Hessian itself at a split point.

    Unlike split() this uses neither the sign rule nor the parent's index: eigenvalues of the whole
    Hessian are counted in ball arithmetic, those within ZERO_EIGENVALUE as zero.

    Args:
      parent: an isolated point's certificate.
      splits: as for certificates.certify_split; none counts for the parent itself.
      given: made by exact().

    Raises:
      NotCertified: an eigenvalue is too close to +-ZERO_EIGENVALUE.
    """
    with balls.precision(BITS):
        columns = [[column] for column in zip(*ball(parent))]
        for neuron, shares in splits:
            ((*incoming, a),) = columns[neuron]
            columns[neuron] = [(*incoming, a * share) for share in _shares(shares)]
        theta = [list(row) for row in zip(*(copy for group in columns for copy in group))]
        hessian = intervals.derivatives(theta, given)[2]
        below_, up_to = (balls.inertia(hessian, arb(s * ZERO_EIGENVALUE)) for s in (-1, 1))
    return [below_, up_to - below_, hessian.nrows() - up_to]


def _shares(all_but_last: Sequence[float]) -> list[arb]:
    shares = [arb(share) for share in all_but_last]
    return [*shares, 1 - sum(shares, arb(0))]


def _lemma_1(slope: arb, smallest: arb, third: arb, index: int) -> arb:
    """Return the radius within which a minimum lies: on its sphere the loss exceeds the centre's.

    From F(x + tu) - F(x) >= -g t + lambda t^2 / 2 - B t^3 / 6; the exact discriminant has 24, and
    the 25 of Safran and Shamir's code makes the inequality strict.
    """
    discriminant = 9 * smallest**2 - 25 * slope * third
    if index or not discriminant >= 0:
        raise NotCertified("Lemma 1 does not hold: gradient too large for its eigenvalue")
    return (3 * smallest - discriminant.sqrt()) / (2 * third)


def _lemma_2(loss: arb, slope: arb, hessian: arb_mat, third: arb, radius: arb) -> arb:
    """Return a lower bound of the loss at the minimum; the Frobenius norm bounds the Hessian's."""
    lipschitz = balls.norm(hessian.entries()) + third * radius
    return loss - radius * (lipschitz * radius + slope)


def _kantorovich(slope: arb, smallest: arb, third: arb) -> arb:
    """Return the radius t = (1 - sqrt(1 - 2 h)) / (beta B), h = beta B eta <= 1/2."""
    beta = 1 / smallest
    h = beta * third * (beta * slope)
    if not 2 * h <= 1:
        raise NotCertified("Newton and Kantorovich's theorem does not apply")
    return (1 - (1 - 2 * h).sqrt()) / (beta * third)
