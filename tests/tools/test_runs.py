"""Runs found again, and claims that are judged over all of a paper's."""

import json
import shutil
from pathlib import Path

import pytest

from repro.tools import reproduce, runs, verdicts

REFERENCE = Path(__file__).parents[2] / "outputs" / "reference"


@pytest.fixture
def output_dir(tmp_path):
    """A folder with the runs of Table 1's two perceptrons at scale cpu."""
    (figure,) = reproduce.read_figures(["randomization/table1"], "cpu", REFERENCE, {})
    for run in figure.runs:
        if run.complete and run.path.name.startswith("mlp"):
            copied(run.path, tmp_path)
    return tmp_path


def copied(path, output_dir):
    target = output_dir / path.parent.name / path.name
    shutil.copytree(path, target)
    return target


def one_of(name):
    return sorted((REFERENCE / "randomization").glob(f"{name}-cifar10-none-n5000-*"))[0]


def drawn(output_dir, id_):
    (figure,) = reproduce.read_figures(["randomization/table1"], "cpu", output_dir, {})
    complete = sum(run.complete for run in figure.runs)
    assert 0 < reproduce.draw(figure, "cpu", output_dir) == complete
    record = json.loads((output_dir / "figures" / "randomization-table1-cpu.json").read_text())
    return next(claim for claim in record["claims"] if claim["id"] == id_)


def test_a_claim_on_all_networks_sees_those_of_other_figures(output_dir):
    """Of two networks' runs parameter counts say too little; those of others are seen as well."""
    assert drawn(output_dir, "R1")["verdict"] == "inconclusive"
    for name in ("inception", "inception_no_bn", "alexnet"):
        copied(one_of(name), output_dir)
    judged = drawn(output_dir, "R1")
    assert judged["verdict"] == "reproduced" and len(judged["runs"]) == 5
    assert drawn(output_dir, "R14")["measured"].startswith("mlp_3x512")  # of the figure alone


def test_complete_runs_are_those_with_a_result(output_dir):
    found = {run.path.name for run in runs.complete(output_dir, "randomization")}
    assert found == {path.name for path in (output_dir / "randomization").iterdir()}
    first, second = sorted((output_dir / "randomization").iterdir())[:2]
    (first / "result.json").unlink()
    result = json.loads((second / "result.json").read_text())
    (second / "result.json").write_text(json.dumps(result | {"status": "diverged"}))
    left = runs.complete(output_dir, "randomization")
    assert {run.path.name for run in left} == found - {first.name}
    drawn = {run.path.name for run in verdicts.counted("randomization", left)}
    assert drawn == found - {first.name, second.name}  # its figures leave diverged runs out, too
    assert runs.complete(output_dir, "stability") == []
