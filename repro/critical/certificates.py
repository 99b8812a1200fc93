"""Proofs by computation that a critical point is near, and what kind it is.

A certificate is a JSON object of exact doubles: what is claimed, where, and the bounds the claim
rests on. `verify` computes every bound again in ball arithmetic from the point alone and compares.

* `minimum`: Lemmas 1 and 2 of Safran and Shamir (2017), as their verification code has them, with
  the third-derivative bound of this problem: a strict local minimum within `radius`, with a loss
  of at least `loss_floor` > 0. The global minimum has loss zero, so it is another one.
* `saddle`: Newton and Kantorovich's theorem: one critical point within `radius`, whose Hessian has
  exactly `index` negative eigenvalues.
* `split`: a certified narrower point with split neurons and the sign rule of Fukumizu and Amari
  (splitting.split_spectrum): a plateau of minima (index 0) or of strict saddles.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
from flint import arb, arb_mat

from repro.critical import intervals
from repro.critical.intervals import ExactProblem, NotCertified, above, below

BITS = 192  # doubles with a correction carry 106 bits
RHO = 1e-4  # distance within which third derivatives are bounded; the radius must be smaller
FARTHEST = 1e-2  # a weight may move while its point is refined; eigenvalues can be 1e-13
KINDS = ("minimum", "saddle", "split")


class InvalidCertificate(ValueError):
    """A certificate does not prove what it says."""


def refine(point: np.ndarray, given: ExactProblem, steps: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Take Newton steps in BITS bits; return the point [3, m] as doubles and their correction."""
    with intervals.precision(BITS):
        theta = intervals.student(point.tolist())
        for _ in range(steps):
            _, gradient, hessian = intervals.derivatives(theta, given)
            step = _middle(hessian).solve(arb_mat([[g.mid()] for g in gradient])).entries()
            flat = [(x - d).mid() for x, d in zip([x for row in theta for x in row], step)]
            width = len(theta[0])
            theta = [flat[i * width : (i + 1) * width] for i in range(3)]
        doubles = np.array([[float(x) for x in row] for row in theta])
        rest = [[float(x - arb(d)) for x, d in zip(row, ds)] for row, ds in zip(theta, doubles)]
    return doubles, np.array(rest)


def certify(point: np.ndarray, index: int, teacher: str, given: ExactProblem) -> dict:
    """Certify an isolated critical point near doubles [3, m]: a minimum where `index` is 0.

    Args:
      point: [3, m], a converged student.
      index: supposed number of negative eigenvalues.
      teacher: name, for the record.
      given: made at BITS bits, see exact().

    Raises:
      NotCertified: the bounds do not suffice, or there is no such point.
    """
    try:
        doubles, correction = refine(point, given)
    except ZeroDivisionError as error:  # a singular Hessian
        raise NotCertified("the Hessian is singular") from error
    if not np.isfinite(doubles).all() or np.abs(doubles - point).max() > FARTHEST:
        raise NotCertified("Newton's method leaves the point")
    with intervals.precision(BITS):
        hessian = intervals.derivatives(_at(doubles, correction), given)[2]
    rounded = np.array([[float(x) for x in row] for row in hessian.tolist()])
    smallest = float(np.abs(np.linalg.eigvalsh(rounded)).min())
    claim = {
        "kind": "saddle" if index else "minimum", "teacher": teacher, "index": index,
        "point": doubles.tolist(), "correction": correction.tolist(), "rho": RHO,
    }  # fmt: skip
    for share in (0.99, 0.9, 0.5):  # float64 knows small eigenvalues only so well
        try:
            return _signed(claim | _prove(claim | {"lambda": share * smallest}, given))
        except NotCertified as error:
            failure = error
    raise failure


def certify_split(
    parent: dict, splits: Sequence[tuple[int, Sequence[float]]], given: ExactProblem
) -> dict:
    """Certify a point made by splitting neurons of a certified one.

    Args:
      parent: certificate of the narrower point.
      splits: neuron of the parent and its shares but the last, which is the rest to 1.
      given: as above.

    Raises:
      NotCertified: the sign of a matrix or share is not certain.
    """
    claim = {
        "kind": "split", "teacher": parent["teacher"], "parent": parent,
        "splits": [[int(neuron), [float(share) for share in shares]] for neuron, shares in splits],
    }  # fmt: skip
    return _signed(claim | _prove_split(claim, given))


def verify(certificate: Mapping, given: ExactProblem) -> None:
    """Prove a certificate's claim again from its point.

    Raises:
      InvalidCertificate: something in it was altered, is missing or does not follow.
    """
    try:
        if certificate["digest"] != _digest(certificate):
            raise InvalidCertificate("its numbers do not match its digest: it was altered")
        if certificate["kind"] == "split":
            verify(certificate["parent"], given)
            proved = _prove_split(certificate, given)
        elif certificate["kind"] in KINDS:
            proved = _prove(certificate, given)
        else:
            raise InvalidCertificate(f"unknown kind {certificate['kind']!r}")
    except NotCertified as error:
        raise InvalidCertificate(f"the claim does not follow: {error}") from error
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise InvalidCertificate(f"it is no certificate: {error!r}") from error
    for name, value in proved.items():
        if certificate[name] != value:
            raise InvalidCertificate(f"{name} is {certificate[name]}, computed again {value}")


def exact(half_points: np.ndarray, incoming, outgoing) -> ExactProblem:
    """Return the problem in balls of BITS bits; arguments as for intervals.exact_problem."""
    with intervals.precision(BITS):
        return intervals.exact_problem(half_points, incoming, outgoing)


def _prove(claim: Mapping, given: ExactProblem) -> dict:
    """Return the bounds that prove a claim about an isolated point."""
    with intervals.precision(BITS):
        theta = _at(np.array(claim["point"]), np.array(claim["correction"]))
        loss, gradient, hessian = intervals.derivatives(theta, given)
        smallest, rho = arb(claim["lambda"]), arb(claim["rho"])
        index = claim["index"]
        if not smallest > 0:
            raise NotCertified("the smallest eigenvalue must be positive in size")
        if {intervals.inertia(hessian, smallest), intervals.inertia(hessian, -smallest)} != {index}:
            raise NotCertified(f"the Hessian does not have {index} negative eigenvalues")
        slope = intervals.norm(gradient).upper()
        third = intervals.third_derivative_bound(theta, given, rho)
        if claim["kind"] == "minimum":
            radius = _lemma_1(slope, smallest, third, index)
        else:
            radius = _kantorovich(slope, smallest, third)
        if not radius <= rho:
            raise NotCertified("the point's ball is larger than that of the third derivatives")
        if not third * radius < smallest:
            raise NotCertified("eigenvalues may change sign within the ball")
        bounds = {
            "lambda": claim["lambda"], "loss": [below(loss), above(loss)],
            "gradient_norm": above(slope), "third_derivative": above(third),
            "radius": above(radius),
        }  # fmt: skip
        if claim["kind"] == "minimum":
            bounds["loss_floor"] = below(_lemma_2(loss, slope, hessian, third, radius))
            if not bounds["loss_floor"] > 0:
                raise NotCertified("the loss may be zero")
        return bounds


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
    lipschitz = intervals.norm(hessian.entries()) + third * radius
    return loss - radius * (lipschitz * radius + slope)


def _kantorovich(slope: arb, smallest: arb, third: arb) -> arb:
    """Return the radius t = (1 - sqrt(1 - 2 h)) / (beta B), h = beta B eta <= 1/2."""
    beta = 1 / smallest
    h = beta * third * (beta * slope)
    if not 2 * h <= 1:
        raise NotCertified("Newton and Kantorovich's theorem does not apply")
    return (1 - (1 - 2 * h).sqrt()) / (beta * third)


def _prove_split(claim: Mapping, given: ExactProblem) -> dict:
    """Return index and width of a split point; signs hold in the whole ball of the parent."""
    parent = claim["parent"]
    with intervals.precision(BITS):
        ball = _at(np.array(parent["point"]), np.array(parent["correction"]), parent["radius"])
        index, width, signs = parent["index"], len(parent["point"][0]), []
        if len({neuron for neuron, _ in claim["splits"]}) < len(claim["splits"]):
            raise NotCertified("a neuron is split twice")
        for neuron, shares in claim["splits"]:
            shares = [arb(share) for share in shares]
            shares.append(1 - sum(shares, arb(0)))
            if not all(share > 0 or share < 0 for share in shares):
                raise NotCertified("a share is zero")
            positive, negative = sum(s > 0 for s in shares) - 1, sum(s < 0 for s in shares)
            matrix = intervals.sign_matrix(ball, neuron, given)
            sign = _definiteness(matrix)
            index += {1: 2 * negative, -1: 2 * positive, 0: positive + negative}[sign]
            width += len(shares) - 1
            signs.append(sign)
    return {"index": index, "width": width, "signs": signs}


def _definiteness(matrix: arb_mat) -> int:
    """Return 1, -1 or 0 for a positive, negative or indefinite 2x2 matrix.

    Raises:
      NotCertified: it may be singular.
    """
    determinant = matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
    if determinant < 0:
        return 0
    if determinant > 0 and (matrix[0, 0] > 0 or matrix[0, 0] < 0):
        return 1 if matrix[0, 0] > 0 else -1
    raise NotCertified("the sign of a neuron's 2x2 matrix is uncertain")


def _at(doubles: np.ndarray, correction: np.ndarray, radius: float = 0.0) -> list[list[arb]]:
    """Return balls around doubles plus correction."""
    pairs = [zip(row, rest) for row, rest in zip(doubles.tolist(), correction.tolist())]
    return [[arb(x) + arb(d, radius) for x, d in row] for row in pairs]


def _middle(matrix: arb_mat) -> arb_mat:
    return arb_mat([[x.mid() for x in row] for row in matrix.tolist()])


def _signed(certificate: dict) -> dict:
    return certificate | {"digest": _digest(certificate)}


def _digest(certificate: Mapping) -> str:
    """Return a digest of everything but itself; `repr` of a double is exact."""
    rest = {name: value for name, value in certificate.items() if name != "digest"}
    text = json.dumps(rest, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
