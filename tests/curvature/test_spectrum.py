"""Lanczos, power iteration, traces and densities of matrices whose spectrum is known."""

import keras
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


def counted(operator):
    """Return an operator that counts its products in a list of one number."""
    count = [0]

    def product(vector):
        count[0] += 1
        return operator.product(vector)

    return Operator(operator.size, product), count


@pytest.mark.parametrize("which", ["largest", "smallest"])
def test_multiple_eigenvalues_are_found_as_often_as_they_occur(which):
    sign = 1 if which == "largest" else -1
    values = sign * np.concatenate([[5.0] * 3, [4.0], [2.0] * 4, np.linspace(-1, 1, 60)])
    matrix, operator = rotated(values)
    for k, multiplicities in ((2, [3, 3]), (3, [3] * 3), (4, [3] * 3 + [1]), (6, [3] * 3 + [1])):
        operator, count = counted(operator)
        found = eigen.lanczos(operator, k, which=which, tolerance=1e-9)
        np.testing.assert_allclose(found.values, values[:k], atol=1e-7)
        assert found.converged and found.iterations == count[0]
        np.testing.assert_array_equal(found.multiplicities[: len(multiplicities)], multiplicities)
        # Of the last value one more copy than was asked for may be known, never too many.
        assert (found.multiplicities[4:] <= 4).all() and (found.multiplicities[4:] >= 2).all()
        true = np.linalg.norm(matrix @ found.vectors - found.vectors * found.values, axis=0)
        assert (true <= found.residuals + 1e-11).all()
        np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(k), atol=1e-9)


def test_linear_layer_with_three_outputs(float64, rng):
    """H = 2 mean x x^T (x) I_3: every eigenvalue three times."""
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, use_bias=False)])
    x = rng.standard_normal((12, 5))
    data = x, rng.standard_normal((12, 3))
    expected = np.repeat(np.linalg.eigvalsh(2 / 3 * x.T @ x / 12)[::-1], 3)
    found = curvature.top_eigenvalues(model, squared_error, data, 4, tolerance=1e-9)
    np.testing.assert_allclose(found.values, expected[:4], atol=1e-8)
    np.testing.assert_array_equal(found.multiplicities[:3], [3, 3, 3])
    whole = curvature.top_eigenvalues(model, squared_error, data, 15, tolerance=1e-9)
    np.testing.assert_allclose(whole.values, expected, atol=1e-8)


def test_copies_that_were_not_sought_to_the_end_are_not_called_found():
    _, operator = rotated(np.concatenate([[5.0] * 3, np.linspace(4.9, 4.99, 80)]))
    found = eigen.lanczos(operator, 2, tolerance=1e-12, max_iterations=20)
    assert not found.converged


def test_one_eigenvalue_takes_the_products_that_a_krylov_space_needs():
    """The first m at which, by QR, the residual of the largest Ritz value is small enough and an
    eigenvalue 1 % further out would need a share of the start that it lacks with a chance of 1e-6.
    """
    matrix, operator = rotated(SPREAD)
    operator, count = counted(operator)
    found = eigen.lanczos(operator, 1, tolerance=1e-6)
    vectors = [np.random.default_rng(0).standard_normal(100)]
    while True:
        basis = np.linalg.qr(np.stack(vectors, axis=1))[0]
        values, ritz = np.linalg.eigh(basis.T @ matrix @ basis)
        vector = basis @ ritz[:, -1]
        residual = np.linalg.norm(matrix @ vector - values[-1] * vector)
        filtered = vectors[0] / np.linalg.norm(vectors[0])
        for zero in values:
            filtered = matrix @ filtered - zero * filtered
        scale = np.abs(values).max()
        grown = np.prod(values[-1] + 0.01 * scale - values)
        share = np.linalg.norm(filtered) / grown  # an eigenvector there has no more of the start
        if residual <= 1e-6 * scale and share < 1.25e-6 / np.sqrt(100):
            break
        vectors.append(matrix @ basis[:, -1])
    assert found.iterations == count[0] == len(vectors)


def near_identity(size, parts):
    """Return the identity plus `parts` along random directions, as an operator."""
    rng = np.random.default_rng(1)
    directions = np.linalg.qr(rng.standard_normal((size, len(parts))))[0]
    parts = np.asarray(parts)
    return Operator(size, lambda v: v + directions @ (parts * (directions.T @ v)))


PARTS = [*np.linspace(-1, -0.1, 57), 0.01, 0.02, 0.08]


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4, 1e-6])
@pytest.mark.parametrize("limit", [None, 8 * 20_000 * 12])
@pytest.mark.parametrize("which", ["largest", "smallest"])
def test_a_small_residual_is_not_enough(tolerance, limit, which):
    """A random start is nearly an eigenvector of what is nearly the identity, to the value 1."""
    parts = PARTS if which == "largest" else [-part for part in PARTS]
    found = eigen.lanczos(
        near_identity(20_000, parts),
        which=which,
        tolerance=tolerance,
        max_iterations=1000,
        memory_limit=limit,
    )
    assert found.converged and (found.restarts > 0) == (limit is not None)
    end = 1.08 if which == "largest" else 0.92
    assert found.values[0] == pytest.approx(end, abs=2 * tolerance)


def test_too_few_products_to_know_the_largest_are_not_convergence():
    found = eigen.lanczos(near_identity(20_000, PARTS), tolerance=1e-3, max_iterations=4)
    assert not found.converged


def test_restarts_within_a_limit_of_memory():
    values = np.concatenate([[-3.0, -1.0], np.linspace(0, 1.6, 295), [1.8, 2.0, 2.0]])
    _, operator = rotated(values)
    free = eigen.lanczos(operator, 2, tolerance=1e-8)
    assert free.restarts == 0
    limit = 8 * 300 * 12  # twelve vectors
    tight = eigen.lanczos(operator, 2, tolerance=1e-8, max_iterations=2000, memory_limit=limit)
    assert tight.converged and tight.restarts > 0 and tight.iterations > free.iterations
    np.testing.assert_allclose(tight.values, [2, 2], atol=1e-7)
    low = eigen.lanczos(operator, which="smallest", max_iterations=2000, memory_limit=limit)
    assert low.values[0] == pytest.approx(-3, abs=1e-5)
    with pytest.raises(ValueError, match=r"memory_limit=.* has room for 3 vectors of 300 weights"):
        eigen.lanczos(operator, 2, memory_limit=8 * 300 * 3)


def test_density_within_a_limit_of_memory():
    """Fewer vectors than steps: copies of converged eigenvalues appear, but share their weight."""
    _, operator = rotated(SPREAD)
    whole = density.lanczos_quadrature(operator, probes=2, steps=60)
    tight = density.lanczos_quadrature(operator, probes=2, steps=60, memory_limit=8 * 100 * 5)
    assert whole.remembered == 60 and tight.remembered == 5
    np.testing.assert_allclose(tight.weights.sum(1), 1, atol=1e-12)
    for power in range(1, 6):
        assert tight.moment(power)[0] == pytest.approx(whole.moment(power)[0], rel=1e-9)
    grid = np.linspace(-4, 11, 200)
    np.testing.assert_allclose(tight.evaluate(grid, 0.2), whole.evaluate(grid, 0.2), atol=1e-6)


def test_along_a_path(smooth):
    """As at every point alone; the vector before starts the next search."""
    model, x, y = smooth
    ends = [[v.numpy() * s for v in model.trainable_variables] for s in (1.0, 1.3)]
    points = [[a + t * (b - a) for a, b in zip(*ends)] for t in (0, 0.5, 1)]
    for k, matrix in ((1, "hessian"), (2, "gauss_newton")):
        asked = {"k": k, "matrix": matrix, "tolerance": 1e-6}
        path = curvature.along(model, squared_error, (x, y), iter(points), **asked)
        alone = [
            curvature.top_eigenvalues(model, squared_error, (x, y), at=p, **asked) for p in points
        ]
        for found, expected in zip(path, alone):
            np.testing.assert_allclose(found.values, expected.values, atol=1e-5)
    with pytest.raises(ValueError, match="`at` must hold 4 arrays"):
        curvature.along(model, squared_error, (x, y), [points[0][:2]])


def test_along_a_path_where_another_eigenvalue_takes_over(float64):
    """Two weights with losses of their own: the first one's vector says nothing of the second."""

    class Apart(keras.layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(2,), initializer="ones")

        def call(self, inputs):
            return inputs * self.w**2

    model = keras.Sequential([keras.Input((2,)), Apart()])
    data = np.ones((2, 2)), np.zeros((2, 2))
    points = [[np.array([2.0, 1.0])], [np.array([1.0, 2.0])]]
    path = curvature.along(model, squared_error, data, points)
    # d2/dw2 of w^4 / 2 is 6 w^2, on the diagonal
    assert [p.values[0] for p in path] == pytest.approx([24, 24], abs=1e-3)


def test_results_print_without_their_vectors(smooth):
    model, x, y = smooth
    for found in (
        curvature.sharpness(model, squared_error, (x, y)),
        curvature.top_eigenvalues(model, squared_error, (x, y), 2),
        curvature.spectral_density(model, squared_error, (x, y), steps=5),
        curvature.trace(model, squared_error, (x, y)),
        curvature.hessian(model, squared_error, (x, y)),
    ):
        text = repr(found)
        assert "vector" not in text and "nodes" not in text and "function" not in text
        assert len(text) < 300


def test_a_start_that_another_eigenvector_has_overtaken():
    """A search from the eigenvector of 2.9 alone would end there, with a residual of 0."""
    values = np.concatenate([[3.0, 2.9, 1.0, 0.5], np.zeros(996)])
    operator = Operator(1000, lambda vector: values * vector)
    found = eigen.lanczos(operator, tolerance=1e-4, start=np.eye(1000)[1])
    assert found.converged and found.values[0] == pytest.approx(3, abs=3e-4)


def test_a_start_nearby_takes_no_more_products():
    matrix, operator = rotated(SPREAD)
    cold = eigen.lanczos(operator, tolerance=1e-8)
    nearby = Operator(100, lambda vector: matrix @ vector * 1.001 + 1e-5 * vector.mean())
    warm = eigen.lanczos(nearby, tolerance=1e-8, start=cold.vectors[:, 0])
    assert warm.iterations <= cold.iterations
    assert warm.values[0] == pytest.approx(1.001 * cold.values[0], rel=1e-5)


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
        ({"k": 0}, "k=0 must be a whole number from 1 to that of weights, 100"),
        ({"k": 101}, "k=101"),
        ({"k": 2.0}, "k=2.0 must be a whole number"),
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
    with pytest.raises(ValueError, match="max_iterations=0 must be at least 1"):
        eigen.power_iteration(operator, max_iterations=0)
    found = density.lanczos_quadrature(operator, probes=2, steps=3)
    for sigma in (0.0, -0.1, np.nan):
        for curve in (found.evaluate, found.standard_error):
            with pytest.raises(ValueError, match=r"sigma=.* must be above 0"):
                curve(np.linspace(0, 1, 3), sigma)
