"""Claims, figures and tables on made-up runs whose answers are known."""

import json
import math

import numpy as np
import pytest

from repro.reporting import results
from repro.teacher_student import figures, graph_figures, measures, tables
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


def slides_run(write, negative, ftol, flipped, lowest=-2e-6, idle=3, after=-1e-9):
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
        "max_perturbations": 20,
    }
    flips = {"count": flipped, "of": 10, "wilson": [0, 1]}
    result = {"slsqp_positive": flips, "perturbed_positive": flips, "slsqp_one_iteration": idle}
    result["negative"] = {"count": 10, "of": 1000}
    row = {
        "step": 100_000,
        "students/negative_lambda_min": negative / 1000,
        "students/lowest_lambda_min": lowest,
    }
    after = np.where(np.arange(10) < flipped, 1e-9, after)
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
    assert CLAIMS["C4"].judge([near]).verdict == "reproduced"
    assert CLAIMS["C4"].judge([far]).verdict == "contradicted"
    assert CLAIMS["C6"].judge([far]).verdict == "inconclusive"  # 10 are few for "always"
    far.result["perturbed_positive"] = {"count": 60, "of": 60}
    assert CLAIMS["C6"].judge([far]).verdict == "reproduced"
    far.settings["num_students"] = near.settings["num_students"] = 20
    assert CLAIMS["C4"].judge([near]).verdict == "inconclusive"  # none of 20 is below
    assert CLAIMS["C4"].judge([far]).verdict == "contradicted"  # one is enough
    assert CLAIMS["C6"].judge([near]).verdict == CLAIMS["C5"].judge([far]).verdict == "contradicted"


@pytest.mark.parametrize(
    "negative, students, verdict",
    [
        (350, 1000, "reproduced"),
        (35, 100, "inconclusive"),
        (385, 1000, "inconclusive"),
        (500, 1000, "contradicted"),
    ],
)
def test_share_of_the_slides_within_five_points(write, negative, students, verdict):
    """Both shares have an error of 1.5 points at 1,000 students; 100 show no such nearness."""
    run = slides_run(write, 1000 * negative // students, 1e-6, 0)
    run.settings["num_students"] = students
    assert CLAIMS["C3"].judge([run]).verdict == verdict


@pytest.mark.parametrize("lowest, verdict", [(-1e-9, "contradicted"), (-2e-17, "inconclusive")])
def test_a_sign_within_rounding_decides_nothing(write, lowest, verdict):
    run = slides_run(write, 350, 1e-30, 9, after=lowest)
    run.result["perturbed_positive"] = {"count": 59, "of": 60}
    finding = CLAIMS["C6"].judge([run])
    assert finding.verdict == verdict and f"the lowest is {lowest:.0e}" in finding.measured


def test_what_slsqp_does_is_judged_where_it_works(write):
    """With scipy's own tolerance it stops at once; and those taken up must be all negative ones."""
    idle, works = slides_run(write, 350, 1e-6, 0, idle=10), slides_run(write, 351, 1e-30, 10)
    both = CLAIMS["C5"].judge([idle, works])
    assert both.verdict == "contradicted"
    assert both.measured.startswith("10 of 10 (72.2% to 100.0%) with ftol 1e-30")
    assert "(beside: 0 of 10 (0.0% to 27.8%) with ftol 1e-06" in both.measured
    assert CLAIMS["C5"].judge([idle]).verdict == "inconclusive"
    works.result["negative"]["count"] = 48
    assert CLAIMS["C5"].judge([works]).verdict == "inconclusive"


def test_the_protocol_at_other_widths(write):
    def at(width, hits):
        run = slides_run(write, 350, 10.0 ** -(20 + width + hits), 10 if hits == 60 else 9)
        run.settings["hidden"] = width
        for part in ("slsqp_positive", "negative"):
            run.result[part] |= {"count": 60, "of": 60}
        run.result["perturbed_positive"] = {"count": hits, "of": 60}
        run.result["perturbed_definite"] = {"count": 2, "of": 60}
        return run

    all_, but_one = [at(width, 60) for width in (4, 6, 7)], at(6, 59)
    assert CLAIMS["C22"].judge(all_).verdict == "reproduced"
    assert CLAIMS["C22"].judge(all_[:2]).verdict == "inconclusive"  # width 7 is missing
    finding = CLAIMS["C22"].judge([all_[0], but_one, all_[2]])
    assert finding.verdict == "contradicted"
    assert (
        "59 of 60 (91.1% to 99.7%), beyond 1e-11 of the largest eigenvalue at 2 of"
        in finding.measured
    )
    all_[0].settings["hidden"] = 5
    assert CLAIMS["C22"].judge(all_[:1]) is None


def test_protocols_that_differ_decide_nothing(write):
    near, far = slides_run(write, 350, 1e-6, 0), slides_run(write, 500, 1e-30, 0)
    assert CLAIMS["C3"].judge([near, far]).verdict == "inconclusive"


@pytest.mark.parametrize(
    "positive, zero, students, verdict",
    [
        (0, 0, 60, "reproduced"),
        (0, 0, 10, "inconclusive"),
        (30, 0, 60, "contradicted"),
        (0, 30, 60, "inconclusive"),  # whose signs are those of rounding
    ],
)
def test_rarely_is_less_than_a_tenth(write, positive, zero, students, verdict):
    """Wilson's interval of 0 in 60 ends at 6.0 %, of 0 in 10 at 27.8 %."""
    run = slides_run(write, 350, 1e-6, 0)
    run.result["slsqp_positive"] = {"count": positive + zero, "of": students}
    run.result["negative"] = {"count": students, "of": 1000}
    lowest = np.repeat([1e-9, 1e-17, -1e-9], [positive, zero, students - positive - zero])
    np.savez(run.path / "arrays.npz", slsqp_lambda_min=lowest)
    finding = CLAIMS["C5"].judge([run])
    assert finding.verdict == verdict
    assert f"{positive} of them positive by more than rounding" in finding.measured


@pytest.mark.parametrize(
    "middle, students, verdict",
    [
        (2e-9, 20, "reproduced"),
        (2e-9, 3, "inconclusive"),
        (2e-8, 20, "contradicted"),
        (2e-11, 20, "contradicted"),
    ],
)
def test_median_of_students_on_their_way_to_zero(write, middle, students, verdict):
    run = slides_run(write, 350, 1e-6, 0)
    loss = np.concatenate([middle * np.linspace(0.9, 1.1, students), [9e-5]])
    np.savez(run.path / "arrays.npz", loss=loss)
    finding = CLAIMS["C11"].judge([run])
    assert finding.verdict == verdict and f"median {middle:.0e}" in finding.measured


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
    assert finding.verdict == "inconclusive"  # one channel is no share above nine tenths
    assert "median 2.00, within 0.2 of 2 at 100%" in finding.measured
    assert "1 of 3 channels" in finding.measured


@pytest.mark.parametrize(
    "power, channels, verdict",
    [(2, 60, "reproduced"), (2, 20, "inconclusive"), (3, 60, "contradicted")],
)
def test_channels_by_the_law(write, power, channels, verdict):
    gap = np.tile([4e-3, 2e-3, 1e-3, 5e-4], (channels, 1))
    run = write(
        f"census-{power}-{channels}",
        {"stage": "census"},
        {"counts": {"channel": {"count": channels}}},
        channel_gap=gap,
        channel_loss=1e-4 + gap**power,
        channel_lambda_max=gap**-2.0,
    )
    assert CLAIMS["C18"].judge([run]).verdict == verdict


def test_losses_gap(write):
    def census(name, loss, times=200):
        settings = {"stage": "census", "hidden": 5, "teacher": "alternating"}
        loss = np.repeat(loss, times)
        return write(name, settings, {}, loss=loss, gradient_norm=np.zeros(len(loss)))

    two = CLAIMS["C8"].judge([census("two", [1e-30, 1e-28, 5e-5, 1e-4])])
    assert two.verdict == "contradicted" and "5.0e-05" in two.measured
    spread = census("spread", [1e-12, 1e-9, 1e-6, 1e-4])
    assert CLAIMS["C8"].judge([spread]).verdict == "inconclusive"  # four groups
    three = census("three", [1e-30, 1e-28, 1e-7, 2e-7, 1e-4, 1.1e-4])
    assert CLAIMS["C8"].judge([three]).verdict == "reproduced"
    one = census("one", [1e-5, 2e-5, 1e-4])
    assert CLAIMS["C8"].judge([one]).verdict == "contradicted"
    for name, loss in (("few", [1e-30, 1e-4]), ("a few", [1e-30, 1e-7, 1e-4])):
        few = CLAIMS["C8"].judge([census(name, loss, times=100)])
        assert few.verdict == "inconclusive" and "too few to show all" in few.measured


@pytest.mark.parametrize(
    "loss, students, verdict",
    [
        (1e-4, 20, "reproduced"),
        (1e-6, 1000, "contradicted"),
        (1e-6, 380, "inconclusive"),
        (1e-6, 381, "contradicted"),
    ],
)
def test_that_no_student_was_seen_there_says_little_of_few(write, loss, students, verdict):
    """Wilson's interval of 0 in n ends at z^2 / (n + z^2), z = 1.96: below 1 % from n = 381 on."""
    run = ended(write, "census", [loss], ["local"], num_students=students)
    assert CLAIMS["C9"].judge([run]).verdict == verdict


def ended(write, name, losses, classes, kinds=None, **settings):
    kinds = kinds or [""] * len(losses)
    settings = {"stage": "census", "hidden": 5, "teacher": "alternating"} | settings
    points = [
        {"name": f"local-{i}", "loss": loss, "certified": True, "index": 0}
        for i, loss in enumerate(losses)
        if classes[i] == "local"
    ]
    result = {"points": points, "kinds": {}}
    return write(
        name,
        settings,
        result,
        loss=np.array(losses),
        kind=np.array(kinds),
        **{"class": np.array(classes)},
    )


@pytest.mark.parametrize(
    "students, low, verdict",
    [(4000, None, "contradicted"), (1000, None, "inconclusive"), (1000, 3e-6, "reproduced")],
)
def test_minima_of_an_even_smaller_loss(write, students, low, verdict):
    """None in 4,000 excludes one in 1,000 with 95 %, none in 1,000 does not."""
    losses = [1e-30] * (students - 2) + [1e-4, low or 8e-5]
    classes = ["global"] * (students - 2) + ["local"] * 2
    assert CLAIMS["C10"].judge([ended(write, "census", losses, classes)]).verdict == verdict


def test_students_open_at_a_small_loss_leave_it_open(write):
    losses = [1e-30] * 3999 + [1e-4] + [1e-6] * 5
    run = ended(write, "census", losses, ["global"] * 3999 + ["local"] + ["undecided"] * 5)
    finding = CLAIMS["C10"].judge([run])
    assert finding.verdict == "inconclusive"
    assert "5 between zero and 1e-05 of 4,005 students" in finding.measured


@pytest.mark.parametrize(
    "local, number, verdict",
    [
        (5e-5, 200, "reproduced"),
        (5e-5, 20, "inconclusive"),
        (5e-3, 200, "contradicted"),
        (5e-4, 200, "contradicted"),
    ],
)
def test_thresholds_that_mislabel(write, local, number, verdict):
    """Of 400 students half, none, or some are below a threshold and no global minima."""
    rest = 400 - number
    run = ended(
        write, "census", [1e-30] * rest + [local] * number, ["global"] * rest + ["local"] * number
    )
    finding = CLAIMS["C12"].judge([run])
    assert finding.verdict == verdict
    assert "1e-20 mislabels 0 of 400" in finding.measured


def test_zero_loss_students_without_a_type(write):
    untyped = "zero loss, no symmetry type"

    def census(loss, name):
        run = ended(write, name, [1e-30, loss], ["global", "undecided"], ["copy", untyped])
        run.result["kinds"] = {"global": {"copy": 1}, "undecided": {untyped: 1}}
        return CLAIMS["C14"].judge([run]).verdict

    assert census(1e-22, "coarse") == "inconclusive"  # its neurons may not have met yet
    assert census(1e-31, "polished") == "contradicted"


def test_wide_students_reach_zero(write):
    def census(width, losses, going=False):
        kinds = ["still sliding" if going else "isolated"] * len(losses)
        classes = ["channel" if going else "local" for _ in losses]
        name = f"width-{width}-{len(losses)}-{max(losses)}-{going}"
        return ended(write, name, losses, classes, kinds, hidden=width)

    narrow, wide = census(5, [1e-4, 1e-30]), census(45, [1e-12] * 381)

    def judged(*runs):
        finding = CLAIMS["C13"].judge(runs)
        return finding and finding.verdict

    assert judged(narrow, wide) == "reproduced" and judged(narrow) is None
    brief = CLAIMS["C13"].judge([narrow, wide]).brief
    assert "1 of 2 (9.5% to 90.5%) of 5 neurons; 0 of 381 (0.0% to 1.0%) of 45 neurons" in brief
    few = census(45, [1e-12] * 380)
    assert judged(narrow, few) == "inconclusive" and judged(narrow, few, wide) == "reproduced"
    assert judged(narrow, census(45, [1e-12, 1e-13, 1e-5])) == "contradicted"
    assert judged(narrow, census(45, [1e-5], going=True)) == "inconclusive"
    assert CLAIMS["C23"].judge([narrow, wide]) is None
    assert CLAIMS["C23"].judge([narrow, census(10, [1e-5])]).verdict == "contradicted"
    assert judged(census(5, [1e-30, 1e-12]), wide) == "contradicted"  # width 5 reaches it, too


def counted(write, width, students, biases=None, teacher="alternating", **counts):
    """Return a census of which so many students ended in each class that is named."""
    settings = {"stage": "census", "hidden": width, "teacher": teacher, "init": "glorot"}
    settings |= {"biases": biases, "num_students": students, "adam_steps": 1, "learning_rate": 0.1}
    table = {}
    for name in measures.COLOURS:
        hits = counts.get(name, 0)
        wilson = list(measures.interval(hits, students))
        table[name] = {"count": hits, "share": hits / students, "wilson": wilson}
    name = f"{width}-{students}-{biases}-{teacher}-{counts}"
    return write(name, settings, {"counts": table, "points": []})


@pytest.mark.parametrize(
    "channels, ones, verdict",
    [(250, 200, "reproduced"), (250, 10, "inconclusive"), (20, 10, "contradicted")],
)
def test_channels_are_met_often(write, channels, ones, verdict):
    runs = [
        counted(write, 4, 1000, channel=channels),
        counted(write, 4, 1000, teacher="ones", channel=ones),
    ]
    biased = counted(write, 4, 1000, biases=True, channel=900)
    finding = CLAIMS["C19"].judge([*runs, biased])
    assert finding.verdict == verdict  # what biases do stands beside
    assert "(beside: alternating with biases 900 of 1,000" in finding.measured
    assert CLAIMS["C19"].judge([runs[0], biased]).verdict == "inconclusive"  # one teacher


@pytest.mark.parametrize(
    "hits, share",
    [
        (200, "200 of 1,000 (17.6% to 22.6%)"),
        (30, "30 of 1,000 (2.1% to 4.3%)"),
    ],
)
def test_plateaus_without_biases(write, hits, share):
    """Whatever their share, it is not on the claim's targets."""
    finding = CLAIMS["C20"].judge([counted(write, 4, 1000, plateau=hits)])
    assert share in finding.measured and finding.verdict == "inconclusive"


@pytest.mark.parametrize(
    "plain, biased, students, verdict",
    [
        (30, 0, 400, "reproduced"),
        (0, 0, 400, "inconclusive"),  # there were none to be removed
        (30, 0, 300, "inconclusive"),  # Wilson's interval of 0 in 300 ends at 1.3 %
        (30, 20, 400, "contradicted"),
    ],
)
def test_biases_remove_plateaus(write, plain, biased, students, verdict):
    without = counted(write, 5, 400, plateau=plain)
    with_ = counted(write, 5, students, biases=True, plateau=biased)
    assert CLAIMS["C21"].judge([without, with_]).verdict == verdict
    without.settings["adam_steps"] = 2  # trained otherwise: nothing to compare with
    assert CLAIMS["C21"].judge([without, with_]) is None


def test_other_claims_leave_students_with_biases_out(write):
    biased = ended(write, "biased", [1e-4, 1e-30], ["local", "global"], biases=True)
    names = [name for name in CLAIMS if name not in ("C19", "C21")]
    assert all(CLAIMS[name].judge([biased]) is None for name in names)


def test_biases_table_and_figure(write):
    runs = [
        counted(write, 4, 400, biases=True, plateau=0, channel=100),
        counted(write, 4, 400, plateau=12, channel=80),
    ]
    table = tables.biases_table(runs)
    place = table.columns.index("plateau")
    assert [row[:2] for row in table.rows] == [["4", "–"], ["4", "yes"]]
    shown = ["12 (1.7% to 5.2%)", "0 (0.0% to 1.0%)"]
    assert [row[place] for row in table.rows] == shown
    (axes,) = figures.biases(runs).axes
    heights = [bar.get_height() for bar in axes.patches]
    classes = list(measures.COLOURS)
    expected = {("plateau", 0): 0.03, ("channel", 0): 0.2, ("channel", 1): 0.25}
    for (name, number), share in expected.items():
        assert heights[2 * classes.index(name) + number] == pytest.approx(share)


def test_crosses_where_perturbations_end(write):
    """Students 2 and 5 of six were taken up, of whom the path of 5 is not kept."""
    student = np.array([[0.1, 0.2], [0.3, 0.4], [1.0, -1.0]])
    perturbed = student + 0.5
    arrays = {
        "trajectory": np.tile(student, (4, 5, 1, 1)),
        "examined": np.array([2, 5]),
        "attempts": np.array([3, 1]),
        "slsqp_student": np.stack([student + 0.25] * 2),
        "perturbed_student": np.stack([perturbed] * 2),
        "slsqp_loss": np.array([1e-4, 1e-9]),
        "perturbed_loss": np.array([2e-5, 1e-9]),
    }
    run = write("slides", {"stage": "slides", "slsqp_ftol": 1e-30}, {}, **arrays)
    figure = figures.FIGURES["perturbed_paths"]([run])
    panel = figure.axes[0]
    assert panel.get_title() == "loss 1e-04, then 2e-05\nafter 3 perturbations"
    places = [c.get_offsets().data for c in panel.collections]
    for expected, found in zip((student, student + 0.25, perturbed), places):
        np.testing.assert_allclose(found, expected[:2].T)
    none = write("old", {"stage": "slides", "slsqp_ftol": 1e-6}, {}, examined=np.array([2]))
    assert "no student" in figures.FIGURES["perturbed_paths"]([none]).axes[0].get_title()


def test_widths_of_the_slides(write):
    run = slides_run(write, 350, 1e-30, 4)
    np.savez(
        run.path / "arrays.npz",
        lambda_min=np.array([-2e-6, 1e-7]),
        attempts=np.array([1, 2, 9]),
        perturbed_loss=np.array([1e-30] * 7 + [1e-4] * 3),
    )
    run.result["perturbed_definite"] = {"count": 3, "of": 10}
    (row,) = tables.slides_widths([run]).rows
    assert row[:4] == ["5", "1e-30", "10 of 1,000 (0.5% to 1.8%)", "-2e-06"]
    assert [cell.split(" (")[0] for cell in row[4:7]] == ["4 of 10", "4 of 10", "3 of 10"]
    assert row[7] == "2" and row[8].startswith("7 of 10")


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
    assert CLAIMS["C17"].judge([broken]).verdict == "contradicted"  # one is enough
    assert CLAIMS["C15"].judge([broken]).verdict == "contradicted"


@pytest.mark.parametrize(
    "within, at_saddle, outcome",
    [(0.0, 1.0, "reproduced"), (0.5, 1.0, "contradicted"), (0.0, 0.9, "contradicted")],
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
    arrays = run.arrays() | {"transition_basin": np.array([np.nan, 1e-9, np.nan])}
    np.savez(run.path / "arrays.npz", **arrays)  # no epsilon is within the ball of the minimum
    expected = "inconclusive" if at_saddle == 1 else "contradicted"
    assert CLAIMS["C16"].judge([run]).verdict == expected


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
    assert list(CLAIMS) == [f"C{i}" for i in range(1, 24)]
