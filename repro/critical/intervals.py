"""Loss, gradient, Hessian and a bound of third derivatives in ball arithmetic (see balls.py).

Teacher weights enter as decimals, grid points are exact. A student is a list of three lists of
balls: two rows of incoming weights, one outgoing.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from flint import arb, arb_mat

# Largest values of |sigma''|, |sigma'''|, |sigma''''| on the real line, rounded up (sigma' <= 1/4).
SECOND_MAX, THIRD_MAX, FOURTH_MAX = "0.0963", "0.125", "0.13"

Student = Sequence[Sequence[arb]]


@dataclasses.dataclass(frozen=True)
class ExactProblem:
    """The same as loss.Problem, in balls of the present precision."""

    points: arb_mat  # [K, 2]
    target: list[arb]  # [K]
    total: arb
    count: int


def exact_problem(
    half_points: np.ndarray, incoming: Sequence[Sequence[str]], outgoing: Sequence[int]
) -> ExactProblem:
    """Return the problem of a teacher whose incoming weights are decimal strings [r, 2]."""
    points = arb_mat(half_points.tolist())
    weights = arb_mat([[arb(decimal) for decimal in row] for row in incoming])
    halves = _half_tanh(weights, points)
    target = [sum(a * row[k] for a, row in zip(outgoing, halves)) for k in range(points.nrows())]
    return ExactProblem(points, target, arb(sum(outgoing)), 2 * points.nrows() + 1)


def student(point: Sequence[Sequence[float]], radius: float | arb = 0) -> list[list[arb]]:
    """Return balls of a radius around exact doubles [3, m]."""
    return [[arb(value, radius) for value in row] for row in point]


def derivatives(theta: Student, given: ExactProblem) -> tuple[arb, list[arb], arb_mat]:
    """Return loss, gradient [3m] and Hessian [3m, 3m], ordered like a flattened student.

    The formulas are those of loss.loss_gradient_hessian.
    """
    outgoing, size = theta[2], len(theta[2])
    halves, residual, offset = _residual(theta, given)
    points, scale = given.points.transpose().tolist(), arb(4) / given.count
    # sigma' = 1/4 - (sigma - 1/2)^2
    slopes = [[arb(1) / 4 - h * h for h in row] for row in halves]
    incoming = [
        [a * s * x for s, x in zip(row, axis)]
        for axis in points
        for a, row in zip(outgoing, slopes)
    ]
    jacobian = arb_mat(incoming + halves)
    gradient = (jacobian * arb_mat([[r] for r in residual])).entries()
    gradient = [scale * g for g in gradient]
    hessian = (jacobian * jacobian.transpose() * scale).tolist()
    products = arb_mat([[x * x, x * y, y * y] for x, y in zip(*points)])
    for i in range(size):
        bent = [-2 * outgoing[i] * r * s * h for r, s, h in zip(residual, slopes[i], halves[i])]
        xx, xy, yy = (arb_mat([bent]) * products).entries()
        pulled = arb_mat([[r * s for r, s in zip(residual, slopes[i])]])
        x, y = (pulled * given.points).entries()
        block = [[xx, xy, x], [xy, yy, y], [x, y, arb(0)]]
        for row in range(3):
            for column in range(3):
                hessian[row * size + i][column * size + i] += scale * block[row][column]
        gradient[2 * size + i] += offset
        for j in range(size):
            hessian[2 * size + i][2 * size + j] += arb(1) / 2
    loss = offset**2 + arb(2) / given.count * sum(r * r for r in residual)
    return loss, gradient, arb_mat(hessian)


def third_derivative_bound(theta: Student, given: ExactProblem, rho: arb) -> arb:
    """Return an upper bound of |D^3 F[u, u, u]| for unit u, within distance rho of a student.

    With f the output, D^3 F = mean[6 f' f'' + 2 r f''']; at a point of norm n, with A = |a| + rho,
    |f'| <= phi1 = sqrt(sum s^2 + n^2 A^2 s'^2), |f''| <= phi2 = the largest q/2 + sqrt(q^2/4 +
    n^2 s'^2) with q = A n^2 |s''|, and |f'''| <= phi3 = the largest 3 n^2 |s''| 2/(3 sqrt 3) +
    A n^3 |s'''|, where s = sigma - 1/2 and each derivative is enlarged by rho n times the largest
    value of the next; maxima run over neurons. The third form being symmetric, the bound is also a
    Lipschitz constant of the Hessian. The constant part of F is quadratic and adds nothing.
    """
    halves, residual, _ = _residual(theta, given)
    second_max, third_max, fourth_max = arb(SECOND_MAX), arb(THIRD_MAX), arb(FOURTH_MAX)
    reach = [abs(a) + rho for a in theta[2]]
    cubic = 2 / (3 * arb(3).sqrt())
    total = arb(0)
    for k, (x, y) in enumerate(given.points.tolist()):
        square = x * x + y * y
        norm = square.sqrt()
        step = rho * norm
        phi1, phi2, phi3 = arb(0), arb(0), arb(0)
        for row, a in zip(halves, reach):
            half = row[k]
            slope = arb(1) / 4 - half * half
            first = slope + step * second_max
            second = 2 * abs(half) * slope + step * third_max
            third = abs(slope * (1 - 6 * slope)) + step * fourth_max  # sigma''' = s'(1 - 6 s')
            phi1 += (abs(half) + step / 4) ** 2 + square * (a * first) ** 2
            q = a * square * second
            phi2 = phi2.max(q / 2 + (q * q / 4 + square * first**2).sqrt())
            phi3 = phi3.max(3 * square * second * cubic + a * square * norm * third)
        phi1 = phi1.sqrt()
        total += 6 * phi1 * phi2 + 2 * (abs(residual[k]) + rho * phi1) * phi3
    return (total * 2 / given.count).upper()


def sign_matrix(theta: Student, neuron: int, given: ExactProblem) -> arb_mat:
    """Return M = mean[a r sigma''(w.x) x x^T] of a neuron, [2, 2]; see splitting.sign_matrices."""
    halves, residual, _ = _residual(theta, given)
    second = [-2 * h * (arb(1) / 4 - h * h) for h in halves[neuron]]
    weights = arb_mat([[r * s for r, s in zip(residual, second)]])
    products = arb_mat([[x * x, x * y, y * y] for x, y in given.points.tolist()])
    scale = 2 * theta[2][neuron] / given.count
    xx, xy, yy = (scale * entry for entry in (weights * products).entries())
    return arb_mat([[xx, xy], [xy, yy]])


def _residual(theta: Student, given: ExactProblem) -> tuple[list[list[arb]], list[arb], arb]:
    """Return sigma(w.x) - 1/2 [m][K], odd residuals [K] and the constant's residual."""
    halves = _half_tanh(arb_mat([list(pair) for pair in zip(theta[0], theta[1])]), given.points)
    residual = [
        sum((a * row[k] for a, row in zip(theta[2], halves)), -target)
        for k, target in enumerate(given.target)
    ]
    return halves, residual, (sum(theta[2], arb(0)) - given.total) / 2


def _half_tanh(weights: arb_mat, points: arb_mat) -> list[list[arb]]:
    """Return sigma(w.x) - 1/2 = tanh(w.x / 2) / 2 for rows of weights [m, 2]; [m][K]."""
    return [[(z / 2).tanh() / 2 for z in row] for row in (weights * points.transpose()).tolist()]
