"""What may be passed as `dataset` and `loss`, and what is refused, with the way out."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import Input, Sequential, layers
from problems import Truth, softmax_loss, squared_error

from repro import curvature
from repro.curvature import moments
from repro.data.pipeline import EvaluationBatches

COUNT = 7
DOORS = {
    "hessian": curvature.hessian,
    "gauss_newton": curvature.gauss_newton,
    "moments": moments.moments,
    "sharpness": curvature.sharpness,
    "nonuniformity": curvature.nonuniformity,
    "top_eigenvalues": curvature.top_eigenvalues,
    "trace": curvature.trace,
    "spectral_density": curvature.spectral_density,
    "along": lambda *arguments: curvature.along(*arguments, points=[]),
}


@pytest.fixture
def net(float64):
    keras.utils.set_random_seed(0)
    return Sequential([Input((4,)), layers.Dense(3, "tanh"), layers.Dense(3)])


@pytest.fixture
def x(rng):
    return rng.standard_normal((COUNT, 4))


@pytest.fixture
def y(rng):
    return rng.integers(0, 3, COUNT)


def dataset(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays)


def refused(message, *arguments, doors=DOORS):
    """Every door says the same, whatever Keras or TensorFlow would have said later."""
    for door in doors:
        with pytest.raises(ValueError, match=message):
            DOORS[door](*arguments)


def test_weights(net, x, y, rng):
    """Means of losses times weights, divided by the weights; an example of weight 0 counts not."""
    w = np.array([0.5, 2, 0, 1, 0, 3, 0.25])
    truth = Truth(net, softmax_loss, x, y)
    vector = rng.standard_normal(len(truth.at))
    expected = truth.moments(vector, w)
    for data in ((x, y, w), dataset(x, y, w.astype("f")).batch(3)):
        for method in ("layerwise", "per_example"):
            both = moments.moments(net, softmax_loss, data, method=method)
            np.testing.assert_allclose(both.both(vector), expected, atol=1e-6)
            assert both.examples == 5 and not both.uniform
        product = curvature.hessian(net, softmax_loss, data).product(vector)
        np.testing.assert_allclose(product, expected[0], atol=1e-6)
    with pytest.raises(ValueError, match="weights of `dataset` differ"):
        curvature.theorem_1(net, softmax_loss, (x, y, w), learning_rate=0.1, sgd_batch_size=1)


@pytest.mark.slow
def test_padding_of_evaluations_weighs_nothing(net, x, y):
    padded = EvaluationBatches(tf.constant(x), y, 4)
    for measure in (curvature.sharpness, curvature.nonuniformity):
        whole = measure(net, softmax_loss, (x, y), tolerance=1e-10)
        for data in (padded, padded.dataset()):
            found = measure(net, softmax_loss, data, tolerance=1e-10)
            assert found.value == pytest.approx(whole.value, abs=1e-9)
    sgd = {"learning_rate": 0.1, "sgd_batch_size": 3}
    of_padded, of_whole = (
        curvature.theorem_1(net, softmax_loss, data, **sgd).value for data in (padded, (x, y))
    )
    assert of_padded == pytest.approx(of_whole, abs=1e-9)


def test_loss_objects_of_keras(net, x, y):
    name = {"from_logits": True}
    mean = keras.losses.SparseCategoricalCrossentropy(**name)
    refused(
        r"shape \(\).*targets \(3,\) and outputs \(3, 3\).*reduction=\"none\"", net, mean, (x, y)
    )
    each = keras.losses.SparseCategoricalCrossentropy(**name, reduction="none")
    expected = curvature.sharpness(net, softmax_loss, (x, y)).value
    assert curvature.sharpness(net, each, (x, y)).value == pytest.approx(expected, abs=1e-9)


def test_losses_that_are_not_one_number_an_example(net, x, y, rng):
    refused(
        r"of shape \(3, 3\).*sum, tf\.reduce_sum\(losses, axis=1\)",
        net,
        lambda t, o: tf.square(o - t),
        (x, rng.standard_normal((COUNT, 3))),
    )
    tokens = Sequential([Input((5,)), layers.Embedding(6, 2), layers.Dense(3)])
    data = rng.integers(0, 6, (COUNT, 5)), rng.integers(0, 3, (COUNT, 5))
    refused(r"of shape \(3, 5\).*their sum|of shape \(3, 5\).*the sum", tokens, softmax_loss, data)
    one = Sequential([Input((4,)), layers.Dense(1)])
    real = rng.standard_normal(COUNT)
    refused(
        r"of shape \(3, 3\) for targets \(3,\) and outputs \(3, 1\).*targets\[:, None\]",
        one,
        lambda t, o: tf.square(o - t),
        (x, real),
    )
    # The mean over the wrong axis has the right shape, also where all targets are the same.
    for targets in (real, np.zeros(COUNT)):
        refused("`loss` mixes examples.*broadcast", one, squared_error, (x, targets))
    refused("labels\\[:, 0\\]", net, softmax_loss, (x, y[:, None]))
    refused(
        "targets are float32 and outputs float64",
        one,
        squared_error,
        (x, real[:, None].astype("f")),
    )


def test_data_that_differs_between_passes(net, x, y, rng):
    shuffled = dataset(x, y).shuffle(COUNT, seed=1)
    # Not tf.random: with the seed set it would begin anew in every pass.
    noise = (
        dataset(x, y)
        .map(lambda a, b: (tf.numpy_function(lambda r: r + rng.normal(size=4), [a], tf.float64), b))
        .map(lambda a, b: (tf.ensure_shape(a, [4]), b))
    )
    short, noisy = shuffled.batch(4, drop_remainder=True), noise.batch(4)
    for data, doors in ((short, ["sharpness", "nonuniformity", "trace"]), (noisy, ["sharpness"])):
        refused(
            "two passes gave different products.*drop_remainder",
            net,
            softmax_loss,
            data,
            doors=doors,
        )
        with pytest.raises(ValueError, match="two passes"):
            curvature.along(net, softmax_loss, data, [net.get_weights()])
    # An order of its own for every pass is no matter where every example is met.
    for measure in (curvature.sharpness, curvature.nonuniformity):
        expected = measure(net, softmax_loss, (x, y), tolerance=1e-10).value
        found = measure(net, softmax_loss, shuffled.batch(4), tolerance=1e-10)
        assert found.value == pytest.approx(expected, abs=1e-8)


def test_a_model_that_draws_random_numbers(x, y):
    class Noise(layers.Layer):
        def call(self, inputs):
            return inputs + tf.random.normal(tf.shape(inputs))

    model = Sequential([Input((4,)), Noise(), layers.Dense(3)])
    refused(
        "draw random numbers",
        model,
        softmax_loss,
        (x, y),
        doors=["sharpness", "nonuniformity", "top_eigenvalues"],
    )


def test_an_example_of_which_others_depend_has_no_hessian_of_its_own(x, y):
    class Centred(layers.Layer):
        def call(self, inputs):
            return inputs - tf.reduce_mean(inputs, axis=0)

    model = Sequential([Input((4,)), layers.Dense(3), Centred()])
    refused("different products", model, softmax_loss, (x, y), doors=["nonuniformity"])


def test_a_generator_without_an_end(net, x, y, monkeypatch):
    """Nobody can know before that it goes on; an end right at the bound is one."""
    monkeypatch.setattr("repro.curvature.data.MOST_BATCHES", 3)

    def given(count):
        batches = iter(int, 1) if count is None else range(count)
        signature = dataset(x, y).batch(COUNT).element_spec
        return tf.data.Dataset.from_generator(
            lambda: ((x, y) for _ in batches), output_signature=signature
        )

    message = r"more than 3 batches, or never ends.*take\(steps\)"
    refused(message, net, softmax_loss, given(None), doors=["sharpness", "nonuniformity"])
    expected = curvature.sharpness(net, softmax_loss, (x, y)).value
    found = curvature.sharpness(net, softmax_loss, given(3)).value
    assert found == pytest.approx(expected, rel=1e-6)


def test_kinds_of_data_that_are_refused(net, x, y):
    pairs = [(x[:4], y[:4]), (x[4:], y[4:])]
    for data, message in (
        (dataset(x, y), r"`dataset` is not batched: pass dataset\.batch"),
        (dataset(x, np.eye(3)[y]), r"not batched"),
        (dataset(x, y).repeat().batch(4), r"never ends.*take\(steps\)"),
        (dataset(x, y).repeat().filter(lambda a, b: b < 2).batch(4), "never ends"),
        (dataset(x).batch(4), "must be arrays"),
        ((pair for pair in pairs), "not generator.*from_generator"),
        (iter(pairs), "from_generator"),
        (pairs, "list of batches"),
        (x, "must be arrays.*not ndarray"),
        ({"x": x, "y": y}, "must be arrays.*not dict"),
        ((x, y[:4]), r"\(7, 4\), targets \(7?4?,\).*differ"),
        ((x, y, np.ones(3)), "differ in their number of examples"),
        ((x, y, np.ones((COUNT, 1))), r"weights.*shape \(7,\)"),
        ((x, y, -np.ones(COUNT)), "must not be negative"),
        ((x[:0], y[:0]), "no examples"),
        ((x[:, :3], y), r"does not take the inputs of `dataset`, \(3, 3\)"),
        (((x, x), y), "does not take the inputs"),
    ):
        refused(message, net, softmax_loss, data)
    refused("no examples", net, softmax_loss, (x, y, np.zeros(COUNT)), doors=["sharpness"])
    doors = ["sharpness", "nonuniformity"]
    last = np.array([1.0] * (COUNT - 1) + [-0.5])
    refused("must not be negative", net, softmax_loss, dataset(x, y, last).batch(4), doors=doors)
    with pytest.raises(ValueError, match="must not be negative"):
        curvature.m_sharpness(net, softmax_loss, (x, y, last), rho=0.1, m=2)
    refused("`model` must be a Keras model", lambda inputs: inputs, softmax_loss, (x, y))
    with pytest.raises(ValueError, match="batch_size=0"):
        curvature.hessian(net, softmax_loss, (x, y), batch_size=0)


def test_data_that_ends_where_it_says(net, x, y):
    expected = curvature.sharpness(net, softmax_loss, (x, y)).value
    for data in (
        dataset(x, y).batch(4).repeat().take(2),
        tf.data.Dataset.from_generator(
            lambda: iter([(x[:4], y[:4]), (x[4:], y[4:])]),
            output_signature=(
                tf.TensorSpec([None, 4], tf.float64),
                tf.TensorSpec([None], tf.int64),
            ),
        ),
        [x, y],
        (x.tolist(), y.tolist()),
    ):
        found = curvature.sharpness(net, softmax_loss, data).value
        assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_no_replica_is_left_without_examples(float64, mirrored, rng):
    """The last batch is of one example, for two replicas; convolutions abort on none at all."""
    with mirrored.scope():
        keras.utils.set_random_seed(0)
        convolution = layers.Conv2D(2, 3, activation="tanh")
        model = Sequential([Input((4, 4, 1)), convolution, layers.Flatten(), layers.Dense(3)])
    data = rng.standard_normal((5, 4, 4, 1)), rng.integers(0, 3, 5)
    vector = rng.standard_normal(sum(v.numpy().size for v in model.trainable_variables))
    whole = moments.moments(model, softmax_loss, data).both(vector)
    two = moments.moments(model, softmax_loss, data, batch_size=4, strategy=mirrored)
    np.testing.assert_allclose(two.both(vector), whole, atol=1e-11)
    cut = dataset(*data).batch(4)
    product = curvature.hessian(model, softmax_loss, cut, strategy=mirrored).product(vector)
    np.testing.assert_allclose(product, whole[0], atol=1e-11)
    # What fills up the batch would enter the statistics of batch norm.
    with pytest.raises(ValueError, match="cannot be divided among 2 replicas"):
        curvature.hessian(
            model, softmax_loss, data, batch_size=4, strategy=mirrored, training=True
        ).product(vector)
