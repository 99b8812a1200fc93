"""Claims, tables and figures of Wu, Ma, E on made-up runs whose answers are known."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from repro.reporting.results import Run
from repro.stability import figures, measures, tables
from repro.stability.claims import CLAIMS

N = 1000


def trained(tmp_path, eta, batch, sharpness, nonuniformity, **changes):
    """A run of --stage=train; changes are settings where they are, else results."""
    settings = {
        "stage": "train", "model": "fnn", "dataset": "fashion_mnist", "learning_rate": eta,
        "batch_size": batch, "momentum": 0.0, "wrong_examples": 0, "gain": 1.0, "seed": 0,
        "stop_loss": 1e-4, "iterations": 200_000,
    }
    result = {
        "status": "complete", "fitted": True, "iterations": 100, "train_accuracy": 1.0,
        "test_accuracy": 0.8, "train_examples": N, "test_examples": 10_000, "parameters": 898_510,
        "sharpness": {"value": sharpness}, "nonuniformity": {"value": nonuniformity},
    }
    settings |= {k: v for k, v in changes.items() if k in settings}
    result |= {k: v for k, v in changes.items() if k not in settings}
    edge = 2 * (1 + settings["momentum"]) / eta
    return Run(tmp_path / "run", settings, result | {"sharpness_margin": sharpness / edge}, [])


@pytest.fixture
def make(tmp_path):
    return lambda *arguments, **changes: trained(tmp_path, *arguments, **changes)


def judge(claim, runs):
    finding = CLAIMS[claim].judge(runs)
    return finding and finding.verdict


def test_gd_is_judged_by_means_over_seeds(make):
    at_edge = [make(0.5, N, a, 12.0, seed=seed) for seed, a in enumerate((3.4, 3.9, 4.1))]
    assert judge("P3", at_edge) == "reproduced"  # 0.95 on average
    assert judge("P3", [make(0.5, N, 3.0, 12.0)]) == "contradicted"
    # what did not fit is no solution, and a fixed budget counts if it fits
    short = {"fitted": False, "stop_loss": 0.0}
    assert judge("P3", [make(0.5, N, 1.0, 1.0, train_accuracy=0.9, **short)]) is None
    assert judge("P3", [make(0.5, N, 3.9, 9.0, train_accuracy=0.999, **short)]) == "reproduced"


def test_one_network_beyond_the_edge_refutes(make):
    stable, beyond = make(0.5, N, 4.1, 12.0), make(0.5, N, 4.2, 12.0)  # 2 / eta is 4
    assert judge("P6", [stable]) == "reproduced"
    assert judge("P6", [stable, beyond]) == "contradicted"
    assert "1 of 2 networks over 1.03" in CLAIMS["P6"].judge([stable, beyond]).measured


def test_bounds_on_nonuniformity(make):
    bound = 3.17662 / 0.5  # B = 10, n = 1000
    inside, over = (make(0.5, 10, 1.0, bound * share) for share in (0.99, 1.03))
    assert measures.bound(inside) == pytest.approx(bound, rel=1e-5)
    assert judge("S2", [inside]) == "reproduced" and judge("S2", [inside, over]) == "contradicted"
    assert judge("P7", [inside, over]) == "reproduced"
    assert judge("P7", [make(0.5, N, 1.0, 1e3)]) is None  # GD has no bound


def test_order_of_batch_sizes(make):
    rows = [make(0.5, batch, batch**0.1, batch**0.2) for batch in (4, 10, 25, 100, N)]
    assert judge("P8", rows) == "reproduced" and judge("P8", rows[:3]) is None
    # a(100) is 20 % below a(1000) here: rising, and no saturation
    assert judge("P9", rows) == "inconclusive"
    level = [*rows[:3], make(0.5, 100, 1.9, 2.0), make(0.5, N, 2.0, 4.0)]
    assert judge("P9", level) == "reproduced"
    faster = [make(1.0, batch, batch**0.1, 1.0) for batch in (4, 10, 25)]  # no flatter at twice eta
    assert judge("P9", [*level, *faster]) == "inconclusive"


def test_exponent_of_an_exact_power(make):
    rows = [make(eta, 10, a, 3 * a**0.8) for eta, a in ((0.1, 19.0), (0.5, 3.0), (1.0, 1.5))]
    assert measures.exponent(rows)[0] == pytest.approx(0.8)
    assert judge("P10", rows) == "reproduced"
    assert judge("P10", [make(r.settings["learning_rate"], 10, measures.a(r), 5.0 + i)
                         for i, r in enumerate(rows)]) == "contradicted"


def test_wrong_labels_and_momentum(make):
    def pair(s):
        return [make(0.1, N, 19.0, 45.0, batch_size=N),
                make(0.1, 4500, 20.0, s, wrong_examples=3500, train_examples=4500)]

    assert judge("P13", pair(100.0)) == "reproduced" and judge("P13", pair(60.0)) == "inconclusive"
    heavy = [make(0.1, N, 2 * 1.9 / 0.1 * share, 9.0, momentum=0.9) for share in (0.98, 0.9)]
    assert judge("P14", heavy[:1]) == "reproduced" and judge("P14", heavy[1:]) == "contradicted"
    other_rate = make(0.5, N, 2 * 1.9 / 0.5 * 0.9, 9.0, momentum=0.9)
    assert judge("P14", [other_rate]) == "inconclusive"


def test_the_course_project(make):
    ours = make(0.1, N, 19.8, 44.0, test_accuracy=0.803)
    assert judge("S1", [ours]) == "reproduced"
    assert judge("S1", [make(0.1, N, 25.0, 80.0, test_accuracy=0.6)]) == "contradicted"


def escape(tmp_path, eta, batch, spike, end, test_end=0.81):
    settings = trained(tmp_path, eta, batch, 1.0, 1.0).settings
    settings |= {"stage": "escape", "start_learning_rate": 0.1}
    rows = [
        {"epoch": step, "step": step, "train/loss": loss, "curvature/sharpness": a,
         "curvature/nonuniformity": 2 * a, "test/accuracy": test, "train/accuracy": 1.0}
        for step, loss, a, test in (
            (0, 1e-4, 19.6, 0.8), (40, spike, 9.0, 0.1), (60, 1e-4, end, test_end),
            (80, 1e-4, end, 0.81),
        )
    ]
    result = {"sharpness": {"value": end}, "train_examples": N, "test_examples": 10_000,
              "test_accuracy": 0.81}
    return Run(tmp_path / f"escape-{eta}-{batch}", settings, result, rows)


def test_escapes(tmp_path):
    gone = [escape(tmp_path, 0.1, 4, 0.05, 6.7), escape(tmp_path, 0.5, N, 0.05, 3.9)]
    assert judge("P11", gone) == "reproduced" and judge("P12", gone) == "reproduced"
    assert judge("P11", [escape(tmp_path, 0.1, 4, 2e-4, 19.5)]) == "contradicted"
    diverged = escape(tmp_path, 0.5, N, 0.05, 3.9)
    diverged.result.update(sharpness=None, iterations=7)
    assert judge("P11", [diverged]) == "contradicted" and judge("P12", [diverged]) is None
    assert judge("P11", [gone[0], diverged]) == "inconclusive"
    figure = figures.escape(gone)
    curve = figure.axes[0].lines[0]
    assert curve.get_xydata().tolist() == [[0, 19.6], [40, 9.0], [60, 6.7], [80, 6.7]]


def test_old_and_new_rows_are_read_alike(tmp_path):
    """In old rows `epoch` is the step; new ones count pieces, GD's to the start among them."""
    old = escape(tmp_path, 0.1, 4, 0.05, 6.7)
    way = [
        {"epoch": 0, "phase": 0, "step": 0},
        {"epoch": 1, "phase": 0, "step": 1000, "start/running_loss": 9e-5},
    ]
    rows = [{**row, "epoch": n, "phase": 1} for n, row in enumerate(old.metrics, start=2)]
    end = {"epoch": 6, "phase": 1, "step": 90, "train/running_loss": 1e-4}  # of what was not due
    new = Run(old.path, old.settings, old.result, [*way, *rows, end])
    for claim in ("P11", "P12"):
        assert CLAIMS[claim].judge([new]).measured == CLAIMS[claim].judge([old]).measured
    for quantity in ("curvature/sharpness", "train/loss"):
        assert measures.curve(new, quantity) == measures.curve(old, quantity)
    assert measures.curve(new, "train/loss")[0] == [0, 40, 60, 80]


def test_after_an_escape_the_last_third_counts_not_the_last_step(tmp_path):
    lucky = escape(tmp_path, 0.1, 4, 0.05, 6.7, test_end=0.70)  # 0.755 on average, from 0.8
    assert judge("P12", [lucky]) == "contradicted"
    assert "-4.50" in CLAIMS["P12"].judge([lucky]).measured


def test_table_2_says_what_was_not_run_to_the_rule(make):
    runs = [make(0.5, N, a, 12.0, seed=seed) for seed, a in enumerate((3.8, 3.9, 4.0))]
    runs += [make(0.1, N, 19.0, 40.0, fitted=False, stop_loss=0.0, iterations=10_000)]
    table = tables.table2(runs)
    cells = [dict(zip(table.columns, row)) for row in table.rows]
    assert [row["η"] for row in cells] == ["0.1", "0.5"]
    assert cells[1]["sharpness"] == "3.90 ± 0.1" and cells[1]["seeds"] == "3"
    assert cells[1]["aη/2"] == "0.975" and cells[1]["steps"] == "100"
    assert "budget" in cells[0]["steps"]


@pytest.mark.parametrize("name", sorted(set(figures.FIGURES) - {"toy", "escape"}))
def test_figures_show_every_run(make, name):
    momenta = (0.0, 0.9) if name == "momentum" else (0.0,)
    runs = [
        make(eta, batch, 2 / eta / (1 + 10 / batch), 6 / eta / (1 + 20 / batch), momentum=momentum)
        for eta in (0.5, 1.0) for batch in (4, 10, N) for momentum in momenta
    ]
    figure = figures.FIGURES[name](runs)
    drawn = np.concatenate([
        *(np.asarray(line.get_xydata(), float) for line in figure.axes[0].lines),
        *(np.asarray(points.get_offsets(), float) for points in figure.axes[0].collections
          if hasattr(points, "get_offsets")),
    ])
    for run in runs if name in ("diagram", "proportional") else ():
        assert [measures.a(run), measures.s(run)] in drawn.tolist()
    if name == "batch_size":
        for run in runs:
            point = [run.settings["batch_size"], measures.a(run)]
            assert np.isclose(drawn, point).all(1).any()
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in figure.axes)
    plt.close(figure)
