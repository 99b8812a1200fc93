"""The worst loss in a ball, against the closed form on quadratics."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from problems import squared_error
from scipy import optimize

from repro import curvature


@pytest.fixture
def linear(float64, rng):
    """A linear model of four weights: every batch's loss is a convex quadratic."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, use_bias=False)])
    return model, squared_error, (rng.normal(size=(10, 4)), rng.normal(size=(10, 1)))


def of_batch(model, x, y, scale):
    """Return gradient and Hessian of a batch's mean loss along the axes of the ball."""
    w = model.get_weights()[0][:, 0]
    return scale * (2 * x.T @ (x @ w - y[:, 0]) / len(x)), scale[:, None] * (
        2 * x.T @ x / len(x)
    ) * scale


def largest_rise(b, a, rho):
    """max b e + e A e / 2 over |e| <= rho: (lambda - A) e = b with |e| = rho, lambda above A."""
    values, vectors = np.linalg.eigh(a)
    c = vectors.T @ b

    def excess(multiplier):
        return np.linalg.norm(c / (multiplier - values)) - rho

    top = values[-1]
    found = optimize.brentq(excess, top + 1e-12, top + 1e6, xtol=1e-15, rtol=1e-14)
    e = vectors @ (c / (found - values))
    return b @ e + e @ a @ e / 2


@pytest.mark.parametrize("adaptive", [False, True])
def test_many_steps_find_the_largest_loss_of_a_quadratic(linear, adaptive):
    """In batches of 4, 4 and 2, weighted by their examples."""
    model, loss, (x, y) = linear
    weights = np.abs(model.get_weights()[0][:, 0])
    scale = weights if adaptive else np.ones(4)
    parts = [slice(0, 4), slice(4, 8), slice(8, 10)]
    exact = [largest_rise(*of_batch(model, x[p], y[p], scale), 0.5) for p in parts]
    found = curvature.m_sharpness(model, loss, (x, y), rho=0.5, m=4, steps=60, adaptive=adaptive)
    assert found.value == pytest.approx(np.average(exact, weights=(4, 4, 2)), rel=1e-6)
    assert found.batches == 3
    assert found.loss == pytest.approx(np.mean((x @ model.get_weights()[0] - y) ** 2))
    assert found.standard_error == pytest.approx(np.std(exact, ddof=1) / 3**0.5, rel=1e-4)


@pytest.mark.parametrize("adaptive", [False, True])
def test_one_step_is_that_of_sam(linear, adaptive):
    """rho |b| + rho^2 b A b / (2 |b|^2), b the gradient along the axes of the ball."""
    model, loss, (x, y) = linear
    scale = np.abs(model.get_weights()[0][:, 0]) if adaptive else np.ones(4)
    b, a = of_batch(model, x, y, scale)
    e = 0.3 * b / np.linalg.norm(b)
    found = curvature.m_sharpness(model, loss, (x, y), rho=0.3, m=10, adaptive=adaptive)
    assert found.value == pytest.approx(b @ e + e @ a @ e / 2)
    more = curvature.m_sharpness(model, loss, (x, y), rho=0.3, m=10, steps=5, adaptive=adaptive)
    # Keras rounds inputs to float32, the closed form does not: 1e-7 of the value
    assert found.value <= more.value <= largest_rise(b, a, 0.3) * (1 + 1e-7)


def test_at_a_minimum_it_is_half_the_largest_eigenvalue_times_rho_squared(linear):
    """Where there is no gradient a random direction is the first step."""
    model, loss, (x, _) = linear
    y = model(x).numpy()
    found = curvature.m_sharpness(model, loss, (x, y), rho=0.2, m=10, steps=60)
    top = np.linalg.eigvalsh(2 * x.T @ x / 10)[-1]
    assert found.value == pytest.approx(top * 0.2**2 / 2, rel=1e-6)


def test_adaptive_sharpness_ignores_how_layers_share_their_scale(float64, rng):
    """kernel and bias of a rectified layer times 10, the next kernel over 10: the same function."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)]
    )
    model.layers[0].bias.assign(rng.normal(size=8))
    model.layers[1].bias.assign(rng.normal(size=2))
    data = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))

    def both():
        return [
            curvature.m_sharpness(
                model, squared_error, data, rho=0.1, m=3, steps=3, adaptive=adaptive
            ).value
            for adaptive in (False, True)
        ]

    plain, adaptive = both()
    a, b, c, d = model.get_weights()
    model.set_weights([10 * a, 10 * b, c / 10, d])
    plain_then, adaptive_then = both()
    assert adaptive_then == pytest.approx(adaptive)
    assert plain_then > 2 * plain


def test_batches_are_of_m_examples_however_the_data_is_cut(linear):
    """What weighs 0 is no example: here nine of ten, with what an evaluation fills up."""
    model, loss, (x, y) = linear
    weights = np.ones(10)
    weights[5] = 0
    kept = weights > 0
    expected = curvature.m_sharpness(model, loss, (x[kept], y[kept]), rho=0.3, m=2)
    assert expected.batches == 5
    padded = np.repeat(weights, [1] * 9 + [4])
    padded[10:] = 0
    rows = np.arange(13) % 10

    class Batches:
        steps = 4

        def dataset(self):
            arrays = x[rows], y[rows], np.float32(padded)
            return tf.data.Dataset.from_tensor_slices(arrays).batch(4)

    for data in ((x, y, weights), (x[rows], y[rows], padded), Batches(), Batches().dataset()):
        assert curvature.m_sharpness(model, loss, data, rho=0.3, m=2) == expected
    with pytest.raises(ValueError, match="no examples"):
        curvature.m_sharpness(model, loss, (x, y, np.zeros(10)), rho=0.3, m=2)


@pytest.mark.parametrize("gap", [8.0, 440.0])
def test_a_step_has_length_rho_whatever_the_gradient(float64, gap):
    """exp(-440) squared is no number of float64, but 0."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[gap]])])

    def loss(targets, outputs):
        return tf.exp(-targets * outputs)[:, 0]

    ones = np.ones((3, 1))
    found = curvature.m_sharpness(model, loss, (ones, ones), rho=0.5, m=3)
    assert found.value == pytest.approx(np.exp(-gap) * (np.exp(0.5) - 1), rel=1e-9)


def test_a_loss_that_is_no_number_is_told_from_a_ball_too_large(linear):
    model, loss, (x, y) = linear
    with pytest.raises(ValueError, match="loss at the weights is not finite"):
        curvature.m_sharpness(model, loss, (x, np.full_like(y, np.nan)), rho=0.1, m=5)
    with pytest.raises(ValueError, match="choose a smaller rho"):
        curvature.m_sharpness(model, loss, (x, y), rho=1e200, m=5)


@pytest.mark.parametrize("wrong", [{"rho": 0.0}, {"m": 0}, {"steps": 0}])
def test_what_makes_no_sense_is_refused(linear, wrong):
    with pytest.raises(ValueError, match="must be above 0"):
        curvature.m_sharpness(*linear, **{"rho": 0.1, "m": 2, "steps": 1, **wrong})
