"""The two networks of Wu, Ma, E 2018: exact counts and the released code's initial weights."""

import keras
import numpy as np
import pytest

from repro import models


@pytest.mark.parametrize(
    "name, shape, classes, count",
    [
        ("fnn", (28, 28, 1), 10, 898_510),
        ("fnn_tenth", (28, 28, 1), 10, 785 * 50 + 2 * 51 * 50 + 51 * 10),
        ("vgg_small", (32, 32, 3), 2, 71_410),
    ],
)
def test_number_of_parameters(name, shape, classes, count):
    assert models.build(name, shape, classes).count_params() == count


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.5])
def test_dense_layers_start_as_pytorchs(gain):
    keras.utils.set_random_seed(0)
    model = models.build("fnn", (28, 28, 1), 10, gain=gain)
    for layer, fan_in in (("dense_1", 784), ("dense_2", 500), ("logits", 500)):
        kernel, bias = model.get_layer(layer).get_weights()
        bound = fan_in**-0.5
        # The largest of m uniform draws is within 20 / m of the bound, but for e^-20 of cases.
        assert gain * bound * (1 - 20 / kernel.size) < np.abs(kernel).max() <= gain * bound * 1.0001
        assert np.abs(bias).max() <= bound * 1.0001 and np.abs(bias).max() > 0.5 * bound
        # Uniform: the standard deviation is the bound over sqrt(3), to 4 standard errors.
        assert kernel.std() == pytest.approx(gain * bound / 3**0.5, rel=4 / kernel.size**0.5)


def test_convolutions_start_with_their_fan_out():
    keras.utils.set_random_seed(0)
    model = models.build("vgg_small", (32, 32, 3), 2)
    for number, width in enumerate((16, 16, 32, 64, 64), start=1):
        kernel, bias = model.get_layer(f"conv_{number}").get_weights()
        expected = (2 / (9 * width)) ** 0.5
        assert kernel.std() == pytest.approx(expected, rel=4 / kernel.size**0.5)
        assert not bias.any()
