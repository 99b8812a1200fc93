"""Batch norm's statistics against those taken directly, over unequal batches."""

import contextlib

import keras
import numpy as np
import pytest

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
