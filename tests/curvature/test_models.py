"""Products of models of every kind, against differences taken example by example, in float64.

A difference with eps = 1e-6 is good to about 1e-9 of the first derivatives, and H_i H_i v takes two
of them one after the other: 1e-5 of the largest entry leaves room.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import Input, Model, Sequential, layers
from problems import Truth, softmax_loss

from repro import curvature
from repro.curvature import layerwise, moments, weights

pytestmark = pytest.mark.usefixtures("float64")
CLOSE = 1e-5


def labels(rng, count=5, classes=3):
    return rng.integers(0, classes, count)


def head(*before):
    return Sequential([*before, layers.Dense(3)])


class Scaled(layers.Dense):
    """A dense layer with a call of its own, which a fast path for dense layers gets wrong."""

    def call(self, inputs, training=None):
        return super().call(7 * inputs)


class Unused(layers.Layer):
    def build(self, shape):
        self.used = self.add_weight(shape=(shape[-1],), initializer="ones")
        self.idle = self.add_weight(shape=(2,))

    def call(self, inputs):
        return inputs * self.used


class Own(Model):
    """A subclassed model whose call knows nothing of `training`."""

    def __init__(self):
        super().__init__()
        self.first, self.second = layers.Dense(4, "tanh"), layers.Dense(3)

    def call(self, inputs):
        return self.second(self.first(inputs))


def vectors(rng):
    return rng.standard_normal((5, 4))


def images(rng):
    return rng.standard_normal((5, 4, 4, 2))


def sequences(rng):
    return rng.standard_normal((5, 3, 2))


def words(rng):
    return rng.integers(0, 6, (5, 3))


def recurrent(layer):
    return lambda: head(Input((3, 2)), layer(2))


def two_inputs(names):
    def build():
        inputs = [Input((4,), name=name) for name in "ab"]
        merged = layers.Concatenate()(inputs)
        outputs = layers.Dense(3)(layers.Dense(3, "tanh")(merged))
        return Model(dict(zip("ab", inputs)) if names else inputs, outputs)

    return build


def two_outputs(names):
    def build():
        inputs = Input((4,))
        hidden = layers.Dense(3, "tanh")(inputs)
        outputs = [layers.Dense(3)(hidden), layers.Dense(2)(hidden)]
        return Model(inputs, dict(zip("ab", outputs)) if names else outputs)

    return build


def sum_of_losses(targets, outputs):
    pairs = zip(tf.nest.flatten(targets), tf.nest.flatten(outputs))
    return tf.add_n([softmax_loss(t, o) for t, o in pairs])


def sum_over_tokens(targets, outputs):
    return tf.reduce_sum(softmax_loss(targets, outputs), axis=1)


def shared():
    inputs = Input((4,))
    square = layers.Dense(4, "tanh")
    return Model(inputs, layers.Dense(3)(square(square(inputs))))


def attention():
    inputs = Input((3, 2))
    x = layers.LayerNormalization()(layers.MultiHeadAttention(2, 2)(inputs, inputs))
    return Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def two_towers():
    """Two towers whose layers have the same names, and so the same paths."""
    inputs = Input((4,))
    towers = []
    for name in ("left", "right"):
        x = Input((4,))
        towers.append(Model(x, layers.Dense(2, "tanh", name="same")(x), name=name))
    hidden = layers.Concatenate()([tower(inputs) for tower in towers])
    model = Model(inputs, layers.Dense(3)(hidden))
    assert len({v.path for v in model.variables}) < len(model.variables)
    return model


ONE = {
    "embedding": (lambda: head(Input((3,)), layers.Embedding(6, 2), layers.Flatten()), words),
    "grouped": (
        lambda: head(
            Input((4, 4, 2)), layers.Conv2D(2, 3, groups=2, activation="tanh"), layers.Flatten()
        ),
        images,
    ),
    "depthwise": (
        lambda: head(
            Input((4, 4, 2)), layers.DepthwiseConv2D(3, activation="tanh"), layers.Flatten()
        ),
        images,
    ),
    "lstm": (recurrent(layers.LSTM), sequences),
    "gru": (recurrent(layers.GRU), sequences),
    "simple_rnn": (recurrent(layers.SimpleRNN), sequences),
    "attention": (attention, sequences),
    "shared": (shared, vectors),
    "two towers": (two_towers, vectors),
    "scaled": (lambda: head(Input((4,)), Scaled(3, "tanh")), vectors),
    "unused": (lambda: head(Input((4,)), layers.Dense(3, "tanh"), Unused()), vectors),
    "grey": (
        lambda: head(Input((5, 5, 1)), layers.Conv2D(2, 3, activation="tanh"), layers.Flatten()),
        lambda rng: rng.standard_normal((5, 5, 5)),
    ),
    "two inputs": (two_inputs(False), lambda rng: [vectors(rng), vectors(rng)]),
    "named inputs": (two_inputs(True), lambda rng: {"a": vectors(rng), "b": vectors(rng)}),
    "dropout": (lambda: head(Input((4,)), layers.Dense(3, "tanh"), layers.Dropout(0.5)), vectors),
}
OTHERS = {
    "two outputs": (
        two_outputs(False),
        vectors,
        lambda rng: (labels(rng), labels(rng, 5, 2)),
        sum_of_losses,
    ),
    "named outputs": (
        two_outputs(True),
        vectors,
        lambda rng: {"a": labels(rng), "b": labels(rng, 5, 2)},
        sum_of_losses,
    ),
    "tokens": (
        lambda: head(Input((3,)), layers.Embedding(6, 2)),
        words,
        lambda rng: rng.integers(0, 3, (5, 3)),
        sum_over_tokens,
    ),
}
CASES = {**{name: (*case, labels, softmax_loss) for name, case in ONE.items()}, **OTHERS}


def close(actual, expected):
    scale = np.abs(expected).max(axis=-1, keepdims=True)
    np.testing.assert_allclose(actual / scale, expected / scale, rtol=0, atol=CLOSE)


# tests/properties draws all these kinds as well: by default it is enough to see three here.
SEEN = {"two towers", "tokens", "named inputs"}
MARKED = [name if name in SEEN else pytest.param(name, marks=pytest.mark.slow) for name in CASES]


@pytest.mark.parametrize("name", MARKED)
def test_products(name, rng):
    build, inputs, targets, loss = CASES[name]
    keras.utils.set_random_seed(0)
    model, data = build(), (inputs(rng), targets(rng))
    truth = Truth(model, loss, *data)
    vector = rng.standard_normal(len(truth.at))
    expected = truth.moments(vector)
    close(curvature.gauss_newton(model, loss, data).product(vector), truth.gauss_newton(vector))
    both = moments.moments(model, loss, data)
    close(both.first.product(vector), expected[0])
    assert both.examples == 5
    close(both.both(vector), expected)


@pytest.mark.slow
def test_a_last_batch_of_one_example(rng):
    """Vectorised over one example, the residual was as many logits as it has classes."""
    inputs = Input((3,))
    hidden = inputs + layers.Dense(3, "softmax")(layers.Dense(1, "tanh")(inputs))
    model = Model(inputs, layers.Dense(3)(layers.Dense(3, "tanh")(hidden)))
    data = rng.standard_normal((3, 3)), labels(rng, 3)
    truth = Truth(model, softmax_loss, *data)
    vector = rng.standard_normal(len(truth.at))
    for batch_size in (2, 1):
        both = moments.moments(model, softmax_loss, data, batch_size=batch_size)
        close(both.both(vector), truth.moments(vector))


def test_subclassed_model(rng):
    model, data = Own(), (vectors(rng), labels(rng))
    for measure in (curvature.sharpness, curvature.nonuniformity):
        with pytest.raises(ValueError, match=r"`model` .* is not built.*call it on a batch"):
            measure(model, softmax_loss, data)
    model(data[0])
    truth = Truth(model, softmax_loss, *data)
    vector = rng.standard_normal(len(truth.at))
    close(moments.moments(model, softmax_loss, data).both(vector), truth.moments(vector))


def test_only_the_layers_it_knows_go_the_fast_way():
    for build, chained in (
        (lambda: head(Input((4,)), layers.Dense(3, "tanh"), layers.ReLU()), True),
        (lambda: head(Input((4,)), Scaled(3)), False),
        (lambda: head(Input((4,)), layers.Dense(3), layers.Dropout(0.5)), False),
        (lambda: head(Input((4,)), layers.Dense(3), layers.GaussianNoise(0.5)), False),
    ):
        model = build()
        assert (layerwise.chain(model, weights.point(model)) is not None) == chained

    class Doubled(Sequential):
        def call(self, inputs, training=None, mask=None):
            return 2 * super().call(inputs)

    model = Doubled([Input((4,)), layers.Dense(3)])
    assert layerwise.chain(model, weights.point(model)) is None


def test_a_fast_way_that_is_wrong_is_not_taken(rng, monkeypatch):
    """An activation over the batch is one that no list of layers can tell."""
    model = head(Input((4,)), layers.Dense(3, "tanh"))
    data = vectors(rng), labels(rng)
    truth = Truth(model, softmax_loss, *data)
    vector = rng.standard_normal(len(truth.at))
    right = layerwise.layerwise
    monkeypatch.setattr(layerwise, "layerwise", lambda *arguments: 1.01 * right(*arguments))
    close(moments.moments(model, softmax_loss, data).both(vector), truth.moments(vector))
    with pytest.raises(ValueError, match="layerwise is not right"):
        moments.moments(model, softmax_loss, data, method="layerwise")


def test_examples_without_curvature_prove_no_way(rng, monkeypatch):
    """Black images through a network without biases: a wrong way has products of 0 there too."""
    dense = [layers.Dense(3, "tanh", use_bias=False), layers.Dense(3, use_bias=False)]
    model = keras.Sequential([Input((4,)), *dense])
    inputs, targets = vectors(rng), labels(rng)
    inputs[:2] = 0.0
    right = layerwise.layerwise
    monkeypatch.setattr(layerwise, "layerwise", lambda *arguments: 1.01 * right(*arguments))
    for x, y in ((inputs, targets), (inputs[2:], targets[2:])):
        truth = Truth(model, softmax_loss, x, y)
        vector = rng.standard_normal(len(truth.at))
        close(moments.moments(model, softmax_loss, (x, y)).both(vector), truth.moments(vector))


def test_a_way_that_fails_is_left_in_silence(rng, monkeypatch):
    """TensorFlow logs pages of generated code where it cannot vectorise what it is given."""
    logged = []
    monkeypatch.setattr(tf.get_logger(), "filters", [logged.append])

    def failing(*arguments):
        tf.get_logger().error("pages")
        raise RuntimeError("generated code")

    monkeypatch.setattr(layerwise, "layerwise", failing)
    model = head(Input((4,)), layers.Dense(2, "tanh"))
    moments.moments(model, softmax_loss, (vectors(rng), labels(rng)))
    assert not logged
    tf.get_logger().error("said as ever")
    assert len(logged) == 1


def test_patterns_of_variables(rng):
    model = head(Input((4,)), layers.Dense(2, "tanh"))
    data = vectors(rng), labels(rng)
    for one in ("*/kernel", ["*/kernel"]):
        assert curvature.hessian(model, softmax_loss, data, variables=one).size == 4 * 2 + 2 * 3
    for none in ("*/gamma", ["*/kernel", "*/gamma"]):
        with pytest.raises(ValueError, match=r"match `variables` '\*/gamma'"):
            curvature.sharpness(model, softmax_loss, data, variables=none)


def test_moments_are_put_back_after_two_replicas(mirrored, rng):
    """Threads of replicas take turns, so that what one found patched must not be what it leaves."""
    before = tf.nn.moments
    with mirrored.scope():
        norm = layers.BatchNormalization(synchronized=True)
        model = head(Input((4,)), layers.Dense(3, "tanh"), norm)
    data = rng.standard_normal((8, 4)), labels(rng, 8)
    for training in (False, True):
        operator = curvature.hessian(
            model, softmax_loss, data, training=training, strategy=mirrored
        )
        operator.product(rng.standard_normal(operator.size))
    assert tf.nn.moments is before
