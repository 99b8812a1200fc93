"""Lanczos, power iteration, traces and densities of matrices whose spectrum is known."""

import numpy as np
import pytest
from problems import difference_hessian, squared_error

from repro import curvature
from repro.curvature import density, eigen, traces
from repro.curvature.hvp import Operator


def rotated(values, seed=0):
    """Return a matrix with these eigenvalues, and its operator."""
    size = len(values)
    basis = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))[0]
    matrix = basis * values @ basis.T
    return matrix, Operator(size, lambda vector: matrix @ vector)


SPREAD = np.concatenate([[-3.0, -1.0], np.linspace(0, 0.1, 95), [2.0, 7.0, 10.0]])


def test_lanczos_finds_both_ends():
    matrix, operator = rotated(SPREAD)
    top = eigen.lanczos(operator, 3, tolerance=1e-10)
    low = eigen.lanczos(operator, 2, which="smallest", tolerance=1e-10)
    np.testing.assert_allclose(top.values, [10, 7, 2], atol=1e-9)
    np.testing.assert_allclose(low.values, [-3, -1], atol=1e-9)
    assert top.converged and low.converged and top.iterations < 50
    true = np.linalg.norm(matrix @ top.vectors - top.vectors * top.values, axis=0)
    # The bound is exact in exact arithmetic; rounding of 100 products of size 10 adds 1e-13.
    np.testing.assert_allclose(true, top.residuals, atol=1e-12)
    np.testing.assert_allclose(top.vectors.T @ top.vectors, np.eye(3), atol=1e-12)


def test_lanczos_that_stops_early_says_so():
    matrix, operator = rotated(SPREAD)
    found = eigen.lanczos(operator, 2, tolerance=1e-10, max_iterations=4)
    assert not found.converged and found.iterations == 4
    true = np.linalg.norm(matrix @ found.vectors - found.vectors * found.values, axis=0)
    np.testing.assert_allclose(found.residuals, true, rtol=1e-9)
    for value, residual in zip(found.values, found.residuals):
        assert np.abs(SPREAD - value).min() <= residual


def test_lanczos_on_all_of_space_and_on_multiple_eigenvalues():
    values = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 5.0])
    _, operator = rotated(values)
    # Invariant after 3 steps; random vectors carry on to the other copies.
    found = eigen.lanczos(operator, 6)
    assert found.converged and found.iterations == 6
    np.testing.assert_allclose(found.values, values[::-1], atol=1e-12)
    zero = eigen.lanczos(Operator(4, lambda vector: 0 * vector))
    assert zero.values == [0] and zero.converged


def test_warm_start_saves_products():
    matrix, operator = rotated(SPREAD)
    cold = eigen.lanczos(operator, tolerance=1e-8)
    nearby = Operator(100, lambda vector: matrix @ vector * 1.001 + 1e-5 * vector.mean())
    warm = eigen.lanczos(nearby, tolerance=1e-8, start=cold.vectors[:, 0])
    assert warm.iterations < cold.iterations


def test_power_iteration_stops_as_the_paper_says():
    matrix, operator = rotated(SPREAD)
    found = eigen.power_iteration(operator, tolerance=1e-3, max_iterations=50)
    # By hand: the same recursion on the matrix.
    vector = np.random.default_rng(0).standard_normal(100)
    value, iterations = np.inf, 0
    while True:
        vector = vector / np.linalg.norm(vector)
        before, value = value, vector @ matrix @ vector
        vector, iterations = matrix @ vector, iterations + 1
        if abs(value - before) <= 1e-3 * abs(value):
            break
    assert found.iterations == iterations and found.values[0] == pytest.approx(value, rel=1e-12)
    assert abs(found.values[0] - 10) <= found.residuals[0]
    # In as many products Lanczos is closer by orders of magnitude.
    lanczos = eigen.lanczos(operator, tolerance=0, max_iterations=iterations)
    assert lanczos.residuals[0] < 1e-3 * found.residuals[0]


@pytest.mark.parametrize("method", [traces.hutchinson, traces.hutch_plus_plus])
def test_trace_lies_within_its_standard_error(method):
    _, operator = rotated(np.linspace(0, 3, 200) ** 4)
    expected = (np.linspace(0, 3, 200) ** 4).sum()
    found = [method(operator, tolerance=0, max_iterations=30, seed=seed) for seed in range(40)]
    scores = [(f.value - expected) / f.standard_error for f in found]
    # 40 scores of a t distribution with 9 or more degrees of freedom: a deviation of 1.13 at most,
    # here +- 0.13 * 3, and a mean of 0 +- 1.13 / sqrt(40) * 3.
    assert 0.7 < np.std(scores) < 1.6 and abs(np.mean(scores)) < 0.54


def test_hutch_plus_plus_is_exact_on_low_rank_and_ahead_on_decay():
    values = np.zeros(60)
    values[:5] = [9, 7, 4, 2, 1]
    _, operator = rotated(values)
    found = traces.hutch_plus_plus(operator, max_iterations=30)
    assert found.value == pytest.approx(23, abs=1e-10) and found.converged
    assert found.iterations == 30
    _, decaying = rotated(100.0 / np.arange(1, 301) ** 2)
    rough, fine = (
        method(decaying, tolerance=0, max_iterations=60).standard_error
        for method in (traces.hutchinson, traces.hutch_plus_plus)
    )
    assert fine < rough / 3


def test_density_of_a_network_against_its_eigenvalues(smooth):
    model, x, y = smooth
    eigenvalues = np.linalg.eigvalsh(difference_hessian(model, squared_error, x, y))
    # One probe through the network, and many with its matrix, which costs no pass over data.
    one = curvature.spectral_density(model, squared_error, (x, y), probes=1, steps=43)
    matrix = curvature.dense(curvature.hessian(model, squared_error, (x, y)))
    found = density.lanczos_quadrature(Operator(43, matrix.dot), probes=200, steps=43)
    first = found.weights[0] @ found.nodes[0] ** 2
    assert one.moment(2)[0] == pytest.approx(first, rel=1e-9)
    np.testing.assert_allclose(found.weights.sum(1), 1, atol=1e-12)
    # All steps: every probe's nodes are the eigenvalues themselves; weights are random. The copies
    # of eigenvalues that are zero have nodes of their own only up to rounding.
    np.testing.assert_allclose(found.nodes[0], eigenvalues, atol=1e-7)
    for power in (1, 2, 3):
        value, error = found.moment(power)
        assert abs(value - np.mean(eigenvalues**power)) < 4 * error
    grid, sigma = np.linspace(-3, 8, 500), 0.1
    bumps = np.exp(-0.5 * ((grid[:, None] - eigenvalues) / sigma) ** 2)
    expected = bumps.mean(1) / (sigma * np.sqrt(2 * np.pi))
    gap = np.abs(found.evaluate(grid, sigma) - expected)
    # 500 points with 11 / (4 sigma) = 28 independent ones: 5 standard errors, plus rounding.
    assert (gap <= 5 * found.standard_error(grid, sigma) + 1e-9).all()
    assert np.trapezoid(found.evaluate(grid, sigma), grid) == pytest.approx(1, abs=1e-3)


def test_quadrature_moments_are_exact():
    """Gauss quadrature with m nodes has the moments v^T A^p v up to p = 2 m - 1."""
    matrix, operator = rotated(SPREAD)
    found = density.lanczos_quadrature(operator, probes=1, steps=3, seed=5)
    start = np.random.default_rng(5).standard_normal(100)
    start /= np.linalg.norm(start)
    for power in range(6):
        expected = start @ np.linalg.matrix_power(matrix, power) @ start
        assert found.moment(power)[0] == pytest.approx(expected, rel=1e-10)


def test_bad_input():
    _, operator = rotated(SPREAD)
    for arguments, message in (
        ({"k": 0}, "k=0 must lie between 1 and the number of weights, 100"),
        ({"k": 101}, "k=101"),
        ({"which": "top"}, "unknown end 'top'"),
        ({"start": np.zeros(100)}, "start vector"),
        ({"k": 5, "max_iterations": 3}, "too few"),
    ):
        with pytest.raises(ValueError, match=message):
            eigen.lanczos(operator, **arguments)
    with pytest.raises(ValueError, match="at least 4"):
        traces.hutchinson(operator, max_iterations=3)
    with pytest.raises(ValueError, match="at least 12"):
        traces.hutch_plus_plus(operator, max_iterations=11)
    with pytest.raises(ValueError, match="at least 1"):
        density.lanczos_quadrature(operator, probes=0)
