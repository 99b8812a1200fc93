"""The blocks of README.md and WORKSPACE.md run as they stand and give the right numbers."""

import itertools
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

PAGES = ("README.md", "WORKSPACE.md")
TEXT = "".join((Path(__file__).parents[1] / page).read_text() for page in PAGES)
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
INPUTS, HIDDEN, CLASSES, COUNT = 3, 4, 3, 10
SHAPES = ((INPUTS, HIDDEN), (HIDDEN,), (HIDDEN, CLASSES), (CLASSES,))


def run(names, *lines):
    """Run the block of README that holds all these lines in a reader's namespace."""
    (block,) = [b for b in BLOCKS if all(line in b for line in lines)]
    exec(block, names)


@pytest.fixture
def names(rng):
    """What README says is there: two models, arrays, and the two imports."""

    def network():
        hidden, last = keras.layers.Dense(HIDDEN, "relu"), keras.layers.Dense(CLASSES)
        model = keras.Sequential([keras.Input((INPUTS,)), hidden, last])
        for variable in model.weights:
            variable.assign(rng.standard_normal(variable.shape))
        mean = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", mean, jit_compile=False)
        return model

    return {
        "keras": keras,
        "np": np,
        "model": network(),
        "other": network(),
        "x": rng.standard_normal((COUNT, INPUTS)).astype(np.float32),
        "y": rng.integers(0, CLASSES, COUNT),
    }


@pytest.fixture
def with_loss(names):
    names["loss"] = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")
    return names


def losses(flat, x, y):
    """Return the loss of each example, written out in float64 for weights in one vector."""
    parts = tf.split(flat, [int(np.prod(shape)) for shape in SHAPES])
    a, b, c, d = (tf.reshape(part, shape) for part, shape in zip(parts, SHAPES))
    logits = tf.nn.relu(tf.cast(x, tf.float64) @ a + b) @ c + d
    return tf.reduce_logsumexp(logits, 1) - tf.gather(logits, y, batch_dims=1)


def flat(model):
    return np.concatenate([np.ravel(w) for w in model.get_weights()]).astype(np.float64)


def example_hessians(names):
    """Return the examples' Hessians by central differences of their gradients, [n, size, size]."""
    at, x, y = flat(names["model"]), names["x"], names["y"]

    @tf.function
    def gradients(weights):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            each = losses(weights, x, y)
        return tape.jacobian(each, weights)

    steps = tf.constant(1e-6 * np.eye(len(at)))
    columns = [(gradients(at + step) - gradients(at - step)).numpy() / 2e-6 for step in steps]
    found = np.stack(columns, axis=2)
    return (found + found.transpose(0, 2, 1)) / 2


def test_blocks_are_short():
    assert len(BLOCKS) == 6
    for block in BLOCKS:
        assert 6 <= len(block.splitlines()) <= 10, block


def test_corruption(names, rng):
    """Of 4,000 labels 0.4 * 9 / 10 are wrong, give or take four standard deviations."""
    images = np.zeros((4000, 2, 2, 1), np.float32)
    images[:, 0, 0, 0] = np.arange(4000)
    labels = rng.integers(0, 10, 4000)
    names.update(images=images, labels=labels)
    run(names, "corruption.make(")
    batches = [(x.numpy()[:, 0, 0, 0].astype(int), y.numpy()) for x, y in names["noisy"]]
    places, found = (np.concatenate(parts) for parts in zip(*batches))
    assert sorted(places) == list(range(4000)) and len(batches[0][0]) == 128
    share = np.mean(found != labels[places])
    assert abs(share - 0.36) < 4 * np.sqrt(0.36 * 0.64 / 4000)


def test_curvature(names):
    run(names, "curvature.sharpness(", "curvature.nonuniformity(", "curvature.top_eigenvalues(")
    each = example_hessians(names)
    mean = each.mean(axis=0)
    values = np.linalg.eigvalsh(mean)
    assert names["a"].converged and names["s"].converged
    assert names["a"].value == pytest.approx(values[-1], rel=1e-3)
    spread = np.linalg.eigvalsh(np.mean(each @ each, axis=0) - mean @ mean)[-1]
    assert names["s"].value == pytest.approx(np.sqrt(spread), rel=1e-3)
    np.testing.assert_allclose(names["top"].values, values[: -5 - 1 : -1], rtol=1e-3)
    # Lanczos over all of space: what has mass lies on eigenvalues.
    spectrum = names["spectrum"]
    heavy = spectrum.nodes[spectrum.weights > 1e-3]
    assert np.abs(heavy[:, None] - values).min(axis=1).max() < 1e-3 * values[-1]
    np.testing.assert_allclose(spectrum.weights.sum(axis=1), 1, rtol=1e-6)


def test_a_minimum_and_what_is_around_it(with_loss):
    names = with_loss
    run(names, "curvature.criticality(", "directions.random(")
    weights, x, y = flat(names["model"]), names["x"], names["y"]
    values = np.linalg.eigvalsh(example_hessians(names).mean(axis=0))
    end = names["end"]
    assert (end.largest, end.smallest) == pytest.approx((values[-1], values[0]), rel=1e-3, abs=1e-3)

    def gradient(part):
        with tf.GradientTape() as tape:
            at = tf.constant(weights)
            tape.watch(at)
            mean = tf.reduce_mean(losses(at, x[part], y[part]))
        return tape.gradient(mean, at).numpy()

    assert end.gradient_norm == pytest.approx(np.linalg.norm(gradient(slice(None))), rel=1e-4)
    rises = []
    for part in (slice(0, 5), slice(5, 10)):  # one step of ascent, as long as the ball is wide
        g = gradient(part)
        near, there = (
            losses(weights + s * g / np.linalg.norm(g), x[part], y[part]) for s in (0, 0.05)
        )
        rises.append(float(tf.reduce_mean(there - near)))
    assert names["m"].value == pytest.approx(np.mean(rises), rel=1e-3)
    for before, middle in zip(names["here"], names["line"][2]):
        np.testing.assert_array_equal(middle, before)
    assert names["largest"][2] == pytest.approx(values[-1], rel=1e-3)
    assert len(set(names["largest"])) == 5


def test_curve(names):
    names["loss"] = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")
    run(names, "curves.Polychain(")
    ends = [flat(names[name]) for name in ("model", "other")]
    expected = [
        float(tf.reduce_mean(losses((1 - t) * ends[0] + t * ends[1], names["x"], names["y"])))
        for t in np.linspace(0, 1, 61)
    ]
    np.testing.assert_allclose(names["along"]["loss"], expected, rtol=1e-5)
    chord = np.linspace(expected[0], expected[-1], 61)
    assert names["barrier"] == pytest.approx(np.max(expected - chord), rel=1e-4)


def test_alignment(names, rng):
    """The other model is the first, its neurons in another order and a little moved."""
    order = rng.permutation(HIDDEN)
    a, b, c, d = names["model"].get_weights()
    names["other"].set_weights([a[:, order] + 1e-3, b[order], c[order], d])
    before = names["other"](names["x"]).numpy()
    run(names, "permutations.find(")
    np.testing.assert_allclose(names["other"](names["x"]), before, rtol=1e-5, atol=1e-6)
    for one, other in zip(names["model"].get_weights(), names["other"].get_weights()):
        np.testing.assert_allclose(other, one, atol=2e-3)


def test_norms(names):
    a, b, c, d = (np.abs(w).astype(np.float64) for w in names["model"].get_weights())
    before = flat(names["model"])
    run(names, "norms.path_norm(")
    for found, p in zip(names["paths"], (1, 2), strict=True):
        total = np.sum(d**p)
        for j, k in itertools.product(range(HIDDEN), range(CLASSES)):
            total += (b[j] * c[j, k]) ** p + sum((a[i, j] * c[j, k]) ** p for i in range(INPUTS))
        assert found == pytest.approx(total ** (1 / p), rel=1e-5)
    moved = np.linalg.norm(flat(names["model"]) - before) / np.linalg.norm(before)
    assert moved > 0 and names["moved"] == pytest.approx(moved, rel=1e-5)
