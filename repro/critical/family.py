"""All widths together: their minima, the graph that splitting spans, and who escapes from what."""

from collections.abc import Mapping

import numpy as np

from repro.critical import census, certificates, escapes, graph, newton
from repro.critical.intervals import ExactProblem, NotCertified
from repro.critical.loss import Problem
from repro.critical.neurons import distinct
from repro.critical.points import (
    LOSS_TOLERANCE,
    PLACE_TOLERANCE,
    Point,
    certify_points,
    record,
)
from repro.critical.splitting import split

DRAWS = 16  # perturbations per length
SADDLE_STARTS = 200


def trace(
    ends: Mapping[int, np.ndarray],
    given: Problem,
    exact: ExactProblem,
    teacher: tuple[str, np.ndarray, np.ndarray],
    iterations: int,
    seed: int,
) -> tuple[dict, dict[str, np.ndarray], dict[str, dict]]:
    """Trace critical points across widths.

    Args:
      ends: width -> students [S, 3, width] where descent stopped.
      given: the problem.
      exact: the same in balls.
      teacher: name, incoming and outgoing weights.
      iterations: of Newton's method, for students that cannot be decided at first.
      seed: of everything random.

    Returns:
      the result with counts per width, nodes and edges; arrays of the transition plot; and
      certificates by node.
    """
    minima, per_width = {}, {}
    for width, theta in ends.items():
        theta, verdicts = census.settle(theta, given, teacher[1], teacher[2], iterations)
        loss, _, _ = newton.evaluate(theta, given)
        points, verdicts = certify_points(theta, loss, verdicts, teacher[0], exact)
        minima[width] = [point for point in points if point.name.startswith("local")]
        per_width[str(width)] = census.counts(verdicts)
    nodes, edges, proofs = graph.build(minima, given, exact, seed)
    for width in ends:
        for point in saddles(width, given, exact, teacher[0], seed):
            name = f"m{width}/{point.name}"
            nodes.append(
                {"id": name, "width": width, "class": "saddle", "level": 0} | record(point)
            )
            if point.certificate is not None:
                proofs[name] = point.certificate
    chosen = _examples(minima, proofs, nodes, teacher)
    arrays = escapes.compare(chosen, given, DRAWS, seed)
    summary = ", ".join(
        f"{sum(node['class'] == kind for node in nodes)} {kind}"
        for kind in ("local", "plateau", "saddle")
    )
    result = {"summary": summary, "counts": per_width, "nodes": nodes, "edges": edges}
    return result, arrays, proofs


def saddles(
    width: int, given: Problem, exact: ExactProblem, teacher: str, seed: int
) -> list[Point]:
    """Return distinct isolated saddles of a width that a search from random students meets."""
    theta = graph.isolated_saddles(width, given, SADDLE_STARTS, seed)
    if not len(theta):
        return []
    loss, _, hessian = newton.evaluate(theta, given)
    index = (np.linalg.eigvalsh(hessian) < 0).sum(axis=1)
    numbers, found = distinct(theta, loss, LOSS_TOLERANCE, PLACE_TOLERANCE), []
    for number in range(numbers.max() + 1):
        students = np.flatnonzero(numbers == number)
        head = students[0]
        try:
            proof, reason = certificates.certify(theta[head], int(index[head]), teacher, exact), ""
        except NotCertified as failure:
            proof, reason = None, str(failure)
        name = f"isolated-saddle-{number:02}"
        found.append(
            Point(name, float(loss[head]), int(index[head]), students.tolist(), proof, reason)
        )
    return found


def _examples(minima, proofs, nodes, teacher) -> list[tuple[str, str, np.ndarray]]:
    """Return the teacher, the lowest minima, a plateau and saddles of one width, for perturbing."""
    _, incoming, outgoing = teacher
    examples = [("teacher", "global", np.vstack([incoming.T, outgoing]))]
    width = 4 if 4 in minima else max(minima)
    for point in [p for p in minima[width] if p.certificate is not None][:3]:
        examples.append((f"m{width}/{point.name}", "local", np.array(point.certificate["point"])))
    made = [node for node in nodes if node["width"] == width and "parent" in node]
    for kind, count in (("plateau", 2), ("saddle", 4)):
        for node in [node for node in made if node["class"] == kind][:count]:
            parent = np.array(proofs[node["id"]]["parent"]["point"])
            share = graph.SHARES[node["id"].rsplit("-", 1)[1]]
            student = split(parent, node["neuron"], [share, 1 - share])
            examples.append((node["id"], kind, student))
    return examples
