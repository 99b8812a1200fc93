"""Claims of Gotmare et al. 2018 on the trajectories of SGDR and of step decay, M7 to M12."""

import numpy as np

from repro.mode_connectivity.curve_figures import curve_run
from repro.mode_connectivity.ends import unfinished
from repro.reporting import statistics
from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    undecided,
    verdict,
)
from repro.reporting.results import only, select

ONE_SEED = "one seed, as in the paper; the tolerance of 1 % is for what another would change"
NOTICEABLE = 0.01  # share of the higher end's loss that a barrier or a gap must exceed


def m7(runs):
    return _barriers(runs, "sgdr", ((30, 150), (70, 150)), wanted=True)


def m8(runs):
    """Judge that there are no barriers, where those of SGDR show that they would be seen."""
    finding = _barriers(runs, "step", ((55, 65), (145, 165), (55, 165)), wanted=False)
    if finding is None or finding.verdict != REPRODUCED:
        return finding
    high = m7(runs)
    seen = high is not None and high.verdict == REPRODUCED
    return undecided(finding, "" if seen else "no power: SGDR's barriers (M7) are not seen either")


def m24(runs):
    """Judge whether w70 and w150 are joined by a path on which training loss does not rise."""
    run = curve_run(runs, "sgdr@70", "sgdr@150")
    if run is None:
        return None
    losses = run.arrays()["train_nll"]
    higher = max(losses[0], losses[-1])
    heights = {
        path: run.result[f"{path}_barrier"]["over_maximum"] / higher
        for path in ("segment", "curve")
    }

    def judged(noticeable: float) -> str:
        if not np.isfinite(list(heights.values())).all():
            return INCONCLUSIVE
        return verdict([min(heights.values()) <= noticeable])

    shown = " and ".join(f"{100 * height:.1f} % on the {path}" for path, height in heights.items())
    finding = Finding(
        f"training loss rises over the higher end's {higher:.3g} by {shown}",
        judged(NOTICEABLE),
        [run],
        ONE_SEED,
        statistics.sensitivity(judged, NOTICEABLE),
    )
    return undecided(finding, unfinished([run]))


def _barriers(runs, mode: str, pairs, *, wanted: bool) -> Finding | None:
    """Judge whether training loss on segments rises over both ends, as the footnote says."""
    found = [curve_run(runs, f"{mode}@{a}", f"{mode}@{b}") for a, b in pairs]
    if None in found:
        return None
    heights, texts, unknown = [], [], False
    for (a, b), run in zip(pairs, found):
        losses, barrier = run.arrays()["segment_train_nll"], run.result["segment_barrier"]
        higher = max(losses[0], losses[-1])
        unknown |= not np.isfinite(losses).all()
        heights.append(barrier["over_maximum"] / higher)
        texts.append(
            f"{{{a},{b}}} {barrier['over_maximum']:.3g} over the higher end's {higher:.3g} "
            f"(over the chord {barrier['over_chord']:.3g})"
        )

    def judged(noticeable: float) -> str:
        if unknown:
            return INCONCLUSIVE
        return verdict([all((height > noticeable) == wanted for height in heights)])

    finding = Finding(
        "; ".join(texts),
        judged(NOTICEABLE),
        found,
        ONE_SEED,
        statistics.sensitivity(judged, NOTICEABLE),
    )
    return undecided(finding, unfinished(found))


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
    return _beyond(run, (last - bend) / last, f"{bend:.4g} at the bend, {last:.4g} at w150")


def m10(runs):
    found = _middle_and_ends(runs, "test_nll")
    if found is None:
        return None
    run, bend, first, last = found
    measured = f"{bend:.4g} at the bend, {first:.4g} at w70, {last:.4g} at w150"
    higher = max(first, last)
    return _beyond(run, (bend - higher) / higher, measured)


def _beyond(run, share: float, measured: str) -> Finding:
    """Judge that a loss is off another by more than NOTICEABLE of it, in the right direction."""

    def judged(noticeable: float) -> str:
        if share > noticeable:
            return REPRODUCED
        return CONTRADICTED if share < -noticeable else INCONCLUSIVE

    sensitivity = statistics.sensitivity(judged, NOTICEABLE)
    finding = Finding(measured, judged(NOTICEABLE), [run], ONE_SEED, sensitivity)
    return undecided(finding, unfinished([run]))


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

    def count(noticeable: float) -> tuple[int, int, int]:
        higher = arrays["train_nll"] > (1 + noticeable) * train.max()
        lower = arrays["test_nll"] < (1 - noticeable) * test.min()
        regions = (higher & lower, higher, lower)
        return tuple(int(np.sum(between & region)) for region in regions)

    def judged(noticeable: float) -> str:
        both = count(noticeable)[0]
        return INCONCLUSIVE if both == 1 else verdict([both > 1])

    both, higher, lower = count(NOTICEABLE)
    measured = (
        f"{both} of {int(between.sum())} grid points between them have higher training and lower "
        f"validation loss than both by 1 % ({higher} higher training, {lower} lower validation "
        "loss)"
    )
    sensitivity = statistics.sensitivity(judged, NOTICEABLE)
    finding = Finding(measured, judged(NOTICEABLE), [run], ONE_SEED, sensitivity)
    return undecided(finding, unfinished([run]))


def m12(runs):
    chosen = select(runs, stage="plane", projection="affine")
    if not chosen:
        return None
    cosines, distances = [], []
    for run in chosen:
        arrays = run.arrays()
        # An iterate in the plane, as the ends are, has no residual whose direction could be told.
        off_plane = arrays["residuals"] > 1e-5 * max(run.result["axis_lengths"])
        cosines += np.abs(arrays["residual_cosines"][off_plane]).ravel().tolist()
        distances += arrays["residuals"][off_plane].tolist()
    if not distances:
        return None
    worst = max(cosines)
    measured = (
        f"largest cosine of a residual with an axis {worst:.1e}; iterates lie "
        f"{min(distances):.3g} to {max(distances):.3g} from the plane"
    )
    return Finding(measured, verdict([worst < 1e-6]), chosen, "rounding")


ENDED = "Trajectories of all the paper's 200 epochs. One seed, as in the paper."
CLAIMS = (
    Claim(
        "M7",
        "Training loss on the segments {30,150} and {70,150} of SGDR rises over both ends.",
        "Figure 2c",
        "much higher",
        m7,
        f"On both by more than 1 % of the higher end's loss; less on one contradicts. {ENDED}",
    ),
    Claim(
        "M8",
        "Training loss on step decay's segments nowhere rises over both ends.",
        "Figure 2d",
        "no barrier on three pairs",
        m8,
        "On all three by no more than 1 % of the higher end's loss; more on one "
        "contradicts. It has "
        "power only where M7 holds: where the same protocol sees no barrier of SGDR "
        "either, that "
        f"there is none says nothing. {ENDED}",
        to_decide="A setting in which SGDR's segments do have barriers, such as training on more "
        "images.",
    ),
    Claim(
        "M24",
        "w70 and w150 do not lie in different basins.",
        "Section 5",
        "stated of Figure 3a",
        m24,
        "On the segment between them, or on the curve, training loss nowhere rises by more than "
        f"1 % over the higher end's; contradicted where it does on both. {ENDED}",
    ),
    Claim(
        "M9",
        "Training loss is lower at the bend of w70 and w150 than at w150.",
        "Section 5",
        "lower",
        m9,
        f"By more than 1 %; higher by as much contradicts. {ENDED}",
    ),
    Claim(
        "M10",
        "Validation loss is higher at that bend than at w70 and at w150.",
        "Section 5",
        "higher",
        m10,
        f"By more than 1 %; lower than the higher by as much contradicts. {ENDED}",
    ),
    Claim(
        "M11",
        "Between w70 and w150 training loss is higher and validation loss lower than at both.",
        "Figure 3",
        "a region of the plane",
        m11,
        f"By 1 % each, at two points of the grid or more; at none contradicts. {ENDED}",
    ),
    Claim(
        "M12",
        "Iterates are projected orthogonally onto the plane.",
        "Appendix A.2",
        "least squares",
        m12,
        "No residual has a cosine of 1e-6 or more with an axis.",
        general=True,
    ),
)
