"""A step of SAM against NumPy, its L2 term, batch norm's statistics, and two replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro.models.layers import batch_norm
from repro.training import optimizers, sam

RHO, RATE, DECAY = 0.3, 0.5, 0.1


def linear(classes=4):
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(classes)])
    model.set_weights([rng.normal(size=(3, classes)), rng.normal(size=classes)])
    return model


def loss_and_slopes(kernel, bias, images, labels):
    """Mean cross-entropy and its gradients, by hand."""
    logits = images @ kernel + bias
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    error = (softmax - np.eye(kernel.shape[1])[labels]) / len(labels)
    loss = -np.log(softmax[range(len(labels)), labels]).mean()
    return loss, images.T @ error, error.sum(0)


def by_hand(weights, batches, decay=0.0):
    kernel, bias = (w.astype(np.float64) for w in weights)
    total = 0.0
    for images, labels in batches:
        loss, a, b = loss_and_slopes(kernel, bias, images, labels)
        norm = np.sqrt(np.sum(a**2) + np.sum(b**2))
        worst = kernel + RHO * a / norm, bias + RHO * b / norm
        _, c, d = loss_and_slopes(*worst, images, labels)
        kernel, bias = kernel - RATE * (c + decay * kernel), bias - RATE * d
        total += loss
    return total, [kernel, bias]


@pytest.fixture
def batches(rng):
    return [(rng.normal(size=(6, 3)).astype(np.float32), rng.integers(0, 4, 6)) for _ in range(4)]


def train(model, batches, strategy, **options):
    with strategy.scope():
        optimizer = optimizers.sgd(RATE, 0.0)
        optimizer.build(model.trainable_variables)
    train_steps = sam.make_train_steps(model, optimizer, strategy, rho=RHO, **options)
    images, labels = (np.stack(part) for part in zip(*batches))

    def of_worker(context):
        whole = tf.data.Dataset.from_tensor_slices((images, labels))
        size = context.get_per_replica_batch_size(6)
        return whole.unbatch().batch(size)

    iterator = iter(strategy.distribute_datasets_from_function(of_worker))
    total, done = train_steps(iterator, tf.constant(len(batches)))
    assert int(done) == len(batches)
    return float(total)


@pytest.mark.parametrize("decay", [0.0, DECAY])
def test_a_step_is_that_of_the_paper(batches, decay):
    """The gradient at w + rho g / |g|, the L2 term at w; float32 against float64, a few steps."""
    model = linear()
    total, weights = by_hand(model.get_weights(), batches, decay)
    assert train(model, batches, tf.distribute.get_strategy(), weight_decay=decay) == (
        pytest.approx(total, rel=1e-6)
    )
    for value, expected in zip(model.get_weights(), weights):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def test_replicas_go_to_the_worst_point_of_the_global_batch(batches, mirrored):
    with mirrored.scope():
        model = linear()
    _, weights = by_hand(model.get_weights(), batches, DECAY)
    train(model, batches, mirrored, weight_decay=DECAY)
    for value, expected in zip(model.get_weights(), weights):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def test_moving_statistics_move_once_a_step(batches):
    """Batch norm first: its statistics are the inputs', whatever the weights."""
    norm = batch_norm("norm")
    model = keras.Sequential([keras.Input((3,)), norm, keras.layers.Dense(4)])
    train(model, batches[:1], tf.distribute.get_strategy())
    kept = norm.momentum
    expected = (1 - kept) * batches[0][0].mean(0)
    np.testing.assert_allclose(norm.moving_mean, expected, rtol=1e-5, atol=1e-6)


def test_what_is_refused():
    model, strategy = linear(), tf.distribute.get_strategy()
    with pytest.raises(ValueError, match="must be above 0"):
        sam.make_train_steps(model, optimizers.sgd(0.1, 0.0), strategy, rho=0.0)
    with pytest.raises(ValueError, match="no loss scaling"):
        scaled = optimizers.sgd(0.1, 0.0, "mixed_float16")
        sam.make_train_steps(model, scaled, strategy, rho=0.1)
