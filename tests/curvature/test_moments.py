"""Sharpness, non-uniformity and Theorem 1 against dense matrices of differences."""

import math

import keras
import numpy as np
import pytest
from keras import layers
from problems import example_hessians, softmax_loss, squared_error

from repro import curvature, models
from repro.curvature import moments, stability

# Differences of gradients are good to 1e-9 here; eigenvalues inherit that.
TOLERANCE = 1e-7


def largest(matrix):
    return np.linalg.eigvalsh(matrix)[-1]


def dense_moments(examples):
    mean = examples.mean(0)
    return mean, (examples @ examples).mean(0) - mean @ mean


@pytest.mark.parametrize(
    "method", ["layerwise", pytest.param("per_example", marks=pytest.mark.slow)]
)
def test_smooth_network_against_dense(smooth, method):
    model, x, y = smooth
    mean, variance = dense_moments(example_hessians(model, squared_error, x, y))
    both = {"tolerance": 1e-10}
    a = curvature.sharpness(model, squared_error, (x, y), **both)
    s = curvature.nonuniformity(model, squared_error, (x, y), method=method, **both)
    assert a.value == pytest.approx(largest(mean), abs=TOLERANCE)
    assert s.value == pytest.approx(largest(variance) ** 0.5, abs=TOLERANCE)
    eta, batch = 0.3, 5
    noise = eta**2 * (12 - batch) / (batch * 11)
    identity = np.eye(43)
    condition = (identity - eta * mean) @ (identity - eta * mean) + noise * variance
    found = curvature.theorem_1(
        model, squared_error, (x, y), learning_rate=eta, sgd_batch_size=batch, method=method, **both
    )
    assert found.value == pytest.approx(largest(condition), abs=TOLERANCE)


def test_moments_moved_to_other_weights(smooth):
    """What is measured along a training, traced once: as if it were traced anew at each point."""
    model, x, y = smooth
    both = moments.moments(model, squared_error, (x, y))
    model.set_weights([w + 0.1 for w in model.get_weights()])
    mean, variance = dense_moments(example_hessians(model, squared_error, x, y))
    a, s = stability.sharpness_and_nonuniformity(
        both.at(model.get_weights()), tolerance=1e-10, starts=(None, np.ones(43))
    )
    assert a.value == pytest.approx(largest(mean), abs=TOLERANCE)
    assert s.value == pytest.approx(largest(variance) ** 0.5, abs=TOLERANCE)


CHAINS = {
    # Strides, both paddings, max-pooling, and on both sides of the rule in LayerVectors.through.
    "same": lambda: [
        layers.Conv2D(3, 3, padding="same", activation="tanh"),
        layers.MaxPooling2D(),
        layers.Conv2D(2, (2, 3), strides=2, padding="same", use_bias=False),
        layers.Activation("tanh"),
        layers.Flatten(),
        layers.Dense(4, "softplus"),
        layers.Dense(2),
    ],
    "valid": lambda: [
        layers.Conv2D(2, (3, 2), strides=(2, 1), activation="tanh"),
        layers.AveragePooling2D(2),
        layers.Flatten(),
        layers.Dense(2, use_bias=False),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["valid", pytest.param("same", marks=pytest.mark.slow)])
def test_layerwise_products_of_convolutions(name, float64, rng):
    """Products with mean H_i^2 by differences, by layers, and example by example."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((6, 6, 1), dtype="float64"), *CHAINS[name]()])
    x, y = rng.standard_normal((5, 6, 6, 1)), rng.standard_normal((5, 2))
    examples = example_hessians(model, squared_error, x, y)
    vector = rng.standard_normal(examples.shape[1])
    expected = np.stack([examples.mean(0) @ vector, (examples @ examples).mean(0) @ vector])
    for method in ("layerwise", "per_example"):
        products = moments.moments(model, squared_error, (x, y), method=method, batch_size=2)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(products.both(vector), expected, rtol=0, atol=1e-7 * scale)


@pytest.mark.slow
def test_any_model_goes_example_by_example(float64, rng):
    """A residual network with frozen batch norm is no chain."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((3,), dtype="float64")
    x = layers.BatchNormalization()(layers.Dense(3, "tanh")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.Add()([inputs, x])))
    data = rng.standard_normal((6, 3)), rng.integers(0, 2, 6)
    _mean, variance = dense_moments(example_hessians(model, softmax_loss, *data))
    s = curvature.nonuniformity(model, softmax_loss, data, tolerance=1e-10)
    assert s.value == pytest.approx(largest(variance) ** 0.5, abs=TOLERANCE)
    with pytest.raises(ValueError, match="no chain"):
        curvature.nonuniformity(model, softmax_loss, data, method="layerwise")


def test_equal_examples_have_no_nonuniformity(smooth):
    model, x, y = smooth
    same = np.repeat(x[:1], 4, axis=0), np.repeat(y[:1], 4, axis=0)
    s = curvature.nonuniformity(model, squared_error, same)
    # sqrt of a rounding error of 1e-16 times lambda^2, about 10
    assert s.value < 1e-6


def test_bounds():
    # sqrt(B (n - 1) / (n - B)) at n = 1000, by hand
    for batch, factor in {1: 1.0, 4: 2.00301, 10: 3.17662, 25: 5.06116, 100: 10.5357}.items():
        assert stability.noise_reduction(batch, 1000) == pytest.approx(factor, rel=1e-5)
    assert stability.noise_reduction(1000, 1000) == math.inf
    assert stability.sharpness_margin(20.0, 0.1) == pytest.approx(1.0)
    assert stability.sharpness_margin(37.3, 0.1, momentum=0.9) == pytest.approx(0.98158, abs=1e-5)
    assert stability.nonuniformity_margin(2.27, 0.5, 4, 1000) == pytest.approx(0.56665, abs=1e-5)
    assert stability.nonuniformity_margin(45.0, 0.1, 1000, 1000) == 0


def test_bad_input(smooth):
    model, x, y = smooth
    with pytest.raises(ValueError, match="between 1 and n=1000"):
        stability.noise_reduction(1001, 1000)
    with pytest.raises(ValueError, match="at least 2 examples, not 1"):
        curvature.nonuniformity(model, squared_error, (x[:1], y[:1]))
    with pytest.raises(ValueError, match="training=False"):
        curvature.nonuniformity(model, squared_error, (x, y), training=True)
    with pytest.raises(ValueError, match="unknown method 'fast'; choose from auto"):
        curvature.nonuniformity(model, squared_error, (x, y), method="fast")


@pytest.mark.slow
def test_layerwise_products_of_vgg_small(float64, rng):
    """The paper's convolutional network, layer by layer and example by example."""
    keras.utils.set_random_seed(4)
    model = models.build("vgg_small", (32, 32, 3), 2)
    data = rng.random((3, 32, 32, 3)), np.eye(2)[[0, 1, 1]]
    vector = rng.standard_normal(71_410)
    layerwise, per_example = (
        moments.moments(model, squared_error, data, method=method).both(vector)
        for method in ("layerwise", "per_example")
    )
    # Two orders of summing a few thousand float64 terms.
    scale = np.abs(per_example).max(axis=1, keepdims=True)
    np.testing.assert_allclose(layerwise / scale, per_example / scale, rtol=0, atol=1e-12)
