"""Momentum as TensorFlow 1 and PyTorch have it, against loops in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro.training import optimizers

STEPS, DROP = 40, 20
# float32 against float64: a few roundings of 2^-24 a step, of weights around 1, over 40 steps.
ROUNDING = 40 * 4 * 2**-24
MATRIX = np.diag([1.0, 0.3, 0.1]) + 0.05  # of the quadratic loss w' A w / 2, whose slope is A w


def loop(rates, momentum):
    """v <- m v + g, w <- w - lr v, in float64; every w."""
    w, v, found = np.ones(3), np.zeros(3), []
    for rate in rates:
        v = momentum * v + MATRIX @ w
        w = w - rate * v
        found.append(w)
    return np.array(found)


def steps(optimizer, count=STEPS, jit=False):
    """Take steps from ones; every w, float32 [count, 3]."""
    variable = keras.Variable(np.ones(3, np.float32))
    matrix = tf.constant(MATRIX, tf.float32)
    optimizer.build([variable])

    def step():
        slope = tf.linalg.matvec(matrix, variable.value)
        scale = getattr(optimizer, "dynamic_scale", None)
        optimizer.apply([slope if scale is None else slope * scale], [variable])

    step = tf.function(step, jit_compile=jit)
    found = []
    for _ in range(count):
        step()
        found.append(variable.numpy().copy())
    return np.array(found)


def dropping():
    return optimizers.step_decay(0.5, 0.1, [DROP], 1)


RATES = np.where(np.arange(STEPS) < DROP, 0.5, 0.05)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_a_new_rate_acts_on_the_old_velocity_at_once(momentum, jit):
    measured = steps(optimizers.sgd(dropping(), momentum), jit=jit)
    np.testing.assert_allclose(measured, loop(RATES, momentum), atol=ROUNDING)


def test_keras_goes_on_at_the_old_rate():
    """What this class is for: after the drop Keras's step is up to ten times as long."""
    ours = steps(optimizers.sgd(dropping(), 0.9))
    keras_s = steps(keras.optimizers.SGD(dropping(), momentum=0.9))
    np.testing.assert_allclose(ours[:DROP], keras_s[:DROP], atol=ROUNDING)
    our_step, keras_step = (np.abs(w[DROP] - w[DROP - 1]).max() for w in (ours, keras_s))
    # Ours: 0.05 v. Keras's: 0.9 * 0.5 of the old velocity, less than a tenth of which is new.
    assert keras_step > 5 * our_step


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_at_a_constant_rate_it_is_kerass(momentum):
    ours = steps(optimizers.sgd(0.5, momentum))
    np.testing.assert_allclose(
        ours, steps(keras.optimizers.SGD(0.5, momentum=momentum)), atol=ROUNDING
    )


def test_without_momentum_it_is_plain_to_the_bit():
    np.testing.assert_array_equal(
        steps(optimizers.sgd(dropping(), 0.0)), steps(keras.optimizers.SGD(dropping()))
    )


def test_under_loss_scaling():
    """The scale, a power of two, divides out exactly."""
    measured = steps(optimizers.sgd(dropping(), 0.9, "mixed_float16"))
    np.testing.assert_array_equal(measured, steps(optimizers.sgd(dropping(), 0.9)))


def test_under_two_replicas(mirrored):
    """Each has half of the slope, which the optimizer adds up before the step."""
    with mirrored.scope():
        variable = keras.Variable(np.ones(3, np.float32))
        optimizer = optimizers.sgd(dropping(), 0.9)
        optimizer.build([variable])

    @tf.function
    def step():
        def replica():
            slope = tf.linalg.matvec(tf.constant(MATRIX, tf.float32), variable.value)
            optimizer.apply([slope / 2], [variable])

        mirrored.run(replica)

    found = []
    for _ in range(STEPS):
        step()
        found.append(variable.numpy().copy())
    np.testing.assert_allclose(found, loop(RATES, 0.9), atol=ROUNDING)


def test_gradients_of_a_few_rows():
    """As embeddings have: the velocity of the other rows moves on."""
    rows = [tf.IndexedSlices(tf.ones((2, 3)), [0, 2], [4, 3]), tf.zeros((4, 3))]
    table = keras.Variable(np.zeros((4, 3), np.float32))
    optimizer = optimizers.sgd(0.5, 0.9)
    optimizer.build([table])
    for gradient in rows:
        optimizer.apply([gradient], [table])
    moved = -0.5 * (1 + 0.9)  # by a velocity of 1, and then of 0.9
    np.testing.assert_allclose(table.numpy()[:, 0], [moved, 0, moved, 0], rtol=1e-6)
