"""Loss, gradient, Hessian and a bound of third derivatives in ball arithmetic (see balls.py).

Teacher weights enter as decimals, grid points are exact. A student is a list of lists of balls: two
rows of incoming weights, one of biases if it has any, one of outgoing weights.
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

    points: arb_mat  # [K, d]
    target: list[arb]  # [K]
    total: arb
    count: int
    halved: bool

    @property
    def weight(self) -> arb:
        """What each squared residual counts in the loss."""
        return arb(2 if self.halved else 1) / self.count


def exact_problem(
    inputs: np.ndarray,
    incoming: Sequence[Sequence[str]],
    outgoing: Sequence[int],
    *,
    halved: bool = True,
) -> ExactProblem:
    """Return the problem of a teacher whose incoming weights are decimal strings [r, d].

    Args:
      inputs: as `points` of loss.problem, [K, d].
      incoming, outgoing: the teacher's weights.
      halved: as of loss.problem.
    """
    points, total = arb_mat(inputs.tolist()), arb(sum(outgoing))
    weights = arb_mat([[arb(decimal) for decimal in row] for row in incoming])
    halves = _half_tanh(weights, points)
    odd = [sum(a * row[k] for a, row in zip(outgoing, halves)) for k in range(points.nrows())]
    if halved:
        return ExactProblem(points, odd, total, 2 * points.nrows() + 1, halved=True)
    target = [value + total / 2 for value in odd]
    return ExactProblem(points, target, total, points.nrows(), halved=False)


def student(point: Sequence[Sequence[float]], radius: float | arb = 0) -> list[list[arb]]:
    """Return balls of a radius around exact doubles [d + 1, m]."""
    return [[arb(value, radius) for value in row] for row in point]


def derivatives(theta: Student, given: ExactProblem) -> tuple[arb, list[arb], arb_mat]:
    """Return loss, gradient [n] and Hessian [n, n], ordered like a flattened student.

    The formulas are those of loss.loss_gradient_hessian.
    """
    outgoing, size, inputs = theta[-1], len(theta[-1]), len(theta) - 1
    halves, residual, offset = _residual(theta, given)
    points, scale = given.points.transpose().tolist(), 2 * given.weight
    # sigma' = 1/4 - (sigma - 1/2)^2
    slopes = [[arb(1) / 4 - h * h for h in row] for row in halves]
    incoming = [
        [a * s * x for s, x in zip(row, axis)]
        for axis in points
        for a, row in zip(outgoing, slopes)
    ]
    shift = arb(0) if given.halved else arb(1) / 2
    jacobian = arb_mat(incoming + [[h + shift for h in row] for row in halves])
    gradient = (jacobian * arb_mat([[r] for r in residual])).entries()
    gradient = [scale * g for g in gradient]
    hessian = (jacobian * jacobian.transpose() * scale).tolist()
    products = _products(given)
    for i in range(size):
        bent = [-2 * outgoing[i] * r * s * h for r, s, h in zip(residual, slopes[i], halves[i])]
        second = (arb_mat([bent]) * products).entries()
        pulled = arb_mat([[r * s for r, s in zip(residual, slopes[i])]])
        for row, value in enumerate((pulled * given.points).entries()):
            hessian[row * size + i][inputs * size + i] += scale * value
            hessian[inputs * size + i][row * size + i] += scale * value
            for column in range(inputs):
                mixed = scale * second[row * inputs + column]
                hessian[row * size + i][column * size + i] += mixed
        if given.halved:
            gradient[inputs * size + i] += offset
            for j in range(size):
                hessian[inputs * size + i][inputs * size + j] += arb(1) / 2
    squares = given.weight * sum(r * r for r in residual)
    return offset**2 + squares if given.halved else squares, gradient, arb_mat(hessian)


def third_derivative_bound(theta: Student, given: ExactProblem, rho: arb) -> arb:
    """Return an upper bound of |D^3 F[u, u, u]| for unit u, within distance rho of a student.

    With f the output, D^3 F = mean[6 f' f'' + 2 r f''']; at a point of norm n, with A = |a| + rho,
    |f'| <= phi1 = sqrt(sum s^2 + n^2 A^2 s'^2), |f''| <= phi2 = the largest q/2 + sqrt(q^2/4 +
    n^2 s'^2) with q = A n^2 |s''|, and |f'''| <= phi3 = the largest 3 n^2 |s''| 2/(3 sqrt 3) +
    A n^3 |s'''|, where s = sigma, if halved sigma - 1/2, and each derivative is enlarged by rho n
    times the largest value of the next; maxima run over neurons. The third form being symmetric,
    the bound is also a Lipschitz constant of the Hessian. If halved the constant part of F is
    quadratic and adds nothing.
    """
    halves, residual, _ = _residual(theta, given)
    second_max, third_max, fourth_max = arb(SECOND_MAX), arb(THIRD_MAX), arb(FOURTH_MAX)
    reach = [abs(a) + rho for a in theta[-1]]
    shift = arb(0) if given.halved else arb(1) / 2
    cubic = 2 / (3 * arb(3).sqrt())
    total = arb(0)
    for k, point in enumerate(given.points.tolist()):
        square = sum(x * x for x in point)
        norm = square.sqrt()
        step = rho * norm
        phi1, phi2, phi3 = arb(0), arb(0), arb(0)
        for row, a in zip(halves, reach):
            half = row[k]
            slope = arb(1) / 4 - half * half
            first = slope + step * second_max
            second = 2 * abs(half) * slope + step * third_max
            third = abs(slope * (1 - 6 * slope)) + step * fourth_max  # sigma''' = s'(1 - 6 s')
            phi1 += (abs(half + shift) + step / 4) ** 2 + square * (a * first) ** 2
            q = a * square * second
            phi2 = phi2.max(q / 2 + (q * q / 4 + square * first**2).sqrt())
            phi3 = phi3.max(3 * square * second * cubic + a * square * norm * third)
        phi1 = phi1.sqrt()
        total += 6 * phi1 * phi2 + 2 * (abs(residual[k]) + rho * phi1) * phi3
    return (total * given.weight).upper()


def sign_matrix(theta: Student, neuron: int, given: ExactProblem) -> arb_mat:
    """Return M = mean[a r sigma''(w.x) x x^T] of a neuron, [d, d]; see splitting.sign_matrices."""
    halves, residual, _ = _residual(theta, given)
    second = [-2 * h * (arb(1) / 4 - h * h) for h in halves[neuron]]
    weights = arb_mat([[r * s for r, s in zip(residual, second)]])
    scale, inputs = given.weight * theta[-1][neuron], len(theta) - 1
    entries = [scale * entry for entry in (weights * _products(given)).entries()]
    return arb_mat([entries[i * inputs : (i + 1) * inputs] for i in range(inputs)])


def _products(given: ExactProblem) -> arb_mat:
    """Return the products of two coordinates of each point, [K, d * d]."""
    return arb_mat([[x * y for x in point for y in point] for point in given.points.tolist()])


def _residual(theta: Student, given: ExactProblem) -> tuple[list[list[arb]], list[arb], arb]:
    """Return sigma(w.x) - 1/2 [m][K], residuals [K], if halved odd, and the constant's residual."""
    halves = _half_tanh(arb_mat([list(incoming) for incoming in zip(*theta[:-1])]), given.points)
    total = sum(theta[-1], arb(0))
    constant = arb(0) if given.halved else total / 2
    residual = [
        sum((a * row[k] for a, row in zip(theta[-1], halves)), constant - target)
        for k, target in enumerate(given.target)
    ]
    return halves, residual, (total - given.total) / 2


def _half_tanh(weights: arb_mat, points: arb_mat) -> list[list[arb]]:
    """Return sigma(w.x) - 1/2 = tanh(w.x / 2) / 2 for rows of weights [m, d]; [m][K]."""
    return [[(z / 2).tanh() / 2 for z in row] for row in (weights * points.transpose()).tolist()]
