"""Who leaves a critical point after which perturbation, with second-order convergence."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from repro.critical import newton
from repro.critical.loss import Problem

EPSILONS = np.logspace(-8, 0, 17)
ITERATIONS = 300  # of damped Newton after a perturbation


@dataclasses.dataclass(frozen=True)
class Example:
    """A critical point of known class.

    Attributes:
      name, kind: its node in the graph and its class.
      student: [3, m].
      basin: radius of a ball around it in which the loss is certified to be convex; NaN for what
        is no isolated minimum.
    """

    name: str
    kind: str
    student: np.ndarray
    basin: float = np.nan


def direction(seed: int, number: int, draw: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return a random direction of length 1, uniform on the sphere, keyed by three numbers."""
    normal = np.random.default_rng([seed, number, draw]).standard_normal(shape)
    return normal / np.linalg.norm(normal)


def perturbed(student: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return a student [3, m] moved by each of EPSILONS in random directions, [E, draws, 3, m]."""
    return np.array(
        [
            [student + epsilon * direction(seed, draw, row, student.shape) for draw in range(draws)]
            for row, epsilon in enumerate(EPSILONS)
        ]
    )


def convex_radius(certificate: dict) -> float:
    """Return the radius of a ball around a certified minimum in which the loss is convex.

    The Hessian's Lipschitz constant B holds within rho, so its smallest eigenvalue, lambda at the
    centre, stays positive within lambda / B. The minimum itself may be `radius` from the centre.
    """
    reach = certificate["lambda"] / certificate["third_derivative"]
    return min(reach, certificate["rho"]) - certificate["radius"]


def compare(
    examples: Sequence[Example], given: Problem, draws: int, seed: int
) -> dict[str, np.ndarray]:
    """Perturb critical points by each of EPSILONS and descend to second-order convergence.

    All draws of a width descend together. A draw has escaped if its final loss differs from the
    point's by a relative 1e-6: then it is elsewhere, as losses at one point agree to 9 digits.
    Losses below 1e-20 all count as 0.

    Args:
      examples: the points; widths may differ.
      given: the problem.
      draws: per epsilon.
      seed: of the draws.

    Returns:
      arrays `transition_epsilon` [E]; `transition_name`, `transition_class` and `transition_basin`
      [P]; `transition_share` [P, E] of draws that escaped; and `transition_loss` [P, E, draws].
    """
    loss = np.empty((len(examples), len(EPSILONS), draws))
    start = np.empty(len(examples))
    for width in sorted({example.student.shape[1] for example in examples}):
        chosen = [p for p, example in enumerate(examples) if example.student.shape[1] == width]
        students = np.stack([examples[p].student for p in chosen])
        start[chosen], _, _ = newton.evaluate(students, given)
        moved = np.stack([perturbed(examples[p].student, draws, seed + p) for p in chosen])
        rows = moved.reshape(-1, *students.shape[1:])
        end = _descend(rows, np.repeat(start[chosen], len(rows) // len(chosen)), given)
        loss[chosen] = newton.evaluate(end, given)[0].reshape(moved.shape[:3])
    escaped = ~_same(loss, start[:, None, None])
    return {
        "transition_epsilon": EPSILONS,
        "transition_name": np.array([example.name for example in examples]),
        "transition_class": np.array([example.kind for example in examples]),
        "transition_basin": np.array([example.basin for example in examples]),
        "transition_share": escaped.mean(axis=2),
        "transition_loss": loss,
    }


def _same(loss: np.ndarray, level: np.ndarray) -> np.ndarray:
    return np.abs(loss - level) <= np.maximum(1e-6 * level, 1e-20)


def _descend(theta: np.ndarray, level: np.ndarray, given: Problem) -> np.ndarray:
    """Descend to second-order convergence; the loss of the point that was perturbed is `level`."""
    theta, _ = newton.descend(theta, np.full(len(theta), newton.DAMPING_START), given, ITERATIONS)
    near = _same(newton.evaluate(theta, given)[0], level)
    if near.any():
        theta[near] = newton.leave(theta[near], given, level[near])
    return newton.descend(theta, np.full(len(theta), newton.DAMPING_START), given, ITERATIONS)[0]
