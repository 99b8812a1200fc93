"""Whether SGDR's iterates are minima: the claim and its table on made-up numbers, and a run."""

import numpy as np
import pytest

from repro.mode_connectivity import minima
from repro.mode_connectivity.claims import CLAIMS
from repro.mode_connectivity.tables import TABLES
from repro.reporting.results import Run


def looked_at(tmp_path, seed, *, gradient, smallest, examples=20, **settings):
    """A made-up training by SGDR with the same numbers at every iterate."""
    numbers = {
        "loss": 0.1,
        "gradient_norm": gradient,
        "largest": 10.0,
        "largest_residual": 1e-3,
        "smallest": smallest,
        "smallest_residual": 1e-3,
        "rounding": 1e-4,
        "statement": "made up",
        "examples": examples,
    }
    result = {
        "status": "complete",
        "train_examples": 20,
        "criticality": numbers,
        "criticality_of_iterates": {epoch: numbers for epoch in ("30", "70", "150")},
        "protocol": "made up",
    }
    asked = {"stage": "endpoint", "mode": "sgdr", "seed": seed, "epoch_scale": 1.0}
    return Run(tmp_path, asked | settings, result, [])


@pytest.mark.parametrize(
    ("gradient", "smallest", "verdict"),
    [
        (0.3, 1.0, "reproduced"),  # no critical point
        (1e-4, -0.5, "reproduced"),  # a saddle
        (1e-4, 0.5, "contradicted"),
        (1e-4, -5e-4, "contradicted"),  # below zero by less than its error
    ],
)
def test_no_minimum_by_gradient_or_by_curvature(tmp_path, gradient, smallest, verdict):
    numbers = {"gradient": gradient, "smallest": smallest}
    runs = [looked_at(tmp_path, seed, **numbers) for seed in range(3)]
    assert CLAIMS["M17"].judge(runs).verdict == verdict
    assert CLAIMS["M17"].judge(runs[:2]).verdict == "inconclusive"
    short = [looked_at(tmp_path, seed, **numbers, epoch_scale=0.4) for seed in range(3)]
    assert CLAIMS["M17"].judge(short).verdict == "inconclusive"
    part = [looked_at(tmp_path, seed, **numbers, examples=10) for seed in range(3)]
    assert CLAIMS["M17"].judge(part).verdict == "inconclusive"  # zero of all is not zero of a half
    table = TABLES["minima"](runs)
    assert [row[:2] for row in table.rows[:4]] == [["0", p] for p in ("w30", "w70", "w150", "end")]
    assert len(table.rows) == 12


@pytest.mark.slow
def test_a_run_looks_at_its_iterates_and_ends_where_it_was(make, tmp_path, monkeypatch):
    """Of what is looked at only the loss, which tells where that was."""

    def look(settings, network, loss, data, **options):
        assert options["weight_decay"] == 0.0
        value = float(np.mean(loss(data[1], network(data[0], training=False))))
        return {"criticality": {"loss": value}}

    monkeypatch.setattr(minima.curvature_on_request, "at_end", look)
    found = make(
        tmp_path,
        "endpoint",
        mode="sgdr",
        train_examples=20,
        eval_examples=20,
        batch_size=20,
        epoch_scale=0.1,
        weight_decay=0.0,
        dropout_rate=0.0,
        curvature_at_end=True,
    )
    result = found.result()
    assert set(result["criticality_of_iterates"]) == {"30", "70", "150"}
    assert result["criticality"]["loss"] == pytest.approx(result["train_loss"], rel=1e-5)
    other = result["criticality_of_iterates"]["30"]["loss"]
    assert other > result["train_loss"]
