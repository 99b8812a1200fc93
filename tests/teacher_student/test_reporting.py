"""Claims, figures and tables on made-up runs whose answers are known."""

import json
import math

import numpy as np
import pytest

from repro.reporting import results
from repro.teacher_student import graph_figures, measures, tables
from repro.teacher_student.claims import CLAIMS


@pytest.fixture
def write(tmp_path):
    """Write a complete run with these settings, result, rows of metrics and arrays; load it."""

    def run(name, settings, result, metrics=(), **arrays):
        path = tmp_path / name
        path.mkdir()
        np.savez(path / "arrays.npz", **arrays)
        result = {"protocol": name} | result
        (path / "result.json").write_text(json.dumps(result))
        (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in metrics))
        return results.load(path, settings)

    return run


def slides_run(write, negative, ftol, flipped, lowest=-2e-6):
    settings = {
        "stage": "slides",
        "hidden": 5,
        "teacher": "alternating",
        "adam_steps": 100_000,
        "slsqp_ftol": ftol,
        "num_students": 1000,
        "adam_precision": "float64",
        "init": "glorot",
        "epsilon": 0.01,
    }
    flips = {"count": flipped, "of": 10, "wilson": [0, 1]}
    result = {"slsqp_positive": flips, "perturbed_positive": flips, "slsqp_one_iteration": 3}
    row = {
        "step": 100_000,
        "students/negative_lambda_min": negative / 1000,
        "students/lowest_lambda_min": lowest,
    }
    after = np.where(np.arange(10) < flipped, 1e-9, -1e-9)
    return write(
        f"seed-{ftol}-{negative}",
        settings,
        result,
        [row],
        lambda_min=np.array([lowest, 1e-7]),
        loss=np.array([1e-9, 2e-9, 4e-9, 9e-5]),
        slsqp_lambda_min=after,
        perturbed_lambda_min=after,
    )


@pytest.mark.parametrize("hits, trials", [(347, 1000), (1, 12), (0, 29), (12, 12)])
def test_interval_solves_wilsons_equation(hits, trials):
    """Bounds p are where |hits/trials - p| = z sqrt(p (1 - p) / trials)."""
    share, z = hits / trials, 1.959963984540054
    low, high = measures.interval(hits, trials)
    assert 0 <= low <= share <= high <= 1 and low < high
    for p in (low, high):
        assert abs(share - p) == pytest.approx(z * math.sqrt(p * (1 - p) / trials), abs=1e-12)


def test_shares_as_text():
    assert measures.share_text(347, 1000) == "347 of 1,000 (31.8% to 37.7%)"


def test_slides_claims(write):
    near, far = slides_run(write, 350, 1e-6, 0), slides_run(write, 500, 1e-30, 10, lowest=-2e-3)
    assert CLAIMS["C3"].judge([near]).verdict == "reproduced"
    assert CLAIMS["C3"].judge([far]).verdict == "contradicted"
    assert CLAIMS["C3"].judge([near, far]).verdict == "inconclusive"
    assert CLAIMS["C4"].judge([near]).verdict == "reproduced"
    assert CLAIMS["C4"].judge([far]).verdict == "contradicted"
    # what SLSQP does depends on its tolerance, so two tolerances that differ decide nothing
    flips = CLAIMS["C5"].judge([near, far])
    assert flips.verdict == "inconclusive"
    assert "10 of 10 (72.2% to 100.0%) with ftol 1e-30" in flips.measured
    assert CLAIMS["C5"].judge([near]).verdict == CLAIMS["C6"].judge([far]).verdict == "reproduced"
    assert CLAIMS["C6"].judge([near]).verdict == CLAIMS["C5"].judge([far]).verdict == "contradicted"
    # the median is over students on their way to zero
    assert CLAIMS["C11"].judge([near]).verdict == "reproduced"
    assert "median 2e-09" in CLAIMS["C11"].judge([near]).measured


def test_sensitivity_rows(write):
    table = tables.sensitivity([slides_run(write, 350, 1e-6, 4)])
    start = ["100,000", "float64", "glorot"]
    assert table.rows == [
        [*start, "–", "350 of 1,000 (32.1% to 38.0%)", "-2e-06"],
        [*start, "SLSQP, ftol 1e-06", "6 of 10 (31.3% to 83.2%)", "-1e-09"],
        [*start, "SLSQP, ftol 1e-06, perturbed by 0.01", "6 of 10 (31.3% to 83.2%)", "-1e-09"],
    ]


def test_the_slides_example_descends_on(write):
    loss = np.array([1e-30, 1e-27, 8e-5])
    run = write(
        "census",
        {"stage": "census", "hidden": 5, "teacher": "alternating"},
        {},
        adam_loss=np.array([1.8e-7, 5e-8, 9e-5]),
        adam_lambda_min=np.array([-1e-6, -1e-9, -1e-6]),
        loss=loss,
    )
    finding = CLAIMS["C7"].judge([run])
    assert finding.verdict == "contradicted"
    assert finding.measured.startswith("a student with a loss of 1.80e-07")
    assert "so do 2 of 2 with losses" in finding.measured


def test_channel_exponents_of_an_exact_law(write):
    gap = np.array([4e-3, 2e-3, 1e-3, 5e-4])
    nan = np.full(4, np.nan)
    run = write(
        "census",
        {"stage": "census"},
        {"counts": {"channel": {"count": 3}}},
        channel_gap=np.stack([gap, nan, gap * [1, 1, 2, 1]]),
        channel_loss=np.stack([1e-4 + gap**2, nan, 1e-4 + gap**2]),
        channel_lambda_max=np.stack([gap**-2, nan, gap**-2]),
    )
    ((found, loss, _),) = measures.channel_jumps(run)
    np.testing.assert_array_equal(found, gap)
    assert measures.loss_exponent(gap, loss) == pytest.approx(2, abs=1e-9)
    assert measures.loss_exponent(gap, 1e-4 + gap**3) == pytest.approx(3, abs=1e-6)
    finding = CLAIMS["C18"].judge([run])
    assert finding.verdict == "reproduced"
    assert "median 2.00, within 0.2 of 2 at 100%" in finding.measured
    assert "1 of 3 channels" in finding.measured


def test_losses_gap(write):
    def census(name, loss):
        settings = {"stage": "census", "hidden": 5, "teacher": "alternating"}
        return write(name, settings, {}, loss=np.array(loss), gradient_norm=np.zeros(len(loss)))

    two = CLAIMS["C8"].judge([census("two", [1e-30, 1e-28, 5e-5, 1e-4])])
    assert two.verdict == "contradicted" and "5.0e-05" in two.measured
    spread = census("spread", [1e-12, 1e-9, 1e-6, 1e-4])
    assert CLAIMS["C8"].judge([spread]).verdict == "inconclusive"


def test_wide_students_reach_zero(write):
    def census(width, loss):
        settings = {"stage": "census", "hidden": width}
        arrays = {"loss": np.array(loss), "class": np.array(["undecided"] * len(loss))}
        result = {"counts": {"undecided": {"count": len(loss)}}}
        return write(f"width-{width}-{len(loss)}-{max(loss)}", settings, result, **arrays)

    narrow, wide = census(5, [1e-4, 1e-30]), census(45, [1e-12, 1e-13])
    assert CLAIMS["C13"].judge([narrow, wide]).verdict == "reproduced"
    assert CLAIMS["C13"].judge([narrow]) is None
    stuck = census(45, [1e-12, 1e-13, 1e-5])
    assert CLAIMS["C13"].judge([narrow, stuck]).verdict == "inconclusive"
    assert CLAIMS["C13"].judge([narrow, wide, census(10, [1e-5])]).verdict == "inconclusive"


NODES = (
    {"id": "a", "class": "local", "inertia": [0, 0, 9], "index": 0},
    {"id": "b", "class": "saddle", "parent": "a", "inertia": [2, 1, 9], "index": 2},
    {"id": "c", "class": "plateau", "parent": "a", "inertia": [0, 1, 11], "index": 0},
    {"id": "d", "class": "saddle", "parent": "a", "inertia": None, "index": 1},  # not certified
)


def test_embedded_inertia_and_the_sign_rule(write):
    run = write("graph", {"stage": "graph"}, {"nodes": NODES})
    assert CLAIMS["C17"].judge([run]).measured.startswith("2 of 2 embedded points")
    assert CLAIMS["C15"].judge([run]).verdict == "reproduced"
    fewer = [*NODES[:2], NODES[2] | {"inertia": [3, 1, 8]}]
    broken = write("broken", {"stage": "graph"}, {"nodes": fewer})
    assert CLAIMS["C17"].judge([broken]).verdict == "inconclusive"
    assert CLAIMS["C15"].judge([broken]).verdict == "inconclusive"


@pytest.mark.parametrize(
    "within, at_saddle, outcome",
    [(0.0, 1.0, "reproduced"), (0.5, 1.0, "inconclusive"), (0.5, 0.9, "contradicted")],
)
def test_escapes(write, within, at_saddle, outcome):
    run = write(
        "graph",
        {"stage": "graph"},
        {},
        transition_epsilon=np.array([1e-8, 1e-6, 1e-2]),
        transition_class=np.array(["global", "local", "saddle"]),
        transition_share=np.array([[0, 0, 0], [within, 0.2, 1], [at_saddle, 1, 1]]),
        transition_basin=np.array([np.nan, 1e-7, np.nan]),
        transition_loss=np.zeros((3, 3, 16)),
    )
    assert CLAIMS["C16"].judge([run]).verdict == outcome


def test_descents_are_counted_by_class():
    edges = [
        {"kind": "split", "from": "a", "to": "b"},
        {"kind": "descends", "from": "b", "to": "m5/global", "count": 2},
        {"kind": "descends", "from": "b", "to": "m5/local-03", "count": 1},
        {"kind": "descends", "from": "b", "to": "m5/other minimum", "count": 1},
    ]
    expected = "4 steps off split saddles end at: global 2, local 2; channels are not drawn"
    assert graph_figures.ends(edges) == expected


def test_protocols_side_by_side(write):
    runs = [write(f"width {w}, teacher {t}, seed 0", {}, {}) for w in (4, 5) for t in ("a", "b")]
    assert results.protocol(runs) == "width 4/5, teacher a/b, seed 0"
    other = write("another protocol", {}, {})
    assert results.protocol([runs[0], other]) == "width 4, teacher a, seed 0; another protocol"


def test_without_runs_nothing_is_judged():
    assert all(claim.judge([]) is None for claim in CLAIMS.values())
    assert list(CLAIMS) == [f"C{i}" for i in range(1, 19)]
