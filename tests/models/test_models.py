"""The papers' networks: exact numbers of parameters, float32 logits, reproducible weights."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro import models

SHAPE = (28, 28, 3)
# Zhang et al. 2017, Table 1. The seed's batch norm in downsample modules only exchanges biases for
# as many betas; WRN-28-1 is counted in the first author's later demonstration.
PARAMETERS = {
    "inception": 1_649_402,
    "inception_no_bn": 1_649_402,
    "inception_bn_downsample_only": 1_649_402,
    "alexnet": 1_387_786,
    "mlp_1x512": 1_209_866,
    "mlp_3x512": 1_735_178,
    "wrn_28_1": 369_498,
    # Liu et al. 2020, as their code builds them
    "resnet18": 11_173_962,
    "resnet50": 23_520_842,
    "vgg16_gap": 14_728_266,
    "densenet40": 176_122,
    "densenet40_plain": 1_019_722,
}


# Of 32x32x3: Garipov et al.'s code; a quarter of the channels, counted by hand.
VGG_PARAMETERS = {
    "vgg16": 15_245_130,
    "vgg16_bn": 15_253_578,
    "vgg16_quarter": 955_098,
    "vgg16_quarter_bn": 957_210,
}


@pytest.fixture(scope="module")
def network():
    """Return each network, built once."""
    built = {}

    def get(name):
        if name not in built:
            built[name] = models.build(name, SHAPE, 10)
        return built[name]

    return get


@pytest.fixture
def images():
    return tf.random.stateless_normal((4, *SHAPE), [0, 0])


def test_every_network_is_counted():
    elsewhere = {
        "inception_v3",
        "fnn",
        "fnn_tenth",
        "vgg_small",
    }  # below, and in test_wu_networks.py
    assert {*PARAMETERS, *VGG_PARAMETERS, *elsewhere} == set(models.MODELS)


def test_inception_v3():
    """The published network has 23,851,784 weights, of which 34,432 are moving statistics."""
    model = models.build("inception_v3", (299, 299, 3), 1000, dropout_rate=0.2)
    assert sum(np.prod(v.shape) for v in model.trainable_variables) == 23_851_784 - 34_432
    assert model.output.shape == (None, 1000)
    assert model.output.dtype == "float32"


@pytest.mark.parametrize("name", PARAMETERS)
def test_number_of_parameters(network, name):
    weights = network(name).trainable_variables
    assert sum(np.prod(v.shape) for v in weights) == PARAMETERS[name]


@pytest.mark.parametrize("name", VGG_PARAMETERS)
def test_vgg(name):
    model = models.build(name, (32, 32, 3), 10)
    assert sum(np.prod(v.shape) for v in model.trainable_variables) == VGG_PARAMETERS[name]
    norms = sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    assert norms == (13 if name.endswith("bn") else 0)
    assert sum(isinstance(layer, keras.layers.Dropout) for layer in model.layers) == 2
    assert model.output.shape == (None, 10)


def test_vgg_needs_32_pixels():
    with pytest.raises(ValueError, match="vgg16_quarter needs images of 32x32"):
        models.build("vgg16_quarter", SHAPE, 10)


def test_batch_norm_is_where_the_name_says(network):
    def normalised(name):
        kind = keras.layers.BatchNormalization
        return [layer.name for layer in network(name).layers if isinstance(layer, kind)]

    # Figure 3: a stem, 8 inception modules of two convolutions, 2 downsample modules of one
    assert len(normalised("inception")) == 19
    assert normalised("inception_no_bn") == []
    partly = normalised("inception_bn_downsample_only")
    assert len(partly) == 2
    assert all("downsample" in layer for layer in partly)


@pytest.mark.parametrize("name", ["inception", "inception_no_bn", "inception_bn_downsample_only"])
def test_inception_has_the_maps_of_figure_3(network, name):
    """Channels after every module, and sides 28 -> 14 -> 7."""
    modules = [
        (28, 64),
        (28, 80),
        (14, 160),
        (14, 160),
        (14, 160),
        (14, 160),
        (14, 144),
        (7, 240),
        (7, 336),
        (7, 336),
    ]
    shapes = [
        layer.output.shape[1:]
        for layer in network(name).layers
        if isinstance(layer, keras.layers.Concatenate)
    ]
    assert shapes == [(side, side, channels) for side, channels in modules]


@pytest.mark.parametrize("name", PARAMETERS)
def test_logits_are_float32_of_the_right_shape(network, images, name):
    logits = network(name)(images, training=False)
    assert logits.shape == (4, 10)
    assert logits.dtype == tf.float32
    assert np.isfinite(logits).all()
    assert np.ptp(logits, axis=0).min() > 0  # they depend on the image


@pytest.mark.parametrize("name", ["inception", "alexnet", "mlp_1x512", "wrn_28_1"])
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_weights_and_logits_float32(policy, images, name, precision):
    policy(precision)
    model = models.build(name, SHAPE, 10)
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    logits = model(images, training=False)
    assert logits.dtype == tf.float32
    half = [layer for layer in model.layers if layer.compute_dtype == precision[len("mixed_") :]]
    assert any(isinstance(layer, keras.layers.Conv2D | keras.layers.Dense) for layer in half)


@pytest.mark.parametrize("name", PARAMETERS)
def test_networks_can_be_built_in_float64(float64, name):
    """Tests of second derivatives need it, down to the logits."""
    model = models.build(name, (8, 8, 3), 4)
    assert {v.dtype for v in model.trainable_variables} == {"float64"}
    assert model(np.zeros((1, 8, 8, 3))).dtype == tf.float64


@pytest.mark.parametrize("name", ["inception", "mlp_3x512", "wrn_28_1"])
def test_weights_are_keyed_by_the_seed(name):
    def weights(seed):
        keras.utils.set_random_seed(seed)
        return models.build(name, SHAPE, 10).get_weights()

    first, again, other = weights(0), weights(0), weights(1)
    for one, two in zip(first, again):
        np.testing.assert_array_equal(one, two)
    assert any((one != two).any() for one, two in zip(first, other))


@pytest.mark.parametrize("name", PARAMETERS)
def test_dropout_acts_in_training_only_and_has_no_parameters(images, name):
    model = models.build(name, SHAPE, 10, dropout_rate=0.5)
    assert sum(np.prod(v.shape) for v in model.trainable_variables) == PARAMETERS[name]
    dropped = [model(images, training=True).numpy() for _ in range(2)]
    assert (dropped[0] != dropped[1]).any()
    np.testing.assert_array_equal(model(images, training=False), model(images, training=False))


@pytest.mark.parametrize("name", PARAMETERS)
def test_without_dropout_training_mode_is_deterministic(network, images, name):
    np.testing.assert_array_equal(
        network(name)(images, training=True), network(name)(images, training=True)
    )


def test_initializer_reaches_every_kernel():
    model = models.build("alexnet", SHAPE, 10, initializer="zeros")
    for variable in model.trainable_variables:
        np.testing.assert_array_equal(variable, 0)


@pytest.mark.parametrize("name", models.WIDTHS)
def test_half_the_width(name):
    """Kernels between layers shrink fourfold, those from 3 channels and to 10 classes twofold."""
    half = models.build(name, SHAPE, 10, width=0.5)
    count = sum(np.prod(v.shape) for v in half.trainable_variables)
    assert PARAMETERS[name] / 4 < count < PARAMETERS[name] / 3
    first = next(layer for layer in half.layers if isinstance(layer, keras.layers.Conv2D))
    assert first.filters == (12 if name == "densenet40" else 8 if "plain" in name else 32)


def test_a_network_without_width():
    with pytest.raises(ValueError, match="alexnet has no width; choose from resnet18, "):
        models.build("alexnet", SHAPE, 10, width=0.5)


@pytest.mark.parametrize("name", ["resnet18", "vgg16_gap"])
def test_initial_weights_of_pytorch(name):
    """U(-b, b) with b = fan_in^(-1/2), whose deviation is b / sqrt(3); 9,216 entries and more."""
    model = models.build(name, SHAPE, 10, width=0.5)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            kernel = np.asarray(layer.kernel)
            bound = np.prod(kernel.shape[:-1]) ** -0.5
            assert abs(kernel).max() <= bound * (1 + 1e-6)
            if kernel.size > 9000:
                assert kernel.std() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_strided_convolutions_are_padded_on_all_sides():
    """PyTorch's padding: the first output of the first strided 3x3 sees the upper left corner."""
    model = models.build("resnet18", (8, 8, 3), 10, width=0.0625)
    pads = [
        layer.padding for layer in model.layers if isinstance(layer, keras.layers.ZeroPadding2D)
    ]
    assert pads == [((1, 1), (1, 1))] * 3
    strided = [layer for layer in model.layers if getattr(layer, "strides", None) == (2, 2)]
    assert [layer.padding for layer in strided if layer.kernel_size == (3, 3)] == ["valid"] * 3


def test_number_of_classes_and_channels():
    """100 classes: 90 more columns of 512 weights and a bias; one channel: 2 * 784 * 512 fewer."""
    model = models.build("mlp_1x512", (28, 28, 1), 100)
    expected = PARAMETERS["mlp_1x512"] + 90 * 513 - 2 * 784 * 512
    assert sum(np.prod(v.shape) for v in model.trainable_variables) == expected


def test_unknown_name_lists_the_choices():
    with pytest.raises(ValueError, match=r"choose from inception, inception_no_bn, .*wrn_28_1"):
        models.build("lenet", SHAPE, 10)


def test_dense_layers_of_vgg16_can_start_as_pytorchs():
    """U(-1 / sqrt(fan in), 1 / sqrt(fan in)), as where Garipov et al. say nothing."""
    network = models.build("vgg16_quarter", (32, 32, 3), 10, torch_dense=True, initializer="zeros")
    for name, fan_in in (("dense_1", 128), ("dense_2", 128), ("logits", 128)):
        kernel = np.asarray(network.get_layer(name).kernel)
        assert kernel.shape[0] == fan_in
        assert 0.95 / fan_in**0.5 < np.abs(kernel).max() <= 1 / fan_in**0.5
    assert not np.asarray(network.get_layer("block_1_1_conv").kernel).any()


@pytest.mark.parametrize("name", ["inception", "vgg_small", "resnet18", "vgg16_quarter", "fnn"])
def test_the_seed_of_a_network(name):
    """As after set_random_seed, with dropout's draws; other random numbers go on undisturbed."""

    def build(**options):
        return models.build(name, (32, 32, 3), 4, dropout_rate=0.5, **options)

    def states(network, images):
        return [*network.get_weights(), network(images, training=True)]

    images = tf.random.stateless_normal((2, 32, 32, 3), [0, 1])
    keras.utils.set_random_seed(5)
    expected = states(build(), images)
    keras.utils.set_random_seed(1)
    undisturbed = random.random()
    keras.utils.set_random_seed(1)
    for _ in range(2):
        for one, other in zip(states(build(seed=5), images), expected, strict=True):
            np.testing.assert_array_equal(one, other)
    assert random.random() == undisturbed
    other = build(seed=6).get_weights()
    assert any((one != two).any() for one, two in zip(other, expected))


@pytest.mark.parametrize("name", models.SMALLEST)
def test_images_too_small_are_refused_in_one_line(name):
    smallest = models.SMALLEST[name]
    with pytest.raises(ValueError) as refusal:
        models.build(name, (smallest, smallest - 1, 3), 10)
    expected = f"{name} needs images of {smallest}x{smallest} or more, not {smallest}x"
    assert str(refusal.value) == f"{expected}{smallest - 1}"


@pytest.mark.parametrize("name", models.MODELS)
def test_every_network_takes_grey_images_of_the_smallest_size(name):
    size = models.SMALLEST.get(name, 1)
    options = {"width": 0.0625} if name in models.WIDTHS else {}
    model = models.build(name, (size, size, 1), 3, **options)
    logits = model(np.ones((2, size, size, 1), np.float32), training=False)
    assert logits.shape == (2, 3)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 0), (None, 28, 3), (0, 28, 3)])
def test_shapes_that_are_none(shape):
    with pytest.raises(ValueError, match="input_shape must be"):
        models.build("fnn", shape, 10)
    with pytest.raises(ValueError, match="num_classes must be 1 or more"):
        models.build("fnn", (28, 28, 1), 0)
