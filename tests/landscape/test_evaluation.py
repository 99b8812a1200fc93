"""Metrics along paths: on straight lines by hand, resumed, and both definitions of a barrier."""

import numpy as np
import pytest

from repro.landscape import curves, evaluation

A, B = [np.array([0.0, 0.0])], [np.array([3.0, 4.0])]


def test_metrics_on_a_straight_line():
    """L(t) = t^2 over a segment of length 5: the trapezoid in t, not the mean of the points."""
    ts = evaluation.grid(5)
    lengths = evaluation.arc_length(curves.Polychain([A, B]), ts)
    np.testing.assert_allclose(lengths, 5 * ts, atol=1e-12)
    found = evaluation.summarize(ts**2, lengths)
    assert (found.start, found.end, found.minimum, found.maximum) == (0, 1, 0, 1)
    assert found.length == pytest.approx(5)
    # by hand: (0 + 1/16)/2 + (1/16 + 1/4)/2 + (1/4 + 9/16)/2 + (9/16 + 1)/2, over 4
    assert found.integral == pytest.approx(11 / 32)
    assert found.average == pytest.approx(3 / 8)


def test_the_integral_weighs_by_length():
    """A chain whose halves measure 1 and 3, with a loss of 0 on the first and 1 on the second."""
    bend, end = [np.array([1.0, 0.0])], [np.array([1.0, 3.0])]
    ts = evaluation.grid(201)
    lengths = evaluation.arc_length(curves.Polychain([A, bend, end]), ts)
    assert lengths[-1] == pytest.approx(4)
    found = evaluation.summarize((ts > 0.5).astype(float), lengths)
    assert found.integral == pytest.approx(0.75, abs=0.01)
    assert found.average == pytest.approx(0.5, abs=0.01)


def test_the_length_of_a_bezier_curve():
    """The parabola (t, t^2 - t) measured against numerical integration of its speed."""
    curve = curves.Bezier([[np.array([0.0, 0.0])], [np.array([0.5, -0.5])], [np.array([1.0, 0.0])]])
    fine = np.linspace(0, 1, 200_001)
    exact = np.trapezoid(np.sqrt(1 + (2 * fine - 1) ** 2), fine)
    # chords of 61 points err by about (curvature / n)^2 / 24
    length = evaluation.arc_length(curve, evaluation.grid())[-1]
    assert length == pytest.approx(exact, rel=1e-4)
    assert length < exact


def test_barriers():
    ts = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    losses = np.array([1.0, 1.5, 2.5, 3.0, 2.0])
    assert evaluation.barrier_over_maximum(losses) == pytest.approx(1.0)
    # over the chord 1 + t: at most 3 - 1.75 at t = 3/4
    assert evaluation.barrier_over_chord(ts, losses) == pytest.approx(1.25)
    falling = np.array([2.0, 1.8, 1.5, 1.2, 1.0])
    assert evaluation.barrier_over_maximum(falling) == 0
    assert evaluation.barrier_over_chord(ts, falling) == pytest.approx(0.05)


def test_measuring_goes_on_where_it_stopped():
    seen, kept = [], []

    def measure(point):
        seen.append(float(point[0][0]))
        return {"x": point[0][0], "square": point[0][0] ** 2}

    def at(number):
        return [np.array([float(number)])]

    whole = evaluation.measure_points(6, at, measure)
    evaluation.measure_points(4, at, measure, keep=kept.append)
    seen.clear()
    again = evaluation.measure_points(6, at, measure, done=kept[-1])
    assert seen == [4.0, 5.0]
    for name in ("x", "square"):
        np.testing.assert_array_equal(whole[name], again[name])
    np.testing.assert_array_equal(whole["square"], np.arange(6.0) ** 2)


def test_a_path_needs_two_points():
    with pytest.raises(ValueError, match="two points or more, not at 1"):
        evaluation.grid(1)


def test_several_numbers_by_one_name_are_refused():
    """As a compiled model's `evaluate` returns a loss and its metrics."""
    with pytest.raises(ValueError, match=r"one number as 'loss', not \(2,\)"):
        evaluation.measure_points(2, lambda i: [np.zeros(1)], lambda point: {"loss": [0.5, 0.9]})
    for barrier in (evaluation.barrier_over_maximum, lambda x: evaluation.barrier_over_chord(x, x)):
        with pytest.raises(ValueError, match="one number for each point"):
            barrier(np.linspace(0, 1, 3)[:, None])


@pytest.mark.parametrize("ts", [[0, 1], [0.25, 0.5, 1], [0, 0.5, 0.75], [1, 0.5, 0]])
def test_a_chord_is_between_the_two_ends(ts):
    with pytest.raises(ValueError, match="rise from 0 to 1"):
        evaluation.barrier_over_chord(ts, [1.0, 3.0, 2.0])


def test_a_summary_has_a_length_for_each_value():
    """Two values and five lengths would broadcast to an integral of 2 over the whole path."""
    for lengths in (np.arange(5.0), [0.0], [1.0, 0.0]):
        with pytest.raises(ValueError, match="2 numbers that do not fall"):
            evaluation.summarize([1.0, 3.0], lengths)
    with pytest.raises(ValueError, match="values must be one number for each point"):
        evaluation.summarize(np.ones((2, 1)), [0.0, 1.0])
