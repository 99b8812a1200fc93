"""Claims of Gotmare et al. 2018 on the trajectories of SGDR and of step decay, M7 to M12."""

import itertools

import numpy as np

from repro.mode_connectivity.curve_figures import curve_run
from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    verdict,
)
from repro.reporting.results import only, select

NOTICEABLE = 0.01  # share of the higher end's loss that a barrier or a gap must exceed


def m7(runs):
    return _barriers(runs, "sgdr", ((30, 150), (70, 150)), wanted=True)


def m8(runs):
    return _barriers(runs, "step", ((55, 65), (145, 165), (55, 165)), wanted=False)


def _barriers(runs, mode: str, pairs, *, wanted: bool) -> Finding | None:
    """Judge whether training loss on segments rises over both ends, as the footnote says."""
    found = [curve_run(runs, f"{mode}@{a}", f"{mode}@{b}") for a, b in pairs]
    if None in found:
        return None
    outcomes, texts, unknown = [], [], False
    for (a, b), run in zip(pairs, found):
        losses, barrier = run.arrays()["segment_train_nll"], run.result["segment_barrier"]
        higher = max(losses[0], losses[-1])
        unknown |= not np.isfinite(losses).all()
        outcomes.append((barrier["over_maximum"] > NOTICEABLE * higher) == wanted)
        texts.append(
            f"{{{a},{b}}} {barrier['over_maximum']:.3g} over the higher end's {higher:.3g} "
            f"(over the chord {barrier['over_chord']:.3g})"
        )
    outcome = INCONCLUSIVE if unknown else verdict([all(outcomes)])
    return Finding("; ".join(texts), outcome, found)


def _middle_and_ends(runs, quantity: str):
    """Return the run of SGDR's last pair, and a quantity at the bend and at both ends."""
    run = curve_run(runs, "sgdr@70", "sgdr@150")
    if run is None:
        return None
    values = run.arrays()[quantity]
    return run, float(values[len(values) // 2]), float(values[0]), float(values[-1])


def m9(runs):
    found = _middle_and_ends(runs, "train_nll")
    if found is None:
        return None
    run, bend, _, last = found
    gap, margin = last - bend, NOTICEABLE * last
    outcome = REPRODUCED if gap > margin else CONTRADICTED if gap < -margin else INCONCLUSIVE
    return Finding(f"{bend:.4g} at the bend, {last:.4g} at w150", outcome, [run])


def m10(runs):
    found = _middle_and_ends(runs, "test_nll")
    if found is None:
        return None
    run, bend, first, last = found
    gap, margin = bend - max(first, last), NOTICEABLE * max(first, last)
    outcome = REPRODUCED if gap > margin else CONTRADICTED if gap < -margin else INCONCLUSIVE
    measured = f"{bend:.4g} at the bend, {first:.4g} at w70, {last:.4g} at w150"
    return Finding(measured, outcome, [run])


def m11(runs):
    run = only(runs, stage="plane", to="sgdr@150", **{"from": "sgdr@70"})
    if run is None:
        return None
    arrays = run.arrays()
    train, test = arrays["anchor_train_nll"][:2], arrays["anchor_test_nll"][:2]
    # "Between the iterates": above the segment but for a tenth at each end, and near it beside the
    # curve's height. One grid point is no region yet.
    alpha, beta = arrays["alpha"], arrays["beta"]
    between = (alpha >= 0.1) & (alpha <= 0.9) & (np.abs(beta) <= 0.25)
    higher = arrays["train_nll"] > (1 + NOTICEABLE) * train.max()
    lower = arrays["test_nll"] < (1 - NOTICEABLE) * test.min()
    both = int(np.sum(between & higher & lower))
    measured = (
        f"{both} of {int(between.sum())} grid points between them have higher training and lower "
        f"validation loss than both by 1 % ({int(np.sum(between & higher))} higher training, "
        f"{int(np.sum(between & lower))} lower validation loss)"
    )
    outcome = INCONCLUSIVE if both == 1 else verdict([both > 1])
    return Finding(measured, outcome, [run])


def m12(runs):
    chosen = select(runs, stage="plane", projection="affine")
    if not chosen:
        return None
    worst, nearest, farthest = 0.0, np.inf, 0.0
    for run in chosen:
        arrays = run.arrays()
        # An iterate in the plane, as the ends are, has no residual whose direction could be told.
        off_plane = arrays["residuals"] > 1e-5 * max(run.result["axis_lengths"])
        if off_plane.any():
            worst = max(worst, float(np.abs(arrays["residual_cosines"][off_plane]).max()))
            nearest = min(nearest, float(arrays["residuals"][off_plane].min()))
            farthest = max(farthest, float(arrays["residuals"].max()))
    measured = (
        f"largest cosine of a residual with an axis {worst:.1e}; iterates lie {nearest:.3g} to "
        f"{farthest:.3g} from the plane"
    )
    return Finding(measured, verdict([worst < 1e-6]), chosen)


CLAIMS = tuple(itertools.starmap(Claim, (
    ("M7", "Training loss on the segments {30,150} and {70,150} of SGDR rises over both ends.",
     "Figure 2c", "much higher", m7),
    ("M8", "Training loss on step decay's segments nowhere rises over both ends.", "Figure 2d",
     "no barrier on three pairs", m8),
    ("M9", "Training loss is lower at the bend of w70 and w150 than at w150.", "Section 5",
     "lower", m9),
    ("M10", "Validation loss is higher at that bend than at w70 and at w150.", "Section 5",
     "higher", m10),
    ("M11", "Between w70 and w150 training loss is higher and validation loss lower than at both.",
     "Figure 3", "a region of the plane", m11),
    ("M12", "Iterates are projected orthogonally onto the plane.", "Appendix A.2",
     "least squares", m12),
)))
