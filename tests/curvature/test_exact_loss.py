"""Losses near zero: what is left of them once the data are fitted, and what is no number."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import Input, Sequential, layers
from problems import softmax_loss, squared_error

from repro import curvature
from repro.curvature.exact_loss import exact_if_same

KERAS = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")


@pytest.fixture
def fitted():
    """Make a float32 softmax classifier that fits two examples by a margin, and its sharpness.

    Probabilities are (1 - 2 q, q, q), and the largest eigenvalue of diag(p) - p p^T, along
    (2, -1, -1), is 3 q (1 - 2 q): of each example, with inputs orthogonal and a mean over two.
    """

    def make(margin):
        model = Sequential([Input((2,)), layers.Dense(3, use_bias=False)])
        model.layers[0].kernel.assign(margin * np.eye(2, 3))
        q = math.exp(-margin) / (1 + 2 * math.exp(-margin))
        return model, (np.eye(2, dtype="float32"), np.arange(2)), 3 * q * (1 - 2 * q) / 2

    return make


def test_nonuniformity_where_the_loss_is_almost_zero(fitted):
    model, data, expected = fitted(16)
    # two orthogonal H_i: Sigma = (e^2 / 2 - e^2 / 4) on either, and its root is half of each
    found = curvature.nonuniformity(model, softmax_loss, data)
    assert found.value == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("loss", [softmax_loss, KERAS])
def test_a_convex_loss_has_no_saddle(fitted, loss):
    model, data, expected = fitted(12)
    found = curvature.criticality(model, loss, data)
    assert found.largest == pytest.approx(expected, rel=1e-5)
    assert not found.descends


def test_a_loss_that_wants_float32_stays_as_it_is():
    outputs, targets = tf.zeros((2, 3)), tf.constant([0, 2])

    def weighted(targets, outputs):
        return softmax_loss(targets, outputs) * tf.constant([1.0, 2.0])

    def by_precision(targets, outputs):
        return tf.ones(2, outputs.dtype) * outputs.dtype.size

    for loss in (weighted, by_precision):
        assert exact_if_same(loss, targets, outputs, loss(targets, outputs), 1e-3) is loss
    fitted = tf.constant([[16.0, 0, 0], [0, 0, 16.0]])
    with pytest.raises(ValueError, match=r"lost to rounding.*tf.cast\(class_weights"):
        exact_if_same(weighted, targets, fitted, weighted(targets, fitted), 1e-3)

    def score(targets, outputs):  # far below zero, which is not near it
        return -outputs[:, 0] * tf.constant([1.0, 2.0])

    ones = tf.ones((2, 3))
    assert exact_if_same(score, targets, ones, score(targets, ones), 1e-3) is score
    wide = exact_if_same(KERAS, targets, outputs, KERAS(targets, outputs), 1e-3)
    assert wide(targets, outputs).dtype == tf.float64
    assert KERAS(targets, outputs).dtype == tf.float32


def nll(targets, probabilities):
    return -tf.math.log(tf.gather(probabilities, targets, batch_dims=1))


@pytest.mark.parametrize(
    "loss", [nll, keras.losses.SparseCategoricalCrossentropy(reduction="none")]
)
def test_probabilities_near_one(fitted, loss):
    """Keras's losses divide by the sum of all in float64; of 1 - p alone a tenth is rounding."""
    for margin in (6, 14):
        logits, data, expected = fitted(margin)
        model = Sequential([Input((2,)), logits.layers[0], layers.Softmax()])
        if loss is nll and margin == 14:
            with pytest.raises(ValueError, match="return logits"):
                curvature.sharpness(model, loss, data)
        else:
            found = curvature.sharpness(model, loss, data).value
            assert found == pytest.approx(expected, rel=1e-3)


def test_numbers_that_look_like_probabilities_are_none():
    model = Sequential([Input((2,)), layers.Dense(2, use_bias=False)])
    model.layers[0].kernel.assign(np.eye(2))
    x = y = np.eye(2, dtype="float32")
    fitted = curvature.sharpness(model, squared_error, (x, y)).value
    model.layers[0].kernel.assign(np.zeros((2, 2)))  # the loss is a square, as curved anywhere
    elsewhere = curvature.sharpness(model, squared_error, (x, y)).value
    assert fitted == pytest.approx(elsewhere) and fitted > 0.1


def test_a_loss_that_is_no_number_has_no_curvature():
    model = Sequential([Input((2,)), layers.Dense(1)])
    x, y = np.ones((6, 2), "float32"), np.ones((6, 1), "float32")
    y[4] = np.nan  # none of the three examples that are looked at first
    zeros = np.zeros(3)
    for matrix in (curvature.hessian, curvature.gauss_newton):
        with pytest.raises(ValueError, match="not finite"):
            matrix(model, squared_error, (x, y)).product(zeros)
    # of weight 0 it does not count
    product = curvature.hessian(model, squared_error, (x, y, np.isfinite(y[:, 0]))).product
    np.testing.assert_allclose(product(np.array([1.0, 0, 0])), [2, 2, 2])


def test_a_label_that_is_no_class_is_one_error():
    model = Sequential([Input((2,)), layers.Dense(3)])
    data = np.ones((8, 2), "float32"), np.array([0, 1, 2, 0, 1, 7, 0, 1])
    with pytest.raises(ValueError, match="on a batch of `dataset`: Received a label value of 7"):
        curvature.sharpness(model, softmax_loss, data)
    with pytest.raises(ValueError, match="Received a label value of 7"):
        curvature.m_sharpness(model, softmax_loss, data, rho=0.1, m=8)


def test_models_and_data_that_are_refused_by_name():
    model = Sequential([Input((2,)), layers.Dense(3)])
    for x in (tf.sparse.eye(4, 2), tf.ragged.constant([[1.0], [2.0, 3.0]])):
        dataset = tf.data.Dataset.from_tensor_slices((x, np.zeros(x.shape[0], int))).batch(2)
        with pytest.raises(ValueError, match="sparse or ragged tensors: make them dense"):
            curvature.sharpness(model, softmax_loss, dataset)
    model.layers[0].quantize("int8")
    with pytest.raises(ValueError, match="quantised"):
        curvature.sharpness(model, softmax_loss, (np.ones((2, 2), "float32"), np.arange(2)))
