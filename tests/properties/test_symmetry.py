"""Neurons that change places and batch norms that are folded leave a network's outputs alone."""

import keras
import numpy as np
import pytest
from hypothesis import strategies as st
from recipes import KINDS, build, examples, recipes

from repro import norms
from repro.landscape import alignment, permutations

# Of the largest output or 1: sums in another order, over ten layers.
CLOSE = {"float64": 1e-10, "float32": 1e-4}


def outputs(model, inputs):
    return [np.asarray(z, np.float64) for z in keras.tree.flatten(model(inputs, training=False))]


def assert_same(before, after, dtype):
    for one, other in zip(before, after, strict=True):
        atol = CLOSE[dtype] * max(1, np.abs(one).max())
        np.testing.assert_allclose(other, one, rtol=0, atol=atol)


@pytest.mark.parametrize("kind", KINDS)
def test_permutations(kind, holds):
    """Where no neuron can move, the case is counted apart: nothing was tried."""

    def check(case):
        recipe, unknown = case
        model, (inputs, _) = build(recipe), examples(recipe)
        before, weights = outputs(model, inputs), alignment.get_weights(model)
        symmetry = permutations.find(model, unknown=unknown)
        rng = np.random.default_rng(recipe.seed + 2)
        chosen = permutations.random_permutations(symmetry, rng)
        moved = permutations.permute(symmetry, chosen, weights)
        alignment.put_weights(model, moved)
        assert_same(before, outputs(model, inputs), recipe.dtype)
        changed = any((a != b).any() for a, b in zip(weights, moved))
        return "right" if changed else "without a neuron to move"

    counts = holds(st.tuples(recipes(kind), st.sampled_from(["pin", "refuse"])), 4, check)
    assert counts["right"]


@pytest.mark.parametrize("kind", KINDS)
def test_folding(kind, holds):
    def check(recipe):
        model, (inputs, _) = build(recipe), examples(recipe)
        folded = norms.fold_batch_norm(model)
        assert_same(outputs(model, inputs), outputs(folded, inputs), recipe.dtype)
        kinds = {type(layer) for layer in folded._flatten_layers()}
        assert keras.layers.BatchNormalization not in kinds
        return "right"

    assert holds(recipes(kind), 3, check)["right"]
