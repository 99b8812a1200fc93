"""A training step and an evaluation against computations by hand, in NumPy."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro import models
from repro.data import pipeline
from repro.models import layers
from repro.training import optimizers, step

STRATEGY = tf.distribute.get_strategy()
# float32 against float64 over a few steps: a few times 2^-24 of values around one.
ROUNDING = 1e-6


def linear(inputs=3, classes=4):
    """A linear classifier with random weights and biases."""
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(classes)])
    model.set_weights([rng.normal(size=(inputs, classes)), rng.normal(size=classes)])
    return model


@pytest.fixture
def batches(rng):
    """Five batches of six examples with three features."""
    return [(rng.normal(size=(6, 3)), rng.integers(0, 4, 6)) for _ in range(5)]


def iterator(batches):
    images = np.stack([images for images, _ in batches]).astype(np.float32)
    labels = np.stack([labels for _, labels in batches])
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    return iter(STRATEGY.distribute_datasets_from_function(lambda _: dataset))


def losses_and_slopes(kernel, bias, images, labels):
    """Cross-entropy of each example and the gradients of its mean, by hand."""
    logits = images @ kernel + bias
    exp = np.exp(logits - logits.max(1, keepdims=True))
    softmax = exp / exp.sum(1, keepdims=True)
    error = (softmax - np.eye(kernel.shape[1])[labels]) / len(labels)
    losses = -np.log(softmax[np.arange(len(labels)), labels])
    return losses, images.T @ error, error.sum(0)


def sgd_by_hand(model, batches, rates, momentum, decay):
    """v <- m v + g + decay w, w <- w - lr v, the decay on the kernel alone."""
    kernel, bias = (w.astype(np.float64) for w in model.get_weights())
    kernel_speed, bias_speed, losses = 0, 0, []
    for (images, labels), rate in zip(batches, rates):
        loss, kernel_slope, bias_slope = losses_and_slopes(kernel, bias, images, labels)
        kernel_speed = momentum * kernel_speed + kernel_slope + decay * kernel
        bias_speed = momentum * bias_speed + bias_slope
        kernel, bias = kernel - rate * kernel_speed, bias - rate * bias_speed
        losses.append(loss.mean())
    return losses, [kernel, bias]


def train(model, batches, optimizer, steps=None, **options):
    optimizer.build(model.trainable_variables)
    train_steps = step.make_train_steps(model, optimizer, STRATEGY, **options)
    total, done = train_steps(iterator(batches), tf.constant(steps or len(batches)))
    return float(total), int(done)


# --- steps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("xla", [False, True])
def test_sgd_is_the_papers(batches, momentum, decay, xla):
    """Weight decay is an L2 term of the loss, so it goes through the momentum as gradients do."""
    model = linear()
    losses, weights = sgd_by_hand(model, batches, [0.5] * 5, momentum, decay)
    total, done = train(model, batches, optimizers.sgd(0.5, momentum), weight_decay=decay, xla=xla)
    assert done == 5
    # The losses summed are those of the examples, without the L2 term.
    assert total == pytest.approx(sum(losses), rel=ROUNDING)
    for measured, true in zip(model.get_weights(), weights):
        np.testing.assert_allclose(measured, true, rtol=10 * ROUNDING, atol=ROUNDING)


def test_steps_asked_for_one_by_one_are_the_same(batches):
    together, apart = linear(), linear()
    train(together, batches, optimizers.sgd(0.5, 0.9))
    optimizer = optimizers.sgd(0.5, 0.9)
    optimizer.build(apart.trainable_variables)
    train_steps, pending = step.make_train_steps(apart, optimizer, STRATEGY), iterator(batches)
    for _ in batches:
        assert train_steps(pending, tf.constant(1))[1] == 1
    for one, other in zip(together.get_weights(), apart.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_learning_rate_falls_once_an_epoch(batches):
    """Two steps an epoch: rates 0.5, 0.5, 0.5 * 0.95, 0.5 * 0.95, 0.5 * 0.95^2."""
    model = linear()
    rates = 0.5 * 0.95 ** (np.arange(5) // 2)
    _, weights = sgd_by_hand(model, batches, rates, 0.9, 0.0)
    schedule = optimizers.exponential_decay(0.5, 0.95, steps_per_epoch=2)
    train(model, batches, optimizers.sgd(schedule, 0.9))
    for measured, true in zip(model.get_weights(), weights):
        np.testing.assert_allclose(measured, true, rtol=10 * ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize(
    ("steps", "epochs"), [(0, 0), (390, 0), (391, 1), (781, 1), (782, 2), (39100, 100)]
)
def test_schedule_of_figure_1(steps, epochs):
    """0.1 * 0.95^epoch at 391 steps an epoch; after 100 epochs float32 powers err by 100 ulp."""
    schedule = optimizers.exponential_decay(0.1, 0.95, 391)
    assert float(schedule(steps)) == pytest.approx(0.1 * 0.95**epochs, rel=100 * 2**-24)


def test_weight_decay_acts_on_kernels_alone():
    model = models.build("wrn_28_1", (8, 8, 3), 4)
    decayed = step.kernels(model)
    convolutions_and_dense = [
        layer.kernel
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
    ]
    assert {id(v) for v in decayed} == {id(v) for v in convolutions_and_dense}


def test_decayed_weights_can_be_chosen(batches):
    """Decay of the bias alone: with no gradient from the loss, it shrinks by 1 - lr * decay."""
    model = linear()
    bias = model.get_weights()[1]
    train(
        model,
        batches[:1],
        optimizers.sgd(0.5, 0.0),
        weight_decay=0.2,
        decayed=[model.layers[0].bias],
        example_loss=lambda labels, logits: 0 * tf.reduce_sum(logits, axis=1),
    )
    np.testing.assert_allclose(model.get_weights()[1], bias * (1 - 0.5 * 0.2), rtol=ROUNDING)


@pytest.mark.parametrize("bad", [0, 2, 4])
def test_training_stops_at_the_first_loss_that_is_not_finite(batches, bad):
    batches[bad][0][3, 1] = np.nan
    expected = sum(sgd_by_hand(linear(), batches[:bad], [0.1] * bad, 0.9, 0.0)[0])
    total, done = train(linear(), batches, optimizers.sgd(0.1, 0.9))
    assert done == bad
    assert total == pytest.approx(expected, rel=ROUNDING)


# --- precision and XLA ----------------------------------------------------------------------------


def train_network(make_images, precision="float32", xla=False):
    """Train a small network with batch norm for 6 steps; return its losses and weights."""
    data, losses = make_images(32), []
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, use_bias=False)(inputs)
    x = layers.batch_norm("norm")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    model = keras.Model(inputs, layers.logits(x, 10, "glorot_uniform"))
    optimizer = optimizers.sgd(0.1, 0.9, precision)
    optimizer.build(model.trainable_variables)
    train_steps = step.make_train_steps(model, optimizer, STRATEGY, weight_decay=1e-2, xla=xla)
    batches = pipeline.TrainBatches(data, 16, 0, size=8)
    for epoch in (1, 2, 3):
        pending = iter(
            STRATEGY.distribute_datasets_from_function(lambda c, e=epoch: batches.epoch(e, c))
        )
        for _ in range(batches.steps):
            losses.append(float(train_steps(pending, tf.constant(1))[0]))
    return np.array(losses), model, optimizer


@pytest.fixture
def float32_losses(make_images):
    return train_network(make_images)[0]


def test_xla_gives_the_same_losses(make_images, float32_losses):
    """Other orders of summation: 2^-24 of sums over 600 values, grown over 6 steps; 1e-5."""
    np.testing.assert_allclose(train_network(make_images, xla=True)[0], float32_losses, rtol=1e-5)


@pytest.mark.parametrize(
    ("precision", "epsilon"), [("mixed_float16", 2**-11), ("mixed_bfloat16", 2**-8)]
)
def test_mixed_precision_follows_float32(policy, make_images, float32_losses, precision, epsilon):
    """Losses of about 2.3 through two layers: within a few roundings of the short format."""
    policy(precision)
    losses, model, optimizer = train_network(make_images, precision)
    np.testing.assert_allclose(losses, float32_losses, atol=8 * epsilon)
    assert (losses != float32_losses).any()
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")


def test_float16_overflow_is_skipped_and_the_scale_halved(batches):
    """Gradients that overflow leave the weights as they were; the run goes on."""
    model, optimizer = linear(), optimizers.sgd(0.1, 0.9, "mixed_float16")
    optimizer.build(model.trainable_variables)
    before, scale = model.get_weights(), float(optimizer.dynamic_scale)

    def overflowing(labels, logits):
        """Finite loss of slope 1e38, which the scale takes beyond float32."""
        return 1e38 * (tf.reduce_sum(logits, 1) - tf.stop_gradient(tf.reduce_sum(logits, 1)))

    train_steps = step.make_train_steps(model, optimizer, STRATEGY, example_loss=overflowing)
    assert train_steps(iterator(batches), tf.constant(1))[1] == 1
    for one, other in zip(model.get_weights(), before):
        np.testing.assert_array_equal(one, other)
    assert float(optimizer.dynamic_scale) == scale / 2


# --- evaluation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 7, 8])
@pytest.mark.parametrize("batch", [1, 3, 8, 20])
def test_evaluation_is_exact_on_ragged_sets(count, batch):
    """Neither padding nor a short last batch shifts the means."""
    rng = np.random.default_rng(count)
    images, labels = rng.normal(size=(count, 1, 1, 3)), rng.integers(0, 4, count)
    dense = linear()
    model = keras.Sequential([keras.Input((1, 1, 3)), keras.layers.Flatten(), dense.layers[0]])
    kernel, bias = dense.get_weights()
    losses, _, _ = losses_and_slopes(kernel, bias, images.reshape(count, 3), labels)
    predicted = (images.reshape(count, 3) @ kernel + bias).argmax(1)
    batches = pipeline.EvaluationBatches(tf.constant(images, tf.float32), labels, batch)
    measured = step.make_evaluate(model, STRATEGY)(batches)
    assert measured["loss"] == pytest.approx(losses.mean(), rel=ROUNDING)
    assert measured["accuracy"] == pytest.approx((predicted == labels).mean(), rel=1e-12)


def test_evaluation_lets_go_of_sets_that_come_no_more():
    """A run with --redraw has another training set in every epoch: half a gigabyte of CIFAR-10."""
    model = keras.Sequential(
        [keras.Input((1, 1, 3)), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    evaluate, seen = step.make_evaluate(model, STRATEGY), []
    for epoch in range(8):
        images = tf.random.stateless_normal([5, 1, 1, 3], [0, epoch])
        batches = pipeline.EvaluationBatches(images, np.arange(5) % 4, 2)
        evaluate(batches)
        seen.append(weakref.ref(batches))
    del batches
    gc.collect()
    assert sum(each() is not None for each in seen) <= step.SETS_AT_HAND


def test_many_classes_have_a_top_5_accuracy():
    """Against NumPy's order, padding left out; a network of 10 classes has none."""
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(21, 1, 1, 3)), rng.integers(0, 101, 21)
    model = keras.Sequential(
        [keras.Input((1, 1, 3)), keras.layers.Flatten(), keras.layers.Dense(101)]
    )
    kernel, bias = model.get_weights()
    labels[:7] = (images.reshape(21, 3) @ kernel + bias).argsort(1)[:7, -3]  # third at most
    five = (images.reshape(21, 3) @ kernel + bias).argsort(1)[:, -5:]
    batches = pipeline.EvaluationBatches(tf.constant(images, tf.float32), labels, 8)
    measured = step.make_evaluate(model, STRATEGY)(batches)
    right = (five == labels[:, None]).any(1).mean()
    assert 0 < measured["accuracy"] + 1 / 3 <= measured["top5_accuracy"] + 1e-12 < 1
    assert measured["top5_accuracy"] == pytest.approx(right, rel=1e-12)
    few = keras.Sequential([keras.Input((1, 1, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
    assert step.sums_of(few) == 3
    model.set_weights([np.zeros_like(kernel), np.zeros_like(bias)])  # all outputs equal
    dead = step.make_evaluate(model, STRATEGY)(batches)["top5_accuracy"]
    assert dead == pytest.approx((labels < 5).mean(), rel=1e-12)


def test_evaluation_runs_in_inference_mode(make_images):
    """Batch norm uses its moving statistics, which evaluation leaves alone."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.batch_norm("n"),
            keras.layers.Dropout(0.5),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    data, before = make_images(9), [v.numpy() for v in model.variables]
    batches = pipeline.EvaluationBatches(pipeline.preprocess(data.images, 8), data.labels, 4)
    evaluate = step.make_evaluate(model, STRATEGY)
    assert evaluate(batches) == evaluate(batches)
    for variable, value in zip(model.variables, before):
        np.testing.assert_array_equal(variable, value)
