"""What else is said of curves: ensembles along them, and two kinds of curve. M22 and M23."""

import numpy as np

from repro.mode_connectivity.curve_figures import VARIANTS
from repro.mode_connectivity.ends import unfinished
from repro.reporting import statistics
from repro.reporting.claims import INCONCLUSIVE, Claim, Finding, undecided
from repro.reporting.results import only, select

CURVES = 3  # that a verdict needs
ALIKE = 1.2  # points of accuracy that the worst of a chain lies below its ends in Garipov et al.


def m22(runs):
    found = select(runs, stage="ensemble", curve="polychain")
    if not found:
        return None
    by_curve: dict[tuple, list[float]] = {}
    for run in found:
        gain = 100 * (run.result["ends_error"] - run.result["ensemble_error"])
        by_curve.setdefault((run.settings["from"], run.settings["to"]), []).append(gain)
    gains = [float(np.mean(of_curve)) for of_curve in by_curve.values()]
    shown = [
        f"{run.settings['from']}{run.settings['to']} {100 * run.result['ensemble_error']:.2f} "
        f"against {100 * run.result['ends_error']:.2f} %"
        for run in found
    ]
    outcome = INCONCLUSIVE
    if len(gains) >= CURVES:
        outcome = statistics.above(statistics.over_seeds(gains), 0)
    finding = Finding(
        f"validation error of all networks of a curve against its two ends: {', '.join(shown)}; "
        f"lower by {np.mean(gains):.2f} points",
        outcome,
        found,
        f"Student's t over {len(gains)} curves, on the same images",
        brief=f"{np.mean(gains):+.2f} points",
    )
    return undecided(finding, unfinished(found))


def m23(runs):
    pairs = []
    for mode in VARIANTS:
        ends = {"stage": "evaluate", "from": "G", "to": mode, "align": "none"}
        chains = select(runs, curve="polychain", **ends)
        for bezier in select(runs, curve="bezier", **ends):
            alike = [chain for chain in chains if _apart(chain, bezier) <= {"curve"}]
            if chain := only(alike):
                pairs.append((chain, bezier))
    if not pairs:
        return None
    gains = [100 * (_worst(chain) - _worst(bezier)) for chain, bezier in pairs]

    def judged(margin: float) -> str:
        if len(pairs) < CURVES:
            return INCONCLUSIVE
        return statistics.no_difference(statistics.over_seeds(gains), margin)

    shown = [f"G{chain.settings['to']} {gain:+.2f}" for (chain, _), gain in zip(pairs, gains)]
    used = [run for pair in pairs for run in pair]
    finding = Finding(
        f"lowest validation accuracy of the Bezier curve less the chain's, in points: "
        f"{', '.join(shown)}",
        judged(ALIKE),
        used,
        f"Student's t over {len(pairs)} curves",
        statistics.sensitivity(judged, ALIKE),
    )
    return undecided(finding, unfinished(used))


def _apart(one, other) -> set[str]:
    """Return the names of the settings in which two runs differ."""
    names = {*one.settings, *other.settings}
    return {name for name in names if one.settings.get(name) != other.settings.get(name)}


def _worst(run) -> float:
    return float(run.arrays()["test_error"].max())


CLAIMS = (
    Claim(
        "M22",
        "An ensemble of networks along a curve is better than that of the curve's two ends.",
        "Garipov et al. 2018",
        "yes; no number at hand",
        m22,
        "Three curves or more between modes of all the paper's 200 epochs: the "
        "validation error of the averaged probabilities of all networks along a chain is "
        "below that of its two ends alone, beyond the 95 % interval of Student's t over curves.",
        to_decide="More curves, or such of networks trained on more images.",
    ),
    Claim(
        "M23",
        "A Bezier curve with one bend joins two modes as well as a chain with one.",
        "Garipov et al. 2018, table",
        "worst test error 7.75 % and 8.08 %",
        m23,
        "Over three curves or more from mode G with all other settings the same, modes of all the "
        "paper's 200 epochs, or fitted: the lowest validation accuracies along both kinds differ "
        "by less than 1.2 points, by an equivalence test with Student's t over the curves.",
        everywhere=True,
    ),
)
