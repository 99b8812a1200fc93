import copy
import json
import math

import numpy as np
import pytest
from flint import arb, arb_mat

from repro.critical import balls, intervals, newton, proofs
from repro.critical.balls import NotCertified
from repro.critical.certificates import InvalidCertificate, certify, certify_split, signed, verify


@pytest.fixture(scope="module")
def minimum(minimum_4, exact):
    return certify(minimum_4, 0, "alternating", exact)


@pytest.fixture(scope="module")
def saddle(saddle_2, given, exact):
    eigenvalues = np.linalg.eigvalsh(newton.evaluate(saddle_2[None], given)[2][0])
    return certify(saddle_2, int((eigenvalues < 0).sum()), "alternating", exact)


@pytest.fixture(scope="module")
def plateau(minimum_3, exact):
    parent = certify(minimum_3, 0, "alternating", exact)
    return certify_split(parent, [(1, [0.25])], exact)


# --- what they say --------------------------------------------------------------------------------


def test_minimum(minimum, minimum_4, given, exact):
    verify(json.loads(json.dumps(minimum)), exact)
    loss, _, hessian = newton.evaluate(minimum_4[None], given)
    assert minimum["kind"] == "minimum"
    # the interval of the loss is far narrower than float64's error of it
    assert minimum["loss"][0] == pytest.approx(loss[0], rel=1e-12)
    assert minimum["loss"][1] - minimum["loss"][0] < 1e-15 * loss[0]
    lowest = np.linalg.eigvalsh(hessian[0])[0]
    assert 0.5 * lowest <= minimum["lambda"] < lowest
    assert 0 < minimum["loss_floor"] <= minimum["loss"][0]
    # Lemma 1: about 25 g / (6 * 3 lambda / ...) -> t ~ 25 g / (12 lambda) for a tiny gradient g
    assert minimum["radius"] == pytest.approx(
        25 * minimum["gradient_norm"] / (12 * minimum["lambda"]), rel=0.01
    )


def test_saddle(saddle, exact):
    verify(saddle, exact)
    assert saddle["kind"] == "saddle" and saddle["index"] > 0 and saddle["radius"] < 1e-15


def test_plateau_and_split_saddle(plateau, exact):
    verify(plateau, exact)
    assert (plateau["index"], plateau["width"], plateau["signs"]) == (0, 4, [1])
    beyond = certify_split(plateau["parent"], [(1, [1.25]), (0, [0.5])], exact)
    assert (beyond["index"], beyond["width"], beyond["signs"]) == (3, 5, [1, 0])


# --- what they refuse -----------------------------------------------------------------------------


def leaves(value, path=()):
    """Yield the path of every number and string in a certificate."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from leaves(inner, (*path, key))
    else:
        yield path


def altered(certificate, path):
    """Return a copy in which one number is the next double, one integer larger, one text longer."""
    changed = copy.deepcopy(certificate)
    place = changed
    for key in path[:-1]:
        place = place[key]
    value = place[path[-1]]
    if isinstance(value, str):
        place[path[-1]] = value + "x"
    elif isinstance(value, int):
        place[path[-1]] = value + 1
    else:
        place[path[-1]] = math.nextafter(value, math.inf)
    return changed


@pytest.mark.parametrize("name", ["minimum", "saddle", "plateau"])
def test_any_altered_number_is_rejected(name, request, exact):
    certificate = request.getfixturevalue(name)
    paths = list(leaves(certificate))
    assert len(paths) > 15
    for path in paths:
        with pytest.raises(InvalidCertificate):
            verify(altered(certificate, path), exact)


def test_forged_claims_do_not_follow(minimum, saddle, plateau, exact):
    """With a fitting digest, the mathematics has to refuse."""
    width = 4
    for row in range(3):
        for column in range(width):
            moved = copy.deepcopy(minimum)
            moved["point"][row][column] += 1e-3
            with pytest.raises(InvalidCertificate):
                verify(signed(moved), exact)
    forgeries = [
        minimum | {"lambda": 2 * minimum["lambda"]},
        minimum | {"lambda": -minimum["lambda"]},
        minimum | {"rho": minimum["radius"] / 2},
        minimum | {"radius": minimum["radius"] / 2},
        minimum | {"loss_floor": 2 * minimum["loss_floor"]},
        minimum | {"third_derivative": 0.5},
        minimum | {"gradient_norm": 0.0},
        minimum | {"index": 1},
        saddle | {"index": saddle["index"] + 1},
        saddle | {"kind": "minimum"},
        plateau | {"index": 1},
        plateau | {"width": 5},
        plateau | {"splits": [[1, [1.25]]]},  # a saddle, not the plateau it says
        plateau | {"splits": [[1, [1.0]]]},
        plateau | {"splits": [[1, [0.25]], [1, [0.25]]]},
        plateau | {"parent": plateau["parent"] | {"radius": 1.0}},
    ]
    for forged in forgeries:
        with pytest.raises(InvalidCertificate):
            verify(signed(forged), exact)


@pytest.mark.parametrize("broken", [{}, {"kind": "minimum"}, {"kind": "miracle"}])
def test_what_is_no_certificate(broken, exact):
    with pytest.raises(InvalidCertificate):
        verify(broken, exact)
    with pytest.raises(InvalidCertificate):
        verify(signed(broken), exact)


def test_the_other_teacher_refuses(minimum):
    from repro.teacher_student import teacher

    ones = teacher.get("ones")
    other = proofs.exact(teacher.half_grid(), ones.incoming, ones.outgoing)
    with pytest.raises(InvalidCertificate):
        verify(minimum, other)


def test_nothing_is_certified_that_is_not_there(minimum_4, minimum_3, saddle_2, exact, alternating):
    teacher = np.vstack([alternating.weights.T, alternating.signs])
    with pytest.raises(NotCertified):  # Lemma 2: the teacher's loss is zero
        certify(teacher, 0, "alternating", exact)
    with pytest.raises(NotCertified):
        certify(saddle_2, 0, "alternating", exact)
    with pytest.raises(NotCertified):
        certify(minimum_4 + 0.2, 0, "alternating", exact)
    from repro.critical.splitting import split

    with pytest.raises(NotCertified):  # a plateau has a zero eigenvalue
        certify(split(minimum_3, 1, [0.5, 0.5]), 0, "alternating", exact)


# --- the bounds they rest on ----------------------------------------------------------------------


def test_balls_contain_float64_within_its_error(exact, given):
    theta = np.random.default_rng(0).uniform(-1, 1, (3, 4))
    with balls.precision(proofs.BITS):
        loss, gradient, hessian = intervals.derivatives(intervals.student(theta.tolist()), exact)
    expected = newton.evaluate(theta[None], given)
    assert float(loss) == pytest.approx(expected[0][0], rel=1e-13)
    np.testing.assert_allclose([float(g) for g in gradient], expected[1][0], atol=1e-13)
    rows = [[float(x) for x in row] for row in hessian.tolist()]
    np.testing.assert_allclose(rows, expected[2][0], atol=1e-12)


def test_sigmoid_constants_are_upper_bounds():
    """Derivatives of sigma are polynomials of sigma; a fine grid finds their maxima to 1e-6."""
    s = np.linspace(0, 1, 100_001)
    d = s * (1 - s)
    second, third = d * (1 - 2 * s), d * (1 - 6 * d)
    fourth = d * (1 - 2 * s) * (1 - 12 * d)
    for values, bound in (
        (second, intervals.SECOND_MAX),
        (third, intervals.THIRD_MAX),
        (fourth, intervals.FOURTH_MAX),
    ):
        assert 0.97 * float(bound) < np.abs(values).max() <= float(bound)


def test_third_derivative_bound_holds_and_is_not_idle(exact, given):
    """Third differences along random and steep directions, at points in the ball, stay below."""
    rng, rho, h = np.random.default_rng(4), 0.05, 1e-2
    theta = rng.uniform(-1, 1, (3, 3))
    with balls.precision(proofs.BITS):
        bound = float(
            intervals.third_derivative_bound(intervals.student(theta.tolist()), exact, arb(rho))
        )
    units = rng.standard_normal((400, 3, 3))
    units /= np.linalg.norm(units, axis=(1, 2), keepdims=True)
    centres = theta + rho * rng.uniform(0, 1, (400, 1, 1)) * units[::-1]
    ahead, behind = (newton.evaluate(centres + s * h * units, given)[2] for s in (1, -1))
    flat = units.reshape(400, 9)
    third = np.einsum("sp,spq,sq->s", flat, ahead - behind, flat) / (2 * h)
    # truncation h^2 |D^5 F| / 6 is below 1e-4 x 1000 / 6, small against the bound of tens
    assert np.abs(third).max() < bound
    assert np.abs(third).max() > bound / 100
    # and the Hessian's Lipschitz constant
    change = np.linalg.norm(ahead - behind, ord=2, axis=(1, 2)) / (2 * h)
    assert change.max() < bound


def test_inertia_counts_negative_eigenvalues():
    rng = np.random.default_rng(5)
    basis, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    eigenvalues = np.array([-3.0, -1e-6, 1e-9, 0.2, 1.0, 5.0])
    with balls.precision(proofs.BITS):
        v = arb_mat(basis.tolist())
        diagonal = arb_mat(np.diag(eigenvalues).tolist())
        matrix = v * diagonal * v.transpose()
        counts = [balls.inertia(matrix, arb(shift)) for shift in (-4, -1, 0, 0.1, 9)]
        assert counts == [0, 1, 2, 3, 6]
        with pytest.raises(NotCertified):
            balls.inertia(arb_mat([[arb(0, 1e-9)]]), arb(0))
