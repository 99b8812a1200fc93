"""Data at the edges: constant, a single class or example, huge, denormal, not a number.

An instrument gives the number that float64 arithmetic gives, or refuses in one line; a training
ends complete or diverged, with numbers that are none of the two's wrong kind.
"""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro import curvature, norms
from repro.bad_minima import settings as bad_minima
from repro.data import corruption, datasets
from repro.landscape import alignment, batch_norm, evaluation, permutations, repair
from repro.mode_connectivity import settings as mode_connectivity
from repro.randomization import kernels
from repro.randomization import settings as randomization
from repro.stability import settings as stability

# --- curvature ------------------------------------------------------------------------------------

N, FEATURES, OUTPUTS = 7, 5, 3


def squared_error(targets, outputs):
    return tf.reduce_sum((outputs - targets) ** 2, axis=1)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(4, activation="tanh")
    return keras.Sequential([keras.Input((FEATURES,)), hidden, keras.layers.Dense(OUTPUTS)])


def arrays():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, FEATURES)), rng.normal(size=(N, OUTPUTS))


def with_one(value, part):
    data = arrays()
    data[part][2, 1] = value
    return data


DATA = {
    "constant": lambda: (np.full((N, FEATURES), 0.5), arrays()[1]),
    "all zero": lambda: (np.zeros((N, FEATURES)), np.zeros((N, OUTPUTS))),
    "one example": lambda: tuple(part[:1] for part in arrays()),
    "one target": lambda: (arrays()[0], np.tile([1.0, 0.0, 0.0], (N, 1))),
    "huge": lambda: (arrays()[0] * 1e30, arrays()[1]),
    "huge targets": lambda: (arrays()[0], arrays()[1] * 1e30),
    "denormal": lambda: (arrays()[0] * 1e-40, arrays()[1]),
    "a NaN": lambda: with_one(np.nan, 0),
    "a NaN target": lambda: with_one(np.nan, 1),
    "infinite": lambda: with_one(np.inf, 1),
}
REFUSED = ("a NaN", "a NaN target", "infinite")
MAY_BE_REFUSED = (*REFUSED, "huge", "huge targets")  # whose squares float32 cannot hold
INSTRUMENTS = {
    "sharpness": lambda *of: curvature.sharpness(*of).value,
    "nonuniformity": lambda *of: curvature.nonuniformity(*of).value,
    "smallest": lambda *of: curvature.top_eigenvalues(*of, which="smallest").values[0],
    "trace": lambda *of: curvature.trace(*of, max_iterations=10).value,
    "density": lambda *of: curvature.spectral_density(*of, probes=1, steps=8).moment(2)[0],
    "m_sharpness": lambda *of: curvature.m_sharpness(*of, rho=0.05, m=4, steps=1).value,
    "frobenius": lambda *of: curvature.frobenius_norm(*of, max_iterations=10).value,
    "criticality": lambda *of: curvature.criticality(*of).gradient_norm,
    "noise": lambda *of: curvature.noise_alignment(*of, max_iterations=24).value,
    "theorem_1": lambda *of: curvature.theorem_1(*of, learning_rate=0.1, sgd_batch_size=1).value,
}


def outcome(make):
    """Return the number, or the one line of the ValueError."""
    try:
        return float(make())
    except ValueError as error:
        assert str(error).strip() and "\n" not in str(error)
        return str(error)


def cases():
    for instrument in INSTRUMENTS:
        for kind in DATA:
            quick = instrument == "sharpness" and kind in ("a NaN target", "one example")
            marks = [] if quick else pytest.mark.slow
            yield pytest.param(instrument, kind, marks=marks)


@pytest.mark.parametrize(("instrument", "kind"), cases())
def test_curvature_is_right_or_refused(instrument, kind, network):
    measure, (inputs, targets) = INSTRUMENTS[instrument], DATA[kind]()
    single = (inputs.astype(np.float32), targets.astype(np.float32))
    found = outcome(lambda: measure(network, squared_error, single))
    if isinstance(found, str):
        alone = kind == "one example" and instrument in ("nonuniformity", "theorem_1")  # no spread
        assert kind in MAY_BE_REFUSED or alone or "the alignment is 0 / 0" in found, found
        return
    assert kind not in REFUSED, found
    exact = norms.at_dtype(network, "float64")
    # The same numbers in float64, which float32 cannot hold all of: 1e-40 is a denormal there.
    truth = measure(exact, squared_error, tuple(part.astype(np.float64) for part in single))
    assert found == pytest.approx(truth, rel=1e-3, abs=1e-6)


# --- norms and landscape --------------------------------------------------------------------------


def test_margins_of_what_is_no_number_are_none():
    """A share of right answers is not 0 where there are no answers."""
    logits = np.array([[1.0, 0.0], [np.nan, 0.0]])
    found = norms.margins(logits, np.array([0, 1]))
    assert all(math.isnan(value) for value in found.values())


def test_margins_of_ties_and_of_huge_logits():
    logits = np.array([[1e300, 0.0], [1e-320, 0.0], [5.0, 5.0]])
    found = norms.margins(logits, np.array([0, 0, 1]))
    assert found["lowest"] == 0.0 and found["positive"] == pytest.approx(2 / 3)
    assert found["mean"] == pytest.approx(1e300 / 3) and found["median"] == 1e-320


@pytest.mark.parametrize("factor", [0.0, 1e-40, 1e15, np.nan])
def test_norms_of_strange_weights(factor, network):
    """Each is what NumPy makes of the same weights in float64."""
    kept = network.get_weights()
    try:
        network.set_weights([np.float32(factor) * w for w in kept])
        weights = [w.astype(np.float64) for w in network.get_weights()]
        found = norms.frobenius(network)["frobenius"]
        moved = norms.distances(kept, network)["all"]
    finally:
        network.set_weights(kept)
    expected = math.sqrt(sum((w**2).sum() for w in weights))
    gap = math.sqrt(sum(((w - k.astype(np.float64)) ** 2).sum() for w, k in zip(weights, kept)))
    assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert moved == pytest.approx(gap, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("losses", [[1.0, np.nan, 1.0], [np.nan, 1.0, 1.0], [np.inf] * 3])
def test_a_barrier_over_what_is_no_number_is_none(losses):
    """It is not that of the points that are left."""
    losses = np.array(losses)
    assert not math.isfinite(evaluation.barrier_over_maximum(losses))
    assert not math.isfinite(evaluation.barrier_over_chord(np.linspace(0, 1, 3), losses))


INPUTS = {kind: make for kind, make in DATA.items() if "target" not in kind and kind != "infinite"}
INPUTS["infinite"] = lambda: with_one(np.inf, 0)


@pytest.fixture
def inputs():
    """Make a kind of inputs, float32 [n, FEATURES]."""
    return lambda kind: INPUTS[kind]()[0].astype(np.float32)


def moments_of(rows):
    """Return mean and deviation of each column in float64; float32 denormals are 0."""
    rows = np.where(np.abs(rows) < np.finfo(np.float32).tiny, 0, rows.astype(np.float64))
    return rows.mean(axis=0), rows.std(axis=0)


@pytest.mark.parametrize("variant", batch_norm.VARIANTS)
@pytest.mark.parametrize("kind", INPUTS)
def test_batch_norm_is_right_or_refused(kind, variant, inputs):
    """In one batch, of which the reference's variance is the unbiased one."""
    layer = keras.layers.BatchNormalization()
    network = keras.Sequential([keras.Input((FEATURES,)), layer, keras.layers.Dense(OUTPUTS)])
    before, rows = network.get_weights(), inputs(kind)

    def estimate():
        batch_norm.make_reestimate(network, variant)([rows])
        return 0

    found = outcome(estimate)
    if isinstance(found, str):
        single = kind == "one example" and variant == "reference"
        assert ("`dataset`" in found and kind in ("a NaN", "infinite", "huge")) or single, found
        assert all((w == kept).all() for w, kept in zip(network.get_weights(), before))
        return
    mean, deviation = moments_of(rows)
    share = len(rows) / (len(rows) - 1) if variant == "reference" else 1
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, share * deviation**2, rtol=1e-5)


def test_batch_norm_mends_statistics_that_are_no_numbers(inputs):
    """A training may have left them, at weights that are right."""
    layer = keras.layers.BatchNormalization()
    network = keras.Sequential([keras.Input((FEATURES,)), layer])
    layer.moving_mean.assign(np.full(FEATURES, np.nan))
    layer.moving_variance.assign(np.full(FEATURES, np.inf))
    rows = arrays()[0].astype(np.float32)
    batch_norm.make_reestimate(network)([rows])
    np.testing.assert_allclose(layer.moving_mean, moments_of(rows)[0], rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, moments_of(rows)[1] ** 2, rtol=1e-5)


@pytest.mark.parametrize("kind", INPUTS)
def test_permutations_are_proved_on_strange_examples(kind, network, inputs):
    """On one that is no number among others too, but not on such alone."""
    assert list(permutations.find(network, inputs=inputs(kind)).sizes.values()) == [4]


def test_permutations_are_not_proved_by_what_is_no_number(network):
    with pytest.raises(ValueError, match="nothing is proved by `inputs`"):
        permutations.find(network, inputs=np.full((2, FEATURES), np.nan, np.float32))


def other_weights(network):
    rng = np.random.default_rng(1)
    return [rng.normal(size=w.shape).astype(np.float32) for w in network.get_weights()]


@pytest.mark.parametrize("kind", INPUTS)
def test_matched_activations_are_right_or_refused(kind, network, inputs):
    """As in float64, with denormals as 0; neurons that nothing tells apart stay where they are."""
    rows = inputs(kind)

    def matched(one, rows):
        symmetry, weights = permutations.find(one), alignment.get_weights(one)
        (order,) = alignment.match_activations(
            one, symmetry, weights, other_weights(one), [rows]
        ).values()
        return order

    if kind in ("a NaN", "infinite"):
        with pytest.raises(ValueError, match=r"`weights` are not finite.* `dataset`"):
            matched(network, np.where(np.isinf(rows), np.nan, rows))  # tanh of infinity is 1
        return
    exact = np.where(np.abs(rows) < np.finfo(np.float32).tiny, 0, rows.astype(np.float64))
    expected = matched(norms.at_dtype(network, "float64"), exact)
    np.testing.assert_array_equal(matched(network, rows), expected)
    if kind in ("constant", "all zero", "one example", "denormal"):
        np.testing.assert_array_equal(expected, np.arange(4))


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_matching_does_not_depend_on_the_size_of_activations(scale, inputs):
    """Of a linear layer, whose neurons come in another order."""
    layers = [keras.layers.Dense(4, use_bias=False), keras.layers.Dense(OUTPUTS)]
    network = keras.Sequential([keras.Input((FEATURES,)), *layers])
    symmetry, weights = permutations.find(network), alignment.get_weights(network)
    order = np.array([2, 0, 3, 1])
    moved = permutations.permute(symmetry, dict.fromkeys(symmetry.sizes, order), weights)
    rows = arrays()[0].astype(np.float32) * np.float32(scale)
    (found,) = alignment.match_activations(network, symmetry, weights, moved, [rows]).values()
    np.testing.assert_array_equal(order[found], np.arange(4))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("name", ["weights", "others"])
def test_matched_weights_are_right_or_refused(value, name, network):
    symmetry = permutations.find(network)
    given = {"weights": alignment.get_weights(network), "others": other_weights(network)}
    given[name][0][1, 2] = value
    if not np.isfinite(value):
        with pytest.raises(ValueError, match=f"`{name}` has numbers that are not finite"):
            alignment.match_weights(symmetry, **given)
        return
    (order,) = alignment.match_weights(symmetry, **given).values()
    # The one huge product decides where its neuron goes: to the largest of its row, times its sign.
    huge, plain = given[name][0][1, 2], given["others" if name == "weights" else "weights"][0][1]
    partner = int(np.argmax(np.sign(huge) * plain))
    assert (order[2] == partner) if name == "weights" else (order[partner] == 2)


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("kind", INPUTS)
def test_repair_is_right_or_refused(kind, share, network, inputs):
    """The hidden layer's mean and deviation lie between those of the ends, in float64."""
    ends, rows = (network.get_weights(), other_weights(network)), inputs(kind)

    def repaired():
        repair.repair(network, ends, share, [rows])
        return 0

    try:
        found, weights = outcome(repaired), network.get_weights()
    finally:
        network.set_weights(ends[0])
    if isinstance(found, str):
        assert kind in ("a NaN", "infinite") and "`dataset`" in found, found
        return
    assert kind not in ("a NaN", "infinite")
    mean, deviation = np.transpose(
        [moments_of(rows.astype(np.float64) @ w[0] + w[1]) for w in (*ends, weights)], (1, 0, 2)
    )
    for first, second, between in (mean, deviation):
        wanted = (1 - share) * first + share * second
        size = np.abs(mean).max() + np.abs(deviation).max()
        np.testing.assert_allclose(between, wanted, rtol=1e-5, atol=1e-6 * size)


# --- kernels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", kernels.KERNELS)
@pytest.mark.parametrize("ridge", [0.0, 1e-3])
@pytest.mark.parametrize("kind", INPUTS)
def test_kernels_are_right_or_refused(kind, ridge, kernel):
    """Both extreme eigenvalues are those of LAPACK, to Lanczos's tolerance and to rounding."""
    points = INPUTS[kind]()[0]

    def eigenvalues():
        square, _ = kernels.kernel_matrices([(points, points[:2])], kernel, 0.1)
        found.update(zip(("low", "high"), kernels.factor(square, ridge).extreme_eigenvalues()))
        return 0

    found = {}
    said = outcome(eigenvalues)
    if isinstance(said, str):
        if kind in ("a NaN", "infinite"):
            assert "not finite" in said and "`chunks`" in said
        else:
            assert "points" in said and not (ridge and kind in ("constant", "all zero")), said
        return
    assert kind not in ("a NaN", "infinite")
    products = points @ points.T
    lengths = np.diag(products)
    squares = np.maximum(lengths[:, None] + lengths - 2 * products, 0)
    np.fill_diagonal(squares, 0)
    whole = {
        "linear": products,
        "gaussian": np.exp(-0.1 * squares),
        "laplace": np.exp(-0.1 * np.sqrt(squares)),
        "quartic": products**4,
    }[kernel]
    values = np.linalg.eigvalsh(whole + ridge * np.eye(len(points)))
    rounding = 1e-14 * values[-1]
    assert found["high"] == pytest.approx(values[-1], rel=1e-5)
    assert found["low"] == pytest.approx(values[0], rel=1e-5, abs=rounding)


@pytest.mark.parametrize("part", [0, 1])
def test_kernels_of_test_points_that_are_no_numbers_are_refused(part):
    """A prediction of such would be of class 0."""
    chunk = [arrays()[0], arrays()[0] + 1]
    chunk[part][1, 1] = np.nan
    with pytest.raises(ValueError, match="not finite: features in `chunks`"):
        kernels.kernel_matrices([tuple(chunk)], "gaussian", 0.1)


# --- corruption -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["partial_labels", "shuffled_pixels", "random_pixels", "gaussian"])
@pytest.mark.parametrize("value", [0.0, 7.0, 1e30, 1e-40, np.nan])
def test_corruption_of_strange_pixels(kind, value):
    """Constant images stay so under permutations; noise has their moments, or is not a number.

    TensorFlow takes denormals, such as 1e-40 in float32, for 0.
    """
    images = np.full((3, 4, 4, 1), value, np.float32)
    seen, labels = corruption.corrupt(images, np.arange(3), kind, 0.5, 0, 10)
    assert len(labels) == 3 and 0 <= labels.min() <= labels.max() < 10
    np.testing.assert_allclose(seen, images, rtol=0, atol=1e-38)  # their deviation is 0


def test_corruption_of_one_example_and_of_one_class():
    images = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    seen, labels = corruption.corrupt(images, np.array([0]), "random_pixels", None, 0, 1)
    assert sorted(seen.ravel()) == sorted(images.ravel()) and labels.tolist() == [0]
    _, labels = corruption.corrupt(images, np.array([0]), "random_labels", None, 0, 1)
    assert labels.tolist() == [0]


# --- trainings ------------------------------------------------------------------------------------

SMALL = {"dataset": "digits", "batch_size": 5}
SETTINGS = {
    "randomization": lambda n: randomization.Train(
        **SMALL, model="mlp_1x512", epochs=2, dropout_rate=0.0, weight_decay=0.0
    ),
    "bad_minima": lambda n: bad_minima.Train(
        **SMALL, model="vgg16_gap", width=0.0625, epochs=1, sharpness_examples=0
    ),
    "stability": lambda n: stability.Train(
        **SMALL, model="fnn", iterations=4, measure_every=2, train_examples=n, max_iterations=4
    ),
    "mode_connectivity": lambda n: mode_connectivity.Endpoint(
        **SMALL, model="mlp_1x512", mode="A", epoch_scale=0.01
    ),
    "kernel": lambda n: randomization.Kernel(dataset="digits", kernel="gaussian"),
}


def of(pixels, labels):
    def split(first):
        return datasets.Images(pixels.copy(), np.array(labels), np.arange(len(labels)) + first)

    return lambda: (split(0), split(1000))


def random_pixels(count):
    return np.random.default_rng(0).integers(0, 256, (count, 28, 28, 3), dtype=np.uint8)


SPLITS = {
    "constant": of(np.full((8, 28, 28, 3), 128, np.uint8), range(8)),
    "black": of(np.zeros((8, 28, 28, 3), np.uint8), range(8)),
    "one class": of(random_pixels(8), [3] * 8),
    "one example": of(random_pixels(1), [3]),
    "not whole batches": of(random_pixels(7), range(7)),
}


def trainings():
    for paper in SETTINGS:
        for kind in SPLITS:
            quick = paper == "randomization" and kind == "one example"
            yield pytest.param(paper, kind, marks=[] if quick else pytest.mark.slow)


@pytest.mark.parametrize(("paper", "kind"), trainings())
def test_trainings_end_well(paper, kind, make, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "_digits", SPLITS[kind])
    count = len(SPLITS[kind]()[0])
    result = {}

    def train():
        result.update(make(SETTINGS[paper](count), tmp_path / "run"))
        return 0

    found = outcome(train)
    if isinstance(found, str):
        assert not (tmp_path / "run" / "result.json").exists(), found
        return
    assert result["status"] == "complete"
    for name in ("train_loss", "train_accuracy", "test_accuracy", "running_loss"):
        value = result.get(name)
        assert value is None or math.isfinite(value), name
