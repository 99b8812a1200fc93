import numpy as np
import pytest

from repro.critical import loss, newton, proofs
from repro.teacher_student import teacher


@pytest.fixture(scope="session", params=["alternating", "ones"])
def net(request):
    return teacher.get(request.param)


@pytest.fixture(scope="session")
def alternating():
    return teacher.get("alternating")


@pytest.fixture(scope="session")
def given(alternating):
    """The alternating teacher's problem."""
    return loss.problem(teacher.half_grid(), alternating.weights, alternating.signs)


@pytest.fixture(scope="session")
def exact(alternating):
    return proofs.exact(teacher.half_grid(), alternating.incoming, alternating.outgoing)


def _descended(start, given):
    theta = np.array([start])
    theta, _ = newton.descend(theta, np.array([newton.DAMPING_START]), given, 300)
    _, gradient, _ = newton.evaluate(theta, given)
    assert np.abs(gradient).max() < newton.GRADIENT_TOLERANCE
    return theta[0]


@pytest.fixture(scope="session")
def minimum_3(given):
    """A local minimum of width 3 with loss 1.168e-4, from three digits of it.

    The sign matrix of its neuron 1 is positive definite, the others are indefinite.
    """
    start = [[0.938, -0.23, 0.919], [0.623, 0.031, -0.731], [0.417, -0.754, 0.337]]
    return _descended(start, given)


@pytest.fixture(scope="session")
def minimum_4(given):
    """A local minimum of width 4 with loss 7.98e-5, from three digits of it."""
    return _descended(
        [
            [0.782, -0.655, 0.910, -0.134],
            [-0.685, 1.450, 0.582, 0.024],
            [0.451, 0.076, 0.452, -0.979],
        ],
        given,
    )


@pytest.fixture(scope="session")
def saddle_2(given):
    """An isolated saddle of width 2 with index 1 or more: a neuron and its reflection."""
    start = [[[0.3799, -0.3799], [-0.0122, 0.0122], [0.7421, -0.7421]]]
    return newton.to_critical_point(np.array(start), given)[0]
