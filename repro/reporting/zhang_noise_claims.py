"""Claims of Zhang et al. 2017 on label noise, Figures 1b and 1c: R10 to R13 and R16."""

import math
from collections.abc import Sequence

import numpy as np

from repro.reporting.claims import Claim, Finding, verdict
from repro.reporting.results import Run, published
from repro.reporting.zhang_claims import near_chance
from repro.reporting.zhang_measures import (
    FIG1_MODELS,
    corruption_level,
    label_noise_runs,
    overfit_epochs,
    test_errors,
)


def r10(runs):
    ratios = {}
    for model in FIG1_MODELS:
        epochs = overfit_epochs(runs, model)
        if 0.0 not in epochs or 1.0 not in epochs:
            return None
        ratios[model] = epochs[1.0] / epochs[0.0]
    measured = ", ".join(f"{model} {ratio:.2f}" for model, ratio in ratios.items())
    ordered = ratios["inception"] > ratios["mlp_1x512"] > ratios["alexnet"]
    return Finding(measured, verdict([ordered]), _figure_1(runs))


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
    errors = {model: test_errors(runs, model, corrupted=True) for model in FIG1_MODELS}
    common = sorted(p for p in set.intersection(*map(set, errors.values())) if p <= 0.8)
    if not common:
        return None
    holds = [
        errors["mlp_1x512"][p] > errors["alexnet"][p] > errors["inception"][p] for p in common
    ]
    measured = f"holds at {sum(holds)} of {len(holds)} values of p up to 0.8"
    return Finding(measured, verdict(holds), _figure_1(runs))


def r16(runs):
    columns = published("zhang_fig1bc")
    measured, outcomes = [], []
    for model, name in FIG1_MODELS.items():
        paper = dict(zip(columns["p"], columns[f"{name}_test_error"]))
        distance = {}
        for corrupted in (False, True):
            errors = test_errors(runs, model, corrupted)
            gaps = [errors[p] - paper[p] for p in errors if math.isfinite(paper.get(p, math.nan))]
            distance[corrupted] = float(np.sqrt(np.mean(np.square(gaps)))) if gaps else math.nan
        if not math.isfinite(distance[True]):
            return None
        measured.append(f"{model} {distance[True]:.3f} against {distance[False]:.3f}")
        outcomes.append(distance[True] < distance[False])
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
