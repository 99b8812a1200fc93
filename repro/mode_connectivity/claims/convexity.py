"""Whether the loss is convex where the picture of a plane looks it, M26."""

from collections.abc import Sequence

import numpy as np

from repro.mode_connectivity.ends import unfinished
from repro.reporting.claims import CONTRADICTED, INCONCLUSIVE, REPRODUCED, Claim, Finding, undecided
from repro.reporting.results import Run, select

NEAR_ZERO = 0.1  # of |smallest / largest eigenvalue|
MOST = 0.95  # of the points
FEWEST = 10  # points that look convex, to speak of most of them


def looks_convex(losses: np.ndarray) -> np.ndarray:
    """Return where a grid of losses, [n, m], is convex by second differences, [n - 2, m - 2]."""
    middle = losses[1:-1, 1:-1]
    one = losses[2:, 1:-1] - 2 * middle + losses[:-2, 1:-1]
    other = losses[1:-1, 2:] - 2 * middle + losses[1:-1, :-2]
    mixed = losses[2:, 2:] - losses[2:, :-2] - losses[:-2, 2:] + losses[:-2, :-2]
    return (one > 0) & (other > 0) & (one * other > (mixed / 4) ** 2)


def m26(runs: Sequence[Run]) -> Finding | None:
    chosen = [run for run in select(runs, stage="plane") if "eigenvalue_ratio" in run.arrays()]
    if not chosen:
        return None
    ratios = []
    for run in chosen:
        arrays = run.arrays()
        ratios.append(arrays["eigenvalue_ratio"][1:-1, 1:-1][looks_convex(arrays["train_nll"])])
    ratios = np.concatenate(ratios)
    share = float(np.mean(ratios <= NEAR_ZERO)) if len(ratios) else 0.0
    measured = f"at {share:.0%} of the {len(ratios)} points that look convex at most {NEAR_ZERO:g}"
    outcome = REPRODUCED if share >= MOST else CONTRADICTED if share < 0.5 else INCONCLUSIVE
    few = f"fewer than {FEWEST} points" if len(ratios) < FEWEST else ""
    if len(ratios):
        measured += f", {ratios.max():.2g} at most"
    finding = Finding(measured, outcome, chosen, "one plane; residuals of Lanczos are far smaller")
    return undecided(undecided(finding, unfinished(chosen)), few)


CLAIMS = (
    Claim(
        "M26",
        "Where the picture of a plane looks convex, the whole Hessian is nearly so.",
        "Li et al. 2018, Figure 7",
        "a picture: near 0",
        m26,
        f"The smallest eigenvalue of the training loss, if it is negative, over the largest one: "
        f"at most {NEAR_ZERO:g} at {MOST:.0%} of the grid's inner points, {FEWEST} or more, at "
        "which second differences of the plane's losses are those of a convex function; "
        "contradicted where it is more at most of them. Modes of all 200 epochs.",
        to_decide="A finer grid: `mode_connectivity/plane_eigenvalues` at scale paper.",
    ),
)
