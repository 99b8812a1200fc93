"""Claims of works that go on from Wu, Ma, E 2018, as checks.

E1 is of Cohen et al. 2021, E2 of Lewkowycz et al. 2020, E3 of Wu, Wang, Su 2022.
"""

from collections.abc import Sequence

import numpy as np

from repro.reporting import statistics
from repro.reporting.claims import (
    CONTRADICTED,
    REPRODUCED,
    Claim,
    Finding,
    agreed,
    of_seeds,
    undecided,
    verdict,
)
from repro.reporting.results import Run, distinct
from repro.reporting.statistics import Estimate
from repro.stability.measures import SHARPNESS, curve, is_gd, noise, noisy, watched

HOVERS = 0.10  # of 2 / eta: how far the mean sharpness at the edge may lie from it
RISES = 1.05  # the least factor of the loss by which a catapult rises


def e1(runs):
    chosen = [run for run in watched(runs) if is_gd(run) and _starts(run) < 2]
    if not chosen:
        return None
    parts, outcomes, short = [], [], 0
    for run in chosen:
        shares = np.array(curve(run, SHARPNESS)[1]) * run.settings["learning_rate"] / 2
        there = np.flatnonzero(shares >= 1)
        hovering = float(shares[there[0] :].mean()) if len(there) else None
        outcomes.append((float(shares[0]), hovering))
        words = f"hovers at {hovering:.3f}" if len(there) else f"gets to {shares.max():.3f}"
        parts.append(f"η = {run.settings['learning_rate']:g}: {shares[0]:.2f} {words}")
        short += not len(there) and not run.result["fitted"]

    def near(width: float) -> str:
        return verdict([h is not None and s < 1 and abs(h - 1) <= width for s, h in outcomes])

    measured = f"sharpness in units of 2 / η, at first and once there: {'; '.join(parts)}"
    finding = Finding(
        measured,
        near(HOVERS),
        chosen,
        "each run by itself; the mean over its measurements from the first at 2 / η on",
        statistics.sensitivity(near, HOVERS),
    )
    because = f"cut short: {short} not fitted and not yet there" if short else _few_rates(chosen)
    return undecided(of_seeds(finding), because)


def e2(runs):
    chosen = [run for run in watched(runs) if is_gd(run) and 2 < _starts(run) < 4]
    if not chosen:
        return None
    parts, outcomes, short = [], [], 0
    for run in chosen:
        losses = curve(run, "train/loss")[1]
        rise, end = max(losses) / losses[0], run.result["train_loss"]
        complete = run.result["status"] == "complete"
        last = curve(run, SHARPNESS)[1][-1] * run.settings["learning_rate"] / 2
        parts.append(
            f"η = {_starts(run):.2f} / λ0: loss {rise:.2g}-fold, then "
            + (f"{end / losses[0]:.2g}, sharpness {last:.2f} of 2 / η" if complete else "diverged")
        )
        outcomes.append(complete and rise >= RISES and end < losses[0] and last < 1)
        short += complete and last >= 1 and not run.result["fitted"]
    error = "each run by itself; the loss over all training images between steps"
    finding = Finding("; ".join(parts), verdict(outcomes), chosen, error)
    because = f"cut short: {short} not fitted and still sharper" if short else _few_rates(chosen)
    return undecided(of_seeds(finding), because)


def e3(runs):
    chosen = [run for run in noisy(runs) if noise(run)["bound"] is not None]
    if not chosen:
        return None
    found = [noise(run) for run in chosen]
    shares = [_share_of_bound(n) for n in found]
    alignments = [n["alignment"] for n in found]
    measured = (
        f"{sum(share.value <= 1 for share in shares)} of {len(shares)} minima of SGD within "
        f"sqrt(B / μ) / η, at {min(share.value for share in shares):.2f} to "
        f"{max(share.value for share in shares):.2f} of it; "
        f"μ {min(alignments):.2g} to {max(alignments):.2g}"
    )
    error = "largest relative standard error " + ", ".join(
        f"{max(n[f'{name}_standard_error'] / abs(n[name]) for n in found):.0%} of {words}"
        for name, words in (("frobenius", "the norm"), ("alignment", "μ"))
    )

    parts = [statistics.below(share, 1.0) for share in shares]
    outcome = CONTRADICTED if CONTRADICTED in parts else agreed([REPRODUCED, *parts])
    finding = Finding(measured, outcome, chosen, error)
    # A single network over the bound refutes a statement about all of them.
    return finding if outcome == CONTRADICTED else of_seeds(finding)


def _share_of_bound(found: dict) -> Estimate:
    """Return the Frobenius norm over its bound, which goes with the root of 1 / μ."""
    share = found["frobenius"] / found["bound"]
    norm = found["frobenius_standard_error"] / found["frobenius"]
    root = found["alignment_standard_error"] / found["alignment"] / 2
    return Estimate(share, share * float(np.hypot(norm, root)), np.inf, "random vectors")


def _starts(run: Run) -> float:
    """Return learning rate times the sharpness at the start."""
    return run.settings["learning_rate"] * curve(run, SHARPNESS)[1][0]


def _few_rates(runs: Sequence[Run]) -> str:
    return "one learning rate" if len(distinct(runs, "learning_rate")) < 2 else ""


CLAIMS = (
    Claim(
        "E1",
        "GD's sharpness rises to 2 / η and hovers there.",
        "Cohen et al. 2021, Figure 1",
        "at 2 / η, or just above",
        e1,
        "GD at two rates or more below 2 over the first sharpness, three seeds: every run's "
        "sharpness starts below 2 / η, comes to it, and its mean from there on is within 10 % of "
        "2 / η; contradicted where none does; one that was cut short before leaves it open.",
    ),
    Claim(
        "E2",
        "At rates from 2 / λ0 to 4 / λ0 the loss first rises, then falls, where it is flatter.",
        "Lewkowycz et al. 2020, section 2",
        "the curvature falls until it is below 2 / η",
        e2,
        "GD at two such rates or more (λ0 the first sharpness), three seeds: every run's training "
        "loss rises by 5 % or more, ends below where it began, and the sharpness ends below 2 / η; "
        "contradicted where none does; one that is sharper where it was cut short leaves it open.",
        to_decide="Trainings beyond the stopping rule, `--stop_loss=0`: of six that met it, or "
        "fitted all images, one ends just above the line.",
    ),
    Claim(
        "E3",
        "Minima of SGD have ||H||_F within sqrt(B / μ) / η, whatever the size of the network.",
        "Wu, Wang, Su 2022, Theorem 3.3",
        "||H||_F at most sqrt(B / μ) / η",
        e3,
        "Minima of SGD to the stopping rule, three seeds, every one within the bound of its own "
        "alignment μ, beyond the 95 % interval of norm and alignment; a single one as clearly "
        "over it contradicts.",
    ),
)
