"""Every class on a point built to belong to it."""

import math

import numpy as np
import pytest

from repro.critical import adam, census, channels, newton
from repro.critical.classify import classify
from repro.critical.splitting import merge, sign_matrices, split, split_spectrum


def verdict(student, given, net):
    return classify(np.asarray(student)[None], given, net.weights, net.signs)[0]


def test_global(alternating, given):
    teacher = np.vstack([alternating.weights.T, alternating.signs])
    found = verdict(split(teacher, 2, [0.2, 0.8]), given, alternating)
    assert (found.name, found.kind) == ("global", "0 reflected + copy")


def test_local(minimum_3, minimum_4, given, alternating):
    for student in (minimum_3, minimum_4):
        found = verdict(student, given, alternating)
        assert (found.name, found.kind, found.index) == ("local", "isolated", 0)


@pytest.mark.parametrize(
    "neuron, shares, name, index",
    [
        (1, [0.3, 0.7], "plateau", 0),  # M > 0, shares in (0, 1)
        (1, [0.2, 0.3, 0.5], "plateau", 0),
        (1, [1.5, -0.5], "saddle", 2),  # M > 0, one negative share
        (1, [1.5, -0.3, -0.2], "saddle", 4),
        (0, [0.3, 0.7], "saddle", 1),  # M indefinite: never a minimum
        (0, [1.5, -0.5], "saddle", 1),
    ],
)
def test_split_points(minimum_3, given, alternating, neuron, shares, name, index):
    student = split(minimum_3, neuron, shares)
    found = verdict(student, given, alternating)
    assert (found.name, found.index) == (name, index)
    # the Hessian itself says the same, where its eigenvalues can be told from zero
    hessian = newton.evaluate(student[None], given)[2]
    eigenvalues = np.linalg.eigvalsh(hessian[0])
    assert (eigenvalues < -1e-12).sum() == index
    assert (np.abs(eigenvalues) < 1e-12).sum() == len(shares) - 1


def test_isolated_saddle(saddle_2, given, alternating):
    found = verdict(saddle_2, given, alternating)
    eigenvalues = np.linalg.eigvalsh(newton.evaluate(saddle_2[None], given)[2][0])
    assert found.name == "saddle"
    assert found.index == (eigenvalues < 0).sum() > 0


def test_channel_exponents(given, alternating):
    """Along a channel L - L0 ~ eps^2, lambda_max ~ eps^-2, weights ~ eps^-1."""
    start = np.array(
        [
            [
                [0.0009, -1.2707, 0.8879, 0.7081, 1.2739],
                [-0.0003, 0.9826, 0.5677, -1.506, -0.9848],
                [135.2, -68.01, 0.4687, -0.0658, -67.6],
            ]
        ]
    )
    theta, _ = newton.descend(start, np.array([newton.DAMPING_START]), given, 300)
    assert verdict(theta[0], given, alternating).name == "channel"
    test = channels.follow(theta, given, jumps=3)  # a fourth lowers L by less than rounding raises
    gap, loss = test.gap[0], test.loss[0]
    # L0 from the last two, then the exponent from the first three
    ratio = (gap[-1] / gap[-2]) ** 2
    limit = (loss[-1] - ratio * loss[-2]) / (1 - ratio)
    exponent = np.polyfit(np.log(gap[:3]), np.log(loss[:3] - limit), 1)[0]
    assert exponent == pytest.approx(2, abs=0.1)
    assert np.polyfit(np.log(gap), np.log(test.lambda_max[0]), 1)[0] == pytest.approx(-2, abs=0.1)
    assert np.polyfit(np.log(gap), np.log(test.largest[0]), 1)[0] == pytest.approx(-1, abs=0.1)


def test_undecided(given, alternating):
    """A slope of no interest: not converged, and no neuron is large."""
    start = np.array([[0.2, 0.5], [-0.4, 0.9], [0.7, -0.1]])
    assert verdict(start, given, alternating).name == "undecided"


@pytest.mark.parametrize("width, name", [(8, "undecided"), (9, "global")])
def test_wide_students_near_zero(width, name, given, alternating, monkeypatch):
    """Whose neurons cannot be told apart: of more than twice the teacher's they count as global."""
    monkeypatch.setattr("repro.critical.classify.decompose", lambda *_: None)
    teacher = np.vstack([alternating.weights.T, alternating.signs])
    student = np.hstack([teacher, np.zeros((3, width - 4))])
    student[0] += 1e-10
    value = newton.evaluate(student[None], given)[0][0]
    assert 1e-24 < value < 1e-17
    found = verdict(student, given, alternating)
    assert found.name == name
    assert ("neurons not told apart" in found.kind) == (name == "global")


@pytest.mark.slow
def test_wide_students_are_polished(given, alternating):
    """Of 20 neurons: Newton's method leaves them in a valley, bent steps bring them near zero."""
    theta = adam.glorot_uniform(0, 2, 20)
    moments = np.zeros((2, *theta.shape))
    theta, _ = adam.train(theta, moments, given, start=0, steps=2000, learning_rate=1e-2)
    theta, _ = newton.descend(theta, np.full(2, newton.DAMPING_START), given, 150)
    before = newton.evaluate(theta, given)[0]
    assert ((before > 1e-16) & (before < newton.VALLEY[1])).all()
    ended, verdicts = census.settle(theta, given, alternating.weights, alternating.signs, 1000)
    assert [found.name for found in verdicts] == ["global"] * 2
    after = newton.evaluate(ended, given)[0]
    assert (after <= before).all()  # those whose neurons are known by then need not move
    assert (after < 1e-17).any()


def test_merge_undoes_split(minimum_4):
    narrow, merged = merge(split(minimum_4, 1, [1.25, -0.25]), 1e-6)
    assert len(merged) == 1
    place, shares = merged[0]
    np.testing.assert_allclose(narrow[:, place], minimum_4[:, 1], rtol=1e-14)
    np.testing.assert_allclose(shares, [1.25, -0.25], rtol=1e-14)


def test_split_keeps_the_function(minimum_4, given):
    before, after = (
        newton.evaluate(student[None], given)
        for student in (minimum_4, split(minimum_4, 3, [2.0, -0.7, -0.3]))
    )
    assert after[0][0] == pytest.approx(before[0][0], rel=1e-12)
    assert np.abs(after[1]).max() < newton.GRADIENT_TOLERANCE
    with pytest.raises(ValueError, match="must sum to 1"):
        split(minimum_4, 0, [0.5, 0.6])


def test_sign_matrix_by_its_definition(minimum_3, given, alternating):
    """mean over all 1,681 points of a (output - label) sigma'' x x^T, with sigma itself."""
    from repro.teacher_student import teacher

    grid = teacher.grid()
    sigma = 1 / (1 + np.exp(-grid @ minimum_3[:2]))
    residual = sigma @ minimum_3[2] - alternating.output(grid)
    second = sigma * (1 - sigma) * (1 - 2 * sigma)
    for i, matrix in enumerate(sign_matrices(minimum_3, given)):
        weight = minimum_3[2, i] * residual * second[:, i]
        expected = (weight[:, None] * grid).T @ grid / len(grid)
        np.testing.assert_allclose(matrix, expected, atol=1e-14)


def test_split_spectrum_says_nothing_at_zero():
    assert split_spectrum(np.diag([1.0, 0.0]), np.array([0.5, 0.5]), 1e-10) is None
    assert split_spectrum(np.eye(2), np.array([1.0, 0.0]), 1e-10) is None
    assert split_spectrum(-np.eye(2), np.array([1.5, -0.5]), 1e-10).negative == 0
    assert split_spectrum(-np.eye(2), np.array([0.5, 0.5]), 1e-10).negative == 2


def near_copies(k, step, net):
    """Return the teacher with its neuron 3 made of k neurons at w + j step e, j = 1..k.

    Shares are Lagrange's weights for j = 0, which are right for polynomials of degree below k: the
    output is off by ~ step^k, the loss is ~ step^(2k).
    """
    shares = [(-1) ** (j + 1) * math.comb(k, j) for j in range(1, k + 1)]
    student = split(np.vstack([net.weights.T, net.signs]), 2, shares)
    student[0, -k:] += step * np.arange(1, k + 1)
    return student


@pytest.mark.parametrize("k, step", [(2, 1e-3), (3, 5e-3), (4, 1e-2)])
def test_groups_that_cancel_to_order_k(k, step, given, alternating):
    students = np.stack([near_copies(k, s, alternating) for s in (step, step / 2)])
    loss, _, _ = newton.evaluate(students, given)
    assert np.log2(loss[0] / loss[1]) == pytest.approx(2 * k, abs=0.3)
    found = verdict(students[0], given, alternating)
    assert (found.name, found.kind) == ("global", "0 reflected + copy")


def test_a_small_loss_alone_is_no_type(given, alternating):
    """Neurons up to 0.14 from the teacher's, with a loss that says 1e-10."""
    student = near_copies(4, 0.035, alternating)
    assert 1e-20 < newton.evaluate(student[None], given)[0][0] < 1e-9
    found = verdict(student, given, alternating)
    assert (found.name, found.kind) == ("undecided", "loss still falling")
