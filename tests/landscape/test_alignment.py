"""Permuted networks compute the same, matching undoes a permutation, REPAIR resets statistics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro import models
from repro.landscape import alignment, permutations, repair
from repro.models import layers

# Groups of neurons that can move: by hand from the architectures. Inception: 19 convolutions.
# AlexNet's convolutions end in local response norms, which look at neighbouring channels. WRN: 12
# inner convolutions of its blocks, and one group a width, tied by the residual sums; ResNet-18:
# 8 inner ones and 4 widths. DenseNet: every convolution.
GROUPS = {
    "inception": 19,
    "inception_no_bn": 19,
    "inception_bn_downsample_only": 19,
    "alexnet": 2,
    "mlp_1x512": 1,
    "mlp_3x512": 3,
    "fnn": 3,
    "fnn_tenth": 3,
    "vgg_small": 6,
    "wrn_28_1": 15,
    "vgg16_quarter": 15,
    "vgg16_quarter_bn": 15,
    "resnet18": 12,
    "vgg16_gap": 13,
    "densenet40_plain": 39,
}
OPTIONS = {
    "resnet18": {"width": 0.125},
    "vgg16_gap": {"width": 0.25},
    "densenet40_plain": {"width": 0.25},
}
LARGE = {"vgg16", "vgg16_bn", "resnet50", "densenet40", "inception_v3"}  # as others, but slow


def test_every_network_is_here():
    assert {*GROUPS, *LARGE} == set(models.MODELS)


@pytest.fixture(scope="module")
def networks():
    """Each network with all its variables random, moving statistics too, and its input."""
    rng, made = np.random.default_rng(0), {}

    def get(name):
        if name not in made:
            size = 32 if name.startswith("vgg") else 28
            model = models.build(name, (size, size, 3), 10, **OPTIONS.get(name, {}))
            weights = alignment.get_weights(model)
            for place, value in enumerate(weights):
                if value.ndim == 1:
                    weights[place] = rng.uniform(0.5, 1.5, value.shape).astype(np.float32)
            alignment.put_weights(model, weights)
            images = tf.random.stateless_normal((4, size, size, 3), [0, 1])
            made[name] = model, permutations.find(model), weights, images
        return made[name]

    return get


@pytest.mark.parametrize("name", GROUPS)
def test_a_permuted_network_computes_the_same(networks, name):
    model, symmetry, weights, images = networks(name)
    assert len(symmetry.sizes) == GROUPS[name]
    before = model(images, training=False).numpy()
    found = permutations.random_permutations(symmetry, np.random.default_rng(1))
    moved = permutations.permute(symmetry, found, weights)
    changed = sum((one != other).any() for one, other in zip(moved, weights))
    assert changed >= len(symmetry.sizes)
    alignment.put_weights(model, moved)
    after = model(images, training=False).numpy()
    alignment.put_weights(model, weights)
    # Sums in another order: float32 roundoff over at most 30 layers.
    assert np.abs(after - before).max() < 2e-5 * np.abs(before).max()


def test_moving_statistics_must_move_too(networks):
    """The defect users of other code met: parameters permuted, buffers not."""
    model, symmetry, weights, images = networks("vgg16_quarter_bn")
    before = model(images, training=False).numpy()
    found = permutations.random_permutations(symmetry, np.random.default_rng(1))
    moved = permutations.permute(symmetry, found, weights)
    left = [weights[k] if k in symmetry.statistics else w for k, w in enumerate(moved)]
    assert len(symmetry.statistics) == 2 * 13
    alignment.put_weights(model, left)
    after = model(images, training=False).numpy()
    alignment.put_weights(model, weights)
    assert np.abs(after - before).max() > 0.01 * np.abs(before).max()


@pytest.mark.parametrize("name", ["wrn_28_1", "vgg16_quarter"])
def test_weight_matching_undoes_a_permutation(networks, name):
    _, symmetry, weights, _ = networks(name)
    scrambled = permutations.random_permutations(symmetry, np.random.default_rng(2))
    moved = permutations.permute(symmetry, scrambled, weights)
    found = alignment.match_weights(symmetry, weights, moved)
    back = permutations.permute(symmetry, found, moved)
    for one, value in zip(back, weights, strict=True):
        np.testing.assert_array_equal(one, value)


@pytest.fixture
def small(rng):
    """conv - norm - conv - flatten - dense, and images."""
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(5, 3, name="first")(inputs)
    x = keras.layers.ReLU()(layers.batch_norm("norm")(x))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="second")(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))
    return model, [rng.standard_normal((16, 6, 6, 2)).astype(np.float32) for _ in range(3)]


def test_activation_matching_undoes_a_permutation(small):
    model, batches = small
    symmetry, weights = permutations.find(model), alignment.get_weights(model)
    assert symmetry.sizes == {1: 5, 2: 4}
    scrambled = permutations.random_permutations(symmetry, np.random.default_rng(3))
    moved = permutations.permute(symmetry, scrambled, weights)
    found = alignment.match_activations(model, symmetry, weights, moved, batches)
    back = permutations.permute(symmetry, found, moved)
    for one, value, own in zip(back, weights, alignment.get_weights(model), strict=True):
        np.testing.assert_array_equal(one, value)
        np.testing.assert_array_equal(own, value)


def test_matching_never_lowers_the_inner_product(small, rng):
    model, _ = small
    symmetry, weights = permutations.find(model), alignment.get_weights(model)
    others = [rng.standard_normal(w.shape) for w in weights]
    trained = [k for k, v in enumerate(model.weights) if v.trainable]

    def product(moved):
        return sum(np.vdot(weights[k], moved[k]) for k in trained)

    found = alignment.match_weights(symmetry, weights, others)
    best = product(permutations.permute(symmetry, found, others))
    assert best > product(others)
    # No exchange of two neurons gains: it is a local maximum, as each assignment is exact.
    for group, size in symmetry.sizes.items():
        for i in range(size):
            for j in range(i):
                swapped = found[group].copy()
                swapped[[i, j]] = swapped[[j, i]]
                other = permutations.permute(symmetry, {**found, group: swapped}, others)
                assert product(other) <= best + 1e-9


def test_an_unknown_layer_is_named():
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, keras.layers.LSTM(2, name="memory")(inputs))
    with pytest.raises(ValueError, match="LSTM"):
        permutations.find(model)


def test_repair_gives_the_statistics_between_the_ends(rng):
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(5, 3, activation="relu", name="first")(inputs)
    x = keras.layers.Dense(4, activation="relu", name="second")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))
    ends = tuple(
        [rng.standard_normal(w.shape).astype(np.float32) for w in alignment.get_weights(model)]
        for _ in range(2)
    )
    batches = [rng.standard_normal((64, 6, 6, 2)).astype(np.float32)]

    def moments(weights):
        """Mean and deviation of both pre-activations, by TensorFlow's own operations."""
        kernel, bias, dense, dense_bias, *_ = weights
        one = tf.nn.conv2d(batches[0], kernel, 1, "VALID") + bias
        two = tf.reshape(tf.nn.relu(one), (64, -1)) @ dense + dense_bias
        rows = [x.numpy().reshape(-1, x.shape[-1]) for x in (one, two)]
        return [(x.mean(axis=0), x.std(axis=0)) for x in rows]

    repair.repair(model, ends, 0.25, batches)
    found, first, second = (moments(w) for w in (alignment.get_weights(model), *ends))
    plain = moments([0.75 * one + 0.25 * other for one, other in zip(*ends)])
    for layer in range(2):
        for statistic in range(2):
            expected = 0.75 * first[layer][statistic] + 0.25 * second[layer][statistic]
            np.testing.assert_allclose(found[layer][statistic], expected, rtol=1e-3, atol=1e-3)
        assert np.abs(plain[layer][1] / found[layer][1] - 1).max() > 0.05


def test_repair_refuses_batch_norm(small):
    model, batches = small
    weights = alignment.get_weights(model)
    with pytest.raises(ValueError, match="without batch norm"):
        repair.repair(model, (weights, weights), 0.5, batches)
