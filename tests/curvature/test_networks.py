"""Products through every kind of layer against central differences of first derivatives.

With eps = 1e-5 in float64 a difference is good to about 1e-10 of the largest third derivatives
(problems.difference_hessian); 1e-7 leaves room for those. A wrong second derivative, such as that
of Keras's batch norm in training mode, is off by 1e-3 and more.
"""

import keras
import numpy as np
import pytest
from keras import layers
from problems import (
    difference_hessian,
    flat_weights,
    gradient,
    softmax_loss,
    squared_error,
)

from repro import curvature
from repro.curvature import hvp
from repro.models.layers import LocalResponseNorm

pytestmark = pytest.mark.usefixtures("float64")

BLOCKS = {
    "average_pool": lambda: [layers.AveragePooling2D(2)],
    # Between kinks max-pooling is linear; no kink lies within 1e-5 of these weights.
    "max_pool": lambda: [layers.MaxPooling2D()],
    "local_response_norm": lambda: [LocalResponseNorm(alpha=0.3), layers.MaxPooling2D()],
    "batch_norm": lambda: [layers.BatchNormalization(synchronized=True), layers.MaxPooling2D()],
    "keras_batch_norm": lambda: [layers.BatchNormalization(), layers.MaxPooling2D()],
    "layer_norm": lambda: [layers.LayerNormalization(), layers.AveragePooling2D(2)],
    "group_norm": lambda: [layers.GroupNormalization(2), layers.AveragePooling2D(2)],
}


def network(block, seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((4, 4, 2), dtype="float64"),
            layers.Conv2D(4, 2, activation="tanh", padding="same"),
            *BLOCKS[block](),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def images(rng, count=6):
    return rng.standard_normal((count, 4, 4, 2)), rng.integers(0, 3, count)


SLOW = pytest.mark.slow  # tests/properties draws models with norms too
# Batch statistics matter to batch norm alone; the others are the same network with training=True.
PLAIN = [
    pytest.param(block, False, marks=() if "norm" not in block or block == "batch_norm" else SLOW)
    for block in BLOCKS
]
TRAINED = [
    pytest.param(block, True, marks=() if block == "batch_norm" else SLOW) for block in BLOCKS
]


@pytest.mark.parametrize(("block", "training"), PLAIN + TRAINED)
def test_against_differences(block, training, rng):
    model, data = network(block), images(rng)
    expected = difference_hessian(model, softmax_loss, *data, training=training)
    actual = hvp.dense(curvature.hessian(model, softmax_loss, data, training=training))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-7 * np.abs(expected).max())


def test_smooth_network(smooth):
    model, x, y = smooth
    expected = difference_hessian(model, squared_error, x, y)
    actual = hvp.dense(curvature.hessian(model, squared_error, (x, y)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-8)
    eigenvalues = np.linalg.eigvalsh(expected)
    top = curvature.top_eigenvalues(model, squared_error, (x, y), 3, tolerance=1e-10)
    np.testing.assert_allclose(top.values, eigenvalues[:-4:-1], atol=1e-8)
    low = curvature.top_eigenvalues(
        model, squared_error, (x, y), 2, which="smallest", tolerance=1e-10
    )
    assert low.values[0] < 0
    np.testing.assert_allclose(low.values, eigenvalues[:2], atol=1e-8)


def test_at_other_weights(smooth, rng):
    """Products at given weights, which leave the model's own as they are."""
    model, x, y = smooth
    before = flat_weights(model)
    elsewhere = [rng.standard_normal(v.shape) for v in model.trainable_variables]
    vector = rng.standard_normal(len(before))
    actual = curvature.hessian(model, squared_error, (x, y), at=elsewhere).product(vector)
    at = np.concatenate([w.ravel() for w in elsewhere])
    ends = [gradient(model, squared_error, x, y, at + s * 1e-5 * vector) for s in (1, -1)]
    np.testing.assert_allclose(actual, (ends[0] - ends[1]) / 2e-5, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(flat_weights(model), before)


def test_subset_is_a_block_of_the_whole(smooth):
    model, x, y = smooth
    whole = hvp.dense(curvature.hessian(model, squared_error, (x, y)))
    kernels = hvp.dense(curvature.hessian(model, squared_error, (x, y), variables=["*/kernel"]))
    rows = np.r_[0:20, 25:40]  # of 4 x 5 + 5 + 5 x 3 + 3 weights
    np.testing.assert_allclose(kernels, whole[np.ix_(rows, rows)], rtol=0, atol=1e-14)


def test_float32_network(rng, policy):
    """Products of a float32 network are those of the float64 one, to float32's 1e-7 times 100."""
    x, y = images(rng)
    policy("float32")
    model = network("max_pool")
    values = [v.numpy() for v in model.trainable_variables]
    vector = rng.standard_normal(model.count_params())
    single = curvature.hessian(model, softmax_loss, (x.astype("f"), y)).product(vector)
    policy("float64")
    double = network("max_pool")
    double.set_weights([v.astype(float) for v in values])
    expected = curvature.hessian(double, softmax_loss, (x, y)).product(vector)
    np.testing.assert_allclose(single, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
