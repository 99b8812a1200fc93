"""The binary from outside, and a run that is killed."""

import json
import subprocess
import sys

import numpy as np
import pytest

from repro.teacher_student import experiment as teacher_student
from repro.critical import escapes, family, graph
from repro.reporting import figures, results
from repro.training.runs import RunDirectory

CENSUS = {
    "protocol": "census", "teacher": "alternating", "width": 4, "num_students": 6,
    "init": "glorot", "adam_steps": 2500, "learning_rate": 1e-2, "adam_precision": "float64",
    "newton_iterations": 300, "slsqp_ftol": None, "epsilon": None, "max_perturbations": None,
    "seed_students": None, "seed": 3,
}  # fmt: skip
GRAPH = CENSUS | {
    "protocol": "graph", "width": 2, "num_students": 4, "adam_steps": 1000,
    "newton_iterations": 200,
}  # fmt: skip
SEED = CENSUS | {
    "protocol": "seed", "adam_steps": 1500, "newton_iterations": None, "slsqp_ftol": 1e-6,
    "epsilon": 0.01, "max_perturbations": 2, "seed_students": 2,
}  # fmt: skip


def complete(settings, path):
    """Run to the end and return result and arrays."""
    directory = RunDirectory(path, settings)
    result = teacher_student.run(**settings, run_directory=directory, environment={})
    result = directory.finish(result | {"settings": settings})
    with np.load(path / "arrays.npz", allow_pickle=False) as arrays:
        return result, dict(arrays)


class Killed(Exception):
    pass


def kill(settings, path, after, monkeypatch):
    """Run until that many rows of metrics are written."""
    directory, written = RunDirectory(path, settings), []

    def log(row):
        if len(written) == after:
            raise Killed
        written.append(row)

    monkeypatch.setattr(directory, "log", log)
    with pytest.raises(Killed):
        teacher_student.run(**settings, run_directory=directory, environment={})
    directory.close()


@pytest.fixture(scope="module")
def census(tmp_path_factory):
    path = tmp_path_factory.mktemp("census")
    return path, *complete(CENSUS, path)


def test_census(census):
    path, result, arrays = census
    assert arrays["incoming"].shape == (6, 4, 2) and arrays["outgoing"].shape == (6, 4)
    for name in ("loss", "gradient_norm", "lambda_min", "index", "class"):
        assert arrays[name].shape == (6,)
    counted = {name: c["count"] for name, c in result["counts"].items()}
    assert sum(counted.values()) == 6
    assert list(counted) == ["global", "local", "plateau", "saddle", "channel", "undecided"]
    for name, c in result["counts"].items():
        assert c["count"] == (arrays["class"] == name).sum()
        assert c["wilson"][0] <= c["share"] <= c["wilson"][1]
    assert "6 students of width 4, teacher alternating" in result["protocol"]
    assert teacher_student.verify(path / "certificates.json") == sum(
        p["certified"] for p in result["points"]
    )


@pytest.fixture
def quick(monkeypatch):
    """Make what follows descent in the graph protocol quick."""
    monkeypatch.setattr(escapes, "EPSILONS", np.array([1e-8, 0.1]))
    monkeypatch.setattr(family, "SADDLE_STARTS", 20)
    monkeypatch.setattr(graph, "SEARCH_STEPS", (1000,))


@pytest.mark.parametrize("name", ["classes", "widths", "trajectories", "eigenvalues", "channels"])
def test_figures_of_a_census(census, name, tmp_path):
    run = results.load(census[0])
    for file in figures.draw(f"teacher_{name}", [run], name, tmp_path / name):
        assert file.stat().st_size > 5000


def test_graph(quick, tmp_path):
    result, arrays = complete(GRAPH, tmp_path)
    run = results.load(tmp_path)
    for name in ("graph", "transition", "levels"):
        for file in figures.draw(f"teacher_{name}", [run], name, tmp_path / name):
            assert file.exists()
    nodes = {node["id"]: node for node in result["nodes"]}
    assert "4 students of each width up to 2, teacher alternating" in result["protocol"]
    assert list(result["counts"]) == ["1", "2"]
    for node in nodes.values():
        assert node["class"] in ("local", "plateau", "saddle")
        if "parent" in node:
            parent = nodes[node["parent"]]
            assert node["level"] == node["width"] - parent["width"] > 0
            assert node["loss"] == parent["loss"]
            assert all(c >= p for c, p in zip(node["inertia"], parent["inertia"]))
    assert any("parent" in node for node in nodes.values())
    assert all(edge["from"] in nodes for edge in result["edges"])
    certified = sum(node["certified"] for node in nodes.values())
    assert teacher_student.verify(tmp_path / "certificates.json") == certified
    assert result["exact"]["G"] == [240, 150, 30] and result["exact"]["T"] == 360
    assert result["exact"]["half_grid_error"] < 1e-12
    assert arrays["transition_share"].shape == (len(arrays["transition_name"]), 2)


@pytest.mark.parametrize("settings, after", [(CENSUS, 1), (CENSUS, 4), (SEED, 1), (GRAPH, 1)])
def test_killed_and_resumed_equals_uninterrupted(settings, after, tmp_path, monkeypatch, quick):
    expected, arrays = complete(settings, tmp_path / "whole")
    kill(settings, tmp_path / "killed", after, monkeypatch)
    result, again = complete(settings, tmp_path / "killed")
    assert set(arrays) == set(again)
    for name in arrays:
        np.testing.assert_array_equal(arrays[name], again[name], err_msg=name)
    for each in (expected, result):
        each.pop("seconds", None)  # only a run in one go knows how long it took
    assert expected == result


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--width=0"], "--width"),
        (["--teacher=two"], "alternating|ones"),
        (["--protocol=seed", "--epsilon=0"], "epsilon must be positive"),
        (["--protocol=seed", "--epsilon=-1"], "epsilon must be positive"),
        (["--epsilon=0.1"], "--epsilon is not for --protocol=census"),
        (["--protocol=graph", "--width=0"], "--width"),
        (["--protocol=graph", "--epsilon=0.1"], "--epsilon is not for --protocol=graph"),
        (["--protocol=graph", "--learning_rate=0"], "learning_rate must be positive"),
        (["--protocol=tree"], "seed|census|graph"),
        (["--verify=nowhere.json"], "cannot read certificates from nowhere.json"),
        (["extra"], "unexpected arguments: extra"),
    ],
)
def test_bad_input_is_one_clear_line(flags, message):
    done = _binary(*flags)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_altered_certificates_are_refused(census, tmp_path):
    path, *_ = census
    proofs = json.loads((path / "certificates.json").read_text())
    if not proofs:
        pytest.fail("the census of this seed certified nothing: choose another seed")
    name = next(iter(proofs))
    file = tmp_path / "altered.json"
    file.write_text(json.dumps(proofs))
    assert _binary(f"--verify={file}").stdout.endswith("certificates hold\n")
    target = proofs[name].get("parent", proofs[name])
    target["point"][0][0] += 1e-9
    file.write_text(json.dumps(proofs))
    done = _binary(f"--verify={file}")
    lines = done.stderr.strip().splitlines()
    assert done.returncode != 0
    assert lines[-1].startswith(f"error: {name} in {file} is not valid")


def _binary(*flags):
    command = [sys.executable, "-m", "repro.teacher_student", *flags]
    return subprocess.run(command, capture_output=True, text=True)
