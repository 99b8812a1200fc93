"""Planes through three points: coordinates, residuals, both projections, degenerate points."""

import math

import numpy as np
import pytest

from repro.landscape import planes, points

SHAPES = ((5, 3), (3,), (3, 2))


@pytest.fixture
def make_point(rng):
    return lambda: [rng.standard_normal(shape) for shape in SHAPES]


@pytest.fixture
def anchors(make_point):
    return [make_point() for _ in range(3)]


def test_the_three_points_have_their_coordinates(anchors):
    plane = planes.through(*anchors)
    assert abs(points.dot(plane.first, plane.second)) < 1e-12
    assert plane.scales()[0] == pytest.approx(points.distance(anchors[0], anchors[1]))
    for anchor, (alpha, beta) in zip(anchors, ((0, 0), (1, 0), (None, 1))):
        found = planes.project(plane, anchor)
        assert found.coordinates[1] == pytest.approx(beta, abs=1e-12)
        if alpha is not None:
            assert found.coordinates[0] == pytest.approx(alpha, abs=1e-12)
        assert found.residual < 1e-12
        np.testing.assert_allclose(
            points.flatten(plane.at(*found.coordinates)), points.flatten(anchor), atol=1e-12
        )


def test_residuals_are_orthogonal_and_shortest(anchors, make_point):
    """Against the normal equations solved by NumPy's least squares."""
    plane, other = planes.through(*anchors), make_point()
    found = planes.project(plane, other)
    a, b, c = (points.flatten(anchor) for anchor in anchors)
    ways = np.stack([b - a, c - a], axis=1)
    solution, (squared,), *_ = np.linalg.lstsq(ways, points.flatten(other) - a, rcond=None)
    assert found.residual == pytest.approx(squared**0.5)
    nearest = points.flatten(plane.at(*found.coordinates))
    np.testing.assert_allclose(nearest, a + ways @ solution, atol=1e-12)
    assert max(map(abs, found.cosines)) < 1e-14


def test_the_literal_projection_is_nearer_and_seen_at_the_same_place(anchors, make_point):
    plane, other = planes.through(*anchors), make_point()
    affine, linear = planes.project(plane, other), planes.project_linear(plane, anchors, other)
    basis = np.stack([points.flatten(anchor) for anchor in anchors], axis=1)
    _, (squared,), *_ = np.linalg.lstsq(basis, points.flatten(other), rcond=None)
    assert linear.residual == pytest.approx(squared**0.5)
    assert linear.residual < affine.residual
    np.testing.assert_allclose(linear.coordinates, affine.coordinates, atol=1e-12)


def test_points_that_span_no_plane(anchors):
    a, b, _ = anchors
    between = points.combine((0.3, 0.7), (a, b))
    with pytest.raises(ValueError, match="on one line"):
        planes.through(a, b, between)
    with pytest.raises(ValueError, match="on one line"):
        planes.through(a, b, a)
    with pytest.raises(ValueError, match="the same"):
        planes.through(a, a, b)
    with pytest.raises(ValueError, match="different networks"):
        planes.through(a, b, [np.zeros(2)])


def test_axes():
    np.testing.assert_allclose(planes.axis(8, 0.2), np.linspace(-0.2, 1.2, 8))
    with pytest.raises(ValueError, match="two points or more"):
        planes.axis(1)


def test_eigenvalues_over_a_plane():
    """Of the quartic x^4 - x^2 + y^2, whose Hessian is diagonal: 12 x^2 - 2 and 2."""
    here = [0.0]

    def measure(point):
        here[0] = float(point[0][0])
        return {"x": here[0]}

    def eigenvalues():
        values = (12 * here[0] ** 2 - 2, 2.0)
        return max(values), min(values)

    both = planes.with_eigenvalues(measure, eigenvalues)
    flat = both([np.array([0.0, 0.0])])
    assert flat == {"x": 0.0, "lambda_max": 2.0, "lambda_min": -2.0, "eigenvalue_ratio": 1.0}
    assert both([np.array([1.0, 0.0])])["eigenvalue_ratio"] == 0.0


@pytest.mark.parametrize("smallest, ratio", [(0.0, 0.0), (-2.0, math.inf)])
def test_eigenvalues_where_the_largest_is_zero(smallest, ratio):
    """As in a network whose units are all dead: no division by zero ends the run."""
    both = planes.with_eigenvalues(lambda point: {}, lambda: (0.0, smallest))
    assert both([np.zeros(1)])["eigenvalue_ratio"] == ratio
