"""The mean square loss of students f(x) = sum_i a_i sigma(w_i.x) and its closed-form derivatives.

On a point-symmetric grid of N points, sigma(z) = 1/2 + tanh(z/2)/2 splits every net without biases
into a constant and an odd function, and the loss into two squares that do not mix:

    F = c^2 + (2/N) sum_k r_k^2,    c = (sum_i a_i - sum_t a*_t) / 2,
    r_k = sum_i a_i tanh(w_i.x_k / 2) / 2 - (the teacher's),

where x_k runs over one point of each pair x, -x. That is half the work and exact, and it shows the
symmetry (w, a) -> (-w, -a), which leaves r alone and moves only c.

Neurons with biases b are not odd. For them x has one more coordinate, which is 1 everywhere, so
that b is one more incoming weight; r_k is all of output minus target, k runs over all N points,
each counts 1/N, and there is no c.
"""

import dataclasses

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """What students are fitted to; equal to itself only, so that compiled loops are found again.

    Attributes:
      points: inputs [K, d]; if halved one of each pair x, -x of the grid, else all of it.
      target: the teacher's output there [K], if halved its odd part.
      total: sum of the teacher's outgoing weights.
      count: N, the size of the whole grid; 2K + 1 with the origin if halved, else K.
      halved: whether the net splits into a constant and an odd part, as it does without biases.
    """

    points: np.ndarray
    target: np.ndarray
    total: float
    count: int
    halved: bool = True

    @property
    def weight(self) -> float:
        """What each squared residual counts in the loss."""
        return (2 if self.halved else 1) / self.count


def problem(
    points: np.ndarray, incoming: np.ndarray, outgoing: np.ndarray, *, halved: bool = True
) -> Problem:
    """Return the problem that a teacher with weights [r, d] and [r] sets.

    Args:
      points: half of a point-symmetric grid without the origin, [K, d]; or, not `halved`, any
        inputs, the last coordinate 1 where neurons have biases.
      incoming, outgoing: the teacher's weights; its biases are the last column of `incoming`.
      halved: which of the two.
    """
    total = float(np.sum(outgoing))
    odd = np.tanh(points @ np.transpose(incoming) / 2) @ outgoing / 2
    if halved:
        return Problem(points, odd, total, 2 * len(points) + 1)
    return Problem(points, odd + total / 2, total, len(points), halved=False)


def loss_and_gradient(theta: tf.Tensor, given: Problem) -> tuple[tf.Tensor, tf.Tensor]:
    """Return losses [S] and gradients [S, d + 1, m] of students of that shape, in their precision.

    A student has d rows of incoming weights and one of outgoing ones. With t = tanh(w.x/2) and v
    what a square counts: dF/da_i = c + v sum_k r_k t_ik, not halved v sum_k r_k (1 + t_ik), and
    dF/dw_i = (v a_i / 2) sum_k r_k (1 - t_ik^2) x_k.
    """
    outgoing = theta[:, -1]
    tanh, residual, constant = _residuals(theta, given)
    points = tf.constant(given.points, theta.dtype)
    slope = tf.reshape(residual * (1 - tanh * tanh), [-1, len(given.points)])
    incoming = tf.reshape(slope @ points, [-1, theta.shape[2], given.points.shape[1]])
    incoming = given.weight / 2 * outgoing[:, None] * tf.transpose(incoming, [0, 2, 1])
    pulled = tf.matmul(tanh, residual, transpose_b=True)[..., 0]
    by_outgoing = constant[:, None] + given.weight * pulled
    return _loss(residual, constant, given), tf.concat([incoming, by_outgoing[:, None]], axis=1)


def loss_gradient_hessian(
    theta: tf.Tensor, given: Problem
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return losses [S], gradients [S, n] and Hessians [S, n, n] of students [S, d + 1, m].

    n = (d + 1) m, flattened row by row. H = 2 v J J^T + 2 v sum_k r_k (second derivatives of the
    output), the last of which are zero between different neurons; if halved plus 1/2 on pairs of
    outgoing weights.
    """
    width, inputs = theta.shape[2], given.points.shape[1]
    size = (inputs + 1) * width
    tanh, residual, constant = _residuals(theta, given)
    slope = (1 - tanh * tanh) / 4  # sigma'
    by_z = theta[:, -1, :, None] * slope
    columns = [tf.constant(column, theta.dtype) for column in given.points.T]
    by_outgoing = tanh / 2 if given.halved else (1 + tanh) / 2
    jacobian = tf.concat([*(by_z * x for x in columns), by_outgoing], axis=1)  # [S, n, K]
    gradient = 2 * given.weight * tf.matmul(jacobian, residual, transpose_b=True)[..., 0]
    hessian = tf.matmul(jacobian, jacobian, transpose_b=True)

    bent, pulled = -residual * by_z * tanh, residual * slope  # r a sigma'' and r sigma'
    own = [[None] * (inputs + 1) for _ in range(inputs + 1)]  # of a neuron, [S, m] each
    for i, x in enumerate(columns):
        own[i][inputs] = own[inputs][i] = tf.reduce_sum(pulled * x, -1)
        for j in range(i + 1):
            own[i][j] = own[j][i] = tf.reduce_sum(bent * (x * columns[j]), -1)
    own[inputs][inputs] = tf.zeros_like(own[0][inputs])
    blocks = tf.linalg.diag(tf.stack([tf.stack(row, 1) for row in own], 1))  # [S, d+1, d+1, m, m]
    hessian += tf.reshape(tf.transpose(blocks, [0, 1, 3, 2, 4]), [-1, size, size])
    hessian *= 2 * given.weight
    if given.halved:
        outgoing = np.repeat([0.0] * inputs + [1.0], width)
        gradient += tf.constant(outgoing, theta.dtype) * constant[:, None]
        hessian += tf.constant(np.outer(outgoing, outgoing) / 2, theta.dtype)
    return _loss(residual, constant, given), gradient, hessian


def _residuals(theta: tf.Tensor, given: Problem) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return tanh(w.x/2) [S, m, K], residuals [S, 1, K] and the constant part of dF/da [S].

    The last is the constant's residual c if halved, else the sum of all residuals times v.
    """
    points = tf.constant(given.points.T / 2, theta.dtype)
    flat = tf.reshape(tf.transpose(theta[:, :-1], [0, 2, 1]), [-1, given.points.shape[1]])
    tanh = tf.reshape(tf.tanh(flat @ points), [-1, theta.shape[2], len(given.points)])
    outgoing = theta[:, -1]
    residual = tf.matmul(outgoing[:, None] / 2, tanh) - tf.constant(given.target, theta.dtype)
    total = tf.reduce_sum(outgoing, 1)
    if given.halved:
        return tanh, residual, (total - given.total) / 2
    residual += total[:, None, None] / 2
    return tanh, residual, given.weight * tf.reduce_sum(residual, axis=[1, 2])


def _loss(residual: tf.Tensor, constant: tf.Tensor, given: Problem) -> tf.Tensor:
    squares = given.weight * tf.reduce_sum(residual**2, axis=[1, 2])
    return constant**2 + squares if given.halved else squares
