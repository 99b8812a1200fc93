"""Claims on what happens after a switch of optimisers, and its figure, on made-up runs."""

import matplotlib.pyplot as plt
import pytest
from made_up import N, judge, trained

from repro.reporting.results import Run
from repro.stability import figures, measures
from repro.stability.claims import CLAIMS


def escape(tmp_path, eta, batch, spike, end, test_end=0.81):
    settings = trained(tmp_path, eta, batch, 1.0, 1.0).settings
    settings |= {"stage": "escape", "start_learning_rate": 0.1}
    rows = [
        {
            "epoch": step,
            "step": step,
            "train/loss": loss,
            "curvature/sharpness": a,
            "curvature/nonuniformity": 2 * a,
            "test/accuracy": test,
            "train/accuracy": 1.0,
        }
        for step, loss, a, test in (
            (0, 1e-4, 19.6, 0.8),
            (40, spike, 9.0, 0.1),
            (60, 1e-4, end, test_end),
            (80, 1e-4, end, 0.81),
        )
    ]
    result = {
        "sharpness": {"value": end},
        "train_examples": N,
        "test_examples": 10_000,
        "test_accuracy": 0.81,
    }
    return Run(tmp_path / f"escape-{eta}-{batch}", settings, result, rows)


def escapes(tmp_path, *switches, count=3, start=0.1, test_end=0.81):
    runs = []
    for eta, batch, spike, end in switches:
        for seed in range(count):
            run = escape(tmp_path, eta, batch, spike, end + 0.01 * seed, test_end + 1e-4 * seed)
            run.settings.update(seed=seed, start_learning_rate=start)
            runs.append(run)
    return runs


GONE = ((0.1, 4, 0.05, 6.7), (0.3, N, 0.05, 6.5), (0.5, N, 0.05, 3.9))


def test_escapes(tmp_path):
    gone = escapes(tmp_path, *GONE)
    assert judge("P11", gone) == "reproduced" and judge("P12", gone) == "reproduced"
    # ends of 6.70, 6.71, 6.72: t(0.975, 2) = 4.303 times 0.01 / sqrt(3) is 0.02
    brief = CLAIMS["P11"].judge(gone).brief
    assert "19.60 to 6.71 ± 0.02 with batches of 4, 19.60 to 6.51 ± 0.02 with 3 times" in brief
    assert judge("P11", escapes(tmp_path, *GONE, count=1)) == "inconclusive"
    assert judge("P11", escapes(tmp_path, *GONE[:2])) == "inconclusive"  # two of three switches
    stays = [(eta, batch, 2e-4, 19.5) for eta, batch, *_ in GONE]
    assert judge("P11", escapes(tmp_path, *stays)) == "contradicted"
    assert judge("P11", escapes(tmp_path, *GONE[:2], (0.5, N, 0.05, 4.1))) == "inconclusive"
    figure = figures.escape(gone[:1])
    curve = figure.axes[0].lines[0]
    assert curve.get_xydata().tolist() == [[0, 19.6], [40, 9.0], [60, 6.7], [80, 6.7]]


def test_escapes_from_another_rate_decide_nothing(tmp_path):
    elsewhere = escapes(tmp_path, *((5 * e, b, x, a / 5) for e, b, x, a in GONE), start=0.5)
    finding = CLAIMS["P11"].judge(elsewhere)
    assert finding.verdict == "inconclusive" and "not the published rate" in finding.measured
    assert judge("P12", elsewhere) == "inconclusive"
    assert judge("P11", [*elsewhere, *escapes(tmp_path, *GONE)]) == "reproduced"


def test_other_minima_than_those_of_gd_are_others(tmp_path):
    """Runs from an L-BFGS minimum on true labels have no published end beside them."""
    gone, others = escapes(tmp_path, *GONE), escapes(tmp_path, *GONE, test_end=0.60)
    for run in others:
        run.settings.update(start_optimizer="lbfgs")
    assert judge("P12", others) is None and judge("P11", others) is None
    assert judge("P12", [*gone, *others]) == "reproduced"

    def published_ends(run):
        lines = figures.escape([run]).axes[0].lines
        return [line.get_ydata().tolist() for line in lines if line.get_marker() == "o"]

    assert published_ends(gone[0]) == [[pytest.approx(6.70, abs=0.01)]]  # of (0.1, 4)
    assert published_ends(others[0]) == []
    gone[0].settings.update(wrong_examples=200)  # where (0.1, 4) was published to end elsewhere
    assert published_ends(gone[0]) == [[4.67]]
    others[0].settings.update(wrong_examples=200, start_learning_rate=None, learning_rate=0.4)
    assert published_ends(others[0]) == [[0.40]]


def test_escapes_that_diverge(tmp_path):
    diverged = escapes(tmp_path, *GONE)
    for run in diverged:
        run.result.update(sharpness=None, iterations=7)
    assert judge("P11", diverged) == "contradicted" and judge("P12", diverged) is None
    assert judge("P11", [*escapes(tmp_path, *GONE[:2]), *diverged[6:]]) == "inconclusive"


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
    """The last two of four rows: 0.70 and 0.81 are 0.755 on average, from 0.8."""
    lucky = escapes(tmp_path, *GONE, test_end=0.70)
    assert judge("P12", lucky) == "contradicted"
    assert "-4.50" in CLAIMS["P12"].judge(lucky).measured
    mixed = [*escapes(tmp_path, *GONE[:2]), *lucky[6:]]
    assert judge("P12", mixed) == "inconclusive"


def test_batches_of_one_count_where_they_were_run(tmp_path):
    gone = escapes(tmp_path, *GONE)
    assert judge("P11", [*gone, *escapes(tmp_path, (0.1, 1, 0.05, 0.94))]) == "reproduced"
    assert judge("P11", [*gone, *escapes(tmp_path, (0.1, 1, 0.05, 1.5))]) == "inconclusive"
    assert judge("P11", escapes(tmp_path, *GONE[:2], (0.1, 1, 0.05, 0.94))) == "inconclusive"


def others(tmp_path, *switches, count=3, n=N, result=None, **settings):
    """Escapes from other minima than those of GD on true labels of Fashion-MNIST."""
    runs = escapes(tmp_path, *switches, count=count)
    for run in runs:
        run.settings.update(settings)
        run.result.update({"train_examples": n, **(result or {})})
    return runs


ON_WRONG = ((0.1, 4, 3e-3, 4.7), (0.3, 1200, 3e-3, 6.3), (0.5, 1200, 3e-3, 3.9))
STAYS = (0.1, 100, 2e-4, 20.0)  # from 19.6


def test_escapes_from_minima_of_gd_on_wrong_labels(tmp_path):
    def wrong(*switches, **changes):
        return others(tmp_path, *switches, n=1200, **{"wrong_examples": 200, **changes})

    runs = wrong(*ON_WRONG, STAYS)
    assert judge("P18", runs) == "reproduced" and judge("P11", runs) is None
    assert judge("P18", runs[:9]) == "inconclusive"  # three of four switches
    assert judge("P18", wrong(*ON_WRONG, STAYS, count=1)) == "inconclusive"
    assert judge("P18", wrong(*ON_WRONG, (0.1, 100, 2e-4, 15.0))) == "inconclusive"  # it leaves
    stay = [(eta, batch, 2e-4, 19.5) for eta, batch, *_ in ON_WRONG]
    assert judge("P18", wrong(*stay, (0.1, 100, 2e-4, 15.0))) == "contradicted"
    tame = [(eta, batch, 1e-3, end) for eta, batch, _, end in ON_WRONG]  # the loss rises tenfold
    assert judge("P18", wrong(*tame, STAYS)) == "inconclusive"
    assert judge("P18", wrong(*ON_WRONG, STAYS, wrong_examples=1000)) is None
    fast = [(5 * eta, batch, spike, end / 5) for eta, batch, spike, end in ON_WRONG]
    finding = CLAIMS["P18"].judge(wrong(*fast, start_learning_rate=0.5))
    assert finding.verdict == "inconclusive" and "not the published rate" in finding.measured
    assert "expected at most 1.12" in finding.measured  # 5.6 / 5


def test_escapes_from_minima_of_lbfgs(tmp_path):
    start = {"wrong_examples": 200, "start_optimizer": "lbfgs", "start_learning_rate": None}

    def left(*switches, **changes):
        return others(tmp_path, *switches, n=1200, **start, **changes)

    both = (0.8, 1200, 3e-3, 2.34), (0.4, 4, 3e-3, 0.40)
    assert judge("P19", left(*both)) == "reproduced" and judge("P18", left(*both)) is None
    assert judge("P19", left(both[0])) == "inconclusive"
    assert judge("P19", left(*both, count=2)) == "inconclusive"
    assert judge("P19", left((0.8, 1200, 3e-3, 7.0), (0.4, 4, 3e-3, 6.0))) == "contradicted"
    finding = CLAIMS["P19"].judge(left(*both))
    assert "from L-BFGS to (0.8, 1200): a 19.60 to 2.34" in finding.measured
    assert "with GD at 0.8, 19.60 to 0.41 ± 0.02 with batches of 4 at 0.4" in finding.brief


def test_escapes_on_cifar_10_end_within_bounds(tmp_path):
    """At a rate of 0.1 a is at most 20; s is twice a here, its bound with B = 25 is 50.6."""

    def cifar(*switches, **changes):
        return others(tmp_path, *switches, dataset="cifar10", **changes)

    assert judge("P20", cifar((0.1, 4, 0.05, 9.0), (0.1, 25, 0.05, 18.0))) == "reproduced"
    # twice 12 is over 20.0, the bound on s with B = 4
    assert judge("P20", cifar((0.1, 4, 0.05, 12.0))) == "contradicted"
    assert judge("P20", cifar((0.1, 25, 0.05, 18.0), (0.1, 4, 0.05, 12.0))) == "inconclusive"
    assert judge("P20", cifar((0.2, N, 0.05, 9.9))) == "reproduced"  # GD has the bound on a alone
    assert judge("P20", cifar((0.2, N, 0.05, 11.0))) == "contradicted"
    assert judge("P20", cifar((0.2, N, 0.05, 9.9), count=2)) == "inconclusive"
    lost = cifar((0.1, N, 0.05, 1.0), result={"sharpness": None})
    assert judge("P20", lost) == "inconclusive"
    assert judge("P20", [*lost, *cifar((0.2, N, 0.05, 9.9))]) == "reproduced"
    assert judge("P20", escapes(tmp_path, *GONE)) is None


def test_the_published_rate_before_the_switch_is_another_on_cifar_10(tmp_path):
    runs = others(tmp_path, (0.1, 4, 0.05, 9.0), dataset="cifar10")
    assert "not the published rate of 0.01" in CLAIMS["P12"].judge(runs).measured
    for run in runs:
        run.settings.update(start_learning_rate=0.01, learning_rate=0.01)
    assert judge("P12", runs) == "reproduced"


def test_a_switch_has_one_colour_and_one_name_for_all_seeds(tmp_path):
    runs = others(tmp_path, *ON_WRONG, STAYS, n=1200, wrong_examples=200)
    lbfgs = (0.8, 1200, 3e-3, 2.34), (0.4, 4, 3e-3, 0.40)
    start = {"wrong_examples": 200, "start_optimizer": "lbfgs", "start_learning_rate": None}
    runs += others(tmp_path, *lbfgs, n=1200, **start)
    runs[-1].result.update(sharpness=None)
    figure = figures.escape(runs)
    (legend,) = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    assert [text.get_text() for text in legend.texts] == [
        "GD → η = 0.1, B = 4",
        "GD → η = 0.3, GD",
        "GD → η = 0.5, GD",
        "GD → η = 0.1, B = 100",
        "L-BFGS → η = 0.8, GD",
        "L-BFGS → η = 0.4, B = 4, 1 of 3 diverged",
    ]
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 4]
    colours = [line.get_color() for line in lines]
    assert len(lines) == 18 and len(set(colours)) == 6
    assert all(len(set(colours[n : n + 3])) == 1 for n in range(0, 18, 3))
    assert len({line.get_color() for line in legend.legend_handles}) == 6
    ends = [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert ends == pytest.approx([4.67, 6.30, 3.86, 20.4, 2.34, 0.40])
    plt.close(figure)
