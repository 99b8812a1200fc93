"""Batch norm's statistics against those taken directly, over unequal batches."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro.landscape import batch_norm
from repro.models.layers import batch_norm as make_norm


@pytest.fixture
def network():
    inputs = keras.Input((4, 4, 2))
    x = make_norm("first")(inputs)
    return keras.Model(inputs, make_norm("second")(keras.layers.ReLU()(x)))


@pytest.fixture
def batches(rng):
    """Batches of 8, 8 and 3 images whose means differ much."""
    whole = rng.normal(3, 2, (19, 4, 4, 2)).astype(np.float32)
    whole[8:16] += 5
    return whole, [whole[:8], whole[8:16], whole[16:]]


def test_pooled_statistics_are_those_of_all_images(network, batches):
    whole, parts = batches
    batch_norm.make_reestimate(network)(parts)
    layer = network.get_layer("first")
    # float32 sums of squares near 60 over 128 entries
    np.testing.assert_allclose(layer.moving_mean, whole.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, whole.var((0, 1, 2)), rtol=1e-4)


def test_the_reference_leaves_out_how_batches_differ(network, batches):
    whole, parts = batches
    batch_norm.make_reestimate(network, "reference")(parts)
    layer = network.get_layer("first")
    sizes = np.array([len(part) for part in parts])
    unbiased = [part.var((0, 1, 2), ddof=1, dtype=np.float64) for part in parts]
    expected = np.average(unbiased, axis=0, weights=sizes)
    np.testing.assert_allclose(layer.moving_mean, whole.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, expected, rtol=1e-4)
    assert (expected < 0.7 * whole.var((0, 1, 2))).all()


def test_later_layers_see_batches_normalised_by_themselves(network, batches):
    _, parts = batches
    batch_norm.make_reestimate(network)(parts)
    outputs = []
    for part in parts:
        normal = (part - part.mean((0, 1, 2))) / np.sqrt(part.var((0, 1, 2)) + 1e-3)
        outputs.append(np.maximum(normal, 0))
    outputs, layer = np.concatenate(outputs), network.get_layer("second")
    np.testing.assert_allclose(layer.moving_mean, outputs.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, outputs.var((0, 1, 2)), rtol=1e-3)


def test_without_batch_norm_nothing_is_read():
    inputs = keras.Input((3,))
    network = keras.Model(inputs, keras.layers.Dense(2)(inputs))

    def never():
        raise AssertionError("the batches were read")
        yield

    batch_norm.make_reestimate(network)(never())


def normalised(place, **options):
    """Return a network of inputs [b, 5] and its batch norm, somewhere inside."""
    norm, inputs = keras.layers.BatchNormalization(**options), keras.Input((5,))

    class Own(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.parts = [norm]

        def call(self, x):
            return self.parts[0](x)

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.norm = norm

        def call(self, x):
            return self.norm(x)

    if place == "subclass":
        network = Subclassed()
        network(np.zeros((2, 5), np.float32))
        return network, norm
    if place == "own":
        layer = Own()
    elif place == "sequential":
        layer = keras.Sequential([keras.Input((5,)), norm])
    elif place == "nested":
        inside = keras.Input((5,))
        layer = keras.Model(inside, keras.Sequential([keras.Input((5,)), norm])(inside))
    else:
        layer = norm
    return keras.Model(inputs, keras.layers.Dense(2)(layer(inputs))), norm


@pytest.fixture
def rows(rng):
    """Twelve examples [12, 5], the last four of which lie elsewhere."""
    x = rng.normal(3, 2, (12, 5)).astype(np.float32)
    x[8:] += 5
    return x


@pytest.mark.parametrize("place", ["plain", "sequential", "nested", "own", "subclass"])
@pytest.mark.parametrize("options", [{}, {"trainable": False}, {"momentum": 1.0}])
def test_every_batch_norm_is_found(place, options, rows):
    """In models and layers inside the model, frozen, and with a momentum that moves nothing."""
    network, norm = normalised(place, **options)
    before = [v.numpy() for v in network.trainable_variables]
    batch_norm.make_reestimate(network)([rows[:8], rows[8:]])
    np.testing.assert_allclose(norm.moving_mean, rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, rows.var(0), rtol=1e-4)
    assert norm.trainable is options.get("trainable", True)
    assert norm.momentum == options.get("momentum", 0.99)
    for one, other in zip(before, network.trainable_variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_frozen_layers_can_keep_their_statistics(rows):
    network, norm = normalised("plain", trainable=False)
    batch_norm.make_reestimate(network, frozen=False)([rows])
    np.testing.assert_array_equal(norm.moving_mean, np.zeros(5))
    np.testing.assert_array_equal(norm.moving_variance, np.ones(5))


def test_a_norm_used_twice_has_the_statistics_of_both_uses(rows):
    one, other = keras.Input((5,)), keras.Input((5,))
    norm = keras.layers.BatchNormalization()
    network = keras.Model([one, other], keras.layers.Add()([norm(one), norm(other)]))
    batch_norm.make_reestimate(network)([(rows[:8], rows[8:][[0, 1, 2, 3] * 2])])
    seen = np.concatenate([rows[:8], rows[8:], rows[8:]])
    np.testing.assert_allclose(norm.moving_mean, seen.mean(0), rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, seen.var(0), rtol=1e-4)


def test_datasets_of_pairs_and_of_padded_triples(rows):
    """Batches count by their examples; those of weight 0 fill up the last batch."""
    whole = tf.data.Dataset.from_tensor_slices((rows, np.arange(12)))
    weights = np.array([1.0] * 12 + [0.0] * 4, np.float32)
    padded = np.concatenate([rows, rows[:4] + 100])
    triples = tf.data.Dataset.from_tensor_slices((padded, np.arange(16), weights))
    for data in (whole.batch(8), triples.batch(8), [(rows[:8], 0), (rows[8:], 0)]):
        network, norm = normalised("plain")
        batch_norm.make_reestimate(network)(data)
        np.testing.assert_allclose(norm.moving_mean, rows.mean(0), rtol=1e-5)
        np.testing.assert_allclose(norm.moving_variance, rows.var(0), rtol=1e-4)


def test_data_that_is_none(rows, monkeypatch):
    network, _ = normalised("plain")
    reestimate = batch_norm.make_reestimate(network)
    pairs = tf.data.Dataset.from_tensor_slices((rows, np.arange(12)))
    with pytest.raises(ValueError, match="no batches"):
        reestimate([])
    with pytest.raises(ValueError, match="never ends"):
        reestimate(pairs.batch(4).repeat())
    monkeypatch.setattr("repro.landscape.batches.MOST_BATCHES", 3)
    reestimate(pairs.batch(4))
    with pytest.raises(ValueError, match="never ends, or has over 3 batches"):
        reestimate(pairs.repeat().filter(lambda row, label: label < 9).batch(4))
    with pytest.raises(ValueError, match=r"takes \[b, 5\], found \[5\]; use dataset.batch"):
        reestimate(pairs)
    with pytest.raises(ValueError, match="weights of a dataset's examples must be equal"):
        reestimate([(rows, np.arange(12), np.arange(12.0))])
    with pytest.raises(ValueError, match="single entry of a channel"):
        batch_norm.make_reestimate(network, "reference")([rows[:1]])


def test_unknown_variant(network):
    with pytest.raises(ValueError, match="choose from pooled, reference"):
        batch_norm.make_reestimate(network, "ema")


def test_statistics_do_not_depend_on_the_strategy(mirrored, batches):
    """Synchronised layers re-estimated from outside of replicas: the whole batch at once."""
    _, parts = batches
    found = []
    for scope in (None, mirrored):
        with scope.scope() if scope else contextlib.nullcontext():
            inputs = keras.Input((4, 4, 2))
            model = keras.Model(inputs, make_norm("norm")(inputs))
        batch_norm.make_reestimate(model)(parts)
        found.append([v.numpy() for v in model.non_trainable_variables])
    for one, other in zip(*found):
        np.testing.assert_array_equal(one, other)
