"""Frobenius norm and noise alignment against dense float64 matrices."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from problems import difference_hessian, flat_weights, gradient, squared_error

from repro import curvature
from repro.curvature import sgd_noise

N = 12


@pytest.fixture
def problem(float64, rng):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)]
    )
    return model, squared_error, (rng.normal(size=(N, 3)), rng.normal(size=(N, 2)))


def dense(model, loss, data):
    """Return ||H||_F, Tr(Sigma H) and L from finite differences and single gradients."""
    x, y = data
    h, at = difference_hessian(model, loss, x, y), flat_weights(model)
    each = np.stack([gradient(model, loss, x[i : i + 1], y[i : i + 1], at) for i in range(len(x))])
    sigma = np.cov(each.T, bias=True)
    mean = float(tf.reduce_mean(loss(y, model(x))))
    return np.linalg.norm(h), float(np.trace(sigma @ h)), mean


def test_the_norm_is_exact_where_hutch_covers_the_space(problem):
    norm, _, _ = dense(*problem)
    found = curvature.frobenius_norm(*problem, max_iterations=90)  # 30 columns for 26 weights
    assert found.value == pytest.approx(norm, rel=1e-6)
    assert found.standard_error == 0 and found.converged


def test_the_norm_agrees_with_the_density_within_their_errors(problem):
    norm, _, _ = dense(*problem)
    found = curvature.frobenius_norm(*problem, max_iterations=24, seed=1)
    assert abs(found.value - norm) < 4 * found.standard_error + 1e-9
    second, error = curvature.spectral_density(*problem, probes=6, steps=10).moment(2)
    assert abs(26 * second - norm**2) < 4 * 26 * error


@pytest.mark.parametrize("padding", [0, 12])
def test_the_alignment_is_that_of_dense_matrices(problem, padding):
    """What weighs 0 is no example: were it one, the trace would be twice what it is."""
    norm, trace, loss = dense(*problem)
    model, example_loss, data = problem
    if padding:
        rows = np.arange(N + padding) % N
        data = *(part[rows] for part in data), 2.0 * (np.arange(N + padding) < N)
    found = curvature.noise_alignment(
        model, example_loss, data, tolerance=0.0, max_iterations=60 + 2 * padding
    )
    assert found.loss == pytest.approx(loss)
    assert abs(found.noise_trace - trace) < 4 * found.noise_trace_standard_error
    assert abs(found.value - trace / (2 * loss * norm**2)) < 4 * found.standard_error
    assert found.standard_error < 0.2 * found.value  # or the test would say nothing


def test_whether_it_converged_is_a_bool(problem):
    """And no NumPy scalar, which result.json could not hold."""
    for tolerance in (0.0, 0.5):
        found = curvature.noise_alignment(*problem, tolerance=tolerance, max_iterations=40)
        assert found.converged is (tolerance > 0)


def test_the_alignment_knows_no_scale_of_the_loss_and_no_batches(problem):
    model, loss, data = problem
    options = {"tolerance": 0.0, "max_iterations": 24}
    one = curvature.noise_alignment(model, loss, data, **options).value
    parts = tf.data.Dataset.from_tensor_slices(data).batch(5)
    three = curvature.noise_alignment(model, lambda y, z: 3 * loss(y, z), parts, **options).value
    assert three == pytest.approx(one)


def test_errors_that_know_nothing_of_gradients_have_alignment_one(float64, rng):
    """One output, x and its error r independent: Sigma = 2 L H but for the sample's own chance.

    Of n = 4,000 examples its share is a few times n^(-1/2), up to 0.1.
    """
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False)])
    x = rng.normal(size=(4000, 3))
    y = model(x).numpy() + rng.normal(size=(4000, 1))
    found = curvature.noise_alignment(model, squared_error, (x, y), max_iterations=24)
    assert abs(found.value - 1) < 4 * found.standard_error + 0.1


def test_the_bound_is_that_of_the_noise_alone():
    """A step of SGD on a quadratic, the average over all batches of B of n, done in full."""
    rng = np.random.default_rng(0)
    n, batch, eta = 5, 2, 0.7
    x, r = rng.normal(size=(n, 3)), rng.normal(size=n)
    r -= x @ np.linalg.lstsq(x, r, rcond=None)[0]  # the mean gradient is 0: noise only
    each, h = 2 * r[:, None] * x, 2 * x.T @ x / n
    sigma, loss = np.cov(each.T, bias=True), 1.0
    mu = np.trace(sigma @ h) / (2 * loss * np.linalg.norm(h) ** 2)
    chosen = map(list, itertools.combinations(range(n), batch))
    steps = [eta * each[rows].mean(0) for rows in chosen]
    rise = np.mean([step @ h @ step / 2 for step in steps])  # of L = w H w / 2 from w = 0
    bound = sgd_noise.frobenius_bound(eta, batch, n, mu)
    assert rise / loss == pytest.approx((np.linalg.norm(h) / bound) ** 2)
    assert sgd_noise.frobenius_bound(eta, n, n) == math.inf
    assert sgd_noise.frobenius_bound(0.5, 1, 10) == pytest.approx(2)


def test_what_is_refused(problem):
    model, loss, (x, y) = problem
    with pytest.raises(ValueError, match="weights of `dataset` differ"):
        curvature.noise_alignment(model, loss, (x, y, np.arange(1.0, N + 1)))
    with pytest.raises(ValueError, match="no examples"):
        curvature.noise_alignment(model, loss, (x, y, np.zeros(N)))
    with pytest.raises(ValueError, match="at least 24"):
        curvature.noise_alignment(model, loss, (x, y), max_iterations=10)
    with pytest.raises(ValueError, match="0 / 0"):
        curvature.noise_alignment(model, lambda t, z: 0 * loss(t, z), (x, y))
