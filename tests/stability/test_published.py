"""The published numbers beside ours: one file agrees with another, and pictures show them."""

import numpy as np
import pytest
from made_up import N, trained

from repro.reporting.results import Run
from repro.stability import figures, measures, setting_figures
from repro.stability.measures import published


@pytest.fixture
def make(tmp_path):
    return lambda *arguments, **changes: trained(tmp_path, *arguments, **changes)


def test_every_file_is_described_with_its_source():
    text = (measures.PUBLISHED / "README.md").read_text()
    for file in measures.PUBLISHED.glob("*.csv"):
        assert f"| {file.name} |" in text


def test_files_agree_where_they_say_the_same():
    """GD's sharpness is in Table 2, and by batch size, momentum and in the diagram: one number."""
    table = {rate: sharp for rate, (sharp, *_) in measures.TABLE2["fashion_mnist"].items()}
    sizes, beta, points = published("batch_size"), published("momentum"), published("diagram")
    gd = sizes["batch_size"] == N
    for rate, sharp in zip(sizes["learning_rate"][gd], sizes["sharpness"][gd]):
        assert sharp == pytest.approx(table[rate], rel=0.02)
    assert beta["gd"][0] == pytest.approx(table[0.1], rel=0.01)
    # heavy-ball GD at its edge 2 (1 + beta) / 0.1, published as 0.977 to 0.986 of it
    edge = 20 * (1 + beta["momentum"])
    assert np.all((beta["gd"] / edge > 0.97) & (beta["gd"] / edge < 0.99))
    assert points["sharpness"][-1] == pytest.approx(table[0.5], rel=0.02)
    for name in ("sharpness", "nonuniformity"):
        low, middle, high = (points[f"{name}{end}"] for end in ("_low", "", "_high"))
        assert np.all((low < middle) & (middle < high))


def test_files_on_cifar_10_agree_where_they_say_the_same(make):
    runs = [make(0.1, N, 19.0, 50.0, dataset="cifar10")]
    table = {rate: sharp for rate, (sharp, *_) in measures.TABLE2["cifar10"].items()}
    sizes, beta, points = (published(name, runs) for name in ("batch_size", "momentum", "diagram"))
    gd = sizes["batch_size"] == N
    both = [
        (sharp, table[rate])
        for rate, sharp in zip(sizes["learning_rate"][gd], sizes["sharpness"][gd])
        if rate in table
    ]
    assert len(both) == 4 and all(one == pytest.approx(two, rel=0.06) for one, two in both)
    assert beta["gd"][0] == pytest.approx(table[0.01], rel=0.01)
    of_ten = (sizes["learning_rate"] == 0.01) & (sizes["batch_size"] == 10)
    assert beta["sgd"][0] == sizes["sharpness"][of_ten]
    for name in ("sharpness", "nonuniformity"):
        low, middle, high = (points[f"{name}{end}"] for end in ("_low", "", "_high"))
        assert np.all((low < middle) & (middle < high))


def test_what_is_published_is_that_of_the_runs_data(make):
    digits, cifar = (make(0.1, N, 1.0, 1.0, dataset=name) for name in ("digits", "cifar10"))
    for name in ("batch_size", "diagram", "momentum"):
        assert not any(len(column) for column in published(name, [digits]).values())
        assert not any(len(column) for column in published(name, [cifar, digits]).values())
        assert len(published(name, [cifar])["learning_rate"]) > 3


def open_markers(axes):
    """Return the points that are drawn with open markers, as in pictures of published numbers."""
    lines = [line for line in axes.lines if str(line.get_markerfacecolor()) == "white"]
    return [tuple(point) for line in lines for point in line.get_xydata()]


def test_ends_of_escapes_are_scaled_with_the_rate_before_the_switch(tmp_path):
    """From GD at 0.5 the same switches lead to a fifth of the sharpness, and as many are right."""
    rows = [
        {"step": step, "curvature/sharpness": 1.0, "curvature/nonuniformity": 1.0}
        | {"train/loss": 1.0, "train/accuracy": 1.0, "test/accuracy": 0.8}
        for step in (0, 3000)
    ]
    settings = {
        "stage": "escape",
        "dataset": "fashion_mnist",
        "start_learning_rate": 0.5,
        "iterations": 3000,
    }
    runs = [
        Run(tmp_path, settings | {"learning_rate": eta, "batch_size": batch}, result, rows)
        for eta, batch in ((0.5, 4), (1.5, N), (0.7, N))  # nobody published the last one
        for result in [{"train_examples": N, "sharpness": {"value": 1.0}}]
    ]
    sharpness, _, _, _, accuracy, _ = figures.escape(runs).axes
    np.testing.assert_allclose(open_markers(sharpness), [(3000, 1.34), (3000, 1.316)])
    np.testing.assert_allclose(open_markers(accuracy), [(3000, 0.8040), (3000, 0.8026)])


def test_sharpness_by_momentum_is_scaled_with_the_rate(make):
    """At a rate of 0.5 GD without momentum is drawn at 19.5 / 5, beside the edge 2 / 0.5 = 4."""
    runs = [make(0.5, batch, 3.8, 9.0, momentum=beta) for batch in (N, 10) for beta in (0.0, 0.9)]
    axes = setting_figures.momentum(runs).axes[0]
    drawn = open_markers(axes)
    assert len(drawn) == 12
    assert drawn[0] == pytest.approx((0.0, 3.9)) and drawn[-1] == pytest.approx((0.9, 0.124))


def test_on_cifar_10_its_own_published_points_stand_beside_ours(make):
    def runs(*rates, momenta=(0.0,)):
        return [
            make(eta, batch, 2 / eta, 5 / eta, momentum=beta, dataset="cifar10")
            for eta in rates
            for batch in (4, 10, N)
            for beta in momenta
        ]

    by_size = figures.batch_size(runs(0.1, 0.2, 0.3)).axes[0]
    drawn = open_markers(by_size)
    assert (4, 6.3) in drawn and (100, 4.5) in drawn and len(drawn) == 5 + 4  # of 0.1 and 0.3
    # at a rate of 0.1 the sharpness that was published at 0.01 is a tenth
    heavy = open_markers(setting_figures.momentum(runs(0.1, momenta=(0.0, 0.9))).axes[0])
    assert heavy[0] == pytest.approx((0.0, 19.8)) and heavy[-1] == pytest.approx((0.9, 0.74))
    axes = figures.diagram(runs(0.1)).axes[0]
    assert {(6.85, 11.1), (5.13, 9.16), (17.05, 50.8)} <= set(open_markers(axes))
    axes = figures.proportional(runs(0.1, 0.2, 0.3)).axes[0]
    assert "published 0.82, 0.988" in axes.get_title() and len(open_markers(axes)) == 4


def test_rates_have_lines_of_their_own_by_momentum(make):
    runs = [
        make(eta, N, 2 * (1 + beta) / eta, 9.0, momentum=beta)
        for eta in (0.5, 0.1)
        for beta in (0.0, 0.9)
    ]
    axes = setting_figures.momentum(runs).axes[0]
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert lines["GD, η = 0.5"] == pytest.approx([4.0, 7.6])
    assert lines["GD, η = 0.1"] == pytest.approx([20.0, 38.0])
