"""What is learnt first, by the number of images, on made-up runs."""

import math
from pathlib import Path

from repro import papers
from repro.randomization import measures
from repro.randomization.claims import CLAIMS
from repro.reporting.results import Run
from repro.tools import plans

# What Figure 1a's runs have in common beside being plain.
SETTINGS = {
    "model": "inception",
    "dataset": "cifar10",
    "initializer": None,
    "batch_size": 128,
    "learning_rate": 0.1,
    "learning_rate_decay": 0.95,
    "momentum": 0.9,
    "permute": None,
    "gaussian_moments": None,
}
KINDS = ("none", "shuffled_pixels", "gaussian", "random_pixels", "random_labels")
PLAIN = {"augment": [], "weight_decay": 0.0, "dropout_rate": 0.0, "redraw": False}


def draw(name, runs):
    return papers.figure("randomization", name)(runs)


def made(tmp_path, kind, images, epochs, **changes):
    """A run whose loss is 0.1 after so many epochs of images / 100 steps, and fits in the end."""
    settings = {"stage": "train", "corruption": kind, "corrupt_prob": 0.0, "seed": 0}
    settings |= PLAIN | SETTINGS | changes
    rows = [{"epoch": k, "train/running_loss": 0.1 if k >= epochs else 2.0} for k in range(1, 31)]
    result = {"status": "complete", "train_examples": images, "train_accuracy": 1.0}
    result |= {"steps": 30 * images // 100, "epochs": 30}
    return Run(tmp_path, settings, result, rows)


def sweep(tmp_path, **epochs_by_images):
    return [
        made(tmp_path, kind, int(images[1:]), number)
        for images, epochs in epochs_by_images.items()
        for kind, number in zip(KINDS, epochs)
    ]


def test_steps_to_a_loss(tmp_path):
    runs = sweep(tmp_path, n1000=(9, 5, 6, 7, 8), n200=(3, 4, 5, 6, 99))
    found = measures.steps_to(runs, 0.1)
    assert list(found) == [200, 1000]
    assert found[1000]["none"] == 90 and found[200]["shuffled_pixels"] == 8
    assert found[200]["random_labels"] == math.inf
    (axes,) = draw("order", runs).axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert drawn["true labels"] == [[200, 6], [1000, 90]]


def test_true_labels_first(tmp_path):
    def judge(**epochs):
        return CLAIMS["R30"].judge(sweep(tmp_path, **epochs))

    both = judge(n5000=(9, 5, 6, 7, 8), n50000=(8, 13, 20, 21, 30))
    assert both.verdict == "reproduced" and "after shuffled_pixels (250)" in both.measured
    assert judge(n50000=(14, 13, 20, 21, 30)).verdict == "contradicted"
    tied = judge(n50000=(13, 13, 20, 21, 30))  # whole epochs cannot tell
    assert tied.verdict == "inconclusive" and "with shuffled_pixels (6,500)" in tied.measured
    assert judge(n5000=(8, 13, 20, 21, 30)).verdict == "inconclusive"
    assert judge(n50000=(8, 13, 20, 21)) is None  # four of five


def test_runs_of_other_figures_count_where_they_are_figure_1as(tmp_path):
    """Of all runs: another network, rate, noise or seed, or one stopped early, changes nothing."""
    own = sweep(tmp_path, n50000=(8, 13, 20, 21, 30))
    others = [
        made(tmp_path, "gaussian", 50_000, 1, **changes)
        for changes in (
            {"model": "inception_no_bn"},
            {"dataset": "digits"},
            {"learning_rate": 0.02},
            {"batch_size": 60},
            {"gaussian_moments": "image"},
            {"weight_decay": 1e-3},
            {"seed": 1},
        )
    ]
    others.append(made(tmp_path, "random_pixels", 50_000, 1, permute="positions"))
    others.append(made(tmp_path, "gaussian", 50_000, 99))  # one epoch of it
    finding = CLAIMS["R30"].judge([*others, *own])
    assert CLAIMS["R30"].everywhere and finding.verdict == "reproduced"
    assert list(map(id, finding.runs)) == list(map(id, own))
    assert CLAIMS["R30"].judge(others) is None
    for run in own:
        run.result["train_accuracy"] = 0.7  # cut short
    assert CLAIMS["R30"].judge(own).verdict == "inconclusive"


def test_the_grid_has_the_runs_of_figure_1a_on_all_images():
    def paths(figure):
        flags = plans.expand(plans.load_config(f"randomization/{figure}"), "cpu")
        return {run.path for run in plans.plan("randomization", flags, Path("out"), {})}

    assert paths("fig1a_full") <= paths("order") and paths("fig1a") <= paths("order")
    assert len(paths("order")) == 20
