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


def open_markers(axes):
    """Return the points that are drawn with open markers, as in pictures of published numbers."""
    lines = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
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
