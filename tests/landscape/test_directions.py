"""Random directions and principal components against their definitions."""

import keras
import numpy as np
import pytest

from repro.landscape import directions, points

SHAPES = ((3, 3, 2, 5), (5,), (5, 4))


@pytest.fixture(scope="module")
def model():
    """A network whose trainable weights have SHAPES."""
    convolution = keras.layers.Conv2D(5, 3)
    pooled = keras.layers.GlobalAveragePooling2D()
    head = keras.layers.Dense(4, use_bias=False)
    return keras.Sequential([keras.Input((4, 4, 2)), convolution, pooled, head])


@pytest.fixture
def weights(rng):
    return [rng.standard_normal(shape).astype(np.float32) * 3 for shape in SHAPES]


def test_filters_have_the_norms_of_the_weights(model, weights):
    found = directions.random(model, weights, 9, "filter")
    for k in (0, 2):
        for neuron in range(SHAPES[k][-1]):
            norms = [np.linalg.norm(x[k][..., neuron].ravel()) for x in (found, weights)]
            assert norms[0] == pytest.approx(norms[1], rel=1e-6)
    assert not found[1].any()


def test_layers_have_the_norms_of_the_weights(model, weights):
    found = directions.random(model, weights, 9, "layer", vectors="random")
    for d, w in zip(found, weights):
        assert np.linalg.norm(d.ravel()) == pytest.approx(np.linalg.norm(w.ravel()), rel=1e-6)
    per_filter = np.linalg.norm(found[2], axis=0) / np.linalg.norm(weights[2], axis=0)
    assert np.ptp(per_filter) > 0.1


def test_weight_normalisation_is_entry_by_entry(model, weights):
    found = directions.random(model, weights, 9, "weight")
    draws = np.random.default_rng(9).standard_normal(SHAPES[0])
    np.testing.assert_allclose(found[0], draws * weights[0])


def test_rescaling_the_network_rescales_the_direction(model, weights):
    """What filter normalisation is for: a network of ten times the weights, the same picture."""
    one = directions.random(model, weights, 4)
    ten = directions.random(model, [10 * w for w in weights], 4)
    for a, b in zip(one, ten):
        np.testing.assert_allclose(10 * a, b, rtol=1e-5)


def test_slices_have_both_ends_and_the_weights_in_the_middle(model, weights):
    steps = directions.coordinates(5, 0.5)
    np.testing.assert_array_equal(steps, [-0.5, -0.25, 0, 0.25, 0.5])
    u, v = directions.random(model, weights, 0), directions.random(model, weights, 1)
    for a, b in zip(directions.along(weights, (u, v), (0.0, 0.0)), weights):
        np.testing.assert_array_equal(a, b)
    moved = directions.along(weights, (u, v), (0.5, -0.25))
    expected = points.flatten(weights) + 0.5 * points.flatten(u) - 0.25 * points.flatten(v)
    np.testing.assert_allclose(points.flatten(moved), expected, rtol=1e-5, atol=1e-5)
    assert abs(points.dot(directions.orthogonal(u, v), v)) < 1e-9


def test_principal_components_are_those_of_the_singular_values(weights, rng):
    trajectory = [[w + 0.1 * rng.standard_normal(w.shape) for w in weights] for _ in range(6)]
    found = directions.principal_components(trajectory, 3)
    rows = np.stack([points.flatten(points.subtract(p, trajectory[-1])) for p in trajectory[:-1]])
    _, singular, basis = np.linalg.svd(rows, full_matrices=False)
    np.testing.assert_allclose(found.explained, (singular**2 / (singular**2).sum())[:3], rtol=1e-8)
    whole = np.vstack([rows, np.zeros(rows.shape[1])])
    variances = np.linalg.svd(whole - whole.mean(0), compute_uv=False) ** 2
    np.testing.assert_allclose(
        found.explained_centred, (variances / variances.sum())[:3], rtol=1e-8
    )
    for k, component in enumerate(found.components):
        assert abs(basis[k] @ points.flatten(component)) == pytest.approx(1, abs=1e-8)
        np.testing.assert_allclose(
            found.coordinates[:-1, k], rows @ points.flatten(component), atol=1e-8
        )
    assert not found.coordinates[-1].any()


def test_a_straight_trajectory_has_one_component(weights):
    line = [points.combine((1 + s,), (weights,)) for s in (0.0, 0.3, 0.7, 1.0)]
    assert directions.principal_components(line, 1).explained[0] == pytest.approx(1)
    with pytest.raises(ValueError, match="fewer than 2 dimensions"):
        directions.principal_components(line, 2)


def test_what_cannot_be(model, weights):
    with pytest.raises(ValueError, match="choose from filter, layer, weight"):
        directions.random(model, weights, 0, "neuron")
    with pytest.raises(ValueError, match="choose from zero, random"):
        directions.random(model, weights, 0, vectors="copy")
    with pytest.raises(ValueError, match="two points or more"):
        directions.coordinates(1)
    with pytest.raises(ValueError, match="no 2 components"):
        directions.principal_components([weights, weights], 2)
