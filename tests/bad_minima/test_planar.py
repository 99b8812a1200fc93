"""The toy's SGD against a float64 computation by hand, and the rate's fall on plateaus."""

import numpy as np
import pytest

from repro.bad_minima import planar


def data(count=20, seed=0):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, 2)).astype(np.float32)
    return points, (points[:, 0] > 0).astype(np.float32)


def by_hand(state, points, labels, order, rate, momentum, l2, scale):
    """One epoch of PyTorch's SGD in float64, with the gradient written out."""
    w = {name: np.array(state[name], np.float64) for name in planar.WEIGHTS}
    v = {name: np.zeros_like(value) for name, value in w.items()}
    for batch in order:
        x, y = points[batch].astype(np.float64), labels[batch]
        a = np.maximum(x @ w["w1"] + w["b1"], 0)
        b = np.maximum(a @ w["w2"] + w["b2"], 0)
        out = scale * (1 / (1 + np.exp(-(b @ w["w3"] + w["b3"])[:, 0])) - y)[:, None]
        at_b = (out @ w["w3"].T) * (b > 0)
        at_a = (at_b @ w["w2"].T) * (a > 0)
        g = {
            "w3": b.T @ out,
            "b3": out.sum(0),
            "w2": a.T @ at_b,
            "b2": at_b.sum(0),
            "w1": x.T @ at_a,
            "b1": at_a.sum(0),
        }
        for name in w:
            v[name] = momentum * v[name] + g[name] + l2 * w[name]
            w[name] = w[name] - rate * v[name]
    return w


@pytest.mark.parametrize(
    "recipe, scale",
    [
        ({"rate": 0.1, "mean": True}, 0.1),
        ({"rate": 0.01, "momentum": 0.9, "l2": 0.1}, 1.0),
    ],
    ids=["mean", "sum"],
)
def test_two_epochs_by_hand(recipe, scale):
    """float32 against float64 over 4 steps: 1e-5 of weights up to 1."""
    points, labels = data()
    first = planar.start(planar.initial_weights(0), recipe)
    trained = planar.train(first, (points, labels), 2, 10, [7], recipe)
    order = np.concatenate(
        [np.random.default_rng([7, epoch]).permutation(20).reshape(2, 10) for epoch in (0, 1)]
    )
    options = recipe.get("momentum", 0.0), recipe.get("l2", 0.0), scale
    expected = by_hand(first, points, labels, order, recipe["rate"], *options)
    for name, value in expected.items():
        assert abs(trained[name] - first[name]).max() > 1e-4 or name == "b3", name
        np.testing.assert_allclose(trained[name], value, atol=1e-5, err_msg=name)


def test_in_parts_equals_in_full():
    recipe = {"rate": 0.05, "momentum": 0.9}
    first = planar.start(planar.initial_weights(0), recipe)
    whole = planar.train(first, data(), 4, 10, [1, 2], recipe)
    half = planar.train(first, data(), 2, 10, [1, 2], recipe)
    parts = planar.train(half, data(), 2, 10, [1, 2], recipe)
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name], err_msg=name)


def test_the_rate_falls_when_accuracy_does_not_rise():
    """Labels fitted at once: accuracy cannot rise again, so the rate falls every third epoch."""
    points, labels = data()
    recipe = {"rate": 1e-9, "patience": 3, "rate_drop": 0.5}
    first = planar.start(planar.initial_weights(0), recipe)
    rates = [
        float(planar.train(first, (points, labels), n, 10, [0], recipe)["rate"])
        for n in (1, 3, 4, 7)
    ]
    # Epoch 1 sets the best accuracy, epochs 2 to 4 do not raise it.
    np.testing.assert_allclose(rates, [1e-9, 1e-9, 5e-10, 2.5e-10], rtol=1e-5)


def test_initial_weights_are_pytorchs():
    """U(-b, b), b = fan_in^(-1/2): within b, and near it among many."""
    weights = planar.initial_weights(3)
    for number, fan_in in ((1, 2), (2, 100), (3, 100)):
        kernel = abs(weights[f"w{number}"])
        assert 0.9 * fan_in**-0.5 < kernel.max() <= fan_in**-0.5


def test_batches_must_divide_the_points():
    recipe = {"rate": 0.1}
    first = planar.start(planar.initial_weights(0), recipe)
    with pytest.raises(ValueError, match="20 points cannot be cut into batches of 7"):
        planar.train(first, data(), 1, 7, [0], recipe)
