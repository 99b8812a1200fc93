"""Folding, path norms and distances on models that are no chains of Keras's own layers."""

import itertools
import math

import keras
import numpy as np
import pytest
from keras import layers

from repro import norms
from repro.norms.folding import ChannelScale, foldable

Dense = layers.Dense


class Scaled(Dense):
    """Dense with a call of its own."""

    def call(self, inputs):
        return super().call(2 * inputs) + 1


def disturb(model, seed=0):
    """Give all batch norms statistics, gains and shifts that folding cannot overlook."""
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            for variable in layer.weights:
                variable.assign(rng.uniform(0.5, 2, variable.shape))


def image_model(norm, **options):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", name="conv", **options)(inputs)
    x = layers.ReLU()(norm(x))
    return keras.Model(inputs, Dense(2)(layers.Flatten()(x)))


def nested():
    def block(name):
        inside = keras.Input((5,))
        x = layers.ReLU()(layers.BatchNormalization(name="norm")(Dense(5, name="dense")(inside)))
        return keras.Model(inside, x, name=name)

    inputs = keras.Input((5,))
    again = block("again")
    return keras.Model(inputs, Dense(2)(block("once")(again(again(inputs)))))


def shared_norm():
    inputs, norm = keras.Input((5,)), layers.BatchNormalization()
    return keras.Model(inputs, norm(Dense(4)(inputs)) + norm(Dense(4)(inputs)))


def after_a_subclass():
    inputs = keras.Input((5,))
    return keras.Model(inputs, Dense(2)(layers.BatchNormalization()(Scaled(4)(inputs))))


def sequential():
    return keras.Sequential([keras.Input((5,)), Dense(4), layers.BatchNormalization(), Dense(2)])


def two_inputs():
    one, other = keras.Input((5,), name="one"), keras.Input((3,), name="other")
    x = layers.BatchNormalization()(Dense(4, use_bias=False)(layers.Concatenate()([one, other])))
    return keras.Model({"one": one, "other": other}, {"logits": Dense(2)(x), "hidden": x})


# Batch norms that go into the layer before, of all; the others become a layer of their own.
FOLDED = {
    "last axis": (lambda: image_model(layers.BatchNormalization()), 1),
    "rows": (lambda: image_model(layers.BatchNormalization(axis=1)), 0),
    "columns": (lambda: image_model(layers.BatchNormalization(axis=-2)), 0),
    "grouped": (lambda: image_model(layers.BatchNormalization(), groups=1), 1),
    "nested": (nested, 1),
    "shared norm": (shared_norm, 0),
    "after a subclass": (after_a_subclass, 0),
    "sequential": (sequential, 1),
    "two inputs": (two_inputs, 1),
    "depthwise": (
        lambda: keras.Sequential(
            [keras.Input((6, 6, 3)), layers.DepthwiseConv2D(3), layers.BatchNormalization()]
        ),
        0,
    ),
    "one dimension": (
        lambda: keras.Sequential(
            [keras.Input((6, 3)), layers.Conv1D(4, 3), layers.BatchNormalization()]
        ),
        1,
    ),
}


@pytest.mark.parametrize("name", FOLDED)
def test_folding_leaves_the_outputs(name, rng):
    """The original computes in float32, 1e-6 of its largest activations."""
    make, count = FOLDED[name]
    model = make()
    disturb(model)
    folded = norms.fold_batch_norm(model)
    assert len(foldable(model)) == count
    assert not any(isinstance(x, layers.BatchNormalization) for x in folded._flatten_layers())

    def compare(seed):
        disturb(model, seed)
        norms.refold(model, folded)
        tensors = {
            x.name: rng.standard_normal((7, *x.shape[1:])).astype("f4") for x in model.inputs
        }
        inputs = tensors if len(tensors) > 1 else next(iter(tensors.values()))
        pairs = (keras.tree.flatten(net(inputs, training=False)) for net in (model, folded))
        for expected, found in zip(*pairs, strict=True):
            scale = abs(np.asarray(expected)).max()
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale)

    for seed in (0, 1):
        compare(seed)


def test_what_cannot_be_folded_is_named():
    class Norm(layers.BatchNormalization):
        def call(self, inputs, training=None, mask=None):
            return 2 * super().call(inputs, training=training, mask=mask)

    with pytest.raises(ValueError, match=r"cannot fold mine \(Norm\): it is a subclass"):
        norms.fold_batch_norm(image_model(Norm(name="mine")))

    class Own(layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.norm = layers.BatchNormalization(name="hidden")

        def call(self, inputs):
            return self.norm(inputs)

    with pytest.raises(ValueError, match=r"the batch norm hidden inside own \(Own\)"):
        norms.fold_batch_norm(image_model(Own(name="own")))

    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="no graph to read"):
        norms.fold_batch_norm(Subclassed())


def test_folding_checks_its_own_outputs():
    """A layer whose copy is another one: its config forgets a number."""

    class Forgetful(layers.Layer):
        def __init__(self, factor=1.0, **options):
            super().__init__(**options)
            self.factor = factor

        def call(self, inputs):
            return self.factor * inputs

        def get_config(self):
            return {"name": self.name, "dtype": self.dtype}

    inputs = keras.Input((5,))
    x = layers.BatchNormalization()(Forgetful(3.0)(inputs))
    model = keras.Model(inputs, x)
    with pytest.raises(ValueError, match=r"copy of forgetful.* computes something else"):
        norms.fold_batch_norm(model)


# --- path norms -----------------------------------------------------------------------------------


def test_a_subclass_has_no_path_norm():
    with pytest.raises(ValueError, match=r"no path norm through mine \(Scaled\)"):
        norms.path_norm(keras.Sequential([keras.Input((3,)), Scaled(2, name="mine")]), 1)


def test_constants_have_no_path_norm():
    inputs = keras.Input((3,))
    with pytest.raises(ValueError, match="no path norm through"):
        norms.path_norm(keras.Model(inputs, Dense(2)(inputs) + 3.0), 1)


@pytest.mark.parametrize("p", [1, 2])
def test_path_norm_of_a_nested_residual_with_frozen_layers(p, rng):
    """Paths x -> first -> (inner or around it) -> last, one by one; frozen weights count too."""
    inner = keras.Sequential([keras.Input((4,)), Dense(4, "relu", use_bias=False)])
    inputs = keras.Input((3,))
    first, last = Dense(4, "relu", use_bias=False), Dense(2, use_bias=False)
    h = first(inputs)
    model = keras.Model(inputs, last(h + inner(h)))
    first.trainable = False
    a, b, c = (rng.standard_normal(layer.kernel.shape) for layer in (first, inner.layers[0], last))
    for layer, kernel in zip((first, inner.layers[0], last), (a, b, c)):
        layer.set_weights([kernel])
    total = 0.0
    for i, j, k in itertools.product(range(3), range(4), range(2)):
        total += abs(a[i, j] * c[j, k]) ** p
        total += sum(abs(a[i, j] * b[j, m] * c[m, k]) ** p for m in range(4))
    assert norms.path_norm(model, p) == pytest.approx(total ** (1 / p), rel=1e-5)


def test_open_sizes_have_no_path_norm():
    model = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, 3)])
    with pytest.raises(ValueError, match="open sizes"):
        norms.path_norm(model, 1)


# --- distances and margins ------------------------------------------------------------------------


def test_towers_of_equal_names_are_told_apart():
    """Each of the 2 x (5 * 2) weights moves by 1 in one tower, by 2 in the other: 10 and 40."""

    def tower():
        return keras.Sequential([keras.Input((5,)), Dense(2, use_bias=False, name="d")], name="t")

    class Both(keras.Model):
        def __init__(self):
            super().__init__()
            self.towers = [tower(), tower()]

        def call(self, x):
            return self.towers[0](x) + self.towers[1](x)

    model = Both()
    model(np.zeros((1, 5), np.float32))
    start = norms.snapshot(model)
    for number, variable in enumerate(model.trainable_variables, start=1):
        variable.assign(variable + number)
    assert len({v.path for v in model.trainable_variables}) == 1
    assert norms.distances(start, model)["all"] == pytest.approx(math.sqrt(50))


def test_batch_norm_inside_a_model_counts_as_such():
    inner = keras.Sequential([keras.Input((2,)), layers.BatchNormalization()])
    inputs = keras.Input((2,))
    model = keras.Model(inputs, Dense(2, use_bias=False)(inner(inputs)))
    start = norms.snapshot(model)
    inner.layers[0].gamma.assign([4, 1])
    model.layers[-1].kernel.assign(model.layers[-1].kernel + 2)
    found = norms.distances(start, model)
    assert found["without_bn"] == pytest.approx(4)
    assert found["all"] == pytest.approx(5)


def test_snapshots_of_another_network_are_refused():
    one, other = (keras.Sequential([keras.Input((3,)), Dense(n)]) for n in (2, 4))
    with pytest.raises(ValueError, match="must hold 2 arrays"):
        norms.distances(norms.snapshot(one), other)
    other.trainable = False
    with pytest.raises(ValueError, match="no trainable weights"):
        norms.snapshot(other)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0], [1]], r"labels must be integers \[2\]"),
        ([0.0, 1.0], "labels must be integers"),
        ([0], r"labels must be integers \[2\]"),
        ([0, 3], r"lie in 0\.\.2"),
        ([-1, 0], "lie in"),
    ],
)
def test_margins_refuse_labels_that_are_none(labels, message):
    with pytest.raises(ValueError, match=message):
        norms.margins(np.zeros((2, 3)), np.array(labels))


def test_channel_scale_can_be_made_again():
    layer = ChannelScale(axis=1)
    layer.build((None, 3, 4))
    layer.set_weights([np.arange(3.0), np.ones(3)])
    again = ChannelScale.from_config(layer.get_config())
    x = np.ones((1, 3, 4))
    np.testing.assert_array_equal(layer(x)[0], np.arange(1.0, 4)[:, None] * np.ones((3, 4)))
    assert again.axis == 1


def test_kernels_that_are_not_the_weights_held():
    """Adapters add their product to a kernel; frozen kernels are factors too."""
    model = keras.Sequential([keras.Input((3,)), Dense(4, "relu"), Dense(2)])
    expected = sum(math.log10(np.linalg.norm(layer.kernel)) for layer in model.layers)
    model.layers[0].trainable = False
    assert norms.frobenius(model)["log10_product"] == pytest.approx(expected, rel=1e-5)
    model.trainable = False
    with pytest.raises(ValueError, match="no trainable weights"):
        norms.frobenius(model)

    model.trainable = True
    model.layers[0].enable_lora(1)
    quantised = keras.Sequential([keras.Input((3,)), Dense(2)])
    quantised.layers[0].quantize("int8")
    for refused, message in ((model, "low-rank adapters"), (quantised, "quantised")):
        for measure in (norms.frobenius, norms.fold_batch_norm, lambda m: norms.path_norm(m, 1)):
            with pytest.raises(ValueError, match=message):
                measure(refused)


@pytest.mark.parametrize("p", [0, -1, math.inf, math.nan])
def test_path_norms_want_a_power_above_zero(p):
    with pytest.raises(ValueError, match="number above 0"):
        norms.path_norm(keras.Sequential([keras.Input((3,)), Dense(2)]), p)
