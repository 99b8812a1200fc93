"""All widths together: their minima, the graph that splitting spans, and who escapes from what."""

from collections.abc import Mapping, Sequence

import numpy as np

from repro.critical import census, escapes, graph, newton
from repro.critical.classify import Verdict
from repro.critical.escapes import Example
from repro.critical.intervals import ExactProblem
from repro.critical.loss import Problem
from repro.critical.points import Point, certify_points, record
from repro.teacher_student.slides import slsqp

DRAWS = 16  # perturbations per length
SADDLE_STARTS = 200
SLIDES_FTOL, SLIDES_DRAWS = 1e-6, 4  # the slides' plot: SLSQP with scipy's default tolerance


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
      ends: width -> students [S, d + 1, width] where descent stopped.
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
    nodes, children = graph.build(minima, exact)
    found = {width: saddles(width, given, exact, teacher[0], seed) for width in ends}
    nodes += [child.node for child in children]
    nodes += [
        {"id": f"m{width}/isolated-{point.name}", "width": width, "class": "saddle", "level": 0}
        | record(point)
        for width, points in found.items()
        for point in points
    ]
    edges = [
        {"kind": "split", "from": child.node["parent"], "to": child.node["id"]}
        for child in children
    ]
    edges += graph.descents(children, minima, given, teacher, seed)
    examples = _examples(minima, children, found, teacher)
    arrays = escapes.compare(examples, given, DRAWS, seed)
    arrays |= {"transition_slides_loss": losses_after_slsqp(examples, given, seed)}
    result = {
        "summary": _summary(nodes),
        "counts": per_width,
        "nodes": nodes,
        "edges": edges,
        "subspaces": graph.subspaces(minima, children),
    }
    return result, arrays, _certificates(minima, found, children)


def saddles(
    width: int, given: Problem, exact: ExactProblem, teacher: str, seed: int
) -> list[Point]:
    """Return the distinct isolated saddles of a width that a search meets, certified."""
    theta = graph.isolated_saddles(width, given, SADDLE_STARTS, seed)
    if not len(theta):
        return []
    loss, _, hessian = newton.evaluate(theta, given)
    index = (np.linalg.eigvalsh(hessian) < 0).sum(axis=1)
    verdicts = [Verdict("saddle", "isolated", int(negative), {}) for negative in index]
    return certify_points(theta, loss, verdicts, teacher, exact)[0]


def losses_after_slsqp(examples: Sequence[Example], given: Problem, seed: int) -> np.ndarray:
    """Return losses [P, E, SLIDES_DRAWS] where SLSQP ends from points perturbed by EPSILONS.

    The perturbations are the first of those that `escapes.compare` descends from.
    """
    return np.array(
        [
            [
                [slsqp(student, given, SLIDES_FTOL).loss for student in of_length]
                for of_length in escapes.perturbed(example.student, SLIDES_DRAWS, seed + number)
            ]
            for number, example in enumerate(examples)
        ]
    )


def _certificates(minima, found, children: Sequence[graph.Child]) -> dict[str, dict]:
    """Return certificates by node."""
    certified = {child.node["id"]: child.certificate for child in children}
    for prefix, of_width in (("", minima), ("isolated-", found)):
        certified |= {
            f"m{width}/{prefix}{point.name}": point.certificate
            for width, points in of_width.items()
            for point in points
            if point.certificate
        }
    return certified


def _summary(nodes: Sequence[dict]) -> str:
    """Return the number of nodes of each class."""
    kinds = [node["class"] for node in nodes]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("local", "plateau", "saddle"))


def _examples(minima, children: Sequence[graph.Child], found, teacher) -> list[Example]:
    """Return the teacher, the lowest minima, plateaus and saddles of one width, for perturbing."""
    _, incoming, outgoing = teacher
    examples = [Example("teacher", "global", np.vstack([incoming.T, outgoing]))]
    width = 4 if 4 in minima else max(minima)
    for point in [p for p in minima[width] if p.certificate is not None][:3]:
        place = np.array(point.certificate["point"])
        basin = escapes.convex_radius(point.certificate)
        examples.append(Example(f"m{width}/{point.name}", "local", place, basin))
    for kind, count in (("plateau", 2), ("saddle", 4)):
        made = [c for c in children if c.node["width"] == width and c.node["class"] == kind]
        examples += [Example(c.node["id"], kind, c.student) for c in made[:count]]
    for point in [p for p in found[width] if p.certificate is not None][:2]:
        place = np.array(point.certificate["point"])
        examples.append(Example(f"m{width}/isolated-{point.name}", "saddle", place))
    return examples
