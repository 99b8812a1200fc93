from fractions import Fraction

import numpy as np
import pytest

from repro.teacher_student import teacher


def test_grid_is_the_slides():
    """{(x1, x2) | 4 x1 = -20..20, 4 x2 = -20..20}: 1,681 points."""
    points = {(4 * x, 4 * y) for x, y in teacher.grid()}
    assert points == {(i, j) for i in range(-20, 21) for j in range(-20, 21)}


def test_half_grid_has_one_point_of_each_pair():
    half = {tuple(point) for point in teacher.half_grid()}
    mirrored = {(-x, -y) for x, y in half}
    assert len(half) == 840
    assert not half & mirrored
    assert half | mirrored | {(0.0, 0.0)} == {tuple(point) for point in teacher.grid()}


def test_weights_are_the_nearest_doubles_of_exact_decimals():
    net = teacher.get("alternating")
    expected = [(6, 5), (-5, 5), (-2, -6), (1, -6)]  # tenths
    assert [tuple(Fraction(w) * 10 for w in row) for row in net.incoming] == expected
    assert net.weights.tolist() == [[a / 10, b / 10] for a, b in expected]


def test_output_on_a_point():
    """By hand at x = (1, 0): z = .6, -.5, -.2, .1."""
    sigma = [1 / (1 + np.exp(-z)) for z in (0.6, -0.5, -0.2, 0.1)]
    point = np.array([[1.0, 0.0]])
    alternating = sigma[0] - sigma[1] + sigma[2] - sigma[3]
    assert teacher.get("alternating").output(point)[0] == pytest.approx(alternating, abs=1e-15)
    assert teacher.get("ones").output(point)[0] == pytest.approx(sum(sigma), abs=1e-15)


def test_unknown_teacher_lists_the_choices():
    with pytest.raises(ValueError, match="unknown teacher 'two'; choose from alternating, ones"):
        teacher.get("two")


def test_a_teacher_of_students_with_biases():
    """The same net, whose biases are 0, found again by its name; its inputs end with a 1."""
    plain, biased = teacher.get("ones"), teacher.get("ones", biases=True)
    assert biased == teacher.get(biased.name) != plain
    assert biased.biases and not plain.biases
    np.testing.assert_array_equal(biased.weights, np.column_stack([plain.weights, np.zeros(4)]))
    points = teacher.grid()[:5]
    np.testing.assert_array_equal(biased.output(points), plain.output(points))
    inputs = teacher.inputs(biased)
    np.testing.assert_array_equal(inputs[:, :2], teacher.grid())
    assert (inputs[:, 2] == 1).all() and teacher.inputs(plain).shape == (840, 2)
