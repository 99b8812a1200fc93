"""Levenberg and Marquardt's method for students that descend to zero loss in a valley.

Where many neurons do the work of few, the loss near zero is flat to high order. Its Hessian, with
eigenvalues below its own rounding error, then shows Newton's method no way. The Jacobian J of the
residuals still does: its singular values are roots of the Hessian's eigenvalues, so that float64
resolves eigenvalues down to 1e-30 of the largest. The valley is curved, too, which cuts straight
steps short; steps bent by the residuals' second derivative along them (geodesic acceleration,
Transtrum and Sethna 2012) are longer by an order of magnitude.
"""

import numpy as np

from repro.critical.loss import Problem

DAMPING = (1e-3, 1e-17, 1e8)  # at first, at least, at most; times J's largest singular value
BEND = 0.75  # twice the bend of a step may be so much of its length


def residuals(student: np.ndarray, given: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Return residuals [R] of a student [d + 1, m], whose squares sum to the loss, and J [R, n].

    Those of the points [K], scaled, and if halved that of the constant.
    """
    incoming, outgoing = student[:-1], student[-1]
    half, root = np.tanh(given.points @ incoming / 2) / 2, np.sqrt(given.weight)
    features = half if given.halved else half + 0.5
    by_z = outgoing * (0.25 - half**2)
    jacobian = np.hstack([*(by_z * x[:, None] for x in given.points.T), features])
    values = features @ outgoing - given.target
    if not given.halved:
        return root * values, root * jacobian
    constant = np.concatenate([np.zeros(incoming.size), np.full(len(outgoing), 0.5)])
    offset = (outgoing.sum() - given.total) / 2
    return np.append(root * values, offset), np.vstack([root * jacobian, constant])


def second_along(student: np.ndarray, step: np.ndarray, given: Problem) -> np.ndarray:
    """Return the second derivative [R] of the residuals along a step [d + 1, m]."""
    half = np.tanh(given.points @ student[:-1] / 2) / 2
    slope, along = 0.25 - half**2, given.points @ step[:-1]
    values = 2 * slope * along * (step[-1] - student[-1] * half * along)
    values = np.sqrt(given.weight) * values.sum(axis=1)
    return np.append(values, 0.0) if given.halved else values


def polish(student: np.ndarray, given: Problem, iterations: int, until: float) -> np.ndarray:
    """Take bent steps -(J^T J + mu^2)^-1 J^T (r + half the bend) that lower the loss.

    Each is a linear least-squares problem, solved by the singular values of J. Where a step is not
    bent too much and lowers the loss mu falls to a third, else it rises fourfold and the step is
    taken back.

    Args:
      student: [d + 1, m], with a loss so small that zero is where it goes.
      given: the problem.
      iterations: at most so many steps.
      until: the loss at which to stop, such as 1e-21.
    """
    damping, least, most = DAMPING
    values, jacobian = residuals(student, given)
    left, singular, right = np.linalg.svd(jacobian, full_matrices=False)
    for _ in range(iterations):
        if values @ values < until or damping > most:
            break
        inverse = singular / (singular**2 + (damping * singular[0]) ** 2)
        step = -right.T @ (inverse * (left.T @ values))
        bend = second_along(student, step.reshape(student.shape), given)
        bend = -right.T @ (inverse * (left.T @ bend)) / 2
        tried = student + (step + bend).reshape(student.shape)
        new, jacobian = residuals(tried, given)
        straight = 2 * np.linalg.norm(bend) <= BEND * np.linalg.norm(step)
        if straight and new @ new < values @ values:
            student, values, damping = tried, new, max(damping / 3, least)
            left, singular, right = np.linalg.svd(jacobian, full_matrices=False)
        else:
            damping *= 4
    return student
