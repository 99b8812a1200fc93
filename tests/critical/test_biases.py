"""Students with biases: closed forms against the definition, what classes and proofs make of it.

The independent versions here use neither tanh nor an input that is always 1.
"""

import numpy as np
import pytest
import tensorflow as tf
from flint import arb

from repro.critical import adam, balls, channels, intervals, loss, newton, proofs, valleys
from repro.critical.certificates import certify, certify_split, verify
from repro.critical.classify import classify
from repro.critical.neurons import decompose
from repro.critical.splitting import sign_matrices, split, split_spectrum
from repro.teacher_student import teacher
from repro.teacher_student.problems import exact, problem


@pytest.fixture(scope="module")
def net():
    return teacher.get("alternating", biases=True)


@pytest.fixture(scope="module")
def biased(net):
    return problem(net)


@pytest.fixture(scope="module")
def minimum(biased):
    """A local minimum of width 4 with loss 8.90e-5, from three digits of it."""
    start = [
        [-0.847, 0.128, 1.02, -0.848],
        [0.642, -0.011, 1.763, -0.61],
        [0.002, 0.013, -0.004, 0.001],
        [-0.401, 0.961, -0.057, -0.508],
    ]
    theta = newton.to_critical_point(np.array([start]), biased)
    return theta[0]


def students(count, width, seed=0):
    return np.random.default_rng(seed).uniform(-1.5, 1.5, (count, 4, width))


def full_loss(theta, net):
    """Mean over the grid of (output - label)^2, per student, from the definition."""
    x, y = teacher.grid().T
    outputs = [
        sum(a / (1 + np.exp(-(v * x + w * y + b))) for v, w, b, a in student.T) for student in theta
    ]
    return np.mean((np.array(outputs) - net.output(teacher.grid())) ** 2, axis=1)


def test_loss_is_the_definition(biased, net):
    theta = students(16, 4)
    value, _, _ = newton.evaluate(theta, biased)
    np.testing.assert_allclose(value, full_loss(theta, net), rtol=1e-12)


def test_derivatives_equal_finite_differences(biased, net):
    """Central differences as in test_loss: truncation below 2e-9, rounding about 1e-11."""
    theta, h = students(1, 4, seed=3), 1e-5
    _, gradient, hessian = newton.evaluate(theta, biased)
    steps = h * np.eye(16).reshape(16, 4, 4)
    slopes = (full_loss(theta + steps, net) - full_loss(theta - steps, net)) / (2 * h)
    np.testing.assert_allclose(gradient[0], slopes, atol=3e-9, rtol=0)
    _, ahead, _ = newton.evaluate(theta + steps, biased)
    _, behind, _ = newton.evaluate(theta - steps, biased)
    np.testing.assert_allclose(hessian[0], (ahead - behind) / (2 * h), atol=3e-9, rtol=0)
    _, for_adam = loss.loss_and_gradient(tf.constant(theta), biased)
    np.testing.assert_allclose(np.ravel(for_adam), gradient[0], atol=1e-13, rtol=0)


def test_without_biases_it_is_the_half_grids(biased, given):
    """At biases of 0 both have one loss, and one Hessian of the other weights."""
    plain = students(16, 4)[:, [0, 1, 3]]
    theta = np.insert(plain, 2, 0.0, axis=1)
    whole, half = newton.evaluate(theta, biased), newton.evaluate(plain, given)
    others = np.delete(np.arange(16), range(8, 12))
    np.testing.assert_allclose(whole[0], half[0], rtol=1e-12)
    np.testing.assert_allclose(whole[1][:, others], half[1], atol=1e-12)
    np.testing.assert_allclose(whole[2][:, others][:, :, others], half[2], atol=1e-12)


@pytest.mark.parametrize("name, bound", [("glorot", 0.0), ("torch", 0.5**0.5)])
def test_biases_at_the_start(name, bound):
    plain, theta = (adam.INITIALIZERS[name](3, 50, 6, biases=biases) for biases in (False, True))
    np.testing.assert_array_equal(theta[:, [0, 1, 3]], plain)
    largest = np.abs(theta[:, 2]).max()
    assert 0.9 * bound <= largest <= bound * (1 + 1e-7)


def test_constant_neurons_have_biases(net, biased):
    """A neuron (0, 0, b; a) adds a sigma(b); reflecting teacher neuron 1 takes it away again."""
    student = np.vstack([net.weights.T, net.signs])
    student[:, 0] *= -1  # sigma(-z) = 1 - sigma(z): the output falls by a* = 1
    constant = np.array([0, 0, 0.7, 1 + np.exp(-0.7)])[:, None]  # 1 / sigma(0.7)
    wide = np.hstack([student, constant])
    assert newton.evaluate(wide[None], biased)[0][0] < 1e-30
    found = decompose(wide, net.weights, net.signs, 1e-9)
    assert found.labels == ("+2", "+3", "+4", "-1", "c") and found.error < 1e-14
    wide[2, 4] = 0.6
    assert decompose(wide, net.weights, net.signs, 1e-3) is None
    verdict = classify(np.vstack([net.weights.T, net.signs])[None], biased, net.weights, net.signs)
    assert (verdict[0].name, verdict[0].kind) == ("global", "0 reflected")


def test_sign_rule_of_split_neurons(minimum, biased):
    """What splitting adds to the inertia is what the wide Hessian itself has, 3x3 matrices too."""
    narrow = np.linalg.eigvalsh(newton.evaluate(minimum[None], biased)[2][0])
    assert narrow[0] > 1e-7
    for neuron, matrix in enumerate(sign_matrices(minimum, biased)):
        for shares in ([0.3, 0.7], [1.4, -0.4]):
            added = split_spectrum(matrix, np.array(shares), 1e-10)
            wide = split(minimum, neuron, np.array(shares))
            spectrum = np.linalg.eigvalsh(newton.evaluate(wide[None], biased)[2][0])
            counted = [int((spectrum < -1e-11).sum()), int((np.abs(spectrum) < 1e-11).sum())]
            assert counted == [added.negative, added.zero]
            assert added.negative + added.zero + added.positive == 4


def test_certificates(minimum, biased, net):
    given = exact(net)
    found = certify(minimum, 0, net.name, given)
    verify(found, given)
    lowest = np.linalg.eigvalsh(newton.evaluate(minimum[None], biased)[2][0])[0]
    assert 0.5 * lowest <= found["lambda"] < lowest and found["loss_floor"] > 8e-5
    assert teacher.get(found["teacher"]) == net
    matrix = np.linalg.eigvalsh(sign_matrices(minimum, biased)[1])
    wide = certify_split(found, [(1, [0.5])], given)
    assert wide["index"] == (matrix < 0).sum()  # p - 1 = 1 for each negative eigenvalue
    counted = proofs.inertia_of_split(found, [(1, [0.5])], given)  # of 20 weights
    assert counted == [wide["index"], 1, 19 - wide["index"]]  # moving the share costs nothing


def test_balls_contain_float64_and_bound_third_derivatives(biased, net):
    given, rng, h = exact(net), np.random.default_rng(4), 1e-2
    theta = rng.uniform(-1, 1, (4, 4))
    with balls.precision(proofs.BITS):
        point = intervals.student(theta.tolist())
        value, gradient, hessian = intervals.derivatives(point, given)
        bound = float(intervals.third_derivative_bound(point, given, arb(0.05)))
    expected = newton.evaluate(theta[None], biased)
    assert float(value) == pytest.approx(expected[0][0], rel=1e-13)
    np.testing.assert_allclose([float(g) for g in gradient], expected[1][0], atol=1e-13)
    rows = [[float(x) for x in row] for row in hessian.tolist()]
    np.testing.assert_allclose(rows, expected[2][0], atol=1e-12)
    units = rng.standard_normal((16, 4, 4))
    units /= np.linalg.norm(units, axis=(1, 2), keepdims=True)
    ahead, behind = (newton.evaluate(theta + s * h * units, biased)[2] for s in (1, -1))
    change = np.linalg.norm(ahead - behind, ord=2, axis=(1, 2)) / (2 * h)
    assert bound / 100 < change.max() < bound


def test_outgoing_weights_fitted_anew(biased):
    """They are the least-squares ones: the gradient over outgoing weights vanishes."""
    student = students(1, 4)[0]
    student[-1] = channels.fit_outgoing(student[:-1], biased)
    _, gradient, _ = newton.evaluate(student[None], biased)
    assert np.abs(gradient[0, 12:]).max() < 1e-13


def test_residuals_are_those_of_the_loss(biased, given):
    """Their squares sum to the loss, and 2 J^T r is its gradient, with biases and without."""
    for theta, of in ((students(1, 4)[0], biased), (students(1, 4)[0][[0, 1, 3]], given)):
        values, jacobian = valleys.residuals(theta, of)
        value, gradient, _ = newton.evaluate(theta[None], of)
        assert values @ values == pytest.approx(value[0], rel=1e-12)
        np.testing.assert_allclose(2 * jacobian.T @ values, gradient[0], atol=1e-12)


def test_bent_steps_reach_zero(net, biased):
    """From near the teacher with a copied neuron: a valley in which Newton's steps halve."""
    start = np.vstack([net.weights.T, net.signs])
    start = split(start, 2, [0.4, 0.6]) + 0.02 * np.random.default_rng(1).standard_normal((4, 5))
    end = valleys.polish(start, biased, 200, until=1e-24)
    assert newton.evaluate(end[None], biased)[0][0] < 1e-24


def test_second_derivative_along_a_step(biased):
    """Central second differences: truncation h^2 |r''''| / 12, rounding 1e-16 / h^2."""
    student, step = students(2, 3, seed=5)
    h = 1e-3
    ahead, here, behind = (valleys.residuals(student + s * h * step, biased)[0] for s in (1, 0, -1))
    expected = (ahead - 2 * here + behind) / h**2
    found = valleys.second_along(student, step, biased)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
