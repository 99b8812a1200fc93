"""The mean square loss of students f(x) = sum_i a_i sigma(w_i.x) and its closed-form derivatives.

On a point-symmetric grid of N points, sigma(z) = 1/2 + tanh(z/2)/2 splits every net into a constant
and an odd function, and the loss into two squares that do not mix:

    F = c^2 + (2/N) sum_k r_k^2,    c = (sum_i a_i - sum_t a*_t) / 2,
    r_k = sum_i a_i tanh(w_i.x_k / 2) / 2 - (the teacher's),

where x_k runs over one point of each pair x, -x. That is half the work and exact, and it shows the
symmetry (w, a) -> (-w, -a), which leaves r alone and moves only c.
"""

import dataclasses

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """What students are fitted to; equal to itself only, so that compiled loops are found again.

    Attributes:
      points: one of each pair x, -x of the grid, [K, 2].
      target: odd part of the teacher's output there, [K].
      total: sum of the teacher's outgoing weights.
      count: N, the size of the whole grid, 2K + 1 with the origin.
    """

    points: np.ndarray
    target: np.ndarray
    total: float
    count: int


def problem(half_points: np.ndarray, incoming: np.ndarray, outgoing: np.ndarray) -> Problem:
    """Return the problem that a teacher with weights [r, 2] and [r] sets on a half grid [K, 2]."""
    target = np.tanh(half_points @ np.transpose(incoming) / 2) @ outgoing / 2
    return Problem(half_points, target, float(np.sum(outgoing)), 2 * len(half_points) + 1)


def loss_and_gradient(theta: tf.Tensor, given: Problem) -> tuple[tf.Tensor, tf.Tensor]:
    """Return losses [S] and gradients [S, 3, m] of students [S, 3, m], in theta's precision.

    With t = tanh(w.x/2): dF/da_i = c + (2/N) sum_k r_k t_ik and
    dF/dw_i = (a_i/N) sum_k r_k (1 - t_ik^2) x_k.
    """
    outgoing = theta[:, 2]
    tanh, residual, offset = _residuals(theta, given)
    points = tf.constant(given.points, theta.dtype)
    slope = tf.reshape(residual * (1 - tanh * tanh), [-1, len(given.points)])
    incoming = tf.reshape(slope @ points, [-1, theta.shape[2], 2])
    incoming = outgoing[:, None] * tf.transpose(incoming, [0, 2, 1]) / given.count
    pulled = tf.matmul(tanh, residual, transpose_b=True)[..., 0]
    by_outgoing = offset[:, None] + 2 / given.count * pulled
    return _loss(residual, offset, given), tf.concat([incoming, by_outgoing[:, None]], axis=1)


def loss_gradient_hessian(
    theta: tf.Tensor, given: Problem
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return losses [S], gradients [S, 3m] and Hessians [S, 3m, 3m] of students [S, 3, m].

    H = (4/N) J J^T + 1/2 on pairs of outgoing weights + (4/N) sum_k r_k (second derivatives of the
    output); the last are zero between different neurons.
    """
    size = 3 * theta.shape[2]
    tanh, residual, offset = _residuals(theta, given)
    first, second = (tf.constant(column, theta.dtype) for column in given.points.T)
    slope = (1 - tanh * tanh) / 4  # sigma'
    by_z = theta[:, 2, :, None] * slope
    jacobian = tf.concat([by_z * first, by_z * second, tanh / 2], axis=1)  # [S, 3m, K]
    gradient = 4 / given.count * tf.matmul(jacobian, residual, transpose_b=True)[..., 0]
    gradient += tf.repeat(tf.constant([0, 0, 1], theta.dtype), theta.shape[2]) * offset[:, None]
    bent = -residual * by_z * tanh  # r a sigma''
    pulled = residual * slope
    sums = [
        tf.reduce_sum(values, -1)
        for values in (
            bent * first**2,
            bent * first * second,
            bent * second**2,
            pulled * first,
            pulled * second,
        )
    ]
    xx, xy, yy, x, y = sums
    rows = [[xx, xy, x], [xy, yy, y], [x, y, tf.zeros_like(x)]]
    blocks = 4 / given.count * tf.linalg.diag(tf.stack([tf.stack(row, 1) for row in rows], 1))
    own = tf.reshape(tf.transpose(blocks, [0, 1, 3, 2, 4]), [-1, size, size])
    constant = np.zeros((size, size))
    constant[2 * size // 3 :, 2 * size // 3 :] = 0.5
    hessian = 4 / given.count * tf.matmul(jacobian, jacobian, transpose_b=True) + own
    return _loss(residual, offset, given), gradient, hessian + tf.constant(constant, theta.dtype)


def _residuals(theta: tf.Tensor, given: Problem) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return tanh(w.x/2) [S, m, K], odd residuals [S, 1, K] and the constant's residual c [S]."""
    points = tf.constant(given.points.T / 2, theta.dtype)
    flat = tf.reshape(tf.transpose(theta[:, :2], [0, 2, 1]), [-1, 2])  # one matmul for all neurons
    tanh = tf.reshape(tf.tanh(flat @ points), [-1, theta.shape[2], len(given.points)])
    outgoing = theta[:, 2]
    residual = tf.matmul(outgoing[:, None] / 2, tanh) - tf.constant(given.target, theta.dtype)
    return tanh, residual, (tf.reduce_sum(outgoing, 1) - given.total) / 2


def _loss(residual: tf.Tensor, offset: tf.Tensor, given: Problem) -> tf.Tensor:
    return offset**2 + 2 / given.count * tf.reduce_sum(residual**2, axis=[1, 2])
