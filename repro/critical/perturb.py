"""SLSQP and perturbations: seed 002's tools at points with a negative eigenvalue."""

import dataclasses

import numpy as np
import scipy.optimize

from repro.critical import newton
from repro.critical.loss import Problem


@dataclasses.dataclass(frozen=True)
class Refined:
    """Where SLSQP ended.

    Attributes:
      student: [3, m].
      loss, gradient_norm, lambda_min: there; the norm is the largest component.
      iterations: SLSQP's; 1 says that it stopped where it was started.
    """

    student: np.ndarray
    loss: float
    gradient_norm: float
    lambda_min: float
    iterations: int


def slsqp(student: np.ndarray, given: Problem, ftol: float, iterations: int = 1000) -> Refined:
    """Run scipy's SLSQP from a student [3, m].

    Its only criterion is `ftol` on the loss, 1e-6 by default. Losses here are below 1e-3, so the
    default stops after one iteration; ftol = 1e-30 makes it an optimiser.
    """

    def value(flat):
        loss, gradient, _ = newton.evaluate(flat.reshape(1, 3, -1), given)
        return float(loss[0]), gradient[0]

    done = scipy.optimize.minimize(
        value, student.ravel(), jac=True, method="SLSQP",
        options={"ftol": ftol, "maxiter": iterations},
    )  # fmt: skip
    end = done.x.reshape(student.shape)
    loss, gradient, hessian = newton.evaluate(end[None], given)
    return Refined(
        end, float(loss[0]), float(np.abs(gradient).max()),
        float(np.linalg.eigvalsh(hessian[0])[0]), int(done.nit),
    )  # fmt: skip


def direction(seed: int, student: int, attempt: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return a normalised Gaussian vector; the seed's deviation of 0.1 drops out by normalising."""
    draw = np.random.default_rng([seed, student, attempt]).standard_normal(shape)
    return draw / np.linalg.norm(draw)


def until_positive(
    student: np.ndarray,
    given: Problem,
    *,
    epsilon: float,
    ftol: float,
    attempts: int,
    seed: int,
    number: int,
) -> tuple[Refined, int]:
    """Perturb by epsilon, run SLSQP, and repeat from there until lambda_min > 0.

    Args:
      student: [3, m].
      given: the problem.
      epsilon: length of the perturbation.
      ftol: SLSQP's.
      attempts: at most so many.
      seed: of the perturbations.
      number: the student's, which keys them.

    Returns:
      the last point and the number of attempts; its lambda_min says whether it succeeded.

    Raises:
      ValueError: epsilon is not positive.
    """
    if not epsilon > 0:
        raise ValueError(f"epsilon must be positive, not {epsilon}")
    refined = slsqp(student, given, ftol)
    for attempt in range(1, attempts + 1):
        moved = refined.student + epsilon * direction(seed, number, attempt, student.shape)
        refined = slsqp(moved, given, ftol)
        if refined.lambda_min > 0:
            return refined, attempt
    return refined, attempts
