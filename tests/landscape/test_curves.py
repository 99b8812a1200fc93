"""Curves through weight space: their definitions, ends, bends, and what cannot be a curve."""

import itertools
import math

import numpy as np
import pytest

from repro.landscape import curves, directions, points

SHAPES = ((3, 4), (4,), (4, 2))


@pytest.fixture
def make_point(rng):
    return lambda: [rng.standard_normal(shape).astype(np.float32) for shape in SHAPES]


def assert_equal(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", curves.CURVES)
@pytest.mark.parametrize("bends", [0, 1, 3])
def test_ends_are_exact(make_point, kind, bends):
    nodes = [make_point() for _ in range(bends + 2)]
    curve = curves.CURVES[kind](nodes)
    assert_equal(curve.at(0.0), nodes[0])
    assert_equal(curve.at(1.0), nodes[-1])


def test_a_chain_passes_through_its_bends(make_point):
    nodes = [make_point() for _ in range(5)]
    for number, node in enumerate(nodes):
        assert_equal(curves.Polychain(nodes).at(number / 4), node)


def test_a_chain_of_one_bend_is_the_papers_formula(make_point):
    """Section 2 of Gotmare et al.: 2 (t theta + (1/2 - t) w_a), and 2 ((t - 1/2) w_b + ...)."""
    a, theta, b = (make_point() for _ in range(3))
    for t in (0.1, 0.3, 0.5, 0.7, 0.95):
        for found, x, m, y in zip(curves.Polychain([a, theta, b]).at(t), a, theta, b):
            expected = 2 * (t * m + (0.5 - t) * x)
            if t > 0.5:
                expected = 2 * ((t - 0.5) * y + (1 - t) * m)
            # float32 arithmetic of four operations against one rounding
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_bezier_of_one_bend(make_point):
    a, theta, b = (make_point() for _ in range(3))
    for t in (0.2, 0.5, 0.8):
        for found, x, m, y in zip(curves.Bezier([a, theta, b]).at(t), a, theta, b):
            expected = (1 - t) ** 2 * x + 2 * t * (1 - t) * m + t**2 * y
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("nodes", [2, 3, 6])
def test_bezier_by_de_casteljau(nodes):
    """The coefficients against repeated interpolation, which knows no binomials."""
    for t in (0.0, 0.13, 0.5, 1.0):
        level = list(np.eye(nodes))
        while len(level) > 1:
            level = [(1 - t) * x + t * y for x, y in itertools.pairwise(level)]
        found = curves.bezier_coefficients(np.float64(t), nodes)
        np.testing.assert_allclose(found, level[0], atol=1e-14)


@pytest.mark.parametrize("kind", curves.COEFFICIENTS)
def test_coefficients_sum_to_one(kind):
    for t in np.linspace(0, 1, 21):
        assert math.isclose(float(sum(curves.COEFFICIENTS[kind](t, 5))), 1, abs_tol=1e-14)


@pytest.mark.parametrize("kind", curves.CURVES)
@pytest.mark.parametrize("bends", [1, 2])
def test_untrained_curves_are_the_segment(make_point, kind, bends):
    a, b = make_point(), make_point()
    curve = curves.CURVES[kind](curves.straight_nodes(a, b, bends))
    assert_equal(curve.nodes[0], a)
    for t in (0.1, 0.4, 0.9):
        for found, x, y in zip(curve.at(t), a, b):
            np.testing.assert_allclose(found, (1 - t) * x + t * y, atol=1e-6)


def test_what_is_no_curve(make_point):
    a = make_point()
    with pytest.raises(ValueError, match="two nodes or more"):
        curves.Polychain([a])
    with pytest.raises(ValueError, match="different networks"):
        curves.Bezier([a, a[:2]])
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        curves.Polychain([a, a]).at(1.5)
    with pytest.raises(ValueError, match="negative"):
        curves.straight_nodes(a, a, -1)


def test_points_as_vectors(make_point):
    a, b = make_point(), make_point()
    x, y = points.flatten(a), points.flatten(b)
    assert math.isclose(points.dot(a, b), float(x @ y), rel_tol=1e-12)
    assert math.isclose(points.distance(a, b), float(np.linalg.norm(x - y)), rel_tol=1e-12)
    assert_equal(points.unflatten(x, a), a)


@pytest.mark.parametrize("other", [[np.zeros(3)], [np.zeros((5, 3)), np.zeros(3)]])
def test_points_of_different_networks_are_not_stretched_to_fit(other):
    """NumPy has a difference of kernel [5, 3] and bias [3], and a sum of them."""
    point = [np.ones((5, 3))]
    for instrument in (
        points.distance,
        points.dot,
        lambda a, b: points.combine((0.5, 0.5), (a, b)),
        lambda a, b: curves.straight_nodes(a, b, 1),
        lambda a, b: directions.along(a, [b], [1.0]),
    ):
        with pytest.raises(ValueError, match="different networks"):
            instrument(point, other)
    with pytest.raises(ValueError, match="1 steps do not fit 2 directions"):
        directions.along(point, [point, point], [1.0])
