"""However data is cut, batched or spread over replicas, the mean over examples is the same."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from problems import squared_error

from repro import curvature

# Sums in another order differ by rounding: 1e-13 in float64, times at most 1e2 of these numbers.
REORDERED = {"rtol": 0, "atol": 1e-11}


@pytest.mark.parametrize("matrix", [curvature.hessian, curvature.gauss_newton])
def test_ragged_batches(smooth, rng, matrix):
    """A mean of batch means would weigh the last two examples of 5, 5, 2 as much as five."""
    model, x, y = smooth
    vector = rng.standard_normal(43)
    whole = matrix(model, squared_error, (x, y)).product(vector)
    cut = matrix(model, squared_error, (x, y), batch_size=5).product(vector)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(5)
    streamed = matrix(model, squared_error, dataset).product(vector)
    np.testing.assert_allclose(cut, whole, **REORDERED)
    np.testing.assert_allclose(streamed, whole, **REORDERED)
    parts = [matrix(model, squared_error, (x[i : i + 5], y[i : i + 5])) for i in (0, 5, 10)]
    unweighted = np.mean([part.product(vector) for part in parts], axis=0)
    assert np.abs(unweighted - whole).max() > 0.01 * np.abs(whole).max()


@pytest.mark.parametrize("measure", [curvature.sharpness, curvature.nonuniformity])
def test_ragged_measures(smooth, measure):
    model, x, y = smooth
    whole = measure(model, squared_error, (x, y), tolerance=1e-10)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(5)
    streamed = measure(model, squared_error, dataset, tolerance=1e-10)
    assert streamed.value == pytest.approx(whole.value, abs=1e-8)


@pytest.mark.slow
def test_mirrored_equals_one_device(mirrored, float64, rng):
    """Two replicas, a last batch of one example, batch norm over both replicas."""
    with mirrored.scope():
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((3,), dtype="float64"),
                layers.Dense(4, "tanh"),
                layers.BatchNormalization(synchronized=True),
                layers.Dense(2),
            ]
        )
    x, y = rng.standard_normal((9, 3)), rng.standard_normal((9, 2))
    vector = rng.standard_normal(sum(v.numpy().size for v in model.trainable_variables))
    for matrix in (curvature.hessian, curvature.gauss_newton):
        one = matrix(model, squared_error, (x, y), batch_size=4).product(vector)
        two = matrix(model, squared_error, (x, y), batch_size=4, strategy=mirrored).product(vector)
        np.testing.assert_allclose(two, one, **REORDERED)
    options = {"training": True, "batch_size": 4}
    even = x[:8], y[:8]
    one = curvature.hessian(model, squared_error, even, **options).product(vector)
    two = curvature.hessian(model, squared_error, even, strategy=mirrored, **options)
    np.testing.assert_allclose(two.product(vector), one, **REORDERED)
    one = curvature.nonuniformity(model, squared_error, (x, y), tolerance=1e-10)
    two = curvature.nonuniformity(model, squared_error, (x, y), tolerance=1e-10, strategy=mirrored)
    assert two.value == pytest.approx(one.value, abs=1e-8)


def test_bad_input(smooth):
    model, x, y = smooth
    hessian = curvature.hessian
    with pytest.raises(ValueError, match="no trainable weights"):
        hessian(model, squared_error, (x, y), variables=["conv*"])
    empty = keras.Sequential([keras.Input((4,), dtype="float64"), layers.Flatten()])
    with pytest.raises(ValueError, match="no trainable weights"):
        hessian(empty, squared_error, (x, y))
    with pytest.raises(ValueError, match="no examples"):
        hessian(model, squared_error, (x[:0], y[:0])).product(np.ones(43))
    with pytest.raises(ValueError, match=r"shape \(43,\)"):
        hessian(model, squared_error, (x, y)).product(np.ones(42))
    with pytest.raises(ValueError, match="not finite"):
        hessian(model, squared_error, (x * np.nan, y)).product(np.ones(43))
    with pytest.raises(ValueError, match="`at` must hold"):
        hessian(model, squared_error, (x, y), at=[np.zeros(3)])


def test_a_strategy_of_a_tpu_is_refused(smooth, mirrored, monkeypatch):
    """Its products of float32 matrices are rounded to bfloat16, and no residual would show it."""
    model, x, y = smooth
    monkeypatch.setattr(tf.distribute, "TPUStrategy", type(mirrored))
    with pytest.raises(ValueError, match="not measured where TensorFlow has a TPU") as caught:
        curvature.sharpness(model, squared_error, (x, y), strategy=mirrored)
    assert "\n" not in str(caught.value)
