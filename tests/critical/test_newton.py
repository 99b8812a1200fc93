import numpy as np
import pytest

from repro.critical import newton
from repro.critical.splitting import inertia, sign_matrices, split


def run(theta, given, iterations=400):
    theta, _ = newton.descend(theta, np.full(len(theta), newton.DAMPING_START), given, iterations)
    return theta, *newton.evaluate(theta, given)


def test_finds_the_teacher_from_nearby(alternating, given):
    start = np.vstack([alternating.weights.T, alternating.signs])[None] + 0.01
    theta, value, gradient, _ = run(start, given)
    assert value[0] < 1e-26 and np.abs(gradient).max() < newton.GRADIENT_TOLERANCE
    # Hessian eigenvalues there are above 1e-7, so sqrt(loss / 1e-7) bounds the distance
    assert np.abs(theta[0, :2].T - alternating.weights).max() < 1e-9


def test_leaves_a_strict_saddle_and_never_climbs(given, minimum_3):
    """A copy outside (0, 1) of a neuron with positive sign matrix is a saddle (Theorem 3)."""
    saddle = split(minimum_3, 1, [1.5, -0.5])
    start = saddle + 1e-6 * np.random.default_rng(0).standard_normal(saddle.shape)
    before, _, _ = newton.evaluate(start[None], given)
    _, value, _, _ = run(start[None], given)
    assert value[0] < before[0] * (1 - 1e-3)


def test_leaves_where_the_loss_cannot_tell(given, minimum_3):
    """1e-8 from a saddle the loss differs by 1e-23, and descent takes it for converged."""
    saddle = split(minimum_3, 1, [1.5, -0.5])
    starts = np.stack([saddle, split(minimum_3, 1, [0.5, 0.5])])  # and a plateau
    there, _, _ = newton.evaluate(starts, given)
    starts += 1e-8 * np.random.default_rng(0).standard_normal(starts.shape)
    stayed, level, _, _ = run(starts, given)
    np.testing.assert_allclose(level, there, rtol=1e-12)
    loss, _, _ = newton.evaluate(newton.leave(stayed, given, level), given)
    assert loss[0] < level[0] * (1 - newton.LEFT)
    assert loss[1] == pytest.approx(level[1], rel=1e-12)


def test_descent_in_parts_equals_in_one_go(given):
    theta = np.random.default_rng(1).uniform(-1, 1, (5, 3, 4))
    damping = np.full(5, newton.DAMPING_START)
    whole = newton.descend(theta, damping, given, 40)
    part = newton.descend(theta, damping, given, 15)
    parts = newton.descend(*part, given, 25)
    np.testing.assert_array_equal(whole[0], parts[0])
    np.testing.assert_array_equal(whole[1], parts[1])


def test_plain_newton_returns_to_a_constructed_saddle(given, minimum_3):
    """From 1e-3 away Newton on the gradient comes back to the line of saddles, losing no loss."""
    saddle = split(minimum_3, 1, [1.5, -0.5])
    loss_there, _, _ = newton.evaluate(saddle[None], given)
    start = saddle + 1e-3 * np.random.default_rng(2).standard_normal(saddle.shape)
    found = newton.to_critical_point(start[None], given)
    value, gradient, hessian = newton.evaluate(found, given)
    assert np.abs(gradient).max() < newton.GRADIENT_TOLERANCE
    assert abs(value[0] - loss_there[0]) < 1e-12 * loss_there[0]
    assert np.linalg.eigvalsh(hessian[0])[0] < -1e-7
    # the point moved only along the line, on which the two shares trade against each other
    assert np.abs(found[0, :2] - saddle[:2]).max() < 1e-8
    assert abs(found[0, 2, 2:].sum() - minimum_3[2, 1]) < 1e-8
    assert found[0, 2, 2] * found[0, 2, 3] < 0


def test_inertia_grows_under_splitting(given, minimum_3):
    """Zhang et al. 2021: no number of eigenvalues of a sign falls when a point is embedded."""

    def count(student):
        hessian = newton.evaluate(student[None], given)[2]
        return inertia(hessian, newton.zero_tolerance(np.linalg.eigvalsh(hessian)))[0]

    narrow = count(minimum_3)
    assert narrow.tolist() == [0, 0, 9]
    for neuron in range(3):
        definite = np.linalg.eigvalsh(sign_matrices(minimum_3, given)[neuron])
        for share in (-0.4, 0.3, 1.7):
            wide = count(split(minimum_3, neuron, [share, 1 - share]))
            # Theorem 3: zero for the share, and a definite sign for each eigenvalue of M
            sign = definite if 0 < share < 1 else -definite
            expected = [int((sign < 0).sum()), 1, 9 + int((sign > 0).sum())]
            assert wide.tolist() == expected
            assert (wide >= narrow).all()
