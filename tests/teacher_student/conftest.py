import numpy as np
import pytest

from repro import papers
from repro.critical import escapes, graph, loss
from repro.reporting import results
from repro.settings import as_dict
from repro.teacher_student import family, teacher
from repro.teacher_student.settings import Census, Graph, Slides


@pytest.fixture(scope="session")
def short():
    """Settings of a run of seconds, by stage."""
    return {
        "census": Census(
            hidden=4,
            num_students=6,
            adam_steps=2500,
            learning_rate=1e-2,
            newton_iterations=300,
            seed=3,
        ),
        "slides": Slides(
            hidden=4,
            num_students=6,
            adam_steps=1500,
            learning_rate=1e-2,
            max_perturbations=2,
            slsqp_students=2,
            seed=3,
        ),
        "graph": Graph(
            hidden=2,
            num_students=4,
            adam_steps=1000,
            learning_rate=1e-2,
            newton_iterations=200,
            seed=3,
        ),
    }


@pytest.fixture(scope="session")
def given():
    """The alternating teacher's problem."""
    net = teacher.get("alternating")
    return loss.problem(teacher.half_grid(), net.weights, net.signs)


@pytest.fixture(scope="session")
def census(short, make, tmp_path_factory):
    """A complete census of six students: its directory and its result."""
    path = tmp_path_factory.mktemp("census") / "teacher_student" / "run"
    return path, make(short["census"], path)


@pytest.fixture(scope="session")
def load():
    """Load a run as reports do: load(path of the folder teacher_student/NAME)."""

    def load(path):
        return results.load(path, as_dict(papers.read_settings(path)))

    return load


@pytest.fixture
def short_graph(monkeypatch):
    """Make what follows descent in the graph stage quick."""
    monkeypatch.setattr(escapes, "EPSILONS", np.array([1e-8, 0.1]))
    monkeypatch.setattr(family, "SADDLE_STARTS", 20)
    monkeypatch.setattr(graph, "SEARCH_STEPS", (1000,))
