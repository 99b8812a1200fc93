"""Claims of Zhang et al. 2017 on label noise, Figures 1b and 1c: R10 to R13 and R16."""

import math
from collections.abc import Sequence

import numpy as np

from repro.reporting.claims import (
    INCONCLUSIVE,
    VERDICTS,
    Claim,
    Finding,
    accuracy_error,
    agreed,
    sign_verdict,
    verdict,
)
from repro.randomization.claims.corruptions import near_chance
from repro.randomization.measures import (
    FIG1_MODELS,
    corruption_level,
    label_noise_runs,
    overfit_epochs,
    published,
    test_errors,
)
from repro.reporting.results import Run, select


def r10(runs):
    ratios = {}
    for model in FIG1_MODELS:
        epochs = overfit_epochs(runs, model)
        if 0.0 not in epochs or 1.0 not in epochs:
            return None
        ratios[model] = epochs[1.0] / epochs[0.0]
    measured = ", ".join(f"{model} {ratio:.2f}" for model, ratio in ratios.items())
    outcome = verdict([ratios["inception"] > ratios["mlp_1x512"] > ratios["alexnet"]])
    if len({run.result["train_examples"] for run in _figure_1(runs)}) > 1:
        measured += "; not comparable, as the networks saw different numbers of images"
        outcome = INCONCLUSIVE
    return Finding(measured, outcome, _figure_1(runs))


def r11(runs):
    correlations = {}
    for model in FIG1_MODELS:
        epochs = overfit_epochs(runs, model)
        if len(epochs) < 4:
            return None
        correlations[model] = _spearman(list(epochs), list(epochs.values()))
    measured = ", ".join(f"{model} {value:.2f}" for model, value in correlations.items())
    outcomes = [value > 0.9 for value in correlations.values()]
    return Finding(f"Spearman {measured}", verdict(outcomes), _figure_1(runs))


def r12(runs):
    chosen = [run for run in _figure_1(runs) if corruption_level(run) == 1.0]
    if not chosen:
        return None
    return near_chance(chosen)


def r13(runs):
    by_model = {
        model: {corruption_level(run): run for run in label_noise_runs(runs, model)}
        for model in FIG1_MODELS
    }
    common = sorted(p for p in set.intersection(*map(set, by_model.values())) if p <= 0.8)
    outcomes, accuracy = [], "test_accuracy_corrupted_labels"
    for p in common:
        for worse, better in (("mlp_1x512", "alexnet"), ("alexnet", "inception")):
            pair = by_model[worse][p], by_model[better][p]
            gap = pair[1].result[accuracy] - pair[0].result[accuracy]
            outcomes.append(sign_verdict(gap, accuracy_error(*pair, quantity=accuracy)))
    if not outcomes:
        return None
    counts = ", ".join(f"{outcomes.count(v)} {v}" for v in VERDICTS if v in outcomes)
    levels = ", ".join(f"{p:g}" for p in common)
    measured = f"of {len(outcomes)} differences at p = {levels}: {counts}"
    outcome = agreed(outcomes)
    return Finding(f"{measured}, at two standard errors", outcome, _figure_1(runs))


def r16(runs):
    """Compare with the published curves; only runs on all images can be expected to be near."""
    runs = select(runs, train_examples=None)
    columns = published("fig1bc")
    measured, outcomes = [], []
    for model, name in FIG1_MODELS.items():
        paper = dict(zip(columns["p"], columns[f"{name}_test_error"]))
        distance = []
        for corrupted in (True, False):
            errors = test_errors(runs, model, corrupted)
            gaps = [errors[p] - paper[p] for p in errors if math.isfinite(paper.get(p, math.nan))]
            distance.append(float(np.sqrt(np.mean(np.square(gaps)))) if gaps else math.nan)
        if math.isfinite(distance[0]):
            measured.append(f"{model} {distance[0]:.3f} against {distance[1]:.3f}")
            outcomes.append(distance[0] < distance[1])
    if not outcomes:
        return None
    text = "distance from Figure 1c, corrupted against clean labels: " + ", ".join(measured)
    return Finding(text, verdict(outcomes), _figure_1(runs))


def _figure_1(runs: Sequence[Run]) -> list[Run]:
    return [run for model in FIG1_MODELS for run in label_noise_runs(runs, model)]


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
    Claim("R10", "Random labels slow Inception most and AlexNet least.", "Figure 1b",
          "3.6 / 1.96 (MLP) / 1.55", r10),
    Claim("R11", "Time to overfit does not fall as p grows.", "Figure 1b",
          "Spearman above 0.9", r11),
    Claim("R12", "At p = 1 the test error is that of chance.", "Figure 1c",
          ".9018 / .9014 / .8982", r12),
    Claim("R13", "Test error: MLP > AlexNet > Inception for p up to 0.8.", "Figure 1c",
          "yes", r13),
    Claim("R16", "Figure 1c counts errors on test labels corrupted with the same p.",
          "inferred from Figure 1c", "corrupted labels fit better", r16),
)  # fmt: skip
