"""Distinct critical points among students, each certified once."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from repro.critical import certificates, newton
from repro.critical.balls import NotCertified
from repro.critical.classify import Verdict
from repro.critical.intervals import ExactProblem
from repro.critical.neurons import distances, distinct

# Equal critical points agree in loss to 9 digits and more, and in place to the square root of that.
LOSS_TOLERANCE, PLACE_TOLERANCE = 1e-8, 1e-4


@dataclasses.dataclass(frozen=True)
class Point:
    """A distinct critical point modulo permutation and signs.

    Attributes:
      name: class and number in order of loss, such as `local-00`; of its certificate, too.
      students: numbers of the students that ended there.
      certificate: a dict as certificates.certify returns it, or None.
      reason: why there is none.
    """

    name: str
    loss: float
    index: int
    students: list[int]
    certificate: dict | None
    reason: str


def certify_points(
    theta: np.ndarray,
    loss: np.ndarray,
    verdicts: Sequence[Verdict],
    teacher: str,
    given: ExactProblem,
) -> tuple[list[Point], list[Verdict]]:
    """Find the distinct critical points with positive loss among students and certify each once.

    An undecided student whose point is certified in ball arithmetic becomes a local minimum: its
    smallest eigenvalue was only too small for float64.

    Args:
      theta: students [S, 3, m].
      loss: [S].
      verdicts: of each student.
      teacher: its name.
      given: the problem in balls.

    Returns:
      the points in order of class and loss, and the verdicts.
    """
    verdicts, points = list(verdicts), []
    for s, verdict in enumerate(verdicts):
        if verdict.name == "undecided" and loss[s] > newton.VALLEY[1]:
            certificate, _ = _certify(theta[s], verdict, teacher, given)
            if certificate is not None and certificate["kind"] == "minimum":
                verdicts[s] = Verdict("local", "isolated", 0, {"lambda_min": certificate["lambda"]})
    for name in ("local", "plateau", "saddle"):
        chosen = [s for s, verdict in enumerate(verdicts) if verdict.name == name]
        for number, found in enumerate(_distinct(chosen, theta, loss, verdicts, teacher, given)):
            group, certificate, reason = found
            head = group[0]
            points.append(
                Point(
                    f"{name}-{number:02}",
                    float(loss[head]),
                    verdicts[head].index,
                    group,
                    certificate,
                    reason,
                )
            )
    return points, verdicts


def record(point: Point) -> dict:
    """Return what result.json says about a point."""
    return {
        "name": point.name,
        "loss": point.loss,
        "index": point.index,
        "students": len(point.students),
        "certified": point.certificate is not None,
        "reason": point.reason,
    }


def _distinct(
    chosen, theta, loss, verdicts, teacher, given
) -> list[tuple[list[int], dict | None, str]]:
    """Return groups of students at one point, in order of loss, with certificate or reason.

    A student is |g| / lambda_min away from its point, which at flat minima exceeds any fixed
    tolerance. So groups are made twice, the second time from the refined points of certificates.
    """
    groups = {group[0]: group for group in _groups(chosen, theta, loss, verdicts)}
    certified = {head: _certify(theta[head], verdicts[head], teacher, given) for head in groups}
    refined, looked_at = theta.copy(), list(verdicts)
    for head, (certificate, _) in certified.items():
        if certificate is None:
            continue
        if "parent" in certificate:
            parent = {"parent": certificate["parent"]["point"]}
            evidence = verdicts[head].evidence | parent
            looked_at[head] = dataclasses.replace(verdicts[head], evidence=evidence)
        else:
            refined[head] = certificate["point"]
    merged = []
    for same in _groups(sorted(groups), refined, loss, looked_at):
        students = sorted(student for head in same for student in groups[head])
        merged.append((students, *certified[same[0]]))
    return sorted(merged, key=lambda each: loss[each[0][0]])


def _groups(chosen, theta, loss, verdicts) -> list[list[int]]:
    """Group students of one class by critical point; split ones by parent, neurons and signs."""
    buckets: dict[tuple, list[int]] = {}
    for s in chosen:
        buckets.setdefault(_split_width(verdicts[s]), []).append(s)
    groups = []
    for width, members in buckets.items():
        places = np.stack(
            [np.array(verdicts[s].evidence["parent"]) if width else theta[s] for s in members]
        )
        numbers = distinct(places, loss[members], LOSS_TOLERANCE, PLACE_TOLERANCE)
        for number in range(numbers.max() + 1):
            same = np.flatnonzero(numbers == number)
            by_split: dict[tuple, list[int]] = {}
            for row in same:
                key = _split_key(verdicts[members[row]], places[row], places[same[0]])
                by_split.setdefault(key, []).append(members[row])
            groups += by_split.values()
    return groups


def _split_width(verdict: Verdict) -> int:
    """Return the parent's width, 0 for a point that is not split."""
    return len(verdict.evidence["parent"][0]) if "parent" in verdict.evidence else 0


def _split_key(verdict: Verdict, parent: np.ndarray, head: np.ndarray) -> tuple:
    """Return which neurons of the parent, numbered as in `head`, are split, by which signs."""
    if "parent" not in verdict.evidence:
        return ()
    table, _ = distances(parent, head)
    return tuple(
        sorted(
            (int(table[neuron].argmin()), sum(share < 0 for share in shares), len(shares))
            for neuron, shares in zip(verdict.evidence["neurons"], verdict.evidence["shares"])
        )
    )


def _certify(student, verdict, teacher, given) -> tuple[dict | None, str]:
    """Return a certificate, or None and why not."""
    try:
        if "parent" not in verdict.evidence:
            return certificates.certify(student, verdict.index, teacher, given), ""
        place = np.array(verdict.evidence["parent"])
        added = verdict.evidence["parent_index"]
        parent = certificates.certify(place, added, teacher, given)
        splits = [
            (neuron, shares[:-1])
            for neuron, shares in zip(verdict.evidence["neurons"], verdict.evidence["shares"])
        ]
        return certificates.certify_split(parent, splits, given), ""
    except NotCertified as failure:
        return None, str(failure)
