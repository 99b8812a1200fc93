import numpy as np
import pytest

from repro.critical import neurons


def shuffled(student, seed=0):
    """Permute neurons and flip two of them, which is the same critical point modulo signs."""
    other = student[:, np.random.default_rng(seed).permutation(student.shape[1])].copy()
    other[:, :2] *= -1
    return other


def test_matching_ignores_order_and_signs():
    student = np.random.default_rng(1).standard_normal((3, 6))
    assert neurons.match_distance(student, shuffled(student)) == 0
    moved = student.copy()
    moved[:, 4] += [0.003, 0, 0.004]
    assert neurons.match_distance(moved, shuffled(student)) == pytest.approx(0.005)


def test_distinct_points_are_numbered_in_order_of_loss():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 3, 4))
    theta = np.stack([a, b, shuffled(a), b + 1e-6, shuffled(b, 3)])
    loss = np.array([2.0, 1.0, 2.0 + 1e-9, 1.0, 1.0])
    assert neurons.distinct(theta, loss, 1e-8, 1e-4).tolist() == [1, 0, 1, 0, 0]
    # equal losses alone do not make points equal
    assert neurons.distinct(np.stack([a, b]), np.ones(2), 1e-8, 1e-4).tolist() == [0, 1]


def test_copies_are_linked_in_chains():
    student = np.array([[0.0, 0.9, 1.0, 1.1, -1.0], [0.0] * 5, [1.0] * 5])
    assert neurons.copies(student, 0.15) == [[0], [1, 2, 3], [4]]
    assert neurons.copies(student, 0.15, up_to_sign=True) == [[0], [1, 2, 4, 3]]


def student(*columns):
    return np.array(columns, dtype=float).T


W = ((0.6, 0.5), (-0.5, 0.5), (-0.2, -0.6), (0.1, -0.6))


def neuron(t, a, sign=1):
    return (sign * W[t][0], sign * W[t][1], a)


# Students with zero loss for the alternating teacher, by construction: outgoing weights of copies
# minus those of reflections sum to +-1, zero groups to 0, and all of them to 0.
ZERO_LOSS = {
    "0 reflected": [neuron(3, -1), neuron(0, 1), neuron(2, 1), neuron(1, -1)],
    "2 reflected": [neuron(0, -1, -1), neuron(1, 1, -1), neuron(2, 1), neuron(3, -1)],
    "4 reflected": [neuron(t, -a, -1) for t, a in enumerate((1, -1, 1, -1))],
    "0 reflected + dead": [*(neuron(t, a) for t, a in enumerate((1, -1, 1, -1))), (0.4, 1.2, 0)],
    "0 reflected + copy": [
        neuron(0, 0.3),
        neuron(0, 0.7),
        neuron(1, -1),
        neuron(2, 1),
        neuron(3, -1),
    ],
    # w, -w with a + b = 0 left by the others, a - b = 1
    "1 reflected + constant + opposite copy": [
        neuron(0, 0.5),
        neuron(0, -0.5, -1),
        neuron(1, -1),
        neuron(2, 1),
        neuron(3, -1),
        (0, 0, 1),
    ],
    "1 reflected + constant": [
        neuron(0, -1, -1),
        neuron(1, -1),
        neuron(2, 1),
        neuron(3, -1),
        (0, 0, 2),
    ],
    "0 reflected + zero group": [
        *(neuron(t, a) for t, a in enumerate((1, -1, 1, -1))),
        (0.4, 1.2, 2),
        (0.4, 1.2, -2),
    ],
}


@pytest.mark.parametrize("kind", ZERO_LOSS)
def test_every_symmetry_type_is_recognised(kind, alternating, given):
    from repro.critical import newton

    built = student(*ZERO_LOSS[kind])
    assert newton.evaluate(built[None], given)[0][0] < 1e-30
    found = neurons.decompose(built, alternating.weights, alternating.signs, 1e-6)
    assert found.kind == kind
    assert found.error < 1e-14


def test_what_is_no_symmetry_is_refused(alternating):
    def explained(columns):
        return neurons.decompose(student(*columns), alternating.weights, alternating.signs, 1e-3)

    columns = [list(column) for column in ZERO_LOSS["0 reflected + copy"]]
    assert explained(columns) is not None
    columns[0][2] += 0.01  # a group's sum
    assert explained(columns) is None
    missing = [*ZERO_LOSS["0 reflected"][:3], (0.9, 0.9, 0.0)]
    assert explained(missing) is None
    constant_off = [*ZERO_LOSS["1 reflected + constant"][:4], (0.3, 0.2, 0.0)]
    assert explained(constant_off) is None
