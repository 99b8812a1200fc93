"""Learning rates at the epochs where the papers state them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro.mode_connectivity import schedules

SGDR = {"highest": 0.05, "lowest": 1e-6, "period": 10, "multiplier": 2}


def test_sgdr_restarts_where_the_paper_says():
    assert schedules.restarts(10, 2, 200) == [10, 30, 70, 150]
    at = np.arange(200.0)
    rates = schedules.sgdr(at, **SGDR)
    assert list(np.flatnonzero(np.diff(rates) > 0) + 1) == [10, 30, 70, 150]
    np.testing.assert_allclose(rates[[0, 10, 30, 70, 150]], 0.05)
    assert rates[5] == pytest.approx(0.0250005)


def test_sgdr_by_epochs_ends_a_period_above_the_lowest_rate():
    """1.22e-3 with 9 of 10 epochs done, 2.03e-5 with 79 of 80."""
    rates = schedules.sgdr(np.array([9.0, 149.0]), **SGDR)
    np.testing.assert_allclose(rates, [1.2246e-3, 2.0274e-5], rtol=1e-4)


def test_sgdr_by_steps_comes_down_to_the_lowest_rate():
    at = schedules.positions(150, 500, "step")
    rates = schedules.sgdr(at, **SGDR)
    last = rates[np.array([10, 30, 70, 150]) * 500 - 1]
    # (1 - cos) / 2 of pi / 5000 and less: at most 5e-9 above
    np.testing.assert_allclose(last, 1e-6, atol=6e-9)


def test_positions():
    np.testing.assert_array_equal(schedules.positions(2, 2, "epoch"), [0, 0, 1, 1])
    np.testing.assert_array_equal(schedules.positions(2, 2, "step"), [0, 0.5, 1, 1.5])
    with pytest.raises(ValueError, match="choose from epoch, step"):
        schedules.positions(1, 1, "batch")


def test_step_decay_of_mode_g():
    at = np.array([0, 59, 60, 119, 120, 160, 199])
    expected = [0.05, 0.05, 0.01, 0.01, 0.002, 0.0004, 0.0004]
    np.testing.assert_allclose(schedules.step_decay(at, 0.05, (60, 120, 160)), expected)


def test_linear_and_constant():
    at = np.array([0.0, 50.0, 199.0])
    np.testing.assert_allclose(schedules.linear_decay(at, 0.05, 200), [0.05, 0.0375, 0.00025])
    np.testing.assert_array_equal(schedules.constant(at, 0.1), [0.1] * 3)


def test_garipovs_schedule():
    """Full rate for half the time, linear to a hundredth at nine tenths, then that."""
    at = np.array([0, 50, 70, 90, 99]) * 6.0
    expected = [0.015, 0.015, 0.015 * 0.505, 0.00015, 0.00015]
    np.testing.assert_allclose(schedules.towards(at, 0.015, 0.00015, 600), expected)


def test_fges_triangles():
    at = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 6.0])
    expected = [0.05, 0.02505, 0.0001, 0.02505, 0.05, 0.0001]
    np.testing.assert_allclose(schedules.cyclic(at, 0.05, 0.0001, 4), expected)


def test_one_schedule_then_another():
    rates = schedules.then(
        np.arange(4.0), 2, lambda at: 10 + at, lambda at: schedules.cyclic(at, 1.0, 0.0, 2)
    )
    np.testing.assert_array_equal(rates, [10, 11, 1, 0])


def test_a_keras_optimizer_follows_the_rates():
    weight = keras.Variable(np.zeros(1, np.float32))
    optimizer = keras.optimizers.SGD(schedules.Rates([1.0, 0.5, 0.25]))
    optimizer.build([weight])
    seen = []
    for _ in range(4):
        before = float(weight.numpy()[0])
        optimizer.apply([tf.ones(1)], [weight])
        seen.append(before - float(weight.numpy()[0]))
    assert seen == [1.0, 0.5, 0.25, 0.25]
