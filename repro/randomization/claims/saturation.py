"""Claims of the EPFL student rerun on its networks m2 and m3 of Figure 2a, R31 and R32.

m1 has no regulariser, m2 a weight decay of 1e-3, m3 dropout and augmentation beside it; the rerun
trained one of each on CIFAR-10 for 100 epochs. Criteria were fixed before any of these runs.
"""

from collections.abc import Sequence

import numpy as np

from repro.randomization.measures import rerun_networks, settled, subset
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
from repro.reporting.results import Run

EPOCHS = 100  # of the rerun's trainings
WITHIN = 0.01  # of its last value an accuracy has converged
LATER = 1.2  # times m1's epochs, which m2 takes at least
RISING = 0.005  # by which an accuracy rises that has not saturated, from ten epochs to the next ten
SPAN = 10  # epochs


def r31(runs):
    networks = rerun_networks(runs)
    if not {"m1", "m2"} <= set(networks):
        return None
    used = [networks["m1"], networks["m2"]]

    def epochs(within: float) -> list[int]:
        return [settled(*run.curve("train/accuracy"), within) for run in used]

    def judged(within: float) -> str:
        one, other = epochs(within)
        if other >= LATER * one:
            return REPRODUCED
        return CONTRADICTED if other <= one else INCONCLUSIVE

    one, other = epochs(WITHIN)
    finding = Finding(
        f"training accuracy within a point of its last from epoch {one} on without, {other} with "
        "weight decay",
        judged(WITHIN),
        used,
        "whole epochs, one network each",
        statistics.sensitivity(judged, WITHIN),
    )
    return undecided(finding, subset(used) or _short(used))


def r32(runs):
    run = rerun_networks(runs).get("m3")
    if run is None:
        return None
    rises = [rise(*run.curve(f"{split}/accuracy")) for split in ("train", "test")]
    if None in rises:
        return None

    def judged(least: float) -> str:
        return verdict([each >= least for each in rises])

    finding = Finding(
        f"over the last {SPAN} epochs against the {SPAN} before training accuracy rises by "
        f"{100 * rises[0]:.2f} points, test accuracy by {100 * rises[1]:.2f}",
        judged(RISING),
        [run],
        f"two means of {SPAN} epochs over the same images, one network",
        statistics.sensitivity(judged, RISING),
    )
    return undecided(finding, subset([run]) or _short([run]))


def rise(epochs: Sequence[int], values: Sequence[float]) -> float | None:
    """Return the mean of the last SPAN epochs minus that of the SPAN before; None without both."""
    epochs, values = np.array(epochs), np.array(values)
    if not len(epochs) or epochs[0] > epochs[-1] - SPAN:
        return None
    last = epochs > epochs[-1] - SPAN
    before = ~last & (epochs > epochs[-1] - 2 * SPAN)
    if not before.any():
        return None
    return float(values[last].mean() - values[before].mean())


def _short(runs: Sequence[Run]) -> str:
    short = [run for run in runs if run.result["epochs"] < EPOCHS]
    return f"cut short: {len(short)} of {len(runs)} before {EPOCHS} epochs" if short else ""


RERUN = "the EPFL student rerun, on CIFAR-10"
CLAIMS = (
    Claim(
        "R31",
        "With weight decay 1e-3 a network converges later than with no regulariser.",
        RERUN,
        "significantly longer",
        r31,
        f"The epoch from which on training accuracy stays within a point of its last is {LATER:g} "
        f"times as late or more; as early or earlier contradicts. On all images, after {EPOCHS} "
        "epochs; one network each, as in the rerun.",
        scale="paper",
    ),
    Claim(
        "R32",
        "With decay, dropout and augmentation accuracies still rise after 100 epochs.",
        RERUN,
        "neither training nor test accuracy has saturated",
        r32,
        f"Training and test accuracy rise by {100 * RISING:g} points or more from the mean of "
        f"epochs {EPOCHS - 2 * SPAN + 1} to {EPOCHS - SPAN} to that of the last {SPAN}; neither "
        "contradicts. On all images; one network, as in the rerun.",
        scale="paper",
    ),
)
