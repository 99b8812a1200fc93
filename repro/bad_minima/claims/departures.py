"""Claims on the JAX rerun's departures, the toy, and starts from other images.

They are B17 to B21.
"""

import dataclasses
import itertools

import numpy as np

from repro.bad_minima.measures import (
    AUTHORS_WAY,
    INITS,
    by_seed,
    compared,
    grouped,
    no_difference,
    of,
    pairs,
    points,
    settled,
    signed,
)
from repro.reporting import statistics
from repro.reporting.claims import (
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    agreed,
    of_seeds,
)
from repro.reporting.results import Run, select

SAME_STATISTICS = 0.01  # test accuracy that whose statistics are taken may change
ISLANDS = 2  # times the window's share of the other panels
TOY = ("random_vanilla", "adversarial_vanilla", "adversarial_sota")


# --- the JAX rerun's departures -------------------------------------------------------------------


def b17(runs):
    """Judge networks trained without and with augmentation apart: a mean over both hides two."""
    changes, shown, used = [], [], []
    for words, augmented in (("without augmentation", False), ("with it", True)):
        chosen = [run for run in of(runs) if bool(run.settings["augment"]) == augmented]
        seeds = [list(map(_change, rows)) for rows in grouped(chosen, ["seed"]).values()]
        if len(seeds) < 2:
            continue
        changes.append(statistics.over_seeds([float(np.mean(seed)) for seed in seeds]))
        every = list(itertools.chain(*seeds))
        shown.append(
            f"{words} {points(min(every))} to {points(max(every))} points over "
            f"{len(chosen)} networks of {len(seeds)} seeds, on average {signed(changes[-1])}"
        )
        used += chosen
    if not used:
        one = of(runs)
        words = f"{len(one)} networks with too few seeds for a spread"
        return Finding(words, INCONCLUSIVE, one, "none") if one else None

    def same(margin: float) -> str:
        return agreed([statistics.no_difference(change, margin) for change in changes])

    finding = Finding(
        f"batch minus running statistics: {'; '.join(shown)}",
        same(SAME_STATISTICS),
        used,
        "Student's t over seeds' means, each network tested twice on the same images",
        statistics.sensitivity(same, SAME_STATISTICS),
    )
    return of_seeds(finding)


def _change(run: Run) -> float:
    """Return by how much the batch's own statistics raise test accuracy."""
    return run.result["test_accuracy_batch_statistics"] - run.result["test_accuracy"]


def b18(runs):
    parts = []
    for init in INITS:
        unshuffled = of(runs, "vanilla", init, shuffle=False)
        both = by_seed(of(runs, "vanilla", init), unshuffled)
        if both:
            harm = compared("shuffled", "not", both, lambda loss: statistics.above(loss, 0))
            parts.append((init, harm))
    if not parts:
        return None
    measured = "; ".join(f"{init} start: {part.measured}" for init, part in parts)
    outcome = agreed([part.verdict for _, part in parts])
    used = [run for _, part in parts for run in part.runs]
    return settled(Finding(measured, outcome, used, parts[0][1].error))


def b19(runs):
    reset = [
        run
        for run in select(runs, reset_batch_norm=True, **AUTHORS_WAY)
        if run.result["status"] == "complete"
    ]
    both = by_seed(of(runs, "vanilla", "adversarial"), reset)
    finding = no_difference("kept", "reset", both, at_most=0.02)
    if finding is None:
        return None
    before = [
        ", ".join(f"{run.curve('test/accuracy')[1][0]:.2%}" for run in side) for side in zip(*both)
    ]
    measured = f"{finding.measured}; before training {before[0]} and {before[1]}"
    if all(_same_end(*pair) for pair in both):
        measured += "; one network, as training never reads the statistics and forgets the old ones"
        return of_seeds(Finding(measured, REPRODUCED, finding.runs, "none: the same to the bit"))
    return dataclasses.replace(finding, measured=measured)


def _same_end(one: Run, other: Run) -> bool:
    return all(one.result[name] == other.result[name] for name in ("distance", "test_accuracy"))


# --- the toy, and other images --------------------------------------------------------------------


def b20(runs):
    runs = [run for run in runs if "panels" in run.result and run.result["status"] == "complete"]
    if not runs:
        return None
    shares = [
        [run.result["panels"][panel]["disagreement_with_line"] for panel in TOY] for run in runs
    ]
    rows = "; ".join(", ".join(f"{share:.1%}" for share in row) for row in shares)
    measured = f"share of the window, random, adversarial + vanilla, adversarial + SOTA: {rows}"
    if len(runs) < 2:
        return of_seeds(Finding(measured, INCONCLUSIVE, runs))

    def islands(factor: float) -> str:
        larger = [factor * max(plain, sota) for plain, _, sota in shares]
        return statistics.above(statistics.paired([bad for _, bad, _ in shares], larger), 0)

    error = f"Student's t over {len(runs)} seeds"
    sensitivity = statistics.sensitivity(islands, ISLANDS)
    return of_seeds(Finding(measured, islands(ISLANDS), runs, error, sensitivity))


def b21(runs):
    both = [pair for pair in pairs(runs, "vanilla") if pair[1].settings["pretrain_split"]]
    if not both:
        return None
    epochs = [[run.first_epoch("train/accuracy", at_least=0.9) for run in pair] for pair in both]
    used = [run for pair in both for run in pair]
    if any(None in pair for pair in epochs) or len(both) < 2:
        return of_seeds(Finding(f"90 % train at epochs {epochs}", INCONCLUSIVE, used))
    measured = "90 % of the training set after " + "; ".join(
        f"{plain} epochs from random weights, {trained} pre-trained" for plain, trained in epochs
    )
    tests = ", ".join(
        f"{one.result['test_accuracy']:.2%} and {two.result['test_accuracy']:.2%}"
        for one, two in both
    )
    saved = statistics.paired(*zip(*epochs))
    finding = Finding(f"{measured}; test {tests}", statistics.above(saved, 0), used, saved.method)
    return of_seeds(finding)


CLAIMS = (
    Claim(
        "B17",
        "It does not matter (1 point) whose statistics batch norm takes in testing.",
        "the JAX rerun",
        "test batches there, running statistics in the paper",
        b17,
        "Within a point on average, by an equivalence test over the means of three seeds or more, "
        "of networks trained without and of those trained with augmentation, each for itself.",
        everywhere=True,
        to_decide="Five seeds with augmentation: three leave an interval of two points.",
    ),
    Claim(
        "B18",
        "An unshuffled order harms vanilla SGD.",
        "the JAX rerun",
        "never shuffled there",
        b18,
        "From both starts lower test accuracy, beyond the 95 % interval over three seeds and the "
        "test images, of networks that fit 99 % of the training set or had 350 epochs.",
        to_decide="Some 20,000 test images for the six trainings of `bad_minima/departures`, or "
        "more seeds.",
    ),
    Claim(
        "B19",
        "Forgetting batch norm's state at the hand-over makes no difference (2 points).",
        "the JAX rerun",
        "forgotten there, kept by the authors",
        b19,
        "The same network in the end to the bit, or within 2 points by an equivalence test over "
        "three seeds and the test images.",
    ),
    Claim(
        "B20",
        "Toy: after the adversarial start vanilla SGD leaves islands, SOTA does not.",
        "Figure 1",
        "yes (picture)",
        b20,
        "The share of the window on the wrong side of the line more than twice that of either "
        "other panel, beyond the 95 % interval of Student's t over three seeds.",
    ),
    Claim(
        "B21",
        "Pre-training on random labels of other images speeds up training.",
        "Maennel et al. 2020",
        "yes",
        b21,
        "Fewer epochs to 90 % of the training set, beyond the 95 % interval of Student's t over "
        "pairs, of three seeds.",
    ),
)
