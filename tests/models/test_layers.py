"""Local response normalisation and batch norm, with the second derivatives curvature needs.

Central differences of a smooth function in float64 with step e: truncation of e^2 times third
derivatives and cancellation of 1e-16 / e, both about 1e-10 at e = 1e-5; a relative 1e-6 leaves room
for derivatives larger than 1. They are taken of values for gradients, and of gradients, which were
thus tested, for Hessian-vector products.
"""

import functools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro.models import layers as layers_
from repro.models.layers import (
    Conv,
    HeNormal,
    LocalResponseNorm,
    _conv,
    batch_norm,
    padded_conv,
)

STEP, TOLERANCE = 1e-5, 1e-6


def relative_error(measured, true) -> float:
    return float(np.linalg.norm(measured - true) / np.linalg.norm(true))


def gradient(function, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x)


def hessian_vector_product(function, x, vector):
    with tf.GradientTape() as tape:
        tape.watch(x)
        slope = tf.reduce_sum(gradient(function, x) * vector)
    return tape.gradient(slope, x).numpy()


def differences(function, x, vector):
    """Central differences of a function of x along a vector."""
    return (function(x + STEP * vector) - function(x - STEP * vector)).numpy() / (2 * STEP)


def derivative_errors(function, x, vector) -> tuple[float, float]:
    """Return relative errors of the slope along the vector, and of the Hessian-vector product."""
    slope = tf.reduce_sum(gradient(function, x) * vector).numpy()
    product = hessian_vector_product(function, x, vector)
    true_product = differences(lambda y: gradient(function, y), x, vector)
    return (
        relative_error(slope, differences(function, x, vector)),
        relative_error(product, true_product),
    )


@pytest.fixture
def points():
    x, vector = np.random.default_rng(0).normal(size=(2, 4, 6))
    return tf.constant(x), tf.constant(vector)


# --- local response normalisation -----------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("channels", [3, 9, 64])
def test_local_response_norm_is_tensorflows(scale, channels):
    """At activations of 100 the norm divides by up to 4, so that all its numbers matter."""
    x = scale * tf.random.stateless_normal((2, 5, 5, channels), [0, channels])
    expected = tf.nn.local_response_normalization(
        x, depth_radius=4, bias=1, alpha=0.001 / 9, beta=0.75
    )
    # Sums of nine squares and a power in float32: a few times 2^-24.
    np.testing.assert_allclose(LocalResponseNorm()(x), expected, rtol=3e-6)


@pytest.mark.parametrize("numbers", [(1, 2.0, 0.5, 0.5), (2, 1.0, 3.0, 1.0)])
def test_local_response_norm_with_other_numbers(numbers):
    """Radius, bias, alpha and beta."""
    x = tf.random.stateless_normal((1, 2, 2, 7), [1, 1])
    layer = LocalResponseNorm(*numbers)
    expected = tf.nn.local_response_normalization(x, *numbers)
    np.testing.assert_allclose(layer(x), expected, rtol=3e-6)
    again = LocalResponseNorm.from_config(layer.get_config())
    np.testing.assert_array_equal(again(x), layer(x))


def test_local_response_norm_is_twice_differentiable(points):
    x, vector = points
    layer = LocalResponseNorm(2, 1.0, 0.5, 0.75, dtype="float64")

    def function(x):
        return tf.reduce_sum(tf.sin(layer(x)))

    assert max(derivative_errors(function, x, vector)) < TOLERANCE


def test_tensorflows_own_local_response_norm_is_not(points):
    """Why the layer exists."""
    x = tf.cast(points[0], tf.float32)[None, None]

    def function(x):
        return tf.reduce_sum(tf.sin(tf.nn.local_response_normalization(x)))

    with pytest.raises(LookupError):
        hessian_vector_product(function, x, tf.ones_like(x))


# --- batch norm -----------------------------------------------------------------------------------


def network(norm):
    """Batch norm of a batch of 4, the size at which plain Keras's error is largest."""
    norm.build((None, 6))

    def function(x):
        return tf.reduce_mean(tf.nn.softplus(3 * norm(tf.tanh(x), training=True)) ** 2)

    return function


def test_batch_norm_has_right_second_derivatives_in_training(float64, points):
    x, vector = points
    assert max(derivative_errors(network(batch_norm("norm")), x, vector)) < TOLERANCE


def test_plain_keras_batch_norm_has_wrong_ones(float64, points):
    """Why batch_norm() is synchronized: gradients right, Hessians silently off by percents."""
    x, vector = points
    plain = keras.layers.BatchNormalization(epsilon=1e-3, synchronized=False)
    slope_error, product_error = derivative_errors(network(plain), x, vector)
    assert slope_error < TOLERANCE
    assert product_error > 1e-2


def test_batch_norm_normalises(float64):
    x = np.random.default_rng(1).normal(3, 5, (64, 6))
    norm = batch_norm("norm", epsilon=0.5, momentum=0.75)
    mean, variance = x.mean(0), x.var(0)
    expected = (x - mean) / np.sqrt(variance + 0.5)
    # E[x^2] - E[x]^2 in float64 loses a few of 16 digits.
    np.testing.assert_allclose(norm(x, training=True), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(norm.moving_mean, 0.25 * mean, rtol=1e-12)
    np.testing.assert_allclose(norm.moving_variance, 0.75 + 0.25 * variance, rtol=1e-12)


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("shape", [(32, 6), (4, 3, 5, 6)], ids=["dense", "images"])
def test_the_kernel_of_training_agrees_with_float64(shape, scale, xla):
    """Outputs, gradient, Hessian-vector product, moving statistics: 2^-24 times sums over 60."""
    x, vector = np.random.default_rng(2).normal(0.5, 1, (2, *shape))

    def found(dtype):
        norm = batch_norm("norm", scale=scale, momentum=0.75, epsilon=0.1)
        norm = type(norm).from_config({**norm.get_config(), "dtype": dtype})
        norm.build((None, *shape[1:]))
        for k, variable in enumerate(norm.trainable_variables):
            variable.assign(np.linspace(-1 + k, 2, 6))

        def function(x):
            return tf.reduce_sum(tf.math.softplus(3 * norm(tf.tanh(x), training=True)) ** 2)

        @tf.function(jit_compile=xla)
        def derivatives(x, vector):
            outputs = norm(x, training=True)
            statistics = tf.identity(norm.moving_mean), tf.identity(norm.moving_variance)
            with tf.GradientTape() as tape:
                tape.watch(x)
                first = gradient(function, x)
                slope = tf.reduce_sum(first * vector)
            return outputs, first, tape.gradient(slope, x), *statistics

        return derivatives(tf.constant(x, dtype), tf.constant(vector, dtype))

    for fast, exact in zip(found("float32"), found("float64")):
        assert fast.shape == exact.shape
        np.testing.assert_allclose(fast, exact, rtol=2e-5, atol=2e-5 * np.abs(exact).max())


def test_the_kernel_of_training_in_bfloat16():
    """Statistics are float32 in it, so that outputs are those of float32, rounded: 2^-8."""
    x = tf.cast(np.random.default_rng(3).normal(3, 5, (64, 6)), tf.bfloat16)
    norm = batch_norm("norm", momentum=0.0)
    norm = type(norm).from_config({**norm.get_config(), "dtype": "mixed_bfloat16"})
    outputs, values = norm(x, training=True), x.numpy().astype(float)
    assert outputs.dtype == tf.bfloat16
    expected = (values - values.mean(0)) / np.sqrt(values.var(0) + 1e-3)
    np.testing.assert_allclose(outputs.numpy().astype(float), expected, rtol=2**-8, atol=2**-8)
    np.testing.assert_allclose(norm.moving_variance, values.var(0), rtol=1e-5)


@pytest.mark.parametrize("what", ["frozen", "inference", "mask"])
def test_where_the_kernel_of_training_is_not_asked_for(what):
    """As Keras's layer, whose call it then is."""
    x = np.random.default_rng(4).normal(size=(4, 5, 3, 6)).astype(np.float32)
    options = {"mask": {"mask": tf.constant(x[..., 0] > 0)}, "inference": {"training": False}}
    ours, keras_own = batch_norm("norm"), keras.layers.BatchNormalization(synchronized=True)
    keras_own.momentum = ours.momentum
    ours.trainable = keras_own.trainable = what != "frozen"
    with_options = {"training": True, **options.get(what, {})}
    np.testing.assert_array_equal(ours(x, **with_options), keras_own(x, **with_options))
    np.testing.assert_array_equal(ours.moving_variance, keras_own.moving_variance)


def test_batch_norm_without_scale_has_only_beta():
    norm = batch_norm("norm", scale=False)
    norm.build((None, 6))
    assert [v.name for v in norm.trainable_variables] == ["beta"]


# --- convolutions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("use_bias", [False, True])
def test_a_convolution_that_picks_pixels_is_the_strided_one(float64, size, use_bias):
    inputs = keras.Input((size, size, 3), dtype="float64")
    model = keras.Model(
        inputs,
        padded_conv(inputs, 5, 1, 2, "c", initializer="glorot_uniform", use_bias=use_bias),
    )
    (layer,) = model.layers[1:]
    plain = keras.layers.Conv2D(5, 1, 2, "same", use_bias=use_bias)
    plain.build(inputs.shape)
    weights = [np.random.default_rng(0).normal(size=v.shape) for v in layer.weights]
    layer.set_weights(weights)
    plain.set_weights(weights)
    images = np.random.default_rng(1).normal(size=(4, size, size, 3))
    np.testing.assert_allclose(model(images), plain(images), rtol=1e-12, atol=1e-12)
    assert layer.compute_output_shape(inputs.shape) == plain.compute_output_shape(inputs.shape)


@pytest.mark.parametrize("kernel", [(3, 3), (5, 1), (1, 1)])
def test_gradients_of_small_maps_by_products_are_those_of_convolutions(kernel):
    """And the second derivatives, all in float64, to rounding."""
    rng = np.random.default_rng(0)
    images, weights = rng.normal(size=(2, 4, 3, 5)), rng.normal(size=(*kernel, 5, 6))
    directions = [tf.constant(rng.normal(size=x.shape)) for x in (images, weights)]
    plain = functools.partial(tf.nn.conv2d, strides=1, padding="SAME")

    def derivatives(convolve):
        at = [tf.constant(images), tf.constant(weights)]
        with tf.GradientTape() as outer:
            outer.watch(at)
            with tf.GradientTape() as inner:
                inner.watch(at)
                loss = tf.reduce_sum(tf.sin(convolve(*at)))
            slopes = inner.gradient(loss, at)
            slope = tf.add_n([tf.reduce_sum(g * v) for g, v in zip(slopes, directions)])
        return [loss, *slopes, *outer.gradient(slope, at)]

    for found, expected in zip(derivatives(_conv), derivatives(plain)):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("size, products", [(4, True), (2, True), (8, False)])
def test_small_maps_in_bfloat16(size, products, monkeypatch):
    """Outputs are Keras's to the bit; the kernel's gradient is off by a few roundings, 2^-9."""
    calls = []
    monkeypatch.setattr(layers_, "_conv", lambda *x: calls.append(1) or _conv(*x))
    layer, plain = (
        kind(16, 3, padding="same", dtype="mixed_bfloat16", activation="relu")
        for kind in (Conv, keras.layers.Conv2D)
    )
    shape = (8, size, size, 12)
    for each in (layer, plain):
        each.build(shape)
    plain.set_weights(layer.get_weights())
    images = tf.constant(np.random.default_rng(0).normal(size=shape), tf.bfloat16)
    weights = [tf.cast(tf.cast(w, tf.bfloat16), tf.float64) for w in layer.get_weights()]

    def slopes(convolve, of):
        with tf.GradientTape() as tape:
            tape.watch(of)
            loss = tf.reduce_sum(convolve() ** 2)
        return tape.gradient(loss, of)

    np.testing.assert_array_equal(
        tf.cast(layer(images), "float32"), tf.cast(plain(images), "float32")
    )
    found = slopes(lambda: layer(images), [v.value for v in layer.trainable_variables])
    exact = tf.cast(images, tf.float64)
    true = slopes(
        lambda: tf.nn.relu(tf.nn.conv2d(exact, weights[0], 1, "SAME") + weights[1]), weights
    )
    assert bool(calls) is products
    assert relative_error(found[0].numpy(), true[0].numpy()) < 4 * 2**-9


@pytest.mark.slow
def test_gradients_of_single_images_of_few_channels():
    """TensorFlow's kernel for strided 1x1 convolutions ends the process here, with two threads."""
    program = """
import numpy as np, tensorflow as tf
from repro.models.layers import PickingConv
images = tf.random.stateless_normal((1, 32, 32, 4), [0, 0])
layer = PickingConv(8, 1, 2, "same", use_bias=False)
def gradient(images):
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layer(images) ** 2) / 2
    return tape.gradient(value, layer.trainable_variables)[0]
for _ in range(60):
    found = gradient(images)
picked = images.numpy().astype(float)[0, ::2, ::2].reshape(-1, 4)
expected = picked.T @ (picked @ layer.kernel.numpy()[0, 0])
np.testing.assert_allclose(found[0, 0], expected, rtol=1e-3, atol=1e-3 * abs(expected).max())
"""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "MALLOC_CHECK_": "3"}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr


# --- initial weights ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "std"),
    [
        ({}, (2 / (9 * 64)) ** 0.5),
        ({"factor": 3.0}, 3 * (2 / (9 * 64)) ** 0.5),
        ({"fan": "out"}, (2 / (9 * 128)) ** 0.5),
        ({"spread": "variance"}, (2 / (9 * 64)) ** 0.25),
        ({"spread": "variance", "fan": "out", "factor": 3.0}, (9 * 2 / (9 * 128)) ** 0.25),
    ],
)
def test_he_normal(options, std):
    """9 * 64 * 128 draws: their deviation is known to 1 / sqrt(2 n), 4 sigma to 1 %."""
    draws = np.array(HeNormal(**options, seed=0)((3, 3, 64, 128)))
    assert draws.std() == pytest.approx(std, rel=0.011)
    assert abs(draws).max() > 3.5 * std  # not truncated


def test_layers_of_one_shape_start_differently():
    """Keras's own initialisers start them alike where they share one."""
    start, inputs = HeNormal(), keras.Input((4,))
    x = keras.layers.Dense(4, kernel_initializer=start, name="one")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(4, kernel_initializer=start, name="two")(x))
    one, two = (model.get_layer(name).kernel.numpy() for name in ("one", "two"))
    assert (one != two).all()


def test_initial_weights_are_keyed_by_the_seed():
    draws = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        start = HeNormal()
        draws += [np.array(start((2, 2))) for _ in range(2)]
    np.testing.assert_array_equal(draws[0], draws[2])
    np.testing.assert_array_equal(draws[1], draws[3])
