"""A census of students: settle what they converged to, certify it, count it."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from repro.critical import newton, valleys
from repro.critical.classify import Verdict, classify, zero_loss
from repro.critical.intervals import ExactProblem
from repro.critical.loss import Problem
from repro.critical.points import certify_points, record

CLASSES = ("global", "local", "plateau", "saddle", "channel", "undecided")
LAST_TOLERANCE = 1e-16  # gradient norm for students that could not be decided at 1e-12


def take(
    theta: np.ndarray,
    given: Problem,
    exact: ExactProblem,
    teacher: tuple[str, np.ndarray, np.ndarray],
    iterations: int,
) -> tuple[dict, dict[str, np.ndarray], dict[str, dict]]:
    """Give every student a class and every distinct critical point a certificate.

    Args:
      theta: students [S, 3, m], or [S, 4, m] with biases, where descent stopped.
      given: the problem.
      exact: the same in balls.
      teacher: name, incoming weights [r, d], outgoing weights [r]; d = 3 with biases.
      iterations: of Newton's method for those that cannot be decided at first.

    Returns:
      the result (counts with Wilson intervals, kinds, points), arrays per student, and
      certificates by name of the point.
    """
    name, incoming, outgoing = teacher
    theta, verdicts = settle(theta, given, incoming, outgoing, iterations)
    loss, gradient, hessian = newton.evaluate(theta, given)
    points, verdicts = certify_points(theta, loss, verdicts, name, exact)
    spectrum = np.linalg.eigvalsh(hessian)
    counted = counts(verdicts)
    result = {
        "summary": ", ".join(f"{name} {c['count']}" for name, c in counted.items() if c["count"]),
        "counts": counted,
        "kinds": kinds(verdicts),
        "points": [record(point) for point in points],
    }
    names = np.full(len(theta), "", dtype="<U24")
    for point in points:
        names[point.students] = point.name
    arrays = {
        "loss": loss,
        "gradient_norm": np.abs(gradient).max(axis=1),
        "lambda_min": spectrum[:, 0],
        "spectrum": spectrum,
        "index": np.array([verdict.index for verdict in verdicts]),
        "incoming": theta[:, :-1].transpose(0, 2, 1),  # the bias, if any, comes last
        "outgoing": theta[:, -1],
        "class": np.array([verdict.name for verdict in verdicts]),
        "kind": np.array([verdict.kind for verdict in verdicts]),
        "point": names,
        **_channels(verdicts),
    }
    return result, arrays, {p.name: p.certificate for p in points if p.certificate is not None}


def after_adam(trained: np.ndarray, given: Problem) -> dict[str, np.ndarray]:
    """Return arrays on where Adam left students [S, 3, m] and how it looked there, for figures."""
    loss, gradient, hessian = newton.evaluate(trained, given)
    return {
        "adam_loss": loss,
        "adam_gradient_norm": np.abs(gradient).max(axis=1),
        "adam_lambda_min": np.linalg.eigvalsh(hessian)[:, 0],
        "adam_theta": trained,
    }


def settle(
    theta: np.ndarray,
    given: Problem,
    incoming: np.ndarray,
    outgoing: np.ndarray,
    iterations: int,
) -> tuple[np.ndarray, list[Verdict]]:
    """Classify students [S, 3, m]; descend on with those undecided.

    Those in a valley of zero loss do so by Levenberg and Marquardt's method, the others by Newton's
    down to LAST_TOLERANCE, in at most `iterations` each.

    Returns:
      students, of which only undecided ones have moved, and their verdicts.
    """
    theta = theta.copy()
    verdicts = classify(theta, given, incoming, outgoing)
    left = [s for s, verdict in enumerate(verdicts) if verdict.name == "undecided"]
    if not left:
        return theta, verdicts
    loss, _, _ = newton.evaluate(theta[left], given)
    until = zero_loss(theta.shape[2], len(incoming)) / 10
    falling = [s for s, value in zip(left, loss) if until < value < newton.VALLEY[1]]
    for s in falling:
        theta[s] = valleys.polish(theta[s], given, iterations, until)
    others = [s for s in left if s not in falling]
    if others:
        damping = np.full(len(others), newton.DAMPING_START)
        theta[others], _ = newton.descend(theta[others], damping, given, iterations, LAST_TOLERANCE)
    for s, verdict in zip(left, classify(theta[left], given, incoming, outgoing)):
        verdicts[s] = verdict
    return theta, verdicts


def counts(verdicts: Sequence[Verdict]) -> dict:
    """Return, per class, the number of students, their share and its Wilson interval."""
    table = {}
    for name in CLASSES:
        hits = sum(verdict.name == name for verdict in verdicts)
        interval = binomtest(hits, len(verdicts)).proportion_ci(method="wilson")
        bounds = [float(bound) for bound in interval]
        table[name] = {"count": hits, "share": hits / len(verdicts), "wilson": bounds}
    return table


def kinds(verdicts: Sequence[Verdict]) -> dict:
    """Return the number of students per kind of each class."""
    table: dict[str, dict[str, int]] = {}
    for verdict in verdicts:
        of_class = table.setdefault(verdict.name, {})
        of_class[verdict.kind] = of_class.get(verdict.kind, 0) + 1
    return {name: dict(sorted(of_class.items())) for name, of_class in sorted(table.items())}


def _channels(verdicts: Sequence[Verdict]) -> dict[str, np.ndarray]:
    """Return the jumps of channels, [S, J + 1] each; NaN for students of other classes."""
    evidence = [verdict.evidence if verdict.name == "channel" else {} for verdict in verdicts]
    length = max((len(each["gap"]) for each in evidence if each), default=0)
    missing = [np.nan] * length
    return {
        f"channel_{key}": np.array([each.get(key, missing) for each in evidence])
        for key in ("gap", "loss", "lambda_max")
    }
