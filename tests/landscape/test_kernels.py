"""Filters of random directions, layer by layer, against norms taken by hand."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers

from repro.landscape import directions, points
from repro.landscape.kernels import neuron_axes


def directed(inputs, layer, **options):
    """Return weights of a one-layer network and a random direction at them, each by name."""
    inputs = keras.Input(inputs)
    outputs = layer(inputs, inputs) if "Attention" in type(layer).__name__ else layer(inputs)
    model = keras.Model(inputs, outputs)
    rng, weights = np.random.default_rng(1), points.get(model)
    weights = [w + rng.standard_normal(w.shape).astype(w.dtype) for w in weights]
    found = directions.random(model, weights, 0, **options)
    names = ["/".join(v.path.split("/")[-2:]) for v in model.trainable_variables]
    return {name: (w, d) for name, w, d in zip(names, weights, found)}, model


def assert_filters(w, d, neurons):
    """Each neuron's part of the direction has the norm of its weights."""
    w, d = (np.moveaxis(x, neurons, range(len(neurons))) for x in (w, d))
    for place in itertools.product(*map(range, w.shape[: len(neurons)])):
        assert np.linalg.norm(d[place]) == pytest.approx(np.linalg.norm(w[place]), rel=1e-5)


@pytest.mark.parametrize(
    ("layer", "neurons"),
    [
        (layers.DepthwiseConv2D(3, depth_multiplier=2, name="x"), {"x/kernel": (2, 3)}),
        (layers.Conv2DTranspose(5, 3, name="x"), {"x/kernel": (2,)}),
        (
            layers.SeparableConv2D(5, 3, name="x"),
            {"x/depthwise_kernel": (2, 3), "x/pointwise_kernel": (3,)},
        ),
        (layers.Conv2D(4, 3, groups=2, name="x"), {"x/kernel": (3,)}),
    ],
)
def test_filters_of_images(layer, neurons):
    found, _ = directed((8, 8, 4), layer)
    assert {*found} == {*neurons, "x/bias"}
    for name, axes in neurons.items():
        assert_filters(*found[name], axes)
    assert not found["x/bias"][1].any()


def test_attention_has_neurons_by_head_and_biases_of_two_axes():
    found, _ = directed((6, 4), layers.MultiHeadAttention(2, 3))
    assert_filters(*found["query/kernel"], (1, 2))  # [inputs, heads, neurons]
    assert_filters(*found["attention_output/kernel"], (2,))  # [heads, neurons, outputs]
    assert found["query/bias"][0].shape == (2, 3)
    assert not found["query/bias"][1].any()
    found, _ = directed((6, 4), layers.MultiHeadAttention(2, 3), vectors="random")
    w, d = found["query/bias"]
    assert np.linalg.norm(d) == pytest.approx(np.linalg.norm(w), rel=1e-5)


def test_recurrent_biases_are_vectors():
    """Those of a GRU have two axes: one set each for inputs and state."""
    found, _ = directed((6, 4), layers.GRU(3, name="x"))
    assert found["gru_cell/bias"][0].shape == (2, 9)
    assert not found["gru_cell/bias"][1].any()
    assert_filters(*found["gru_cell/recurrent_kernel"], (1,))


def test_norms_of_several_axes_are_vectors():
    found, _ = directed((6, 4), layers.LayerNormalization(axis=[1, 2], name="x"))
    assert found["x/gamma"][0].shape == (6, 4)
    assert not any(d.any() for _, d in found.values())


def test_dense_layers_and_convolutions_count_neurons_last():
    inputs = keras.Input((6, 6, 2))
    x = layers.BatchNormalization()(layers.Conv2D(5, 3)(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    assert neuron_axes(model) == [(3,), None, None, None, (1,), None]


def test_a_weight_of_an_unknown_layer_is_named():
    class Own(layers.Layer):
        def build(self, shape):
            self.table = self.add_weight(shape=(3, 4), name="table")

        def call(self, x):
            return x @ self.table

    inputs = keras.Input((3,))
    with pytest.raises(ValueError, match=r"axes of own/table \[3, 4\] .* Own is no layer of Keras"):
        neuron_axes(keras.Model(inputs, Own(name="own")(inputs)))


def test_weights_of_another_network_are_refused():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(2)(inputs))
    with pytest.raises(ValueError, match="different networks"):
        directions.random(model, [np.zeros((4, 2)), np.zeros(2)], 0)
