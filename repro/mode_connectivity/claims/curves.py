"""Claims of Gotmare et al. 2018 on curves, M1 to M6 and M13, and of Garipov et al. 2018, M14."""

import itertools
from collections.abc import Sequence

import numpy as np

from repro.mode_connectivity.curve_figures import VARIANTS, curve_run
from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    verdict,
    worst,
)
from repro.reporting.results import Run, only, select

TOLERATED = 0.012  # accuracy a curve may lose: Garipov's VGG16 chain lost 1.2 points (table, M14)
LEARNT = 0.2  # accuracy on ten classes below which a mode has learnt next to nothing
DIP = 0.10  # accuracy a segment loses beyond its curve, to be called far worse
PARAMETERS = {"vgg16": 15_245_130, "vgg16_bn": 15_253_578}
RESTARTS = (10, 30, 70, 150)
# Garipov et al.'s VGG16: lowest and highest test error, and training loss with L2, along the curve.
GARIPOV = {
    "polychain": ((0.0679, 0.0808), (0.16, 0.27)), "bezier": ((0.0679, 0.0775), (0.14, 0.24)),
}
CLOSE = {"test_error": 0.01, "train_loss": 0.02}


# --- M1 to M4: definitions ------------------------------------------------------------------------


def m1(runs):
    chosen = select(runs, stage="evaluate")
    if not chosen:
        return None
    worst = {}
    for run in chosen:
        for place, off in run.result["exactness"].items():
            worst[place] = max(worst.get(place, 0.0), off)
    if any(run.settings["free_ends"] for run in chosen):
        return None
    exact = all(worst[place] == 0 for place in ("start", "end", "middle") if place in worst)
    measured = ", ".join(f"{place} off by {off:.1g}" for place, off in worst.items())
    return Finding(measured, verdict([exact and worst["untrained"] < 1e-6]), chosen)


def m2(runs):
    run = only(runs, stage="endpoint", mode="sgdr")
    if run is None:
        return None
    rates, scale = run.arrays()["learning_rate"], run.settings["epoch_scale"]
    per_epoch = len(rates) // run.result["epochs"] * scale  # steps in an epoch of the paper
    jumps = np.flatnonzero(np.diff(rates) > 0) + 1
    restarts = tuple(round(j / per_epoch) for j in jumps)
    last = [rates[j - 1] for j in jumps]
    half = rates[round(5 * per_epoch)]
    per_step = run.settings["sgdr_update"] == "step"
    # The last rate before a restart: by whole epochs at T_cur / T_i = 9/10, ..., 79/80.
    periods = np.diff([0, *RESTARTS]) * (per_epoch if per_step else scale)
    expected = [1e-6 + 0.0249995 * (1 + np.cos(np.pi * (p - 1) / p)) for p in periods]
    holds = (
        restarts == RESTARTS and np.isclose(rates[0], 0.05, rtol=1e-6)
        and np.isclose(half, 0.0250005, rtol=1e-4) and np.allclose(last, expected, rtol=1e-3)
    )
    measured = (
        f"{rates[0]:g} at first, {half:.7f} half way through the first period, restarts after "
        f"epochs {', '.join(map(str, restarts))}, last rates {', '.join(f'{r:.2e}' for r in last)} "
        f"(moved every {run.settings['sgdr_update']})"
    )
    return Finding(measured, verdict([bool(holds)]), [run])


def m3(runs):
    chosen = [run for run in runs if "network_sizes" in run.result]
    if not chosen:
        return None
    sizes = chosen[0].result["network_sizes"]
    measured = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
    return Finding(measured, verdict([sizes == PARAMETERS]), chosen[:1])


def m4(runs):
    chosen = select(runs, stage="evaluate")
    if not chosen:
        return None
    errors, gaps = [], []
    for run in chosen:
        arrays = run.arrays()
        values = arrays["segment_train_nll"]
        over_t = np.sum((values[1:] + values[:-1]) / 2 * np.diff(arrays["t"]))
        summary = run.result["segment_metrics"]["train_nll"]
        errors.append(abs(summary["integral"] / over_t - 1))
        gaps.append(abs(summary["average"] / over_t - 1))
    measured = (
        f"on {len(chosen)} segments integral and trapezoid over t differ by {max(errors):.1e} at "
        f"most, the plain average differs by up to {max(gaps):.1%}"
    )
    # Lengths of chords of float32 weights carry errors of a few 1e-6, relative.
    return Finding(measured, verdict([max(errors) < 1e-4]), chosen)


# --- M5, M6, M13: accuracy along curves -----------------------------------------------------------


def m5(runs):
    return _pairwise(runs, _loses_little)


def m6(runs):
    return _pairwise(runs, _segment_dips)


def _pairwise(runs: Sequence[Run], judged) -> Finding | None:
    """Judge the six curves one by one; all must hold, and all must be there."""
    found = {mode: curve_run(runs, "G", mode) for mode in VARIANTS}
    there = {mode: run for mode, run in found.items() if run is not None}
    if not there:
        return None
    outcomes, texts = zip(*(_untrained(run) or judged(run) for run in there.values()))
    measured = "; ".join(f"G{mode} {text}" for mode, text in zip(there, texts))
    outcomes += (INCONCLUSIVE,) * (len(there) < len(VARIANTS))
    return Finding(measured, worst(outcomes), list(there.values()))


def _untrained(run: Run) -> tuple[str, str] | None:
    """Say that an end is hardly better than chance, where it is: its curve decides nothing."""
    errors = run.arrays()["test_error"]
    accuracy = 1 - max(errors[0], errors[-1])
    if accuracy >= LEARNT:
        return None
    return INCONCLUSIVE, f"has an end that did not learn ({accuracy:.0%})"


def _loses_little(run: Run) -> tuple[str, str]:
    """Whether the trained curve stays within TOLERATED of the worse end, everywhere."""
    errors, examples = run.arrays()["test_error"], run.result["test_examples"]
    worse_end = max(errors[0], errors[-1])
    lost = float(errors.max() - worse_end)
    text = f"loses {100 * lost:.1f} ± {100 * _standard_error(worse_end, examples):.1f} points"
    return _little(lost, worse_end, examples), text


def _little(lost: float, error: float, examples: int) -> str:
    """Judge a loss of accuracy against TOLERATED; two standard errors decide a contradiction."""
    if lost <= TOLERATED:
        return REPRODUCED
    beyond = lost - TOLERATED > 2 * _standard_error(error, examples)
    return CONTRADICTED if beyond else INCONCLUSIVE


def _standard_error(error: float, examples: int) -> float:
    """Return that of a difference of two error rates; too large where both see the same images."""
    return (2 * error * (1 - error) / examples) ** 0.5


def _segment_dips(run: Run) -> tuple[str, str]:
    arrays = run.arrays()
    segment, curve = arrays["segment_test_error"].max(), arrays["test_error"].max()
    text = f"{100 * (1 - segment):.0f} % on the segment, {100 * (1 - curve):.0f} % on the curve"
    return (REPRODUCED if segment - curve > DIP else CONTRADICTED), text


def m13(runs):
    chosen = select(runs, stage="study")
    if not chosen:
        return None
    arrays, examples = chosen[0].arrays(), chosen[0].result["test_examples"]
    ends = arrays["pair_end_test_error"]
    lost = arrays["pair_worst_test_error"] - ends
    learnt = ends <= 1 - LEARNT
    outcomes = [
        _little(x, e, examples) if known else INCONCLUSIVE
        for x, e, known in zip(lost, ends, learnt)
    ]
    within = outcomes.count(REPRODUCED)
    measured = (
        f"{within} of {learnt.sum()} chains through G lose at most {100 * TOLERATED:.1f} points "
        f"against their worse end; the worst loses {100 * lost[learnt].max():.1f}"
    )
    if not learnt.all():
        measured += f"; {np.sum(~learnt)} more have an end that did not learn"
    return Finding(measured, worst(outcomes), chosen[:1])


# --- M14: Garipov et al. --------------------------------------------------------------------------


def m14(runs):
    found = {
        kind: only(runs, stage="evaluate", model="vgg16", curve=kind, to="G+1", epoch_scale=1.0)
        for kind in GARIPOV
    }
    if None in found.values():
        return None
    outcomes, texts = [], []
    for kind, run in found.items():
        texts.append(kind)
        for (quantity, close), published in zip(CLOSE.items(), GARIPOV[kind]):
            metrics = run.result["curve_metrics"][quantity]
            ends = metrics["minimum"], metrics["maximum"]
            outcomes += [abs(one - other) < close for one, other in zip(ends, published)]
            texts.append(f"{quantity} {ends[0]:.4f} to {ends[1]:.4f}")
    return Finding(", ".join(texts), verdict([all(outcomes)]), list(found.values()))


CLAIMS = tuple(itertools.starmap(Claim, (
    ("M1", "Curves end at their ends; a chain bends at its bend; untrained it is the segment.",
     "Section 2", "exact", m1),
    ("M2", "SGDR: 0.05 at restarts after epochs 10, 30, 70, 150; 0.0250005 half way.",
     "Equation 1", "last rates 1.22e-3 to 2.03e-5 by epochs, near 1e-6 by steps", m2),
    ("M3", "VGG16 has 15,245,130 parameters, with batch norm 15,253,578.", "Garipov et al., code",
     "15,245,130 and 15,253,578", m3),
    ("M4", "The integral metric is the arc-length trapezoid; on a segment, that over t.",
     "Garipov et al., code", "equal; the average differs", m4),
    ("M5", "By curve epoch 80 every point of GA to GF is about as accurate as its ends.",
     "Figure 1", "qualitative; at most 1.2 points in Garipov's table", m5),
    ("M6", "The segments from G to A..F are far less accurate than the curves.", "Section 3",
     "qualitative; here over 10 points", m6),
    ("M13", "All 21 pairs of modes are connected through G.", "Section 3",
     "accurate along chains of three bends", m13),
    ("M14", "Test error and training loss, with L2, of VGG16 along chain and Bezier curve.",
     "Garipov et al., README", "6.79 to 8.08 % and 0.16 to 0.27; 6.79 to 7.75 % and 0.14 to 0.24",
     m14),
)))
