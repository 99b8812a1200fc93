"""The graph of a model: every call once, nested models opened, run and built again alike."""

import keras
import numpy as np
import pytest
from keras import layers

from repro.models import graph as graphs


@pytest.fixture
def nested():
    """An inner model used twice, beside a layer of the same name, and a sum."""
    inside = keras.Input((4,))
    inner = keras.Model(inside, layers.Dense(4, "tanh", name="dense")(inside), name="inner")
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="dense")(inner(inputs))
    x = keras.Sequential([keras.Input((4,)), layers.Dropout(0.5), layers.Dense(4)])(x)
    return keras.Model(inputs, {"sum": x + inner(x), "x": x})


def test_calls_of_nested_and_shared_layers(nested):
    graph = graphs.trace(nested)
    names = [call.name for call in graph.calls]
    assert names.count("inner_dense") == 2
    assert names.count("dense") == 1
    assert len(names) == 2 + 1 + 2 + 1
    assert len(graph.layers()) == 4
    dense = graph.layers()
    assert dense["inner_dense"] is nested.get_layer("inner").get_layer("dense")
    reads = graph.uses()
    x = graph.outputs["x"].number
    assert reads[x] == 3  # an output, the sum, and the inner model


def test_a_graph_runs_as_the_model_does(nested, rng):
    x = rng.standard_normal((3, 4)).astype(np.float32)
    graph, expected = graphs.trace(nested), nested(x, training=False)
    found = graphs.run(graph, x, [graph.outputs["sum"], graph.outputs["x"]])
    np.testing.assert_array_equal(found[0], expected["sum"])
    np.testing.assert_array_equal(found[1], expected["x"])


def test_a_graph_is_built_again(nested, rng):
    """From the same layers: the same outputs, with all layers at the top."""
    x = rng.standard_normal((3, 4)).astype(np.float32)

    def twin(call):
        if not isinstance(call.operation, layers.Layer):
            return call.operation
        return type(call.operation).from_config({**call.operation.get_config(), "name": call.name})

    graph = graphs.trace(nested)
    again = graphs.rebuild(graph, twin)
    for name, layer in graph.layers().items():
        again.get_layer(name).set_weights(layer.get_weights())
    for name, expected in nested(x, training=False).items():
        np.testing.assert_array_equal(again(x, training=False)[name], expected)


def test_random_inputs_fit(rng):
    words, image = keras.Input((None,), dtype="int32"), keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling1D()(layers.Embedding(7, 2)(words))
    outputs = layers.Concatenate()([x, layers.GlobalAveragePooling2D()(image)])
    model = keras.Model([words, image], outputs)
    drawn = graphs.random_inputs(graphs.trace(model), 5)
    assert drawn[0].max() < 7 and drawn[0].dtype == np.int32
    assert model(drawn).shape == (5, 5)


def test_models_without_a_graph():
    class Own(keras.Sequential):
        def call(self, inputs, training=None, mask=None):
            return 2 * super().call(inputs)

    with pytest.raises(ValueError, match=r"model own \(Own\) has no graph to read"):
        graphs.trace(Own([keras.Input((3,)), layers.Dense(2)], name="own"))
    with pytest.raises(ValueError, match="is not built: begin it with"):
        graphs.trace(keras.Sequential([layers.Dense(2)]))


def test_a_subclass_counts_as_its_parent_only_where_it_says_so():
    class Same(layers.Dense):
        computes_as = layers.Dense

    class Own(Same):
        pass

    assert graphs.kind(Same(2)) is graphs.kind(layers.Dense(2)) is layers.Dense
    assert graphs.kind(Own(2)) is Own
