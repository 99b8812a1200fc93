"""Claims, a table and a figure of Theorem 1's operator and of how soon a minimum is left."""

import numpy as np
import pytest
from made_up import N, judge, trained

from repro.reporting.results import Run
from repro.stability import figures, measures, tables
from repro.stability.claims import CLAIMS


def operators(tmp_path, values, batch=4, **changes):
    return [
        trained(*(tmp_path, 0.5, batch, 2.0, 1.0), theorem1={"value": value}, seed=seed, **changes)
        for seed, value in enumerate(values)
    ]


def test_no_solution_may_be_unstable(tmp_path):
    assert judge("P16", []) is None
    assert judge("P16", operators(tmp_path, [1.0, 1.0, 1.05])) == "reproduced"
    assert judge("P16", operators(tmp_path, [1.0, 1.0])) == "inconclusive"  # two seeds
    assert judge("P16", operators(tmp_path, [1.0, 1.0, 1.3])) == "contradicted"
    short = operators(tmp_path, [1.0, 1.0, 1.3], fitted=False)
    assert judge("P16", short) is None  # nowhere near a minimum
    budget = {"stop_loss": 0.0, "fitted": False}  # they fit, but not to the paper's rule
    assert judge("P16", operators(tmp_path, [1.0, 1.0, 1.3], **budget)) == "inconclusive"
    assert judge("P16", operators(tmp_path, [1.0] * 3, batch=N)) == "inconclusive"  # of GD alone
    wrong = {"wrong_examples": 200, "stop_loss": 5e-4}  # the rule of such networks
    assert judge("P16", operators(tmp_path, [1.0, 1.0, 1.05], **wrong)) == "reproduced"
    assert judge("P16", operators(tmp_path, [1.0, 1.0, 1.3], **wrong)) == "contradicted"
    assert CLAIMS["P16"].everywhere
    made = operators(tmp_path, [1.0, 1.0, 1.03]) + operators(tmp_path, [1.0] * 3, batch=N)
    table = tables.theorem1(made)
    assert [row[:3] for row in table.rows] == [
        ["0.5", "4", "1.01 ± 0.017"],
        ["0.5", "n", "1.00 ± 0"],
    ]


def test_a_training_made_again_to_be_looked_at_counts_once(tmp_path):
    """Where only the second one measured the operator it stands for both."""
    plain = operators(tmp_path, [1.0, 1.0, None])
    plain[2].result["theorem1"] = None
    again = operators(tmp_path, [1.5, 1.0, 1.03])
    for run in again:
        run.settings["curvature_at_end"] = True
    found = measures.operators([*again, *plain])
    assert [measures.theorem1(run) for run in found] == [1.0, 1.0, 1.03]
    along = operators(tmp_path, [1.5, 1.0], iterations=4000)  # enough to meet the rule
    for run in along:
        run.settings.update(curvature_every=100, measure_every=100, test_split="test[:9]")
    both = [*again, *along, *plain]
    assert [measures.theorem1(run) for run in measures.operators(both)] == [1.0, 1.0, 1.03]
    assert "measured at" not in CLAIMS["P16"].judge(both).measured
    budget = [{"stop_loss": 0.0, "iterations": steps} for steps in (10, 20)]
    ends = [run for each in budget for run in operators(tmp_path, [1.0], **each)]
    assert len(measures.operators(ends)) == 2  # no rule ended them, and so they are two


def test_a_network_that_was_only_made_to_be_looked_at_is_one_of_the_solutions(tmp_path):
    plain, looked_at = operators(tmp_path, [None, 1.0])
    plain.result["theorem1"] = None
    looked_at.settings["curvature_at_end"] = True
    assert "measured at 1 of 2 solutions" in CLAIMS["P16"].judge([plain, looked_at]).measured


def escape(tmp_path, start, sharpness, steps, seed=0, **changes):
    """A run whose loss is 100 times what it was from a step on."""
    settings = {"stage": "escape", "dataset": "fashion_mnist", "measure_every": 1, "seed": seed}
    settings["wrong_examples"] = 0
    settings |= {"start_learning_rate": start, "learning_rate": 1.5, "batch_size": N} | changes
    rows = [
        {"phase": 1, "step": k, "train/loss": 1e-4 * (100 if k >= steps else 1)} for k in range(20)
    ]
    rows[0]["curvature/sharpness"] = sharpness
    result = {"status": "complete", "train_examples": N, "sharpness": {"value": 1.0}}
    return Run(tmp_path / "escape", settings, result, [{"phase": 0, "step": 0}, *rows])


def sweep(tmp_path, steps):
    starts = zip((1.0, 0.7, 0.5), (1.9, 2.7, 3.8), steps)
    return [
        escape(tmp_path, start, a + 0.01 * seed, number, seed)
        for start, a, number in starts
        for seed in range(3)
    ]


def test_sharper_minima_are_left_sooner(tmp_path):
    runs = sweep(tmp_path, (9, 6, 4))
    assert [steps for _, _, steps in measures.departures(runs)] == [9] * 3 + [6] * 3 + [4] * 3
    assert measures.departures(runs)[0][1] == pytest.approx(1.9 * 1.5 / 2)
    assert measures.departures([escape(tmp_path, 1.0, 1.9, 5, measure_every=40)]) == []
    assert measures.departures([escape(tmp_path, 1.0, 1.9, 99)])[0][2] == np.inf  # it stayed
    assert measures.departures([escape(tmp_path, 1.0, 1.9, 5, wrong_examples=200)]) == []
    assert judge("P17", runs) == "reproduced"
    assert judge("P17", runs[:6]) == "inconclusive"  # two sharpnesses
    assert judge("P17", sweep(tmp_path, (4, 6, 9))) == "contradicted"
    assert judge("P17", sweep(tmp_path, (6, 6, 6))) == "inconclusive"
    assert judge("P17", sweep(tmp_path, (4, 6, 99))) == "contradicted"  # the sharpest one stays
    axes = figures.FIGURES["escape_time"](runs).axes[0]
    points = [line.get_xydata() for line in axes.lines if line.get_marker() == "o"]
    assert sum(map(len, points)) == 9
    (theory,) = [line for line in axes.lines if line.get_label() == "quadratic"]
    x, y = theory.get_xydata()[50]  # the loss grows by (eta a - 1)^2 a step
    assert np.isclose((2 * x - 1) ** (2 * y), 1e6)
