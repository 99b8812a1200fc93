"""Claims of Zhang et al. 2017 on label noise, Figures 1b and 1c: R10 to R13 and R16.

The paper has one network at each level of noise; where we have more their mean counts.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from repro.randomization.claims.corruptions import near_chance
from repro.randomization.measures import (
    FIG1_MODELS,
    OVERFITTED_ACCURACY,
    by_images,
    by_level,
    corruption_level,
    label_noise_runs,
    overfit_epochs,
    published,
    test_errors,
    unfinished,
)
from repro.reporting import statistics
from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    VERDICTS,
    Claim,
    Finding,
    agreed,
    undecided,
    verdict,
    worst,
)
from repro.reporting.results import Run, select

OTHER_IMAGES = "not comparable, as the networks saw different numbers of images"
CORRUPTED = "test_accuracy_corrupted_labels"
CORRELATED = 0.9  # Spearman's, at least


def r10(runs):
    alike = _on_the_same_images(runs)
    chosen = alike or _figure_1(runs)
    found = _epochs_by_model(chosen, OVERFITTED_ACCURACY)
    if not all({0.0, 1.0} <= set(epochs) for epochs in found.values()):
        return None
    slowed = {model: epochs[1.0] / epochs[0.0] for model, epochs in found.items()}
    measured = ", ".join(f"{model} {ratio:.2f}" for model, ratio in slowed.items())
    finding = Finding(
        measured,
        _slowed_in_order(chosen, OVERFITTED_ACCURACY),
        chosen,
        "an epoch more or less in every count",
        statistics.sensitivity(
            lambda left: _slowed_in_order(chosen, 1 - left), 1 - OVERFITTED_ACCURACY
        ),
    )
    return undecided(finding, "" if alike else OTHER_IMAGES)


def _slowed_in_order(runs: Sequence[Run], accuracy: float) -> str:
    """Judge that noise slows Inception more than the MLP, and this more than AlexNet."""
    bounds = {}
    for model, epochs in _epochs_by_model(runs, accuracy).items():
        if not {0.0, 1.0} <= set(epochs):
            return INCONCLUSIVE
        noisy, clean = epochs[1.0], epochs[0.0]
        bounds[model] = (noisy - 1) / (clean + 1), (noisy + 1) / max(clean - 1, 0.5)
    outcomes = []
    for more, less in itertools.pairwise(("inception", "mlp_1x512", "alexnet")):
        shown = REPRODUCED if bounds[more][0] > bounds[less][1] else INCONCLUSIVE
        outcomes.append(CONTRADICTED if bounds[more][1] < bounds[less][0] else shown)
    return worst(outcomes)


def r11(runs):
    correlations, used = {}, []
    for (model, images), group in by_images(runs).items():
        epochs = overfit_epochs(group, OVERFITTED_ACCURACY)
        if len(epochs) >= 4:
            name = f"{model} ({images:,} images)"
            correlations[name] = _spearman(list(epochs), list(epochs.values()))
            used += group
    if {run.settings["model"] for run in used} < set(FIG1_MODELS):
        return None
    measured = ", ".join(f"{name} {value:.2f}" for name, value in correlations.items())

    def rises(off: float) -> str:
        return verdict([value > 1 - off for value in correlations.values()])

    return Finding(
        f"Spearman {measured}",
        rises(1 - CORRELATED),
        used,
        "one network a level, as in the paper",
        statistics.sensitivity(rises, 1 - CORRELATED),
    )


def r12(runs):
    chosen = [run for run in _figure_1(runs) if corruption_level(run) == 1.0]
    if not chosen:
        return None
    return near_chance(chosen)


def r13(runs):
    alike = _on_the_same_images(runs)
    chosen = alike or _figure_1(runs)
    levels = {model: by_level(label_noise_runs(chosen, model)) for model in FIG1_MODELS}
    common = sorted(p for p in set.intersection(*map(set, levels.values())) if p <= 0.8)
    outcomes, gaps = [], []
    for p in common:
        for worse, better in itertools.pairwise(("mlp_1x512", "alexnet", "inception")):
            arms = (statistics.test_accuracy(levels[m][p], CORRUPTED) for m in (better, worse))
            gaps.append(statistics.difference(*arms))
            outcomes.append(statistics.above(gaps[-1], 0))
    if not outcomes:
        return None
    counts = ", ".join(f"{outcomes.count(v)} {v}" for v in VERDICTS if v in outcomes)
    shown = ", ".join(f"{p:g}" for p in common)
    least = min(gaps, key=lambda gap: gap.value)
    measured = (
        f"of {len(outcomes)} differences at p = {shown}: {counts}; the least is "
        f"{least.text(100, 'points', 1)}"
    )
    error = "; ".join(dict.fromkeys(gap.method for gap in gaps))
    finding = Finding(measured, agreed(outcomes), chosen, error)
    judged = [run for runs in levels.values() for p in common for run in runs[p]]
    return undecided(finding, unfinished(judged) if alike else OTHER_IMAGES)


def r16(runs):
    """Compare with the published curves; only runs on all images can be expected to be near.

    At p = 0 and p = 1 corrupted and clean labels give the same error, so nothing is told there.
    """
    runs = select(runs, train_examples=None)
    columns = published("fig1bc")
    measured, outcomes, methods = [], [], []
    for model, name in FIG1_MODELS.items():
        paper = dict(zip(columns["p"], columns[f"{name}_test_error"]))
        gaps = []
        for corrupted in (True, False):
            errors = test_errors(label_noise_runs(runs, model), corrupted)
            gaps.append(
                [
                    abs(errors[p] - paper[p])
                    for p in sorted(errors)
                    if 0 < p < 1 and math.isfinite(paper.get(p, math.nan))
                ]
            )
        if len(gaps[0]) < 2:
            continue
        nearer = statistics.paired(gaps[1], gaps[0])
        measured.append(f"{model} {np.mean(gaps[0]):.3f} against {np.mean(gaps[1]):.3f}")
        outcomes.append(statistics.above(nearer, 0))
        methods.append(f"Student's t over {len(gaps[0])} levels of noise")
    if not outcomes:
        return None
    text = "distance from Figure 1c, corrupted against clean labels: " + ", ".join(measured)
    used = [run for run in _figure_1(runs) if run.settings["train_examples"] is None]
    finding = Finding(text, agreed(outcomes), used, "; ".join(dict.fromkeys(methods)))
    return undecided(finding, unfinished(used))


def _figure_1(runs: Sequence[Run]) -> list[Run]:
    return [run for model in FIG1_MODELS for run in label_noise_runs(runs, model)]


def _on_the_same_images(runs: Sequence[Run]) -> list[Run]:
    """Return the runs on the largest number of images that all three networks saw; none is none."""
    groups = by_images(runs)
    numbers = [n for n in {n for _, n in groups} if all((m, n) in groups for m in FIG1_MODELS)]
    return [run for m in FIG1_MODELS for run in groups[m, max(numbers)]] if numbers else []


def _epochs_by_model(runs: Sequence[Run], accuracy: float) -> dict[str, dict[float, float]]:
    return {model: overfit_epochs(label_noise_runs(runs, model), accuracy) for model in FIG1_MODELS}


def _spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Return Spearman's rank correlation, with mean ranks for ties."""
    ranks = []
    for values in (x, y):
        values = np.asarray(values)
        below = (values[None] < values[:, None]).sum(1)
        equal = (values[None] == values[:, None]).sum(1)
        ranks.append(below + (equal - 1) / 2)
    return float(np.corrcoef(*ranks)[0, 1])


CLAIMS = (
    Claim(
        "R10",
        "Random labels slow Inception most and AlexNet least.",
        "Figure 1b",
        "3.6 / 1.96 (MLP) / 1.55",
        r10,
        "Epochs to 98.5 % of the training set at p = 1 over those at p = 0: Inception above the "
        "MLP above AlexNet, an epoch more or less in any count allowed for, all three on as many "
        "images. One network each, as in the paper.",
        to_decide="All 50,000 images for the three, where one epoch is a small part: "
        "`randomization/fig1b` at scale paper.",
    ),
    Claim(
        "R11",
        "Time to overfit does not fall as p grows.",
        "Figure 1b",
        "Spearman above 0.9",
        r11,
        "Spearman's correlation of p and epochs to 98.5 % of the training set above 0.9 for each "
        "network, over four levels or more. One network a level, as in the paper.",
    ),
    Claim(
        "R12",
        "At p = 1 the test error is that of chance.",
        "Figure 1c",
        ".9018 / .9014 / .8982",
        r12,
        "10 % accuracy to a point, by an equivalence test over the test images, for each network "
        "that fits 99 % of its labels or had 64 epochs. One network each, as in the paper.",
        to_decide="Some 10,000 test images or more for Inception and AlexNet too, as the "
        "perceptron has.",
    ),
    Claim(
        "R13",
        "Test error: MLP > AlexNet > Inception for p up to 0.8.",
        "Figure 1c",
        "yes",
        r13,
        "Every difference at every level that all three have has this sign beyond its 95 % "
        "interval, on as many images, of networks that fit or had 64 epochs. One network each.",
        to_decide="Some 10,000 test images or more for Inception and AlexNet too, as the "
        "perceptron has.",
    ),
    Claim(
        "R16",
        "Figure 1c counts errors on test labels corrupted with the same p.",
        "inferred from Figure 1c",
        "corrupted labels fit better",
        r16,
        "Over the levels between 0 and 1, errors on corrupted labels are nearer to the published "
        "ones than those on clean labels, beyond the 95 % interval over levels, in every network "
        "run on all images, with the paper's epochs or a fit; one of the three will do, as all "
        "curves of a figure count alike.",
    ),
)
