"""Claims on accuracy along curves: Gotmare et al. 2018, M5, M6, M13, and Garipov et al., M14."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from repro.mode_connectivity.curve_figures import VARIANTS, curve_run
from repro.mode_connectivity.ends import unfinished
from repro.reporting import statistics
from repro.reporting.claims import (
    INCONCLUSIVE,
    Claim,
    Finding,
    undecided,
    verdict,
    worst,
)
from repro.reporting.results import Run, only, select
from repro.reporting.statistics import Estimate

TOLERATED = 0.012  # accuracy a curve may lose: Garipov's VGG16 chain lost 1.2 points (table, M14)
LEARNT = 0.2  # accuracy on ten classes below which a mode has learnt next to nothing
DIP = 0.10  # accuracy a segment loses beyond its curve, to be called far worse
# Garipov et al.'s VGG16: lowest and highest test error, and training loss with L2, along the curve.
GARIPOV = {
    "polychain": ((0.0679, 0.0808), (0.16, 0.27)),
    "bezier": ((0.0679, 0.0775), (0.14, 0.24)),
}
CLOSE = {"test_error": 0.01, "train_loss": 0.02}


def m5(runs):
    finding = _pairwise(runs, _lost, statistics.below, TOLERATED)
    if finding is None:
        return None
    lost = [_lost(run)[1] for run in finding.runs if not _untrained(run)]
    most = max(lost, key=lambda each: each.value, default=None)
    brief = f"{most.text(100, 'points')} lost at most, on {len(lost)} curves" if most else ""
    return dataclasses.replace(finding, brief=brief)


def m6(runs):
    return _pairwise(runs, _dip, statistics.above, DIP)


def _pairwise(runs: Sequence[Run], measure, judge, bound: float) -> Finding | None:
    """Judge the six curves one by one; all must hold, and all must be there."""
    found = {mode: curve_run(runs, "G", mode) for mode in VARIANTS}
    there = {mode: run for mode, run in found.items() if run is not None}
    if not there:
        return None
    texts, estimates = [], []
    for mode, run in there.items():
        untrained = _untrained(run)
        text, estimate = measure(run)
        texts.append(f"G{mode} {untrained or text}")
        estimates.append(None if untrained else estimate)

    def judged(tolerance: float) -> str:
        outcomes = [judge(each, tolerance) if each else INCONCLUSIVE for each in estimates]
        return worst([*outcomes, *[INCONCLUSIVE] * (len(there) < len(VARIANTS))])

    chosen = list(there.values())
    finding = Finding(
        "; ".join(texts),
        judged(bound),
        chosen,
        f"binomial over {min(run.result['test_examples'] for run in chosen):,} images, the same "
        "for both, so that it errs on the careful side; one seed, as in the paper",
        statistics.sensitivity(judged, bound),
    )
    return undecided(finding, unfinished(chosen))


def _untrained(run: Run) -> str:
    """Say that an end is hardly better than chance, where it is: its curve decides nothing."""
    errors = run.arrays()["test_error"]
    accuracy = 1 - max(errors[0], errors[-1])
    return "" if accuracy >= LEARNT else f"has an end that did not learn ({accuracy:.0%})"


def _lost(run: Run) -> tuple[str, Estimate]:
    """Return what the trained curve loses at its worst point against the worse end."""
    errors, examples = run.arrays()["test_error"], run.result["test_examples"]
    lost = _more_errors(errors.max(), max(errors[0], errors[-1]), examples)
    return f"loses {lost.text(100, 'points')}", lost


def _dip(run: Run) -> tuple[str, Estimate]:
    """Return what a segment loses beyond its curve, each at its worst point."""
    arrays, examples = run.arrays(), run.result["test_examples"]
    segment, curve = arrays["segment_test_error"].max(), arrays["test_error"].max()
    text = f"{100 * (1 - segment):.0f} % on the segment, {100 * (1 - curve):.0f} % on the curve"
    return text, _more_errors(segment, curve, examples)


def _more_errors(one: float, other: float, examples: int) -> Estimate:
    """Return a difference of two error rates, too uncertain where both see the same images."""
    shares = (statistics.share(round(float(rate) * examples), examples) for rate in (one, other))
    return statistics.difference(*shares)


def m13(runs):
    chosen = select(runs, stage="study")
    if not chosen:
        return None
    arrays, examples = chosen[0].arrays(), chosen[0].result["test_examples"]
    ends = arrays["pair_end_test_error"]
    learnt = ends <= 1 - LEARNT
    lost = [
        _more_errors(worse, end, examples)
        for worse, end in zip(arrays["pair_worst_test_error"], ends)
    ]

    def outcomes(tolerance: float) -> list[str]:
        return [
            statistics.below(each, tolerance) if known else INCONCLUSIVE
            for each, known in zip(lost, learnt)
        ]

    within = sum(each.value <= TOLERATED for each, known in zip(lost, learnt) if known)
    measured = (
        f"{within} of {learnt.sum()} chains through G lose at most {100 * TOLERATED:.1f} points "
        "against their worse end; the worst loses "
        f"{100 * max((each.value for each, k in zip(lost, learnt) if k), default=0):.2f}"
    )
    if not learnt.all():
        measured += f"; {np.sum(~learnt)} more have an end that did not learn"
    finding = Finding(
        measured,
        worst(outcomes(TOLERATED)),
        chosen[:1],
        f"{lost[0].method}; one seed, as in the paper",
        statistics.sensitivity(lambda tolerance: worst(outcomes(tolerance)), TOLERATED),
    )
    return undecided(finding, unfinished(chosen[:1]))


# --- M14: Garipov et al. --------------------------------------------------------------------------


def m14(runs):
    found = {
        kind: only(runs, stage="evaluate", model="vgg16", curve=kind, to="G+1", epoch_scale=1.0)
        for kind in GARIPOV
    }
    if None in found.values():
        return None
    off, texts = [], []
    for kind, run in found.items():
        texts.append(kind)
        for (quantity, close), published in zip(CLOSE.items(), GARIPOV[kind]):
            metrics = run.result["curve_metrics"][quantity]
            ends = metrics["minimum"], metrics["maximum"]
            off += [abs(one - other) / close for one, other in zip(ends, published)]
            texts.append(f"{quantity} {ends[0]:.4f} to {ends[1]:.4f}")

    def near(factor: float) -> str:
        return verdict([all(each < factor for each in off)])

    return Finding(
        ", ".join(texts),
        near(1),
        list(found.values()),
        "one network each, as in their table",
        statistics.sensitivity(near, 1),
    )


ENDED = (
    "Modes that fit 99 % of the training set or had the paper's 200 epochs. One seed, as in the "
    "paper."
)
CLAIMS = (
    Claim(
        "M5",
        "By curve epoch 80 every point of GA to GF is about as accurate as its ends.",
        "Figure 1",
        "qualitative; at most 1.2 points in Garipov's table",
        m5,
        "All six curves lose at most 1.2 points against their worse end, beyond the 95 % "
        "interval "
        f"over the validation images; one shown to lose more contradicts. {ENDED}",
    ),
    Claim(
        "M6",
        "The segments from G to A..F are far less accurate than the curves.",
        "Section 3",
        "qualitative; here over 10 points",
        m6,
        "All six lose more than 10 points beyond their curves, beyond the 95 % interval "
        "over the "
        f"validation images; one shown to lose less contradicts. {ENDED}",
    ),
    Claim(
        "M13",
        "All 21 pairs of modes are connected through G.",
        "Section 3",
        "accurate along chains of three bends",
        m13,
        "All 21 chains lose at most 1.2 points against their worse end, beyond the 95 % "
        "interval over "
        f"the validation images; one shown to lose more contradicts. {ENDED}",
    ),
    Claim(
        "M14",
        "Test error and training loss, with L2, of VGG16 along chain and Bezier curve.",
        "Garipov et al., README",
        "6.79 to 8.08 % and 0.16 to 0.27; 6.79 to 7.75 % and 0.14 to 0.24",
        m14,
        "Lowest and highest error within a point and loss within 0.02, on both curves, of "
        "trainings as long as theirs.",
    ),
)
