"""The claim of Liu et al. 2020 on the eight combinations of heuristics, Table 2: B8."""

import itertools
from collections.abc import Sequence

from repro.bad_minima.measures import (
    TRIALS,
    gap,
    heuristics,
    losses,
    pairs,
    points,
    setting,
    shortened,
    signed,
    spread,
)
from repro.reporting import statistics
from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    agreed,
    of_seeds,
    undecided,
)
from repro.reporting.results import Run

HALVES = {False: "without augmentation", True: "with augmentation"}
VANILLA = (False, False, False)


def b8(runs):
    """Judge combinations with and without augmentation apart: a mean over both would hide two.

    With augmentation networks take far longer to fit, so that one half may be cut short alone.
    """
    found = {}
    for on in itertools.product((False, True), repeat=3):
        chosen = [
            run
            for run in runs
            if run.settings.get("stage", "train") == "train" and heuristics(run) == on
        ]
        found[on] = pairs(chosen, setting(chosen[0])) if chosen else []
    if not all(found.values()):
        return None
    parts = [_half(found, augmented) for augmented in HALVES]
    used = [run for both in found.values() for pair in both for run in pair]
    measured = "; ".join(part.measured for part in parts)
    finding = Finding(measured, agreed([part.verdict for part in parts]), used, parts[0].error)
    fewest = min(found.values(), key=len)
    return of_seeds(finding, TRIALS, [run for pair in fewest for run in pair])


def _half(found: dict[tuple, list[tuple[Run, Run]]], augmented: bool) -> Finding:
    """Judge that the gap falls with each further heuristic, and is nowhere above vanilla's."""
    half = {on: both for on, both in found.items() if on[0] == augmented}
    by_count = [
        spread([_mean(both) for on, both in half.items() if sum(on) == count])[0]
        for count in sorted({sum(on) for on in half})
    ]
    vanilla = found[VANILLA]
    others = [both for on, both in half.items() if on != VANILLA]
    off_zero = losses(vanilla)
    falls = all(a >= b for a, b in itertools.pairwise(by_count))
    below = max(_mean(both) for both in others) < _mean(vanilla)
    shown = statistics.above(off_zero, 0) == REPRODUCED
    outcome = REPRODUCED if falls and below and shown else INCONCLUSIVE
    if any(statistics.above(_more(both, vanilla), 0) == REPRODUCED for both in others):
        outcome = CONTRADICTED
    measured = (
        f"{HALVES[augmented]} mean gaps by number of heuristics "
        f"{', '.join(map(points, by_count))} points, vanilla's {signed(off_zero)}"
    )
    members = [run for both in half.values() for pair in both for run in pair]
    return undecided(Finding(measured, outcome, members, off_zero.method), shortened(members))


def _mean(both: Sequence[tuple[Run, Run]]) -> float:
    return spread([gap(pair) for pair in both])[0]


def _more(both: Sequence[tuple[Run, Run]], vanilla: Sequence[tuple[Run, Run]]):
    """Return by how much a combination's gap is above vanilla's, seed by seed."""
    gaps = [{pair[0].settings["seed"]: gap(pair) for pair in each} for each in (both, vanilla)]
    seeds = [seed for seed in gaps[0] if seed in gaps[1]]
    if len(seeds) < 2:
        return statistics.Estimate(0.0, 1.0, 1, "one seed")
    return statistics.paired(*([by[seed] for seed in seeds] for by in gaps))


CLAIMS = (
    Claim(
        "B8",
        "The gap is largest for vanilla and shrinks with the number of heuristics.",
        "Table 2",
        "not readable",
        b8,
        "Without and with augmentation, each for itself: mean gaps that do not rise with the "
        "number of heuristics, none above vanilla's, which is off zero. A gap shown above "
        "vanilla's by Student's t over seeds contradicts. Networks that fit 99 % of the training "
        "set or had the authors' 350 epochs; five seeds.",
        to_decide="All of the authors' 350 epochs for the eight combinations, with five seeds: "
        "`bad_minima/combinations` at scale paper.",
    ),
)
