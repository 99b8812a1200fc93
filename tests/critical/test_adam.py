import numpy as np
import pytest

from repro.critical import adam, newton


def reference(theta, given, steps, rate):
    """Adam for one student [3, m] as Kingma and Ba write it."""
    mean = square = np.zeros_like(theta)
    for step in range(1, steps + 1):
        _, gradient, _ = newton.evaluate(theta[None], given)
        gradient = gradient.reshape(theta.shape)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        size = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        theta = theta - rate * mean / (1 - 0.9**step) / size
    return theta


def start(students=3, width=4):
    theta = adam.glorot_uniform(7, students, width)
    return theta, np.zeros((2, *theta.shape))


def test_equals_adam_of_one_student(given):
    """Rounding of 1e-16 a step, enlarged by Adam's division: 200 steps stay below 1e-11."""
    theta, moments = start()
    trained, _ = adam.train(theta, moments, given, start=0, steps=200, learning_rate=1e-2)
    for s in range(len(theta)):
        expected = reference(theta[s], given, 200, 1e-2)
        np.testing.assert_allclose(trained[s], expected, atol=1e-11, rtol=0)
    assert np.abs(trained - theta).max() > 0.1  # it went somewhere


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_in_parts_equals_in_one_go(given, precision):
    theta, moments = start(adam.BLOCK + 2)
    options = {"learning_rate": 1e-3, "precision": precision}
    whole = adam.train(theta, moments, given, start=0, steps=30, **options)
    part = adam.train(theta, moments, given, start=0, steps=11, **options)
    parts = adam.train(*part, given, start=11, steps=19, **options)
    np.testing.assert_array_equal(whole[0], parts[0])
    np.testing.assert_array_equal(whole[1], parts[1])
    assert whole[0].dtype == precision


def test_workers_do_not_change_results(given):
    theta, moments = start(adam.BLOCK + 2)
    options = {"start": 0, "steps": 10, "learning_rate": 1e-3}
    one = adam.train(theta, moments, given, workers=1, **options)
    two = adam.train(theta, moments, given, workers=2, **options)
    np.testing.assert_array_equal(one[0], two[0])


@pytest.mark.parametrize(
    "name, bounds", [("glorot", [(6 / 7) ** 0.5, 1.0]), ("torch", [2**-0.5, 5**-0.5])]
)
def test_initial_weights(name, bounds):
    """Uniform up to a bound: the largest of n draws is within 10 / n of it, but for e^-10."""
    theta = adam.INITIALIZERS[name](0, 2000, 5)
    for rows, bound in ((theta[:, :2], bounds[0]), (theta[:, 2], bounds[1])):
        largest = np.abs(rows).max()
        assert bound * (1 - 10 / rows.size) < largest <= bound * (1 + 1e-7)
        # standard error of the mean of a uniform draw: bound / sqrt(3 n)
        assert abs(rows.mean()) < 5 * bound / np.sqrt(3 * rows.size)
    assert (theta == theta.astype(np.float32)).all()


def test_more_students_contain_fewer():
    np.testing.assert_array_equal(adam.glorot_uniform(1, 9, 4)[:5], adam.glorot_uniform(1, 5, 4))
