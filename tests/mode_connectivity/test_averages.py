"""Averages, ensembles and curves that overfit, judged on made-up runs whose answers are known."""

import numpy as np
import pytest

from repro.mode_connectivity import figures
from repro.mode_connectivity.claims import CLAIMS
from repro.mode_connectivity.curve_figures import curve_run
from repro.reporting.results import Run


def gathered(tmp_path, mode, together, members, seed=0, scale=1.0):
    name = {"swa": "average_test_accuracy", "fge": "ensemble_test_accuracy"}[mode]
    settings = {"stage": "endpoint", "mode": mode, "seed": seed, "epoch_scale": scale}
    result = {"status": "complete", name: together, "member_test_accuracies": members}
    return Run(tmp_path / mode, settings, result, [])


@pytest.mark.parametrize(("claim", "mode"), [("M18", "swa"), ("M19", "fge")])
def test_together_against_alone(tmp_path, claim, mode):
    def judge(*gains, **changes):
        runs = [
            gathered(tmp_path, mode, 0.70 + gain, [0.69, 0.71], seed, **changes)
            for seed, gain in enumerate(gains)
        ]
        return CLAIMS[claim].judge(runs)

    better = judge(0.02, 0.021, 0.022)
    assert better.verdict == "reproduced" and better.brief == "+2.10 points"
    assert judge(0.02, 0.021).verdict == "inconclusive"  # two seeds
    assert judge(0.02, 0.021, 0.022, scale=0.4).verdict == "inconclusive"  # cut short
    assert judge(0.02, -0.02, 0.01).verdict == "inconclusive"
    assert judge(-0.02, -0.021, -0.022).verdict == "contradicted"
    other = "fge" if mode == "swa" else "swa"
    assert CLAIMS[claim].judge([gathered(tmp_path, other, 0.7, [0.6])]) is None


def test_the_figure_shows_every_network(tmp_path):
    runs = [gathered(tmp_path, "swa", 0.72, [0.69, 0.71]), gathered(tmp_path, "fge", 0.74, [0.7])]
    (axes,) = figures.FIGURES["averages"](runs).axes
    drawn = np.concatenate([line.get_ydata() for line in axes.lines if len(line.get_ydata())])
    assert sorted(drawn) == pytest.approx([69, 70, 71, 72, 74])


def evaluated(tmp_path, train, test, pair=(70, 150), **changes):
    path = tmp_path / f"{pair[0]}-{pair[1]}-{changes.get('curve')}"
    path.mkdir(exist_ok=True)
    arrays = {"t": np.linspace(0, 1, 5), "train_nll": np.array(train), "test_nll": np.array(test)}
    np.savez(path / "arrays.npz", **arrays)
    settings = {"stage": "evaluate", "from": f"sgdr@{pair[0]}", "to": f"sgdr@{pair[1]}"}
    settings |= {"epoch_scale": 1.0, "curve": "polychain", "seed": 0} | changes
    return Run(path, settings, {"status": "complete"}, [])


def test_a_curve_overfits_where_both_losses_say_so(tmp_path):
    def verdict(train, test, **changes):
        return CLAIMS["M20"].judge([evaluated(tmp_path, train, test, **changes)]).verdict

    low, high = [0.4, 0.2, 0.1, 0.2, 0.3], [1.0, 1.2, 1.4, 1.3, 1.1]
    assert verdict(low, high) == "reproduced"
    assert verdict(low, high, epoch_scale=0.4) == "inconclusive"
    assert verdict([0.4, 0.35, 0.1, 0.2, 0.3], high) == "contradicted"  # above 0.3 at a quarter
    assert verdict(low, [1.0, 1.2, 1.105, 1.3, 1.1]) == "contradicted"  # less than 1 %


def test_a_chain_comes_before_a_bezier_curve(tmp_path):
    chain, bezier = (
        evaluated(tmp_path, [1.0] * 5, [1.0] * 5, curve=kind) for kind in ("polychain", "bezier")
    )
    assert curve_run([bezier, chain], "sgdr@70", "sgdr@150") is chain
    assert curve_run([bezier], "sgdr@70", "sgdr@150") is bezier
