"""Trainings that were one until an epoch: what they share, how far they part, and the verdict."""

import json

import numpy as np
import pytest

from repro.mode_connectivity import figures, instability
from repro.mode_connectivity.claims import CLAIMS
from repro.reporting.results import Run
from repro.settings import settle

ENDS = ("endpoint-G-mlp_1x512", "endpoint-G-fork100")  # what their directories' names start with


@pytest.fixture(scope="module")
def forked(make, tmp_path_factory):
    """Two trainings of 10 epochs, one for the first 5 of them: (result, output directory)."""
    place = tmp_path_factory.mktemp("forked")
    return make(place, "instability", fork=100, points=3, eval_every=20).result(), place


@pytest.mark.slow
def test_they_are_one_until_the_fork(forked, find, metrics_of):
    parent, child = (metrics_of(find(forked[1], start).path) for start in ENDS)
    losses = [[row["train/running_loss"] for row in rows] for rows in (parent, child)]
    assert len(losses[0]) == len(losses[1]) == 10
    assert losses[0][:5] == losses[1][:5]
    assert all(one != other for one, other in zip(losses[0][5:], losses[1][5:]))


@pytest.mark.slow
def test_the_segment_has_their_ends(forked, find):
    result, arrays = forked[0], find(forked[1], "instability").arrays()
    ends = [find(forked[1], start).point("epoch_200") for start in ENDS]
    squares = sum(((ends[0][name] - ends[1][name]).astype(float) ** 2).sum() for name in ends[0])
    assert result["distance"] == pytest.approx(np.sqrt(squares), rel=1e-5)
    for end, start in zip((0, -1), ENDS):
        trained = json.loads((find(forked[1], start).path / "result.json").read_text())
        assert arrays["test_error"][end] == pytest.approx(1 - trained["test_accuracy"])
    for name, rise in result["instability"].items():
        values = arrays[name]
        assert rise == pytest.approx(values.max() - (values[0] + values[-1]) / 2)


def test_a_rise_is_over_the_mean_of_the_ends():
    assert instability.instability(np.array([0.1, 0.5, 0.3])) == pytest.approx(0.3)
    assert instability.instability(np.array([0.2, 0.1, 0.4])) == pytest.approx(0.1)


def test_a_fork_must_be_an_epoch_of_the_training(asked):
    with pytest.raises(ValueError, match=r"makes epoch 7 0\.35, which is not whole"):
        settle(asked("endpoint", forked_at=7))
    with pytest.raises(ValueError, match="makes epoch 7"):
        settle(asked("instability", fork=7))
    with pytest.raises(ValueError, match="--fork=200 must be 199 or less"):
        settle(asked("instability", fork=200))


def run(tmp_path, fork, seed, rise, scale=1.0):
    settings = {"stage": "instability", "mode": "G", "fork": fork, "seed": seed}
    settings |= {"dataset": "cifar10", "epoch_scale": scale}
    path = tmp_path / f"{fork}-{seed}-{scale}"
    path.mkdir(exist_ok=True)
    np.savez(path / "arrays.npz", train_error=np.array([0.2, 0.5, 0.2]))
    heights = {"train_error": rise / 50, "test_error": rise / 100}
    return Run(path, settings, {"status": "complete", "instability": heights}, [])


def test_the_verdict(tmp_path):
    def judge(first, last, **changes):
        runs = [
            run(tmp_path, fork, seed, rise, **changes)
            for fork, rises in ((0, first), (20, last))
            for seed, rise in enumerate(rises)
        ]
        return CLAIMS["M21"].judge(runs)

    found = judge([30.0, 31.0, 29.0], [0.1, 0.2, 0.1])
    assert found.verdict == "reproduced" and "after epoch 20: 0.1, 0.2, 0.1" in found.measured
    assert judge([0.3, 0.2, 0.1], [0.1, 0.2, 0.1]).verdict == "contradicted"
    assert judge([30.0, 31.0, 29.0], [9.0, 9.5, 9.2]).verdict == "contradicted"
    assert judge([30.0, 31.0, 29.0], [1.0, 2.5, 1.9]).verdict == "inconclusive"
    assert judge([30.0, 31.0], [0.1, 0.2]).verdict == "inconclusive"
    assert judge([30.0, 31.0, 29.0], [0.1, 0.2, 0.1], scale=0.5).verdict == "inconclusive"
    assert judge([30.0, 31.0, 29.0], []).verdict == "inconclusive"  # one fork
    assert CLAIMS["M21"].judge([]) is None


def test_the_figure_shows_every_run(tmp_path):
    runs = [run(tmp_path, fork, seed, 10.0 - fork / 10) for fork in (0, 20) for seed in (0, 1)]
    (axes,) = figures.FIGURES["instability"](runs).axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    drawn = sorted(height for line in dots for height in line.get_ydata())
    assert drawn == pytest.approx([8, 8, 10, 10, 16, 16, 20, 20])
