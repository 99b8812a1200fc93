"""A student as a Keras model has the loss and the Hessian that the paper's formulas give."""

import numpy as np
import pytest

from repro import curvature
from repro.critical import newton
from repro.teacher_student import teacher
from repro.teacher_student.opening import network, open_run, squared_error
from repro.teacher_student.problems import problem


@pytest.mark.parametrize("student", [0, 4, None])
def test_hessian_is_the_closed_form(census, load, given, student):
    trained = open_run(census[0], student=student)
    arrays = load(census[0]).arrays()
    number = int(arrays["loss"].argmin()) if student is None else student
    theta = np.vstack([arrays["incoming"][number].T, arrays["outgoing"][number]])
    loss, _, hessian = newton.evaluate(theta[None], given)

    inputs, targets = trained.data
    assert inputs.shape == (1681, 2) and targets.shape == (1681, 1)
    outputs = trained.network(inputs)
    assert outputs.dtype == "float64"
    # sums of 1,681 squares below 1 in another order: rounding errors of 1e-15
    assert np.mean(trained.loss(targets, outputs)) == pytest.approx(loss[0], rel=1e-9, abs=1e-15)
    found = curvature.dense(curvature.hessian(trained.network, trained.loss, trained.data))
    np.testing.assert_allclose(found, hessian[0], rtol=0, atol=1e-10)
    top = curvature.top_eigenvalues(
        trained.network, trained.loss, trained.data, tolerance=1e-12, max_iterations=50
    )
    assert top.values[0] == pytest.approx(np.linalg.eigvalsh(hessian[0])[-1], rel=1e-10)


def test_network_with_biases():
    """Weights in the order of a flattened student, so the Hessian is the closed form's."""
    net = teacher.get("alternating", biases=True)
    student = np.random.default_rng(0).uniform(-1, 1, (4, 3))
    loss, _, hessian = newton.evaluate(student[None], problem(net))
    model, grid = network(student), teacher.grid()
    data = (grid, net.output(grid)[:, None])
    assert np.mean(squared_error(data[1], model(grid))) == pytest.approx(loss[0], rel=1e-12)
    found = curvature.dense(curvature.hessian(model, squared_error, data))
    np.testing.assert_allclose(found, hessian[0], rtol=0, atol=1e-10)


def test_data_and_settings(census):
    trained = open_run(census[0], examples=10)
    np.testing.assert_array_equal(trained.data[0], teacher.grid()[:10])
    expected = teacher.get("alternating").output(teacher.grid()[:10])
    np.testing.assert_array_equal(trained.data[1][:, 0], expected)
    assert (trained.settings.stage, trained.settings.hidden) == ("census", 4)


@pytest.mark.slow
def test_a_graphs_widest_students(short, short_graph, make, tmp_path):
    make(short["graph"], tmp_path)
    lowest = open_run(tmp_path)
    shapes = [tuple(w.shape) for w in lowest.network.get_weights()]
    assert shapes == [(2, 2), (2, 1)]

    def loss(trained):
        inputs, targets = trained.data
        return float(np.mean(trained.loss(targets, trained.network(inputs))))

    each = [loss(open_run(tmp_path, student=number)) for number in range(4)]
    assert loss(lowest) == pytest.approx(min(each), rel=1e-12)  # several may end at one point


def test_what_cannot_be_opened(census, tmp_path):
    with pytest.raises(ValueError, match="students 0 to 5, none of number 6"):
        open_run(census[0], student=6)
    with pytest.raises(ValueError, match="no complete run"):
        open_run(tmp_path)


@pytest.mark.slow
def test_a_graph_without_its_states_cannot_be_opened(short, short_graph, make, tmp_path):
    make(short["graph"], tmp_path)
    for state in (tmp_path / "checkpoints").iterdir():
        state.unlink()
    with pytest.raises(ValueError, match="left no students behind"):
        open_run(tmp_path)
