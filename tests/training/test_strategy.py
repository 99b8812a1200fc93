"""Two replicas compute what one device does; strategies that cannot be had say so in one line."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro.data import pipeline
from repro.models import layers
from repro.training import optimizers, step
from repro.training.strategy import get_strategy, is_chief, over_rows, sum_over_shares

# Replicas add up in another order: 2^-24 relative an operation, through batch norm over 8 steps.
TOLERANCE = 1e-5


def small_network(norm=True, dropout_rate=0.0):
    """Convolution, batch norm, dense: everything replicas must agree on."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, use_bias=False)(inputs)
    x = layers.batch_norm("norm")(x) if norm else x
    x = keras.layers.Flatten()(keras.layers.ReLU()(x))
    if dropout_rate:
        x = keras.layers.Dropout(dropout_rate)(x)
    return keras.Model(inputs, layers.logits(x, 10, "glorot_uniform"))


def train(strategy, make_images, *, xla=False, augment=(), **network):
    """Train for two epochs of four steps; return losses, variables and an evaluation."""
    data, held_out = make_images(30), make_images(13, seed=1)  # both ragged at 8 a batch
    with strategy.scope():
        model = small_network(**network)
        optimizer = optimizers.sgd(optimizers.exponential_decay(0.05, 0.5, 4), 0.9)
        optimizer.build(model.trainable_variables)
    train_steps = step.make_train_steps(model, optimizer, strategy, weight_decay=1e-2, xla=xla)
    batches, losses = pipeline.TrainBatches(data, 8, 0, size=8, augment=augment), []
    for epoch in (1, 2):
        pending = iter(
            strategy.distribute_datasets_from_function(lambda c, e=epoch: batches.epoch(e, c))
        )
        losses += [float(train_steps(pending, tf.constant(1))[0]) for _ in range(batches.steps)]
    whitened = pipeline.preprocess(held_out.images, 8)
    evaluation = pipeline.EvaluationBatches(whitened, held_out.labels, 4)
    variables = {v.path: v.numpy() for v in model.variables if "seed" not in v.path}
    return losses, variables, step.make_evaluate(model, strategy)(evaluation)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"augment": ("crop", "flip")},
        {"xla": True, "norm": False},
    ],
    ids=str,
)
def test_two_replicas_equal_one_device(mirrored, make_images, options):
    assert mirrored.num_replicas_in_sync == 2
    one_losses, one, one_evaluation = train(get_strategy("default"), make_images, **options)
    two_losses, two, two_evaluation = train(mirrored, make_images, **options)
    np.testing.assert_allclose(two_losses, one_losses, rtol=TOLERANCE)
    assert len(one) == (7 if options.get("norm", True) else 3)  # norms: gamma, beta, two averages
    for value, other in zip(one.values(), two.values()):
        np.testing.assert_allclose(other, value, rtol=TOLERANCE, atol=TOLERANCE)
    assert two_evaluation["loss"] == pytest.approx(one_evaluation["loss"], rel=TOLERANCE)
    assert two_evaluation["accuracy"] == one_evaluation["accuracy"]


def test_xla_with_batch_norm_on_two_replicas_is_an_error(mirrored, make_images):
    with pytest.raises(ValueError, match="--xla cannot compile batch norm"):
        train(mirrored, make_images, xla=True)


def test_dropout_works_on_two_replicas(mirrored, make_images):
    """Replicas drop other units than one device does, so only sanity can be asked for."""
    losses, _, _ = train(mirrored, make_images, dropout_rate=0.5)
    assert np.isfinite(losses).all()


def test_a_batch_that_replicas_cannot_share_is_an_error(mirrored, make_images):
    batches = pipeline.TrainBatches(make_images(10), 5, 0, size=8)
    with pytest.raises(ValueError, match="batch_size=5 cannot be divided among 2 replicas"):
        mirrored.distribute_datasets_from_function(lambda context: batches.epoch(1, context))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_shares_of_a_batch_add_up_to_its_mean(mirrored, count):
    """One example leaves the second replica with a copy of it that weighs nothing."""
    numbers = np.array([3.0, -1.0, 4.0, 1.5, -9.0])
    rows = np.random.default_rng(0).permutation(5)[:count]

    def of_share(rows, weights, offset):
        mean = tf.reduce_mean(weights * (tf.gather(tf.constant(numbers), rows) + offset))
        return mean, tf.reshape(tf.size(rows), [])

    for strategy in (get_strategy("default"), mirrored):
        replicas = strategy.num_replicas_in_sync
        total = tf.function(
            lambda rows, here=strategy: sum_over_shares(
                here, of_share, rows, tf.constant(0.5, tf.float64)
            )
        )
        mean, taken = total(tf.constant(rows))
        assert float(mean) == pytest.approx(numbers[rows].mean() + 0.5, rel=1e-14)
        assert int(taken) == replicas * -(-count // replicas)


@pytest.mark.parametrize(("count", "unit"), [(5, 1), (5, 4), (5, 8), (1, 1)])
def test_rows_come_back_in_their_order(mirrored, count, unit):
    """Shares of 3 and 2, of 4 and 1, of 5 and none; each on the device of its replica."""
    x, devices, lengths = np.arange(3.0 * count).reshape(count, 3), set(), []

    def double(x, y):
        devices.add(tf.constant(0.0).device[-5:])
        lengths.append(len(x))
        return 2 * x, y[:, None] - 1

    doubled, lower = over_rows(mirrored, double, x, np.arange(count), unit=unit)
    np.testing.assert_array_equal(doubled, 2 * x)
    np.testing.assert_array_equal(lower, np.arange(count)[:, None] - 1)
    first = min(count, -(-count // (2 * unit)) * unit)
    assert sorted(lengths) == sorted([first, max(count - first, 1)])
    assert devices == {"CPU:0", "CPU:1"}
    whole = over_rows(get_strategy("default"), double, x, np.arange(count))
    np.testing.assert_array_equal(whole[0], doubled)


def test_one_strategy_per_process(mirrored):
    assert get_strategy("mirrored") is mirrored
    assert get_strategy("default") is get_strategy("default")


def test_a_single_process_is_its_own_chief(mirrored):
    assert is_chief(get_strategy("default"))
    assert is_chief(mirrored)


def test_unknown_strategy_lists_the_choices():
    with pytest.raises(ValueError, match="choose from default, mirrored, multi_worker, tpu"):
        get_strategy("horovod")


def test_missing_tpu_is_one_line():
    with pytest.raises(RuntimeError, match="--strategy=tpu found no TPU") as caught:
        get_strategy("tpu")
    assert "\n" not in str(caught.value)
