"""Neurons of any graph change places without changing the function, or the layer is named.

In float64 a sum in another order differs by about 1e-15 of its terms: 1e-12 leaves room.
"""

import keras
import numpy as np
import pytest
from keras import layers

from repro.landscape import alignment, permutations

Dense = layers.Dense


@pytest.fixture(autouse=True)
def exact(float64):
    """All networks here compute in float64."""


def flat():
    inputs = keras.Input((5,))
    return inputs, Dense(8, "relu", name="hidden")(inputs)


def image():
    inputs = keras.Input((6, 6, 3))
    return inputs, layers.Conv2D(8, 3, padding="same", activation="tanh", name="first")(inputs)


def two_heads():
    inputs, h = flat()
    return keras.Model(inputs, [Dense(4)(h), Dense(2)(h)])


def shared_layer():
    inputs, h = flat()
    again = Dense(8, "tanh")
    return keras.Model(inputs, Dense(2)(again(again(h))))


def shared_over_two_inputs():
    one, other = keras.Input((5,)), keras.Input((5,))
    tower = Dense(6, "tanh")
    return keras.Model([one, other], Dense(2)(layers.Concatenate()([tower(one), tower(other)])))


def hidden_output():
    inputs, h = flat()
    return keras.Model(inputs, {"hidden": h, "logits": Dense(2)(Dense(7, "relu")(h))})


def residual_output():
    inputs, h = flat()
    return keras.Model(inputs, h + Dense(8)(h))


def residual():
    inputs, h = flat()
    return keras.Model(inputs, Dense(3)(keras.ops.relu(h + Dense(8)(h)) * 2.0))


def gated():
    inputs, h = image()
    gate = Dense(8, "sigmoid")(Dense(4, "relu")(layers.GlobalAveragePooling2D(keepdims=True)(h)))
    return keras.Model(inputs, Dense(2)(layers.Flatten()(layers.Multiply()([h, gate]))))


def sequential():
    return keras.Sequential([keras.Input((5,)), Dense(4, "tanh"), Dense(3)])


def towers_of_equal_names():
    def tower():
        return keras.Sequential([keras.Input((5,)), Dense(4, "tanh", name="a"), Dense(6, name="b")])

    inputs = keras.Input((5,))
    return keras.Model(inputs, Dense(2)(layers.Add()([tower()(inputs), tower()(inputs)])))


def nested_twice():
    inner = keras.Sequential([keras.Input((8,)), Dense(5, "relu"), Dense(8)])
    inputs, h = flat()
    return keras.Model(inputs, Dense(2)(inner(inner(h))))


def grouped():
    inputs, h = image()
    h = layers.Conv2D(12, 3, groups=2, activation="relu")(h)
    return keras.Model(inputs, Dense(2)(layers.Flatten()(layers.Conv2D(6, 1)(h))))


def depthwise():
    inputs, h = image()
    h = layers.BatchNormalization()(layers.DepthwiseConv2D(3)(h))
    h = layers.SeparableConv2D(5, 2)(layers.PReLU(shared_axes=[1, 2])(h))
    return keras.Model(inputs, Dense(2)(layers.GlobalMaxPooling2D()(h)))


def depthwise_of_two():
    inputs, h = image()
    return keras.Model(
        inputs, Dense(2)(layers.Flatten()(layers.DepthwiseConv2D(3, depth_multiplier=2)(h)))
    )


def transposed():
    inputs, h = image()
    h = layers.LayerNormalization()(layers.Conv2DTranspose(5, 2, 2)(h))
    return keras.Model(inputs, layers.Conv2D(2, 3)(layers.UpSampling2D()(h)))


def normalised_over_rows():
    inputs, h = image()
    return keras.Model(inputs, Dense(2)(layers.Flatten()(layers.BatchNormalization(axis=1)(h))))


def words():
    inputs = keras.Input((4,), dtype="int32")
    h = layers.Conv1D(6, 2, activation="relu")(layers.Embedding(9, 5)(inputs))
    return keras.Model(inputs, Dense(2)(layers.GlobalAveragePooling1D()(h)))


# Sizes of the groups that can move, by hand.
GRAPHS = {
    two_heads: [8],
    shared_layer: [8],
    shared_over_two_inputs: [6],
    hidden_output: [7],
    residual_output: [],
    residual: [8],
    gated: [8, 4],
    sequential: [4],
    towers_of_equal_names: [4, 4, 6],
    nested_twice: [5, 8],
    grouped: [6, 6, 6],
    depthwise: [8, 5],
    depthwise_of_two: [],
    transposed: [8, 5],
    normalised_over_rows: [8],
    words: [5, 6],
}


def outputs(model, weights, inputs):
    alignment.put_weights(model, weights)
    return [np.asarray(x) for x in keras.tree.flatten(model(inputs, training=False))]


def examples(model, rng):
    def draw(x):
        shape = (3, *x.shape[1:])
        return rng.integers(0, 9, shape) if "int" in x.dtype else rng.standard_normal(shape)

    drawn = [draw(x) for x in model.inputs]
    return drawn if len(drawn) > 1 else drawn[0]


@pytest.mark.parametrize("make", GRAPHS)
def test_the_function_stays(make, rng):
    model = make()
    symmetry = permutations.find(model)
    assert sorted(symmetry.sizes.values()) == sorted(GRAPHS[make])
    weights = [
        rng.uniform(0.5, 1.5, w.shape) if w.ndim == 1 else rng.standard_normal(w.shape)
        for w in alignment.get_weights(model)
    ]
    found = permutations.random_permutations(symmetry, rng)
    moved = permutations.permute(symmetry, found, weights)
    inputs = examples(model, rng)
    for before, after in zip(outputs(model, weights, inputs), outputs(model, moved, inputs)):
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-12 * abs(before).max())
    if symmetry.sizes:
        assert any((one != other).any() for one, other in zip(moved, weights))


@pytest.mark.parametrize("make", [shared_layer, nested_twice, towers_of_equal_names, grouped])
def test_weight_matching_never_lowers_the_product(make, rng):
    """Also where a group lies along both axes of a kernel and no linear assignment is best."""
    model = make()
    symmetry = permutations.find(model)
    weights, others = ([rng.standard_normal(v.shape) for v in model.weights] for _ in range(2))
    found = alignment.match_weights(symmetry, weights, others)
    moved = permutations.permute(symmetry, found, others)
    gain = sum(np.vdot(w, m - o) for w, m, o in zip(weights, moved, others))
    assert gain > 0


def test_activation_matching_through_shared_and_nested_layers(rng):
    model = nested_twice()
    symmetry, weights = permutations.find(model), alignment.get_weights(model)
    moved = permutations.permute(symmetry, permutations.random_permutations(symmetry, rng), weights)
    data = [(rng.standard_normal((40, 5)), np.zeros(40)) for _ in range(2)]
    found = alignment.match_activations(model, symmetry, weights, moved, data)
    for back, value in zip(permutations.permute(symmetry, found, moved), weights):
        np.testing.assert_array_equal(back, value)


class Scaled(Dense):
    """Dense with inputs scaled one by one, and so with neurons that are not alike."""

    def call(self, inputs):
        return super().call(inputs * keras.ops.arange(1, inputs.shape[-1] + 1, dtype=inputs.dtype))


def test_a_subclass_is_refused_by_name_or_its_neurons_stay(rng):
    inputs, h = flat()
    h = Dense(6, "relu")(Scaled(7, name="scaled")(h))
    model = keras.Model(inputs, Dense(2)(h))
    with pytest.raises(ValueError, match=r"how Scaled \(scaled\) moves neurons is not known"):
        permutations.find(model)
    symmetry = permutations.find(model, unknown="pin")
    assert symmetry.pinned == ("scaled",)
    assert list(symmetry.sizes.values()) == [6]
    with pytest.raises(ValueError, match="choose from refuse, pin"):
        permutations.find(model, unknown="guess")


def test_what_is_not_equivariant_is_named():
    """An activation that treats neurons differently: no layer's type tells, the proof does."""

    def uneven(x):
        return x * keras.ops.arange(1, x.shape[-1] + 1, dtype=x.dtype)

    inputs, h = flat()
    bent = layers.Activation(uneven, name="bent")(Dense(6, "relu")(h))
    with pytest.raises(ValueError, match=r"bent \(Activation\) does not treat all its neurons"):
        permutations.find(keras.Model(inputs, Dense(2)(bent)))


def test_recurrent_layers_can_be_pinned(rng):
    inputs = keras.Input((4, 3))
    h = layers.LSTM(5)(Dense(6, "tanh")(inputs))
    model = keras.Model(inputs, Dense(2)(Dense(7, "relu")(h)))
    assert list(permutations.find(model, unknown="pin").sizes.values()) == [7]


def test_weights_of_another_network_are_refused():
    symmetry = permutations.find(sequential())
    with pytest.raises(ValueError, match="must be the 4 arrays"):
        permutations.permute(symmetry, {}, [np.zeros(3)])


def test_a_model_without_a_graph_is_refused():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="no graph to read"):
        permutations.find(Own(name="own"))
    with pytest.raises(ValueError, match="not built"):
        permutations.find(keras.Sequential([Dense(2)]))
