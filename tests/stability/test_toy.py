"""The paper's toy: numbers by hand, GD that stays and SGD that leaves."""

import numpy as np
import pytest

from repro.stability import toy


def test_curvatures_by_differences():
    eps = 1e-4  # the functions are parabolas around both minima: differences are exact to rounding
    for x, curvatures in ((0.0, [2, 2]), (1.0, [0.2, 3.8])):
        f = toy.losses(np.array([x - eps, x, x + eps]))
        second = (f[:, 0] - 2 * f[:, 1] + f[:, 2]) / eps**2
        np.testing.assert_allclose(second, curvatures, atol=1e-7)
        assert np.mean(curvatures) == pytest.approx(toy.SHARPNESS)
    assert np.std([0.2, 3.8]) == pytest.approx(toy.NONUNIFORMITY)


def test_slopes_by_differences(rng):
    x = rng.uniform(-0.5, 1.6, 200)
    x = x[np.abs(x[:, None] - [0.24025, 0.57955]).min(1) > 1e-3]  # away from the kinks
    difference = (toy.losses(x + 1e-6) - toy.losses(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(toy.slopes(x), difference, atol=1e-8)


def test_thresholds():
    expected = {"gd": 1.0, "mean_square": 0.5525, "nonuniformity": 0.5556, "almost_sure": 0.5595}
    assert toy.thresholds() == pytest.approx(expected, abs=5e-5)


def test_sgd_leaves_and_gd_stays():
    start = {"start": 1 + 1e-5, "iterations": 500}
    sgd = toy.descend(0.7, runs=500, seed=0, **start)
    assert np.mean(np.abs(sgd[-1]) < 1e-6) >= 0.99
    steps = np.argmax(np.abs(sgd - 1) > 0.3, axis=0)
    assert 50 <= np.median(steps) <= 66  # published: 58
    gd = toy.descend(0.7, runs=1, seed=None, **start)
    assert gd[-1, 0] == pytest.approx(1.0, abs=1e-15)
    # Below the mean-square threshold SGD stays as well.
    stays = toy.descend(0.5, runs=500, seed=0, **start)
    assert np.abs(stays[-1] - 1).max() < 1e-5
