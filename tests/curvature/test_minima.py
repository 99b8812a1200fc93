"""Whether a point is a minimum, on quadratics and a network whose derivatives are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from problems import difference_hessian, flat_weights, gradient, squared_error

from repro import curvature


@pytest.fixture
def quadratic(float64):
    """Make a model of two weights and a loss whose Hessian at any weights is given."""

    def make(matrix, at):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        model.layers[0].kernel.assign(np.reshape(at, (2, 1)))
        # outputs of the inputs e_1, e_2 are the weights; the third-order loss needs both at once
        values, vectors = np.linalg.eigh(matrix)

        def loss(targets, outputs):
            return targets[:, 0] * outputs[:, 0] ** 2 / 2  # eigenvalue times half of (v . w)^2

        return model, loss, (vectors.T, 2 * values[:, None])  # the mean halves

    return make


@pytest.mark.parametrize(
    ("values", "at", "words"),
    [
        ((3.0, 1.0), (0.0, 0.0), ("at most 0.001: a critical point", "strict minimum")),
        ((3.0, -2.1), (0.0, 0.0), ("a critical point", "-2.1 ± ", "a saddle direction remains")),
        ((3.0, 0.0), (0.0, 0.0), ("a critical point", "flat directions")),
        ((3.0, 1.0), (0.1, 0.0), ("gradient norm 0.3, above 0.001: not a critical point",)),
    ],
)
def test_a_quadratic_is_what_its_eigenvalues_say(quadratic, values, at, words):
    found = curvature.criticality(*quadratic(np.diag(values), at))
    assert (found.largest, found.smallest) == pytest.approx((max(values), min(values)), abs=1e-10)
    assert found.gradient_norm == pytest.approx(np.linalg.norm(np.multiply(values, at)))
    assert found.loss == pytest.approx(np.sum(np.multiply(values, np.square(at))) / 2)
    assert found.converged
    for word in words:
        assert word in found.statement
    assert found.as_dict()["statement"] == found.statement
    assert found.critical == (at == (0.0, 0.0)) and found.descends == (min(values) < 0)


def test_an_l2_term_moves_gradient_and_spectrum(quadratic):
    """H + c, g + c w; and one coefficient for each trainable variable."""
    problem = quadratic(np.diag((3.0, -2.0)), (0.5, -0.25))
    found = curvature.criticality(*problem, l2=[2.5])
    assert (found.largest, found.smallest) == pytest.approx((5.5, 0.5))
    assert found.gradient_norm == pytest.approx(np.hypot(5.5 * 0.5, 0.5 * 0.25))
    assert found.loss == pytest.approx((5.5 * 0.25 + 0.5 * 0.0625) / 2)
    with pytest.raises(ValueError, match="`l2` has 2 coefficients and the model 1"):
        curvature.criticality(*problem, l2=[1.0, 2.0])


def test_a_network_agrees_with_finite_differences(float64, rng):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)]
    )
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(3)  # the last one is smaller
    found = curvature.criticality(model, squared_error, data)
    values = np.linalg.eigvalsh(difference_hessian(model, squared_error, x, y))
    assert (found.largest, found.smallest) == pytest.approx((values[-1], values[0]), abs=1e-4)
    g = gradient(model, squared_error, x, y, flat_weights(model))
    assert found.gradient_norm == pytest.approx(np.linalg.norm(g))
    assert found.descends == (values[0] < 0)


def test_rounding_is_that_of_the_layers_which_compute(rng):
    """A float32 copy made where a run trains in bfloat16 is a container made under that policy."""
    x, y = rng.normal(size=(6, 3)).astype("float32"), rng.normal(size=(6, 1)).astype("float32")
    inputs = keras.Input((3,), dtype="float32")
    dense = [keras.layers.Dense(size, "tanh", dtype="float32") for size in (4, 1)]
    plain = keras.Model(inputs, dense[1](dense[0](inputs)))
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        copy = keras.Model(plain.inputs, plain.outputs)
        half = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    finally:
        keras.config.set_dtype_policy(before)
    expected = curvature.criticality(plain, squared_error, (x, y))
    assert curvature.criticality(copy, squared_error, (x, y)) == expected

    def of_half(targets, outputs):
        return squared_error(targets, tf.cast(outputs, "float32"))

    found = curvature.criticality(half, of_half, (x, y))
    units = found.rounding / max(abs(found.largest), abs(found.smallest)) / 100
    assert units == pytest.approx(2.0**-7)  # bfloat16's
