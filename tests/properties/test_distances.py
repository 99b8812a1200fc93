"""Distances between random models and what became of them, against a plain loop over weights."""

import math

import keras
import numpy as np
import pytest
from recipes import KINDS, build, recipes

from repro import norms
from repro.landscape import points


def root_of_squares(numbers):
    """Return (sum of squares)^(1/2), number by number."""
    return math.sqrt(math.fsum(float(x) ** 2 for x in numbers))


@pytest.mark.parametrize("kind", KINDS)
def test_distances(kind, holds):
    def check(recipe):
        model = build(recipe)
        start, point, rng = norms.snapshot(model), points.get(model), np.random.default_rng(0)
        before, change, normalising = [], [], []
        # Each layer by itself, those inside models too; its trainable weights are its own.
        for layer in model._flatten_layers(include_self=False, recursive=True):
            for variable in layer._trainable_variables:
                old = variable.numpy().ravel()
                variable.assign(variable + rng.standard_normal(variable.shape))
                new = variable.numpy().ravel()
                before += [float(x) for x in old]
                change += [float(y) - float(x) for x, y in zip(old, new)]
                batch_norm = type(layer) is keras.layers.BatchNormalization
                normalising += [batch_norm] * len(old)
        found = norms.distances(start, model)
        rest = [k for k, normal in enumerate(normalising) if not normal]
        expected = {
            "all": root_of_squares(change),
            "without_bn": root_of_squares(change[k] for k in rest),
        }
        expected["relative"] = expected["all"] / root_of_squares(before)
        size = root_of_squares(before[k] for k in rest)
        expected["relative_without_bn"] = expected["without_bn"] / size
        assert found == pytest.approx(expected, rel=1e-12)
        assert points.distance(point, points.get(model)) == pytest.approx(expected["all"], 1e-12)
        return "right"

    assert holds(recipes(kind), 4, check)["right"]
