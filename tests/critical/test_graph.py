"""Splitting, escapes and distinct points, each on points whose answer is known."""

import itertools
import math

import numpy as np
import pytest

from repro.critical import counting, escapes, graph, newton, proofs
from repro.critical.certificates import certify, certify_split
from repro.critical.classify import Verdict
from repro.critical.points import Point, certify_points
from repro.critical.splitting import split

SHARES = ([0.25], [1.5], [-0.5], [0.2, 0.3], [1.2, -0.1])


def as_point(student, name, given, exact):
    proof = certify(student, 0, "alternating", exact)
    return Point(name, float(newton.evaluate(student[None], given)[0][0]), 0, [0], proof, "")


@pytest.fixture(scope="module")
def minima(minimum_3, minimum_4, given, exact):
    return {
        3: [as_point(minimum_3, "local-00", given, exact)],
        4: [as_point(minimum_4, "local-00", given, exact)],
        5: [],
    }


@pytest.fixture(scope="module")
def built(minima, exact):
    return graph.build(minima, exact)


def test_inertia_in_balls_is_the_hessians(minimum_3, minima, given, exact):
    """Eigenvalues in float64: a zero is below 1e-13, others of these points above 1e-8."""
    proof = minima[3][0].certificate
    for neuron, shares in itertools.product(range(3), SHARES):
        wide = split(minimum_3, neuron, [*shares, 1 - sum(shares)])
        eigenvalues = np.linalg.eigvalsh(newton.evaluate(wide[None], given)[2][0])
        expected = [
            int((eigenvalues < -1e-10).sum()),
            int((np.abs(eigenvalues) <= 1e-10).sum()),
            int((eigenvalues > 1e-10).sum()),
        ]
        counted = proofs.inertia_of_split(proof, [(neuron, shares)], exact)
        assert counted == expected
        assert counted[0] == certify_split(proof, [(neuron, shares)], exact)["index"]
    assert proofs.inertia_of_split(proof, [], exact) == [0, 0, 9]


def test_nodes_have_level_parent_and_loss(built, minima):
    nodes, children = built
    assert [node["id"] for node in nodes] == ["m3/local-00", "m4/local-00"]
    made = {(c.node["parent"], c.node["width"], c.node["level"], c.node["side"]) for c in children}
    assert made == {
        ("m3/local-00", 4, 1, "inside"),
        ("m3/local-00", 4, 1, "outside"),
        ("m3/local-00", 5, 2, "inside"),
        ("m4/local-00", 5, 1, "inside"),
        ("m4/local-00", 5, 1, "outside"),
    }
    assert len(children) == 3 * 2 + 3 + 4 * 2
    for child in children:
        parent = minima[int(child.node["parent"][1])][0]
        assert child.node["loss"] == parent.loss
        assert child.node["inertia"][0] == child.node["index"]
        assert (child.node["class"] == "plateau") == (child.node["index"] == 0)


def test_saddles_lead_somewhere_else(built, minima, given, alternating):
    named = ("alternating", alternating.weights, alternating.signs)
    chosen = [c for c in built[1] if c.node["width"] == 4]
    edges = graph.descents(chosen, minima, given, named, seed=0)
    saddles = [c.node["id"] for c in chosen if c.node["index"]]
    assert {edge["from"] for edge in edges} == set(saddles)
    assert sum(edge["count"] for edge in edges) == graph.DRAWS * len(saddles)
    assert not any(edge["to"].startswith("m4/saddle") for edge in edges)


@pytest.mark.parametrize("positive, others", [(1, 2), (2, 1), (3, 0), (0, 3), (2, 2)])
@pytest.mark.parametrize("m", [4, 5])
def test_plateau_subspaces_by_brute_force(positive, others, m):
    """Neurons 0, 1, ... of the minimum have a positive sign matrix; the last ones have not."""
    r, count = positive + others, 0
    for assigned in itertools.product(range(r), repeat=m):
        sizes = [assigned.count(neuron) for neuron in range(r)]
        count += min(sizes) > 0 and max(sizes[positive:], default=1) == 1
    assert counting.plateau_subspaces(positive, others, m) == count


def test_subspaces_add_up(built, minima):
    rows = graph.subspaces(minima, built[1])
    assert {(row["width"], row["level"]) for row in rows} == {(4, 1), (5, 2), (5, 1)}
    for row in rows:
        narrow = row["width"] - row["level"]
        every = counting.critical_subspaces(narrow, row["width"])
        assert row["subspaces"] == every == row["of_minima"] + row["of_saddles"]
    # minimum_3 has one positive sign matrix: that neuron's copies, the others single
    assert rows[0]["of_minima"] == math.comb(4, 2) * 2


def test_escapes_from_saddles_and_not_from_minima(minimum_3, minimum_4, minima, given, monkeypatch):
    monkeypatch.setattr(escapes, "EPSILONS", np.array([1e-8, 1e-6]))
    basin = escapes.convex_radius(minima[3][0].certificate)
    assert 0 < basin < 1e-4
    examples = [
        escapes.Example("minimum", "local", minimum_3, basin),
        escapes.Example("saddle", "saddle", split(minimum_3, 1, [1.5, -0.5])),
        escapes.Example("wider", "local", minimum_4),
    ]
    found = escapes.compare(examples, given, draws=4, seed=0)
    np.testing.assert_array_equal(found["transition_share"], [[0, 0], [1, 1], [0, 0]])
    assert found["transition_loss"].shape == (3, 2, 4)
    start = newton.evaluate(minimum_3[None], given)[0][0]
    assert (found["transition_loss"][1] < start * (1 - 1e-6)).all()


def test_a_flat_minimum_reached_twice_is_one_point(minimum_4, given, exact):
    """Twice 1e-4 apart along the flattest direction, where the loss differs by 1e-15 only."""
    hessian = newton.evaluate(minimum_4[None], given)[2][0]
    flattest = np.linalg.eigh(hessian)[1][:, 0].reshape(3, 4)
    theta = np.stack([minimum_4, minimum_4 + 4e-4 * flattest])
    loss = np.full(2, newton.evaluate(theta[:1], given)[0][0])
    verdicts = [Verdict("local", "isolated", 0, {})] * 2
    (point,), _ = certify_points(theta, loss, verdicts, "alternating", exact)
    assert point.students == [0, 1] and point.certificate is not None


def test_isolated_saddles_are_met_on_the_way(given):
    """At width 2 a neuron and its reflection: loss 2.8238e-3, index 1 (also in conftest)."""
    found = graph.isolated_saddles(2, given, starts=20, seed=0)
    assert len(found)
    loss, gradient, hessian = newton.evaluate(found, given)
    assert np.abs(gradient).max() < newton.GRADIENT_TOLERANCE
    assert (np.linalg.eigvalsh(hessian)[:, 0] < 0).all()
    assert loss == pytest.approx(2.8238204e-3, rel=1e-6)
