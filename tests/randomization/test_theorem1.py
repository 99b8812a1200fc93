"""Theorem 1's network against a dense solution, exact counts, and exact arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from repro.randomization import depth, theorem1
from repro.randomization.settings import Theorem1
from repro.settings import settle


@pytest.fixture
def problem(rng):
    """Make n points in d dimensions and their labels: problem(n, d)."""
    return lambda n, d: (rng.normal(size=(n, d)), rng.normal(size=n))


@pytest.mark.parametrize("n, d", [(1, 1), (2, 3), (7, 1), (30, 5), (60, 200)])
def test_weights_are_those_of_a_dense_solution(problem, n, d):
    """Lemma 1: the matrix of max(z_i - b_j, 0) is lower triangular, and w solves it."""
    points, labels = problem(n, d)
    network = theorem1.construct(points, labels)
    z = (points @ network.direction)[network.order]
    matrix = np.maximum(z[:, None] - network.thresholds, 0)
    np.testing.assert_array_equal(matrix, np.tril(matrix))
    assert np.diag(matrix).min() == pytest.approx(network.smallest_eigenvalue)
    assert np.diag(matrix).min() > 0
    expected = np.linalg.solve(matrix, labels[network.order])
    scale = np.abs(expected).max()
    np.testing.assert_allclose(network.weights, expected, rtol=0, atol=1e-10 * scale)
    np.testing.assert_allclose(network(points), labels, rtol=0, atol=1e-10)
    if n > 1:
        gap = np.diff(np.sort(points @ network.direction)).min()
        assert network.smallest_gap == pytest.approx(gap)


@pytest.mark.parametrize("n, d", [(1, 1), (10, 4), (2000, 100)])
def test_the_number_of_weights_is_exactly_2n_plus_d(problem, n, d):
    network = theorem1.construct(*problem(n, d))
    assert network.count() == 2 * n + d
    assert network.direction.shape == (d,)
    assert network.thresholds.shape == network.weights.shape == (n,)


@pytest.mark.parametrize("seed", range(3))
def test_2000_labels_are_fitted_in_float64(problem, seed):
    """R21. The terms of a sum are of the size of labels over gaps, 1e7; rounding, 1e-16 of it."""
    points, labels = problem(2000, 100)
    network = theorem1.construct(points, labels, seed)
    assert np.abs(network(points) - labels).max() < 1e-6


def test_order_and_scale_of_points_do_not_matter(problem):
    points, labels = problem(50, 6)
    shuffled = np.random.default_rng(3).permutation(50)
    for scale in (1, 1000.0):
        network = theorem1.construct(scale * points[shuffled], labels[shuffled])
        np.testing.assert_allclose(network(scale * points), labels, atol=1e-9)


# --- proved ---------------------------------------------------------------------------------------


def test_a_bound_holds_in_exact_arithmetic(problem, monkeypatch):
    """The network of 64 bits, evaluated by fractions: its error lies below the bound, not far."""
    points, labels = problem(40, 3)
    kept = {}
    solve = theorem1._weights

    def weights(z, b, y):
        kept["b"], kept["w"] = b, solve(z, b, y)
        return kept["w"]

    monkeypatch.setattr(theorem1, "_weights", weights)
    proved = theorem1.certify(points, labels, bits=64)

    def exact(ball):
        mantissa, exponent = ball.mid().man_exp()
        return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)

    b, w = [[exact(ball) for ball in kept[name]] for name in "bw"]
    a = [Fraction(value) for value in theorem1.direction(points, 0).tolist()]
    z = [sum(x * y for x, y in zip(a, map(Fraction, point))) for point in points.tolist()]
    outputs = [sum(v * max(x - t, 0) for v, t in zip(w, b)) for x in z]
    error = max(abs(out - Fraction(y)) for out, y in zip(outputs, labels.tolist()))
    assert 0 < error <= Fraction(proved.largest_error)
    assert proved.largest_error < 1e-12
    gaps = [after - before for before, after in zip(sorted(z), sorted(z)[1:])]
    assert Fraction(proved.smallest_gap) <= min(gaps)
    assert proved.smallest_gap == pytest.approx(float(min(gaps)))
    assert proved.weights == 2 * 40 + 3


def test_what_is_proved_is_what_is_measured(problem):
    points, labels = problem(300, 20)
    network, proved = theorem1.construct(points, labels), theorem1.certify(points, labels)
    assert proved.largest_error < 1e-50
    assert proved.smallest_gap == pytest.approx(network.smallest_gap, rel=1e-6)
    assert proved.smallest_eigenvalue == pytest.approx(network.smallest_eigenvalue, rel=1e-6)
    assert proved.weights == network.count()


# --- what cannot be fitted ------------------------------------------------------------------------


@pytest.mark.parametrize("build", [theorem1.construct, theorem1.certify])
def test_equal_points_are_refused(problem, build):
    points, labels = problem(10, 4)
    points[7] = points[2]
    with pytest.raises(ValueError, match="points 2 and 7 are equal"):
        build(points, labels)
    points[7], points[2] = 0.0, -0.0
    with pytest.raises(ValueError, match="points 2 and 7 are equal"):
        build(points, labels)


def test_points_too_close_for_float64_are_left_to_balls(problem):
    """Two that differ by the last bit of a large coordinate: 53 bits of a projection lose it."""
    points, labels = problem(5, 3)
    points[:, 0] += 100.0
    points[3] = points[1]
    points[3, 2] = np.nextafter(points[1, 2], np.inf)
    with pytest.raises(ValueError, match="float64 cannot tell"):
        theorem1.construct(points, labels)
    assert theorem1.certify(points, labels).largest_error < 1e-20
    with pytest.raises(ValueError, match=r"use more --bits"):
        theorem1.certify(points, labels, bits=40)


# --- depth ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [2, 3, 8, 31])
def test_a_deep_network_is_the_same_function(problem, layers):
    """At the points and elsewhere, in layers of n / (layers - 1) + 4 units, of few connections."""
    points, labels = problem(30, 5)
    flat = theorem1.construct(points, labels)
    deep = depth.deepen(flat.direction, flat.thresholds, flat.weights, layers)
    elsewhere = 3 * np.random.default_rng(5).normal(size=(100, 5))
    scale = np.abs(flat(elsewhere)).max()
    np.testing.assert_allclose(deep(points), labels, atol=1e-10)
    np.testing.assert_allclose(deep(elsewhere), flat(elsewhere), rtol=0, atol=1e-12 * scale)
    assert len(deep.layers) == layers
    assert deep.width() == -(-30 // (layers - 1)) + 4


@pytest.mark.parametrize("layers", [2, 5, 9])
def test_connections_of_a_deep_network(problem, layers):
    """2 d in the first layer; a unit has 2 inputs and a threshold, and 2 weights into the sum.

    Those of the last layer have one, into the output. The projection is handed on by 4 weights in
    each layer, the sum by 4 in each but the first two, and the output reads it by 2.
    """
    n, d = 40, 7
    points, labels = problem(n, d)
    flat = theorem1.construct(points, labels)
    deep = depth.deepen(flat.direction, flat.thresholds, flat.weights, layers)
    last = len(np.array_split(np.arange(n), layers - 1)[-1])
    expected = 2 * d + 3 * n + 2 * (n - last) + last + 4 * (layers - 1) + 4 * (layers - 2) + 2
    assert deep.connections() == expected


# --- whole runs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("arithmetic, certified", [("float64", False), ("balls", True)])
def test_a_run_on_images(make, tmp_path, arithmetic, certified):
    settings = Theorem1(dataset="digits", train_examples=150, arithmetic=arithmetic)
    result = make(settings, tmp_path / "run")
    assert result["weights"] == 2 * 150 + 28 * 28 * 3
    assert (result["train_examples"], result["dimension"]) == (150, 2352)
    assert result["max_error"] < 1e-6
    assert (result["certified"], result["status"]) == (certified, "complete")
    assert "2,652 weights fit 150 labels" in result["summary"]
    assert "Theorem 1 on 150 points of digits" in result["protocol"]


def test_a_deep_run(make, tmp_path):
    result = make(Theorem1(train_examples=100, dimension=6, layers=6), tmp_path / "run")
    assert (result["weights"], result["width"]) == (206, 24)
    assert result["max_error"] < 1e-6


def test_settings_say_how():
    assert settle(Theorem1(train_examples=2000))[0].arithmetic == "float64"
    beyond, _ = settle(Theorem1(train_examples=2001))
    assert (beyond.arithmetic, beyond.bits, beyond.dimension) == ("balls", 256, 100)
    assert settle(Theorem1(train_examples=5000, layers=3))[0].arithmetic == "float64"
    assert settle(Theorem1(dataset="digits", dimension=3))[0].dimension is None
    with pytest.raises(ValueError, match="balls is for --layers=1"):
        settle(Theorem1(layers=2, arithmetic="balls"))
    with pytest.raises(ValueError, match="layers without units"):
        settle(Theorem1(train_examples=3, layers=5))


def test_a_stage_without_a_network_cannot_be_opened(make, tmp_path):
    from repro.randomization import experiment

    make(Theorem1(train_examples=10), tmp_path / "run")
    with pytest.raises(ValueError, match="left no network behind: --stage=theorem1 trains none"):
        experiment.open_run(tmp_path / "run")
