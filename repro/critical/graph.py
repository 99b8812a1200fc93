"""The graph of critical points across widths: minima, what splitting makes of them, where it leads.

A node is a certified point. An edge `split` leads from a minimum of width r to the plateaus and
saddles of width r + 1 made by splitting one of its neurons, with shares inside or outside (0, 1);
an edge `descends` from such a saddle to where its unstable directions lead.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from repro.critical import certificates, newton
from repro.critical.intervals import ExactProblem, NotCertified
from repro.critical.loss import Problem
from repro.critical.perturb import direction
from repro.critical.points import LOSS_TOLERANCE, Point, record
from repro.critical.splitting import inertia, split

SHARES = {"inside": 0.5, "outside": 1.5}
PUSH, DRAWS = 1e-3, 6  # length of the step off a saddle, and how many are taken
ITERATIONS = 500


def build(
    minima: Mapping[int, Sequence[Point]], given: Problem, exact: ExactProblem, seed: int
) -> tuple[list[dict], list[dict], dict[str, dict]]:
    """Build the graph from the certified isolated minima of each width.

    Args:
      minima: width -> points; those without a certificate are left out.
      given: the problem.
      exact: the same in balls.
      seed: of the steps off saddles.

    Returns:
      nodes, edges, and certificates by node: JSON values all.
    """
    nodes, edges, proofs = [], [], {}
    certified = {
        width: [point for point in points if point.certificate is not None]
        for width, points in minima.items()
    }
    for width, points in certified.items():
        for point in points:
            name = f"m{width}/{point.name}"
            counted = _inertia(np.array(point.certificate["point"]), given)
            node = {"id": name, "width": width, "class": "local", "level": 0, "inertia": counted}
            nodes.append(node | record(point))
            proofs[name] = point.certificate
    for width, points in certified.items():
        if width + 1 not in certified:
            continue
        children = [
            child for point in points for child in _children(f"m{width}/{point.name}", point, exact)
        ]
        for node, proof, student in children:
            nodes.append(node | {"inertia": _inertia(student, given)})
            proofs[node["id"]] = proof
            edges.append({"kind": "split", "from": node["parent"], "to": node["id"]})
        saddles = [(node["id"], s) for node, _, s in children if node["class"] == "saddle"]
        if saddles:
            edges += _descents(saddles, certified[width + 1], given, seed)
    return nodes, edges, proofs


def isolated_saddles(width: int, given: Problem, starts: int, seed: int) -> np.ndarray:
    """Search isolated saddles [S, 3, width] by plain Newton steps from uniform random students."""
    theta = np.random.default_rng([seed, width]).uniform(-1.5, 1.5, (starts, 3, width))
    theta = newton.to_critical_point(theta, given, iterations=150)
    _, gradient, hessian = newton.evaluate(theta, given)
    eigenvalues = np.linalg.eigvalsh(hessian)
    flat = np.abs(gradient).max(axis=1) < newton.GRADIENT_TOLERANCE
    regular = np.abs(eigenvalues).min(axis=1) > newton.zero_tolerance(eigenvalues)
    bounded = np.abs(theta).max(axis=(1, 2)) < 20
    return theta[flat & regular & bounded & (eigenvalues[:, 0] < 0)]


def _children(
    parent: str, point: Point, exact: ExactProblem
) -> list[tuple[dict, dict, np.ndarray]]:
    """Return node, certificate and student for each way of splitting one neuron in two."""
    student = np.array(point.certificate["point"])
    children = []
    for neuron in range(student.shape[1]):
        for side, share in SHARES.items():
            try:
                proof = certificates.certify_split(point.certificate, [(neuron, [share])], exact)
            except NotCertified:
                continue
            kind = "saddle" if proof["index"] else "plateau"
            node = {
                "id": f"m{student.shape[1] + 1}/{kind}/{parent}/{neuron}-{side}", "class": kind,
                "width": proof["width"], "level": 1, "loss": point.loss, "index": proof["index"],
                "parent": parent, "neuron": neuron, "certified": True,
            }  # fmt: skip
            children.append((node, proof, split(student, neuron, [share, 1 - share])))
    return children


def _inertia(student: np.ndarray, given: Problem) -> list[int]:
    """Return numbers of negative, zero, positive eigenvalues of the float64 Hessian."""
    hessian = newton.evaluate(student[None], given)[2]
    return inertia(hessian, newton.zero_tolerance(np.linalg.eigvalsh(hessian)))[0].tolist()


def _descents(
    saddles: Sequence[tuple[str, np.ndarray]], wider: Sequence[Point], given: Problem, seed: int
) -> list[dict]:
    """Step off saddles in random directions, descend together, return edges to where that ends."""
    pushed = np.stack([
        saddle + PUSH * direction(seed, number, draw, saddle.shape)
        for number, (_, saddle) in enumerate(saddles) for draw in range(DRAWS)
    ])  # fmt: skip
    damping = np.full(len(pushed), newton.DAMPING_START)
    ends, _ = newton.descend(pushed, damping, given, ITERATIONS)
    loss, gradient, _ = newton.evaluate(ends, given)
    flat = np.abs(gradient).max(axis=1) < newton.GRADIENT_TOLERANCE
    width = pushed.shape[2]
    counts: dict[tuple[str, str], int] = {}
    for row, (value, converged) in enumerate(zip(loss, flat)):
        edge = saddles[row // DRAWS][0], _target(value, converged, wider, width)
        counts[edge] = counts.get(edge, 0) + 1
    return [
        {"kind": "descends", "from": node, "to": target, "count": count}
        for (node, target), count in sorted(counts.items())
    ]


def _target(loss: float, converged: bool, points: Sequence[Point], width: int) -> str:
    """Return the node of a loss: `other` for channels and for minima the census has not met."""
    if loss < newton.VALLEY[1]:
        return f"m{width}/global"
    for point in points if converged else ():
        if abs(point.loss - loss) < LOSS_TOLERANCE * loss:
            return f"m{width}/{point.name}"
    return f"m{width}/other"
