"""Norms against closed forms, brute force over paths, and the networks of Liu et al. 2020."""

import itertools
import math

import keras
import numpy as np
import pytest
from keras import layers

from repro import models, norms
from repro.models.layers import batch_norm
from repro.norms.folding import ChannelScale, foldable

SHAPE = (32, 32, 3)
NETWORKS = {
    "resnet18": 0.0625,
    "resnet50": 0.0625,
    "vgg16_gap": 0.0625,
    "densenet40": 0.34,
    "densenet40_plain": 0.17,
    "wrn_28_1": None,
}


def disturb(model, seed=0):
    """Give batch norm statistics, gains and shifts that folding cannot overlook."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.moving_mean.shape
            layer.gamma.assign(rng.uniform(0.5, 1.5, size) * rng.choice([-1, 1], size))
            layer.beta.assign(rng.normal(0, 0.3, size))
            layer.moving_mean.assign(rng.normal(0, 0.3, size))
            layer.moving_variance.assign(rng.uniform(0.5, 2, size))


@pytest.fixture(scope="module")
def network():
    """Each network, narrow, with disturbed batch norm, built once."""
    built = {}

    def get(name):
        if name not in built:
            keras.utils.set_random_seed(0)
            options = {"width": NETWORKS[name]} if NETWORKS[name] else {}
            built[name] = models.build(name, SHAPE, 10, **options)
            disturb(built[name])
        return built[name]

    return get


# --- folding --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_folding_changes_no_logit(network, name, rng):
    """The network computes in float32: 1e-6 times the depth and the size of its activations."""
    model = network(name)
    folded = norms.fold_batch_norm(model)
    images = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    expected = np.asarray(model(images, training=False))
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in folded.layers)
    assert abs(np.asarray(folded(images)) - expected).max() < 1e-4 * max(1, abs(expected).max())


def test_what_can_be_folded(network):
    """All of the ResNets' and VGG's; of DenseNet-BC's the 18 behind bottlenecks."""
    count = {name: len(foldable(network(name))) for name in NETWORKS}
    assert count["resnet18"] == 20
    assert count["resnet50"] == 53
    assert count["vgg16_gap"] == 13
    assert count["densenet40"] == 18
    assert count["densenet40_plain"] == 0
    scales = [
        x
        for x in norms.fold_batch_norm(network("densenet40")).layers
        if isinstance(x, ChannelScale)
    ]
    assert len(scales) == 18 + 2 + 1  # layers, transitions, the end


def test_refold_brings_the_copy_up_to_date(network, rng):
    model = network("vgg16_gap")
    folded = norms.fold_batch_norm(model)
    disturb(model, seed=1)
    images = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    expected = np.asarray(model(images, training=False))
    assert abs(np.asarray(folded(images)) - expected).max() > 1e-3
    norms.refold(model, folded)
    assert abs(np.asarray(folded(images)) - expected).max() < 1e-4 * max(1, abs(expected).max())


def test_dense_layers_fold_and_activations_stand_in_the_way(rng):
    inputs = keras.Input((4,))
    x = batch_norm("a")(layers.Dense(5, name="linear")(inputs))
    x = batch_norm("b")(layers.Dense(6, activation="relu", name="relu")(x))
    model = keras.Model(inputs, layers.Dense(2)(x))
    disturb(model)
    assert foldable(model) == {"a": "linear"}
    points = rng.normal(size=(7, 4)).astype(np.float32)
    folded = norms.fold_batch_norm(model)
    np.testing.assert_allclose(folded(points), model(points, training=False), atol=1e-5)


# --- Frobenius ------------------------------------------------------------------------------------


def test_frobenius_of_known_weights():
    """Kernels of all 2 (3x4) and all 3 (4x2), biases of 1: sums of squares 48, 72 and 6."""
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.Dense(2)])
    model.set_weights([np.full((3, 4), 2), np.ones(4), np.full((4, 2), 3), np.ones(2)])
    found = norms.frobenius(model)
    assert found["frobenius_squared"] == pytest.approx(126)
    assert found["frobenius"] == pytest.approx(math.sqrt(126))
    assert found["log10_product_squared"] == pytest.approx(math.log10(48 * 72))
    assert found["log10_product"] == pytest.approx(math.log10(48 * 72) / 2)


def test_products_do_not_overflow():
    """Three kernels of norm 1e30 each: their squares' product, 1e180, is beyond float32."""
    model = keras.Sequential([keras.Input((1,)), *(layers.Dense(1) for _ in range(3))])
    model.set_weights([np.full(v.shape, 1e30) for v in model.weights])
    assert norms.frobenius(model)["log10_product_squared"] == pytest.approx(180)
    assert norms.frobenius(model)["log10_product"] == pytest.approx(90)


def test_path_norms_do_not_overflow():
    """Five weights of 1e20 in float32, without batch norm: one path of 1e100, biases start none."""
    model = keras.Sequential([keras.Input((1,)), *(layers.Dense(1) for _ in range(5))])
    model.set_weights([np.full(v.shape, 1e20 if v.ndim == 2 else 0.0) for v in model.weights])
    assert norms.log10_path_norm(model, 1) == pytest.approx(100)


@pytest.mark.parametrize(
    "layer", [layers.ReLU(max_value=6.0), layers.Activation("sigmoid"), layers.LayerNormalization()]
)
def test_networks_without_path_norms_are_refused(layer):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), layer, layers.Dense(2)])
    with pytest.raises(ValueError, match="no path norm through"):
        norms.check_paths(model)
    norms.check_paths(keras.Sequential([keras.Input((3,)), layers.Activation("relu")]))


def test_what_is_also_an_output_is_not_folded_into(rng):
    inputs = keras.Input((4,))
    read = layers.Dense(5, name="read")(inputs)
    model = keras.Model(inputs, [read, layers.Dense(2)(batch_norm("norm")(read))])
    disturb(model)
    points = rng.normal(size=(7, 4)).astype(np.float32)
    for output, expected in zip(norms.fold_batch_norm(model)(points), model(points)):
        np.testing.assert_allclose(output, expected, atol=1e-5)


def test_resnet18_starts_at_36_decades():
    """PyTorch's default: E||W||^2 = outputs / 3, for 5 layers each of 64, 128, 256, 512 and 10.

    The largest kernels have millions of entries, the last layer 5,120: 0.02 decades are 4 sigma.
    """
    keras.utils.set_random_seed(0)
    found = norms.frobenius(models.build("resnet18", SHAPE, 10))
    expected = 5 * sum(math.log10(c / 3) for c in (64, 128, 256, 512)) + math.log10(10 / 3)
    assert expected == pytest.approx(36.1, abs=0.05)
    assert found["log10_product_squared"] == pytest.approx(expected, abs=0.05)
    assert found["log10_product"] == pytest.approx(18.06, abs=0.05)


# --- paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1, 2])
def test_path_norm_equals_enumeration(p, rng):
    """All paths from each input or bias to each output of a 3-4-2 network, one by one."""
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2)])
    first, b, second, c = weights = [rng.normal(size=v.shape) for v in model.weights]
    model.set_weights(weights)
    total = 0.0
    for hidden, out in itertools.product(range(4), range(2)):
        for source in range(3):
            total += abs(first[source, hidden] * second[hidden, out]) ** p
        total += abs(b[hidden] * second[hidden, out]) ** p
    total += sum(abs(c[out]) ** p for out in range(2))
    assert norms.path_norm(model, p) == pytest.approx(total ** (1 / p), rel=1e-5)


@pytest.mark.parametrize("p", [1, 2])
def test_path_norm_through_batch_norm_a_branch_and_pooling(p, rng):
    """Two pixels, two channels, 1x1 convolution, batch norm, shortcut, mean over pixels, dense."""
    inputs = keras.Input((1, 2, 2))
    x = layers.Conv2D(2, 1, name="conv")(inputs)
    x = layers.Add()([layers.ReLU()(batch_norm("norm")(x)), inputs])
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    disturb(model)
    for name in ("conv", "dense"):
        layer = next(layer for layer in model.layers if layer.name.startswith(name))
        layer.set_weights([rng.normal(size=v.shape) for v in layer.weights])
    conv, dense = (
        [np.asarray(v) for v in layer.weights]
        for layer in (model.get_layer("conv"), model.layers[-1])
    )
    gamma, beta, mean, variance = (np.asarray(v) for v in model.get_layer("norm").get_weights())
    scale = gamma / np.sqrt(variance + model.get_layer("norm").epsilon)
    total = np.sum(abs(dense[1]) ** p)
    for _, channel, out in itertools.product(range(2), range(2), range(3)):  # the two pixels
        end = abs(dense[0][channel, out]) ** p / 2
        total += end  # the shortcut
        for source in range(2):
            total += abs(conv[0][0, 0, source, channel] * scale[channel]) ** p * end
        shift = beta[channel] + scale[channel] * (conv[1][channel] - mean[channel])
        total += abs(shift) ** p * end
    assert norms.path_norm(model, p) == pytest.approx(total ** (1 / p), rel=1e-5)


@pytest.mark.parametrize(
    "name", ["resnet18", "vgg16_gap", pytest.param("densenet40", marks=pytest.mark.slow)]
)
def test_rescaling_under_batch_norm(network, name, rng):
    """A doubled convolution leaves the path norm alone, and not the JAX rerun's version of it."""
    found = norms.rescaling_check(network(name), rng.normal(size=(2, *SHAPE)))
    assert found["folding_error"] < 1e-10
    assert abs(found["log10_path_l2_change"]) < 1e-6  # float32's rounding of the variance
    if name != "vgg16_gap":  # here the running means that are still subtracted silence a layer
        assert abs(found["log10_around_batch_norm_change"]) > 1e-3


def test_what_is_not_positively_linear_has_no_path_norm():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, "tanh", name="bent")])
    with pytest.raises(ValueError, match=r"no path norm through bent \(Dense\)"):
        norms.path_norm(model, 1)


def test_path_norm_beyond_float64_is_infinite():
    model = keras.Sequential([keras.Input((1,)), *(layers.Dense(1) for _ in range(11))])
    model.set_weights([np.full(v.shape, 1e30) for v in model.weights])
    assert norms.path_norm(norms.fold_batch_norm(model), 1) == math.inf


# --- distances, margins, all at once --------------------------------------------------------------


def test_distances_with_and_without_batch_norm():
    """Kernel 2x2 from 1 to 4 (36 moved, 4 to start with); gamma from 1 to 3, beta 0 to 1."""
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2, use_bias=False), batch_norm("n")])
    model.layers[0].set_weights([np.ones((2, 2))])
    start = norms.snapshot(model)
    assert norms.distances(start, model)["all"] == 0
    model.layers[0].set_weights([np.full((2, 2), 4.0)])
    model.layers[1].gamma.assign([3, 3])
    model.layers[1].beta.assign([1, 1])
    model.layers[1].moving_mean.assign([9, 9])  # a statistic, no weight
    found = norms.distances(start, model)
    assert found["without_bn"] == pytest.approx(6)
    assert found["all"] == pytest.approx(math.sqrt(36 + 2 * 4 + 2))
    assert found["relative_without_bn"] == pytest.approx(6 / 2)
    assert found["relative"] == pytest.approx(math.sqrt(46) / math.sqrt(4 + 2))


def test_margins():
    logits = np.array([[3.0, 1, 0], [0, 2, 5], [1, 1, 0]])
    found = norms.margins(logits, np.array([0, 1, 0]))  # 2, -3, 0
    assert found["mean"] == pytest.approx(-1 / 3)
    assert (found["lowest"], found["median"]) == (-3, 0)
    assert found["quantile_05"] == pytest.approx(-2.7)
    assert found["positive"] == pytest.approx(1 / 3)
    np.testing.assert_array_equal(logits[0], [3, 1, 0])  # not overwritten


def test_readings_follow_the_weights(network):
    model = network("resnet18")
    measure = norms.readings(model)
    before = measure()
    assert before == measure()
    assert before["log10_path_l2"] == pytest.approx(norms.log10_path_norm(model, 2))
    kernel = model.get_layer("logits").kernel
    kernel.assign(10 * kernel.value)
    after = measure()
    kernel.assign(kernel.value / 10)
    for name in ("log10_product", "folded_log10_product"):
        assert after[name] == pytest.approx(before[name] + 1, abs=1e-5)
