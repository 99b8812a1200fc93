"""Hessians known in closed form: none of these numbers comes from automatic differentiation.

All is float64, sums have at most a few hundred terms, so that rounding stays below 1e-12.
"""

import keras
import numpy as np
import pytest
from problems import logistic_loss, softmax_loss, squared_error

from repro import curvature
from repro.curvature import hvp

pytestmark = pytest.mark.usefixtures("float64")
EXACT = {"rtol": 0, "atol": 1e-12}


def linear_model(inputs, outputs, seed=0):
    keras.utils.set_random_seed(seed)
    layer = keras.layers.Dense(outputs, use_bias=False)
    return keras.Sequential([keras.Input((inputs,), dtype="float64"), layer])


def test_linear_regression(rng):
    x, y = rng.standard_normal((30, 4)), rng.standard_normal((30, 3))
    # f_i = |W^T x_i - y_i|^2 / 3, so H_i = 2 / 3 x_i x_i^T (x) I_3, with the kernel in C order.
    examples = np.stack([2 / 3 * np.kron(np.outer(r, r), np.eye(3)) for r in x])
    mean = examples.mean(0)
    variance = (examples @ examples).mean(0) - mean @ mean
    model = linear_model(4, 3)
    matrix = hvp.dense(curvature.hessian(model, squared_error, (x, y)))
    np.testing.assert_allclose(matrix, mean, **EXACT)
    a = curvature.sharpness(model, squared_error, (x, y), tolerance=1e-12)
    s = curvature.nonuniformity(model, squared_error, (x, y), tolerance=1e-12)
    assert a.converged and s.converged
    assert a.value == pytest.approx(np.linalg.eigvalsh(mean)[-1], abs=1e-11)
    assert s.value == pytest.approx(np.linalg.eigvalsh(variance)[-1] ** 0.5, abs=1e-9)


def test_logistic_regression(rng):
    x, y = rng.standard_normal((25, 6)), rng.integers(0, 2, (25, 1)).astype(float)
    model = linear_model(6, 1)
    p = 1 / (1 + np.exp(-x @ model.trainable_variables[0].numpy()))[:, 0]
    expected = (x * (p * (1 - p))[:, None]).T @ x / 25
    for matrix in (curvature.hessian, curvature.gauss_newton):
        actual = hvp.dense(matrix(model, logistic_loss, (x, y)))
        np.testing.assert_allclose(actual, expected, **EXACT)


def test_softmax_regression(rng):
    x, y = rng.standard_normal((25, 5)), rng.integers(0, 3, 25)
    model = linear_model(5, 3)
    logits = x @ model.trainable_variables[0].numpy()
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = np.mean(
        [np.kron(np.outer(r, r), np.diag(q) - np.outer(q, q)) for r, q in zip(x, p)], axis=0
    )
    for matrix in (curvature.hessian, curvature.gauss_newton):
        actual = hvp.dense(matrix(model, softmax_loss, (x, y)))
        np.testing.assert_allclose(actual, expected, **EXACT)


def test_gauss_newton_leaves_out_the_outputs_curvature():
    """One weight per layer, f = (u v x - y)^2: all second derivatives by hand."""
    model = keras.Sequential(
        [
            keras.Input((1,), dtype="float64"),
            *(keras.layers.Dense(1, use_bias=False) for _ in range(2)),
        ]
    )
    u, v, x, y = 0.5, -2.0, 3.0, 1.0
    model.set_weights([np.array([[u]]), np.array([[v]])])
    data = np.array([[x]]), np.array([[y]])
    jacobian = np.array([v * x, u * x])
    newton = 2 * np.outer(jacobian, jacobian)
    hessian = newton + 2 * (u * v * x - y) * np.array([[0, x], [x, 0]])
    actual = hvp.dense(curvature.gauss_newton(model, squared_error, data))
    np.testing.assert_allclose(actual, newton, **EXACT)
    actual = hvp.dense(curvature.hessian(model, squared_error, data))
    np.testing.assert_allclose(actual, hessian, **EXACT)


def test_toy_of_wu_ma_e():
    """Second derivatives 0.2 and 3.8 at x = 1: a = 2, s = 1.8 and Theorem 1's value 1.7476."""
    # The two parabolas are (r x)^2 for inputs r with r^2 = 0.1 and 1.9.
    x = np.sqrt([[0.1], [1.9]])
    data, model = (x, np.zeros((2, 1))), linear_model(1, 1)
    assert curvature.sharpness(model, squared_error, data).value == pytest.approx(2, abs=1e-12)
    assert curvature.nonuniformity(model, squared_error, data).value == pytest.approx(1.8)
    condition = curvature.theorem_1(model, squared_error, data, learning_rate=0.7, sgd_batch_size=1)
    assert condition.value == pytest.approx(1.7476, abs=1e-12)  # (1 - 1.4)^2 + 0.49 * 3.24
