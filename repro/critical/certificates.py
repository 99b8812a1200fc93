"""Certificates: proofs by computation that a critical point is near, and what kind it is.

A certificate is a JSON object of exact doubles: what is claimed, where, and the bounds the claim
rests on. `verify` computes every bound again in ball arithmetic from the point alone and compares.
Its kind is `minimum` or `saddle`, both isolated, or `split`: a certified narrower point with split
neurons, a plateau of minima (index 0) or of strict saddles. See proofs.py for the mathematics.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
from flint import arb, arb_mat

from repro.critical import balls, intervals, proofs
from repro.critical.balls import NotCertified
from repro.critical.intervals import ExactProblem

RHO = 1e-4  # distance within which third derivatives are bounded; the radius must be smaller
FARTHEST = 1e-2  # a weight may move while its point is refined; eigenvalues can be 1e-13


class InvalidCertificate(ValueError):
    """A certificate does not prove what it says."""


def refine(point: np.ndarray, given: ExactProblem, steps: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Take Newton steps in balls; return the point [d + 1, m] as doubles and their correction."""
    with balls.precision(proofs.BITS):
        theta = intervals.student(point.tolist())
        for _ in range(steps):
            _, gradient, hessian = intervals.derivatives(theta, given)
            slope = arb_mat([[g.mid()] for g in gradient])
            step = balls.middle(hessian).solve(slope).entries()
            flat = [(x - d).mid() for x, d in zip([x for row in theta for x in row], step)]
            width = len(theta[0])
            theta = [flat[i * width : (i + 1) * width] for i in range(len(theta))]
        doubles = np.array([[float(x) for x in row] for row in theta])
        rest = [[float(x - arb(d)) for x, d in zip(row, ds)] for row, ds in zip(theta, doubles)]
    return doubles, np.array(rest)


def certify(point: np.ndarray, index: int, teacher: str, given: ExactProblem) -> dict:
    """Certify an isolated critical point near doubles: a minimum where `index` is 0.

    Args:
      point: [d + 1, m], a converged student.
      index: supposed number of negative eigenvalues.
      teacher: name, for the record.
      given: made by proofs.exact().

    Raises:
      NotCertified: the bounds do not suffice, or there is no such point.
    """
    try:
        doubles, correction = refine(point, given)
    except ZeroDivisionError as error:  # a singular Hessian
        raise NotCertified("the Hessian is singular") from error
    if not np.isfinite(doubles).all() or np.abs(doubles - point).max() > FARTHEST:
        raise NotCertified("Newton's method leaves the point")
    claim = {
        "kind": "saddle" if index else "minimum",
        "teacher": teacher,
        "index": index,
        "point": doubles.tolist(),
        "correction": correction.tolist(),
        "rho": RHO,
    }
    with balls.precision(proofs.BITS):
        hessian = intervals.derivatives(proofs.ball(claim), given)[2]
    rounded = np.array([[float(x) for x in row] for row in hessian.tolist()])
    smallest = float(np.abs(np.linalg.eigvalsh(rounded)).min())
    for share in (0.99, 0.9, 0.5):  # float64 knows small eigenvalues only so well
        try:
            return signed(claim | proofs.isolated(claim | {"lambda": share * smallest}, given))
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
        "kind": "split",
        "teacher": parent["teacher"],
        "parent": parent,
        "splits": [[int(neuron), [float(share) for share in shares]] for neuron, shares in splits],
    }
    return signed(claim | proofs.split(claim, given))


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
            proved = proofs.split(certificate, given)
        elif certificate["kind"] in ("minimum", "saddle"):
            proved = proofs.isolated(certificate, given)
        else:
            raise InvalidCertificate(f"unknown kind {certificate['kind']!r}")
    except NotCertified as error:
        raise InvalidCertificate(f"the claim does not follow: {error}") from error
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise InvalidCertificate(f"it is no certificate: {error!r}") from error
    for name, value in proved.items():
        if certificate[name] != value:
            raise InvalidCertificate(f"{name} is {certificate[name]}, computed again {value}")


def signed(certificate: Mapping) -> dict:
    """Return a certificate with its digest; a digest alone proves nothing, see verify."""
    return {**certificate, "digest": _digest(certificate)}


def _digest(certificate: Mapping) -> str:
    """Return a digest of everything but itself; `repr` of a double is exact."""
    rest = {name: value for name, value in certificate.items() if name != "digest"}
    text = json.dumps(rest, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
