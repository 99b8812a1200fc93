"""Claims of Liu et al. 2020 on pre-training and the four settings, B3 to B9."""

import itertools
from collections.abc import Sequence

from repro.bad_minima.measures import (
    EPOCHS,
    FITTED,
    SEEDS,
    average,
    by_seed,
    cut_short,
    decided,
    diverged,
    gap,
    heuristics,
    losses,
    of,
    pairs,
    points,
    setting,
    spread,
    start_cut_short,
)
from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    agreed,
    verdict,
    within,
)
from repro.reporting.results import Run, select

CHANCE_MARGIN = 0.015


# --- the starts -----------------------------------------------------------------------------------


def starts(runs: Sequence[Run]) -> dict[str, Run]:
    """Return one run for each pre-trained start that could be fitted, by its directory."""
    return {
        run.result["pretraining"]["directory"]: run for run in select(runs, init="adversarial")
        if run.result["pretraining"]["ceiling"] == 1
    }


def b3(runs):
    chosen = starts(runs)
    if not chosen:
        return None
    stages = [run.result["pretraining"] for run in chosen.values()]
    reached = ", ".join(f"{s['train_accuracy']:.2%} after {s['epochs']} epochs" for s in stages)
    outcome = verdict([s["train_accuracy"] >= 0.9999 for s in stages])
    if outcome == CONTRADICTED and all(map(start_cut_short, chosen.values())):
        outcome = INCONCLUSIVE
    return Finding(reached, outcome, list(chosen.values()))


def b4(runs):
    chosen = list(starts(runs).values())
    if not chosen:
        return None
    stages = [run.result["pretraining"] for run in chosen]
    accuracies = [stage["test_accuracy"] for stage in stages]
    above = [a - 1 / s["architecture"]["num_classes"] for a, s in zip(accuracies, stages)]
    variances = [a * (1 - a) / run.result["test_examples"] for a, run in zip(accuracies, chosen)]
    error = sum(variances) ** 0.5 / len(chosen)
    measured = (
        f"test accuracy of the starts {', '.join(f'{a:.1%}' for a in accuracies)}; on average "
        f"{points(spread(above)[0])} ± {100 * error:.2f} points off chance"
    )
    return Finding(measured, within(abs(spread(above)[0]), CHANCE_MARGIN, error), chosen)


# --- four settings --------------------------------------------------------------------------------


def b5(runs):
    chosen = [run for run in of(runs) if setting(run) in ("vanilla", "SOTA")]
    if len({(setting(run), run.settings["init"]) for run in chosen}) < 4:
        return None
    lowest = {}
    for run in chosen:
        name = f"{setting(run)} {run.settings['init']}"
        lowest[name] = min(lowest.get(name, 1), run.result["train_accuracy"])
    measured = "lowest over seeds: " + ", ".join(f"{n} {a:.2%}" for n, a in lowest.items())
    lost = [run for run in diverged(runs) if setting(run) in ("vanilla", "SOTA")]
    if lost:
        measured += f"; {len(lost)} of {len(lost) + len(chosen)} runs diverged"
    below = [run for run in chosen if run.result["train_accuracy"] < FITTED]
    outcome = CONTRADICTED if below or lost else REPRODUCED
    if below and not lost and all(map(cut_short, below)):
        measured += _shortened(below)
        outcome = INCONCLUSIVE
    return Finding(measured, decided(outcome, chosen), [*chosen, *lost])


def _shortened(runs: Sequence[Run]) -> str:
    accuracies = [run.result["train_accuracy"] for run in runs]
    epochs = max(run.settings["epochs"] for run in runs)
    return (f"; cut short: {min(accuracies):.0%} to {max(accuracies):.0%} of the training set "
            f"right after {epochs} of the authors' {EPOCHS} epochs")


def b6(runs):
    return _gaps(runs, "vanilla", lambda both: verdict([gap(pair) > 0.05 for pair in both]))


def b7(runs):
    return _gaps(runs, "SOTA", lambda both: within(abs(losses(both)[0]), 0.015, losses(both)[1]))


def _gaps(runs, kind, judge) -> Finding | None:
    """Judge what the adversarial start loses, by seed, for every network and dataset."""
    shown, outcomes, used = [], [], []
    networks = dict.fromkeys((run.settings["model"], run.settings["dataset"]) for run in runs)
    for model, dataset in networks:
        both = pairs(runs, kind, model=model, dataset=dataset)
        if both:
            members = [run for pair in both for run in pair]
            shown.append(f"{model} on {dataset} {', '.join(points(gap(pair)) for pair in both)}")
            outcomes.append(decided(judge(both), members))
            if any(map(cut_short, members)):  # a gap between networks that are no minima yet
                outcomes[-1] = INCONCLUSIVE
                shown[-1] += _shortened(members)
            used += members
    if not used:
        return None
    outcome = agreed(outcomes)
    measured = f"random minus adversarial start, points by seed: {'; '.join(shown)}"
    return Finding(measured, outcome, used)


def b8(runs):
    found = {}
    for on in itertools.product((False, True), repeat=3):
        chosen = [run for run in runs if heuristics(run) == on]
        found[on] = pairs(chosen, setting(chosen[0])) if chosen else []
    if not all(found.values()):
        return None
    used = [run for both in found.values() for pair in both for run in pair]
    gaps = {on: [gap(pair) for pair in both] for on, both in found.items()}
    means = [
        spread([spread(values)[0] for on, values in gaps.items() if sum(on) == count])[0]
        for count in range(4)
    ]
    measured = f"mean gap with 0, 1, 2, 3 heuristics {', '.join(map(points, means))} points"
    vanilla = gaps.pop((False, False, False))
    larger = [average([one - other for one, other in zip(values, vanilla)])
              for values in gaps.values()]
    most, error = max(larger)
    measured += f"; beside vanilla's the largest other gap is {points(most)} ± {100 * error:.2f}"
    falls = most < 0 and all(a >= b for a, b in itertools.pairwise(means))
    off_zero = means[0] > 2 * losses(found[False, False, False])[1]
    outcome = REPRODUCED if falls and off_zero else INCONCLUSIVE
    if any(more > 2 * error for more, error in larger):
        outcome = CONTRADICTED
    short = [run for run in used if cut_short(run)]
    if short:
        outcome = INCONCLUSIVE
        measured += _shortened(short)
    fewest = min(map(len, found.values()))
    return Finding(measured, outcome if fewest >= SEEDS else INCONCLUSIVE, used)


def b9(runs):
    both = by_seed(*(of(runs, kind, "adversarial") for kind in ("vanilla", "SOTA")))
    if not both:
        return None
    distances = [[run.result["relative_distance"] for run in pair] for pair in both]
    measured = "distance over the start's norm, vanilla against SOTA: " + ", ".join(
        f"{short:.2f} and {far:.2f}" for short, far in distances
    )
    used = [run for pair in both for run in pair]
    outcome = verdict([short < far for short, far in distances])
    return Finding(measured, decided(outcome, used), used)


CLAIMS = (
    Claim("B3", "Vanilla SGD fits random labels to 99.99 % in at most 350 epochs.",
          "authors' code", "yes", b3),
    Claim("B4", "The network fitted to random labels is at chance on the test set.", "Section 3",
          "chance", b4),
    Claim("B5", "All four settings end at 100 % train accuracy, measured without augmentation.",
          "Section 3.1", "yes", b5),
    Claim("B6", "Vanilla SGD: the adversarial start ends more than 5 points below the random one.",
          "Section 3.2", "up to about 40 % (abstract)", b6),
    Claim("B7", "SOTA: the adversarial start does no harm (1.5 points).", "Section 3.2",
          "no detrimental effect", b7),
    Claim("B8", "The gap is largest for vanilla and shrinks with the number of heuristics.",
          "Table 2", "not readable", b8),
    Claim("B9", "SOTA moves farther from the adversarial start than vanilla SGD.", "Section 3.3",
          "yes; the direction is our reading", b9),
)
