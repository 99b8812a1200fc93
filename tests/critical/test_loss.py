"""Closed forms against the definition on all 1,681 points, automatic and finite differences.

None of the independent versions here uses the half grid or tanh.
"""

import numpy as np
import pytest
import tensorflow as tf

from repro.critical import loss, newton
from repro.teacher_student import teacher


@pytest.fixture(scope="module")
def problem(net):
    return loss.problem(teacher.half_grid(), net.weights, net.signs)


def students(count, width, seed=0):
    return np.random.default_rng(seed).uniform(-1.5, 1.5, (count, 3, width))


def full_loss(theta, net):
    """Mean over the full grid of (output - label)^2, per student, from the definition."""
    grid = teacher.grid()
    outputs = [a @ (1 / (1 + np.exp(-np.stack([w1, w2], 1) @ grid.T))) for w1, w2, a in theta]
    return np.mean((np.array(outputs) - net.output(grid)) ** 2, axis=1)


def autodiff(flat, net):
    """Loss of one student [3m], differentiable, on the full grid."""
    grid = tf.constant(teacher.grid())
    w1, w2, a = tf.split(flat, 3)
    z = grid[:, :1] * w1 + grid[:, 1:] * w2
    output = tf.linalg.matvec(1 / (1 + tf.exp(-z)), a)
    return tf.reduce_mean((output - net.output(teacher.grid())) ** 2)


@pytest.mark.parametrize("width", [1, 4, 7])
def test_half_grid_equals_full_grid(problem, net, width):
    theta = students(100, width)
    value, _, _ = newton.evaluate(theta, problem)
    np.testing.assert_allclose(value, full_loss(theta, net), rtol=1e-12)


def test_loss_of_the_teacher_is_zero(problem, net):
    value, gradient, _ = newton.evaluate(np.vstack([net.weights.T, net.signs])[None], problem)
    assert value[0] < 1e-30 and np.abs(gradient).max() < 1e-15


def test_derivatives_equal_automatic_ones(problem, net):
    """Sums of 1,681 terms below 10 in float64: errors of 1,681 x 10 x 1e-16 = 2e-12 at most."""
    theta = students(3, 5)
    _, gradient, hessian = newton.evaluate(theta, problem)
    for s in range(3):
        flat = tf.Variable(theta[s].ravel())
        with tf.GradientTape(persistent=True) as outer:
            with tf.GradientTape() as inner:
                value = autodiff(flat, net)
            first = inner.gradient(value, flat)
        np.testing.assert_allclose(gradient[s], first, atol=2e-12, rtol=0)
        second = outer.jacobian(first, flat, experimental_use_pfor=False)
        np.testing.assert_allclose(hessian[s], second, atol=2e-12, rtol=0)


def test_derivatives_equal_finite_differences(problem, net):
    """Central differences with h = 1e-5 of a smooth function.

    Truncation h^2 |D^3 F| / 6 is below 1e-10 x 100 / 6 = 2e-9, rounding of a loss of about 1 is
    1e-16 / h = 1e-11 (gradient: of losses; Hessian: of closed-form gradients).
    """
    theta, h = students(1, 4, seed=3), 1e-5
    _, gradient, hessian = newton.evaluate(theta, problem)
    steps = h * np.eye(12).reshape(12, 3, 4)
    slopes = (full_loss(theta + steps, net) - full_loss(theta - steps, net)) / (2 * h)
    np.testing.assert_allclose(gradient[0], slopes, atol=3e-9, rtol=0)
    _, ahead, _ = newton.evaluate(theta + steps, problem)
    _, behind, _ = newton.evaluate(theta - steps, problem)
    np.testing.assert_allclose(hessian[0], (ahead - behind) / (2 * h), atol=3e-9, rtol=0)


def test_gradient_for_adam_is_the_same(problem):
    theta = students(4, 6)
    value, gradient = loss.loss_and_gradient(tf.constant(theta), problem)
    expected = newton.evaluate(theta, problem)
    np.testing.assert_allclose(value, expected[0], rtol=1e-13)
    np.testing.assert_allclose(np.reshape(gradient, (4, -1)), expected[1], atol=1e-13, rtol=0)


def test_reflecting_a_neuron_moves_only_the_constant(problem):
    """(w, a) -> (-w, -a) changes the output by the constant -a, exactly."""
    theta = students(1, 3)
    reflected = theta.copy()
    reflected[:, :, 1] *= -1
    before, after = (newton.evaluate(t, problem)[0][0] for t in (theta, reflected))
    offset = (theta[0, 2].sum() - problem.total) / 2
    change = (offset - theta[0, 2, 1]) ** 2 - offset**2
    assert after - before == pytest.approx(change, abs=1e-14)
