"""Claims on what curves, schedules, networks and metrics are by definition, M1 to M4."""

import numpy as np

from repro.reporting.claims import Claim, Finding, verdict
from repro.reporting.results import only, select

PARAMETERS = {"vgg16": 15_245_130, "vgg16_bn": 15_253_578}
RESTARTS = (10, 30, 70, 150)


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
    holds = exact and worst["untrained"] < 1e-6
    return Finding(measured, verdict([holds]), chosen, "none, to the bit; untrained: rounding")


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
        restarts == RESTARTS
        and np.isclose(rates[0], 0.05, rtol=1e-6)
        and np.isclose(half, 0.0250005, rtol=1e-4)
        and np.allclose(last, expected, rtol=1e-3)
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
    return Finding(measured, verdict([max(errors) < 1e-4]), chosen, "rounding of float32")


CLAIMS = (
    Claim(
        "M1",
        "Curves end at their ends; a chain bends at its bend; untrained it is the segment.",
        "Section 2",
        "exact",
        m1,
        "To the bit, and the segment to 1e-6, on every curve.",
        general=True,
    ),
    Claim(
        "M2",
        "SGDR: 0.05 at restarts after epochs 10, 30, 70, 150; 0.0250005 half way.",
        "Equation 1",
        "last rates 1.22e-3 to 2.03e-5 by epochs, near 1e-6 by steps",
        m2,
        "The recorded rates: restarts after just these epochs, and first, middle and "
        "last rates to "
        "0.1 %.",
        general=True,
    ),
    Claim(
        "M3",
        "VGG16 has 15,245,130 parameters, with batch norm 15,253,578.",
        "Garipov et al., code",
        "15,245,130 and 15,253,578",
        m3,
        "Exactly.",
        general=True,
    ),
    Claim(
        "M4",
        "The integral metric is the arc-length trapezoid; on a segment, that over t.",
        "Garipov et al., code",
        "equal; the average differs",
        m4,
        "To 1e-4, on every segment.",
        general=True,
    ),
)
