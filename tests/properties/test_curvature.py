"""Products of random models against central differences of their gradients in float64."""

import dataclasses
import glob

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume
from hypothesis import strategies as st
from recipes import KINDS, build, examples, loss, ragged, recipes, traced

from repro import curvature

# Of the products and slopes that are added up. Differences in float64 are good to 1e-9 of them;
# float32 rounds at 1e-7, some hundred times in a row.
CLOSE = {"float64": 1e-6, "float32": 1e-4}
STEP = 1e-5


class Truth:
    """The model of a recipe in float64, with derivatives by differences of its gradients."""

    def __init__(self, recipe, training=False):
        self.model, self.training = build(recipe, "float64"), training
        self.inputs, self.targets = examples(recipe)
        self.at = [v.numpy() for v in self.model.trainable_variables]
        self.size = sum(w.size for w in self.at)

    def outputs(self):
        return self.model(self.inputs, training=self.training)

    def put(self, step):
        """Move the weights by a flat vector from where they were."""
        begin = 0
        for variable, at in zip(self.model.trainable_variables, self.at):
            variable.assign(at + step[begin : begin + at.size].reshape(at.shape))
            begin += at.size

    def _flat(self, parts):
        pairs = zip(parts, self.at)
        whole = [np.zeros(w.shape) if p is None else tf.convert_to_tensor(p) for p, w in pairs]
        return np.concatenate([np.ravel(p) for p in whole])

    def gradient(self, step, weights):
        """Return the gradient of the sum of losses times weights, away from the weights."""
        self.put(step)
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(weights * loss(self.targets, self.outputs()))
        return self._flat(tape.gradient(value, [v.value for v in self.model.trainable_variables]))

    def hessian(self, vector, weights):
        """Return the sum of the examples' H_i, times weights and a vector."""
        return difference(lambda step: self.gradient(step, weights), vector)

    def gauss_newton(self, vector, weights):
        """Return the sum of J_i^T (d2 loss / d outputs2) J_i, times weights and a vector."""

        def outputs(step):
            self.put(step)
            return np.stack(tf.nest.flatten(self.outputs()))

        change, here = difference(outputs, vector), outputs(np.zeros(self.size))
        named = self.outputs()

        def slopes(step):
            with tf.GradientTape() as tape:
                moved = [tf.constant(z) for z in here + step]
                tape.watch(moved)
                losses = loss(self.targets, tf.nest.pack_sequence_as(named, moved))
                value = tf.reduce_sum(weights * losses)
            return np.stack(tape.gradient(value, moved))

        curved = difference(slopes, change)
        with tf.GradientTape() as tape:
            flat = tf.nest.flatten(self.outputs())
        variables = [v.value for v in self.model.trainable_variables]
        return self._flat(tape.gradient(flat, variables, [tf.constant(c) for c in curved]))


def difference(function, vector):
    """Return the derivative of a function along a vector, from two steps that must agree.

    They do not where the function has a kink near by, at which there is no derivative.
    """

    def central(step):
        return (function(step * vector) - function(-step * vector)) / (2 * step)

    one, other = central(STEP), central(STEP / 3)
    assume(np.abs(one - other).max() <= 1e-6 * max(1, np.abs(one).max()))
    return (9 * other - one) / 8  # without the error of order STEP^2


def assert_close(found, expected, truth, recipe, weights):
    slope = truth.gradient(np.zeros(truth.size), weights)
    scale = max(1.0, np.abs(expected).max(), np.abs(slope).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE[recipe.dtype] * scale)


@st.composite
def cases(draw, kind):
    """Draw a model, a matrix, and the form of the examples.

    `training` is arrays again, batch norm taking the statistics of all of them.
    """
    recipe = draw(recipes(kind))
    matrix = draw(st.sampled_from(["hessian", "gauss_newton"]))
    random = any(block.kind == "dropout" for block in recipe.blocks)
    forms = ["arrays", "batches", "weighted", *["training"] * (not random)]
    return recipe, matrix, draw(st.sampled_from(forms))


def data_of(recipe, truth, form):
    """Return a dataset of some form, and its examples' shares of the mean."""
    arrays, count = (truth.inputs, truth.targets), sum(recipe.batches)
    weights = np.ones(count)
    if form == "weighted":
        weights = np.random.default_rng(recipe.seed).integers(0, 3, count) + np.eye(count)[0]
        arrays = (*arrays, weights)
    cut = form in ("batches", "weighted")
    return ragged(recipe, arrays) if cut else arrays, weights / weights.sum()


@pytest.mark.parametrize("kind", KINDS)
def test_products(kind, holds):
    def check(case):
        recipe, matrix, form = case
        truth = Truth(recipe, form == "training")
        data, weights = data_of(recipe, truth, form)
        vector = np.random.default_rng(recipe.seed + 2).standard_normal(truth.size)
        options = {"training": True} if form == "training" else {"batch_size": 2}
        with traced(recipe.traced):
            operator = getattr(curvature, matrix)(build(recipe), loss, data, **options)
            found = operator.product(vector)
        assert_close(found, getattr(truth, matrix)(vector, weights), truth, recipe, weights)
        return "right"

    assert holds(cases(kind), 1 if kind == "grouped" else 4, check)["right"]


def part(model, number):
    """Return the path of one of a model's weights that is small enough for a dense Hessian."""
    paths = [v.path for v in model.trainable_variables if np.prod(v.shape) <= 12]
    return paths[number % len(paths)]


def example_hessians(truth, path):
    """Return the examples' Hessians with respect to the weights of a path, [n, size, size]."""
    names = [np.full(w.size, v.path) for w, v in zip(truth.at, truth.model.trainable_variables)]
    rows = np.flatnonzero(np.concatenate(names) == path)
    identity, count = np.eye(truth.size), len(tf.nest.flatten(truth.targets)[0])
    return np.stack(
        [[truth.hessian(identity[row], one)[rows] for row in rows] for one in np.eye(count)]
    )


def test_sharpness_and_nonuniformity(holds):
    def check(case):
        recipe = dataclasses.replace(case[0], dtype="float64", batches=(2, *case[0].batches))
        truth, model = Truth(recipe), build(recipe)
        each = example_hessians(truth, part(truth.model, case[1]))
        mean = each.mean(axis=0)
        covariance = np.mean([h @ h.T for h in each], axis=0) - mean @ mean.T
        data = ragged(recipe, (truth.inputs, truth.targets))
        options = {"variables": glob.escape(part(model, case[1])), "tolerance": 1e-8}
        size = max(1.0, np.abs(each).max())
        found = curvature.sharpness(model, loss, data, **options)
        expected = np.linalg.eigvalsh((mean + mean.T) / 2)[-1]
        assert found.converged and found.value == pytest.approx(expected, abs=1e-6 * size)
        found = curvature.nonuniformity(model, loss, data, **options)
        expected = np.linalg.eigvalsh(covariance)[-1]
        assert found.converged and found.value**2 == pytest.approx(expected, abs=1e-6 * size**2)
        return "right"

    cases = st.tuples(st.sampled_from(KINDS).flatmap(recipes), st.integers(0, 9))
    assert holds(cases, 2, check)["right"]
