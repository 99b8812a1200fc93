"""SAM, and what ends are asked for, on a tiny network with batch norm."""

import json

import numpy as np
import pytest

from repro.bad_minima import figures, flatness
from repro.bad_minima.claims import CLAIMS
from repro.bad_minima.measures import of
from repro.bad_minima.settings import Train
from repro.reporting.results import Run
from repro.settings import name, settle

SETTINGS = Train(
    dataset="digits",
    train_examples=60,
    epochs=3,
    drop_at=(2,),
    batch_size=32,
    eval_every=1,
    sharpness_examples=0,
    sam_rho=0.05,
    curvature_every=1,
    curvature_at_end=True,
)


@pytest.fixture(scope="module")
def whole(make, tiny_network, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    return path, make(SETTINGS, path)


def rows(path):
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


@pytest.mark.slow
def test_sharpness_is_measured_with_the_batch_norm_of_its_epoch(whole):
    """Not with the moving statistics of the first measurement: at the end both ways agree."""
    path, result = whole
    found = [row["train/sharpness"] for row in rows(path)]
    assert len(found) == 4
    assert result["criticality"]["largest"] == pytest.approx(found[-1], rel=1e-3)
    assert found[0] != pytest.approx(found[-1], rel=1e-3)


@pytest.mark.slow
def test_flatness_has_every_ball(whole):
    found = whole[1]["flatness"]
    assert set(found) == set(flatness.BALLS)
    assert all(ball["value"] >= 0 and ball["batches"] == 1 for ball in found.values())
    assert found["m_sharpness_5_steps"]["value"] >= found["m_sharpness"]["value"]


@pytest.mark.slow
def test_in_parts_equals_in_full(whole, make, killed, tmp_path):
    with killed(2):
        make(SETTINGS, tmp_path / "run")
    result = make(SETTINGS, tmp_path / "run")
    assert rows(tmp_path / "run") == rows(whole[0])
    assert result["criticality"] == whole[1]["criticality"]


def test_sam_is_another_run_and_no_sam_is_the_old_one():
    plain, none, sam = (settle(SETTINGS.replace(sam_rho=rho))[0] for rho in (0.0, None, 0.05))
    assert name(plain) == name(none) != name(sam)
    with pytest.raises(ValueError, match="--sam_rho has neither --xla"):
        settle(SETTINGS.replace(xla=True))


# --- claims and figure ----------------------------------------------------------------------------


def end(tmp_path, init, seed, *, gradient=1e-3, low=-1e-3, largest=10.0, ball=0.1, **changes):
    """A made-up vanilla run that was looked at."""
    settings = {
        "stage": "train",
        "init": init,
        "seed": seed,
        "epochs": 350,
        "augment": [],
        "weight_decay": 0.0,
        "momentum": 0.0,
        "shuffle": True,
        "batch_statistics": False,
        "reset_batch_norm": None,
        "curvature_at_end": True,
        "sam_rho": None,
    }
    criticality = {
        "gradient_norm": gradient,
        "smallest": low * largest,
        "smallest_residual": 1e-4,
        "largest": largest,
        "examples": 2000,
    }
    result = {
        "status": "complete",
        "epochs": 350,
        "train_accuracy": 1.0,
        "test_accuracy": 0.5,
        "train_examples": 2000,
        "criticality": criticality,
        "flatness": {name: {"value": ball} for name in flatness.BALLS},
    }
    return Run(tmp_path, settings | changes, result, [])


def judge(claim, runs):
    finding = CLAIMS[claim].judge(runs)
    return finding and finding.verdict


def test_bad_minima_are_minima_where_gradient_and_spectrum_say_so(tmp_path):
    def runs(**changes):
        return [end(tmp_path, "adversarial", seed, **changes) for seed in range(3)]

    assert judge("B22", runs()) == "reproduced"
    assert judge("B22", runs()[:2]) == "inconclusive"
    assert judge("B22", runs(gradient=0.3)) == "contradicted"
    assert judge("B22", runs(low=-0.2)) == "contradicted"
    assert judge("B22", runs(sam_rho=0.05)) is None
    assert judge("B22", [end(tmp_path, "random", 0)]) is None


@pytest.mark.parametrize("claim", ["B23", "B24"])
def test_a_measure_tells_bad_from_good_where_it_is_larger(tmp_path, claim):
    rng = np.random.default_rng(0)

    def runs(factor):
        noise = 0.001 * rng.standard_normal(3)
        good = [end(tmp_path, "random", seed, ball=0.1) for seed in range(3)]
        bad = [
            end(tmp_path, "adversarial", seed, ball=0.1 * factor + noise[seed]) for seed in range(3)
        ]
        return good + bad

    assert judge(claim, runs(3)) == "reproduced"
    assert judge(claim, runs(0.3)) == "contradicted"
    assert judge(claim, runs(1)) == "inconclusive"
    assert judge(claim, [run for run in runs(3) if run.settings["init"] == "random"]) is None


def test_runs_that_were_looked_at_or_by_sam_are_in_no_other_claim(tmp_path):
    assert of([end(tmp_path, "random", 0)], "vanilla") == []
    assert len(of([end(tmp_path, "random", 0, curvature_at_end=None)], "vanilla")) == 1


def test_the_figure_shows_every_run(tmp_path):
    runs = [end(tmp_path, init, seed) for init in ("random", "adversarial") for seed in range(2)]
    figure = figures.FIGURES["sharpness_measures"]([*runs, end(tmp_path, "random", 0, sam_rho=0.1)])
    left, right = figure.axes
    assert sum(len(line.get_xdata()) for line in left.lines[:-1]) == 5 * 5
    assert sum(len(line.get_xdata()) for line in right.lines) == 5
    figures.FIGURES["sharpness_measures"]([])
