"""The graph of critical points across widths: minima, what splitting makes of them, where it leads.

A node is a certified point. An edge `split` leads from a minimum of width r to a plateau or saddle
of width m made by splitting one of its neurons; m - r is the level. An edge `descends` leads from
such a saddle to where its unstable directions lead.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from repro.critical import adam, certificates, counting, newton, proofs
from repro.critical.balls import NotCertified
from repro.critical.classify import Verdict, classify
from repro.critical.escapes import direction
from repro.critical.intervals import ExactProblem
from repro.critical.loss import Problem
from repro.critical.neurons import match_distance
from repro.critical.points import LOSS_TOLERANCE, Point, record
from repro.critical.splitting import split

PUSH, DRAWS = 1e-3, 4  # length of the step off a saddle, and how many are taken
ITERATIONS = 500
SEARCH_STEPS, SEARCH_RATE = (1000, 3000), 1e-3  # of Adam, before isolated saddles are looked for


@dataclasses.dataclass(frozen=True)
class Child:
    """A point made by splitting a minimum's neuron: node, certificate, and the student [3, m]."""

    node: dict
    certificate: dict
    student: np.ndarray


def build(
    minima: Mapping[int, Sequence[Point]], exact: ExactProblem
) -> tuple[list[dict], list[Child]]:
    """Build the nodes of the graph from the isolated minima of each width.

    Args:
      minima: width -> points; those without a certificate are left out.
      exact: the problem in balls.

    Returns:
      nodes of the minima, and the split points of every wider width, neuron and side.
    """
    nodes, children = [], []
    for width, points in minima.items():
        for point in points:
            if point.certificate is None:
                continue
            name = f"m{width}/{point.name}"
            counted = _inertia(point.certificate, [], exact)
            node = {"id": name, "width": width, "class": "local", "level": 0, "inertia": counted}
            nodes.append(node | record(point))
            for wider in minima:
                if wider > width:
                    children += _children(name, point, wider - width, exact)
    return nodes, children


def split_shares(level: int) -> Iterator[tuple[str, list[float]]]:
    """Yield names and shares but the last of the ways to split a neuron into level + 1."""
    yield "inside", [1 / (level + 1)] * level  # (0, 1)
    if level == 1:
        yield "outside", [1.5]


def descents(
    children: Sequence[Child],
    minima: Mapping[int, Sequence[Point]],
    given: Problem,
    teacher: tuple[str, np.ndarray, np.ndarray],
    seed: int,
) -> list[dict]:
    """Step off the saddles of level 1 among children in random directions and descend.

    Returns:
      edges to where that ends: a certified minimum, or a class such as `m5/global` or `m5/channel`.
    """
    counts: dict[tuple[str, str], int] = {}
    for width, points in minima.items():
        saddles = [
            child
            for child in children
            if child.node["index"] and child.node["level"] == 1 and child.node["width"] == width
        ]
        if not saddles:
            continue
        pushed = np.stack(
            [
                saddle.student + PUSH * direction(seed, number, draw, saddle.student.shape)
                for number, saddle in enumerate(saddles)
                for draw in range(DRAWS)
            ]
        )
        damping = np.full(len(pushed), newton.DAMPING_START)
        ends, _ = newton.descend(pushed, damping, given, ITERATIONS)
        loss, _, _ = newton.evaluate(ends, given)
        for row, verdict in enumerate(classify(ends, given, teacher[1], teacher[2])):
            target = _target(ends[row], loss[row], verdict, points)
            edge = saddles[row // DRAWS].node["id"], f"m{width}/{target}"
            counts[edge] = counts.get(edge, 0) + 1
    return [
        {"kind": "descends", "from": node, "to": target, "count": count}
        for (node, target), count in sorted(counts.items())
    ]


def subspaces(minima: Mapping[int, Sequence[Point]], children: Sequence[Child]) -> list[dict]:
    """Count the critical subspaces that narrower minima make in each width, by level.

    Of G(r, m) per minimum, those that hold minima and those that hold saddles where all shares are
    in (0, 1); minima with a neuron whose sign is not certified are left out.
    """
    signs: dict[str, list[int]] = {}
    for child in children:
        if child.node["level"] == 1 and child.node["side"] == "inside":
            signs.setdefault(child.node["parent"], []).extend(child.certificate["signs"])
    rows = []
    for narrow in minima:
        names = [f"m{narrow}/{point.name}" for point in minima[narrow]]
        known = [signs[name] for name in names if len(signs.get(name, ())) == narrow]
        for wide in (width for width in minima if width > narrow and known):
            plateaus = sum(
                counting.plateau_subspaces(each.count(1), narrow - each.count(1), wide)
                for each in known
            )
            every = counting.critical_subspaces(narrow, wide) * len(known)
            rows.append(
                {
                    "width": wide,
                    "level": wide - narrow,
                    "minima": len(known),
                    "subspaces": every,
                    "of_minima": plateaus,
                    "of_saddles": every - plateaus,
                }
            )
    return rows


def isolated_saddles(width: int, given: Problem, starts: int, seed: int) -> np.ndarray:
    """Search isolated saddles [S, d + 1, width] by plain Newton steps from students on their way.

    Saddles are passed while students train: of 200 random students of width 4 none led to one, of
    200 after SEARCH_STEPS of Adam eight did.
    """
    theta = adam.glorot_uniform(seed, starts, width, biases=not given.halved)
    moments, taken, met = np.zeros((2, *theta.shape)), 0, []
    for steps in SEARCH_STEPS:
        theta, moments = adam.train(
            theta, moments, given, start=taken, steps=steps - taken, learning_rate=SEARCH_RATE
        )
        met.append(newton.to_critical_point(theta, given, iterations=150))
        taken = steps
    theta = np.concatenate(met)
    _, gradient, hessian = newton.evaluate(theta, given)
    eigenvalues = np.linalg.eigvalsh(hessian)
    flat = np.abs(gradient).max(axis=1) < newton.GRADIENT_TOLERANCE
    regular = np.abs(eigenvalues).min(axis=1) > newton.zero_tolerance(eigenvalues)
    bounded = np.abs(theta).max(axis=(1, 2)) < 20
    return theta[flat & regular & bounded & (eigenvalues[:, 0] < 0)]


def _children(parent: str, point: Point, level: int, exact: ExactProblem) -> list[Child]:
    """Return what splitting each neuron into level + 1 makes, where that can be certified."""
    student, children = np.array(point.certificate["point"]), []
    for neuron in range(student.shape[1]):
        for side, shares in split_shares(level):
            splits = [(neuron, shares)]
            try:
                proof = certificates.certify_split(point.certificate, splits, exact)
            except NotCertified:
                continue
            kind = "saddle" if proof["index"] else "plateau"
            node = {
                "id": f"m{proof['width']}/{kind}/{parent}/{neuron}-{side}",
                "class": kind,
                "width": proof["width"],
                "level": level,
                "loss": point.loss,
                "index": proof["index"],
                "parent": parent,
                "neuron": neuron,
                "side": side,
                "certified": True,
                "inertia": _inertia(point.certificate, splits, exact),
            }
            wide = split(student, neuron, [*shares, 1 - sum(shares)])
            children.append(Child(node, proof, wide))
    return children


def _inertia(certificate: dict, splits, exact: ExactProblem) -> list[int] | None:
    try:
        return proofs.inertia_of_split(certificate, splits, exact)
    except NotCertified:
        return None


def _target(student: np.ndarray, loss: float, verdict: Verdict, points: Sequence[Point]) -> str:
    """Return the name of the certified minimum where a student is, else its class."""
    if verdict.name != "local":
        return verdict.name
    for point in points:
        near = abs(point.loss - loss) < LOSS_TOLERANCE * loss and point.certificate is not None
        if near and match_distance(student, np.array(point.certificate["point"])) < 1e-2:
            return point.name
    return "other minimum"
