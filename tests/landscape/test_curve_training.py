"""Steps on a curve: gradients against finite differences, draws of t, replicas, dropout."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro.landscape import curve_training, curves, points
from repro.training import step

IMAGES = tf.random.stateless_normal((8, 6), [1, 2], dtype=tf.float64)
LABELS = tf.constant([0, 1, 2, 0, 1, 2, 0, 1], tf.int64)
DECAY = 0.1


def smooth_network(dropout=0.0, dtype="float64"):
    """tanh: finite differences cross no kinks."""
    inputs = x = keras.Input((6,), dtype=dtype)
    x = keras.layers.Dense(5, activation="tanh", name="hidden")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))


def ends(network):
    found = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        found.append(
            [rng.standard_normal(v.shape).astype(v.dtype) for v in network.trainable_variables]
        )
    return found


def prepared(network, kind="polychain", bends=1, free_ends=False, decay=DECAY, **options):
    """Return nodes and a step of SGD at learning rate 1: the change is minus the gradient."""
    variables = curve_training.CurveVariables(
        curves.straight_nodes(*ends(network), bends), free_ends=free_ends
    )
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(variables.trainable)
    decayed = [v.path.endswith("kernel") for v in network.trainable_variables]
    return variables, curve_training.make_curve_step(
        network,
        variables,
        optimizer,
        step.cross_entropy,
        kind=kind,
        decayed=decayed,
        weight_decay=decay,
        **options,
    )


def objective(network, kind, nodes, t):
    """Cross-entropy at phi(t) and the L2 term there, by NumPy's own arithmetic."""
    point = curves.CURVES[kind](nodes).at(t)
    hidden = np.tanh(IMAGES.numpy() @ point[0] + point[1])
    logits = hidden @ point[2] + point[3]
    log_probabilities = logits - np.logaddexp.reduce(logits, axis=1)[:, None]
    loss = -log_probabilities[np.arange(8), LABELS.numpy()].mean()
    return loss + DECAY / 2 * sum((point[k] ** 2).sum() for k in (0, 2))


@pytest.mark.parametrize("kind", curves.CURVES)
@pytest.mark.parametrize(("bends", "free_ends"), [(1, False), (2, True)])
def test_gradient_against_finite_differences(float64, kind, bends, free_ends):
    network = smooth_network()
    variables, take = prepared(network, kind, bends, free_ends)
    before = variables.get()
    t = float(curve_training.sample_t(tf.constant(0), 0))
    tf.function(take)(IMAGES, LABELS)
    after = variables.get()
    # Central differences err by eps^2 and by roundoff / eps: about 1e-10 at 1e-5. The t of the
    # step is float32 and so exact here too.
    eps = 1e-5
    for k in range(bends + 2):
        for place, entry in ((0, (2, 3)), (1, (1,)), (2, (4, 0)), (3, (2,))):
            slopes = []
            for sign in (1, -1):
                moved = [[array.copy() for array in node] for node in before]
                moved[k][place][entry] += sign * eps
                slopes.append(objective(network, kind, moved, t))
            expected = (slopes[0] - slopes[1]) / (2 * eps)
            found = before[k][place][entry] - after[k][place][entry]
            trained = free_ends or 0 < k < bends + 1
            np.testing.assert_allclose(found, expected if trained else 0.0, atol=2e-7)


def test_the_loss_is_that_at_the_point(float64):
    network = smooth_network()
    variables, take = prepared(network, decay=0.0)
    t = float(curve_training.sample_t(tf.constant(0), 0))
    points.put(network, curves.Polychain(variables.get()).at(t))
    expected = tf.reduce_mean(step.cross_entropy(LABELS, network(IMAGES)))
    np.testing.assert_allclose(tf.function(take)(IMAGES, LABELS), expected, rtol=1e-9)


def test_the_models_own_variables_are_not_touched(float64):
    network = smooth_network(dropout=0.5)
    before = [np.array(v.value) for v in network.variables]
    _, take = prepared(network)
    tf.function(take)(IMAGES, LABELS)
    for variable, value in zip(network.variables, before):
        np.testing.assert_array_equal(variable.value, value)


def test_dropout_differs_from_step_to_step(float64):
    """A frozen mask would train the same subnetwork for ever."""
    network = smooth_network(dropout=0.5)
    losses = []
    for count in range(4):
        state = curve_training._keyed(network, tf.constant(count))
        outputs, _ = network.stateless_call(
            [v.value for v in network.trainable_variables], state, IMAGES, training=True
        )
        losses.append(float(tf.reduce_mean(outputs)))
    assert len(set(losses)) == 4


def test_t_is_uniform_and_keyed():
    draw = tf.function(lambda step: curve_training.sample_t(step, 0))
    ts = np.array([float(draw(tf.constant(i))) for i in range(1000)])
    assert ts.min() >= 0 and ts.max() < 1
    # The mean of 1000 uniform numbers has deviation 1 / sqrt(12000); 4 sigma.
    assert abs(ts.mean() - 0.5) < 4 / np.sqrt(12_000)
    assert float(curve_training.sample_t(tf.constant(7), 0)) == pytest.approx(ts[7], abs=0)
    assert float(curve_training.sample_t(tf.constant(7), 1)) != ts[7]


def test_stratified_t_falls_once_into_every_stratum():
    n = curve_training.STRATA
    draw = tf.function(lambda step: curve_training.sample_t(step, 3, "stratified"))
    for block in range(3):
        ts = [float(draw(tf.constant(block * n + i))) for i in range(n)]
        assert sorted(int(t * n) for t in ts) == list(range(n))
        assert ts != sorted(ts)


@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),  # the mean over the batch
        lambda labels, outputs: (tf.cast(labels, tf.float64) - outputs[:, :1]) ** 2,  # [b, b]
        lambda labels, outputs: outputs,  # one a class
    ],
)
def test_losses_that_are_not_one_an_example(float64, loss):
    network = smooth_network()
    variables = curve_training.CurveVariables(curves.straight_nodes(*ends(network), 1))
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(variables.trainable)
    take = curve_training.make_curve_step(
        network, variables, optimizer, loss, kind="polychain", decayed=[True] * 4
    )
    # from its first word on: AutoGraph would put pages of generated code before it
    with pytest.raises(ValueError, match=r"^loss must.* one number an example.* reduction='none'"):
        tf.function(take)(IMAGES, LABELS)


def test_unknown_sampling():
    with pytest.raises(ValueError, match="choose from uniform, stratified"):
        curve_training.sample_t(tf.constant(0), 0, "antithetic")


def test_two_replicas_take_the_step_of_one(mirrored):
    """Half a batch each, in float32: the sums differ only in order."""
    results = []
    for strategy in (tf.distribute.get_strategy(), mirrored):
        with strategy.scope():
            network = smooth_network(dtype="float32")
            variables, take = prepared(network, replicas=strategy.num_replicas_in_sync)
        part = 8 // strategy.num_replicas_in_sync
        data = tf.data.Dataset.from_tensor_slices((tf.cast(IMAGES, tf.float32), LABELS))
        iterator = iter(strategy.experimental_distribute_dataset(data.batch(8).repeat()))
        loss, done = step.repeated(take, strategy)(iterator, tf.constant(3))
        assert int(done) == 3 and part in (4, 8)
        results.append((float(loss), variables.get()))
    (loss, nodes), (again, others) = results
    assert loss == pytest.approx(again, rel=1e-5)
    for one, other in zip(nodes, others):
        for a, b in zip(one, other):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


class Idle(keras.layers.Layer):
    """A layer whose weight nothing reads."""

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(2,), name="kernel")

    def call(self, inputs):
        return inputs


def test_a_weight_that_nothing_reads_only_decays(float64):
    network = keras.Sequential([keras.Input((6,)), Idle(), keras.layers.Dense(3)])
    variables, take = prepared(network)
    before, t = variables.get(), float(curve_training.sample_t(tf.constant(0), 0))
    take(IMAGES, LABELS)
    change = variables.get()[1][0] - before[1][0]
    share = 1 - abs(2 * t - 1)  # of the bend at t
    np.testing.assert_allclose(change, -share * DECAY * curves.Polychain(before).at(t)[0])
