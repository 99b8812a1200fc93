"""Figures of Wu, Ma, E 2018 of minima against a setting: wrong labels, momentum."""

import itertools
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from repro.reporting.results import Run, distinct, select
from repro.stability.escape_figures import OPEN
from repro.stability.measures import (
    a,
    grouped,
    is_gd,
    mean,
    published,
    s,
    test_accuracy,
    trained,
)

DASHED = OPEN | {"ls": "--", "lw": 0.8}  # the published numbers, joined
RATE = 0.1  # of what was published on wrong labels


def by_setting(runs: Sequence[Run], setting: str, label: str) -> plt.Figure:
    """Sharpness, non-uniformity and test accuracy of solutions against a setting.

    GD and SGD, and of several learning rates each, have lines of their own.
    """
    figure, three = plt.subplots(1, 3, figsize=(6.75, 2.3))
    values = (a, s, test_accuracy)
    names = ("sharpness a", "non-uniformity s", "test accuracy")
    chosen = trained(runs)
    rates = distinct(chosen, "learning_rate")
    for axes, value, name in zip(three, values, names):
        for kind, colour in ((True, "C0"), (False, "C1")):
            for eta, line in zip(rates, itertools.cycle(("-", "-.", "--"))):
                rows = [run for run in select(chosen, learning_rate=eta) if is_gd(run) == kind]
                groups = grouped(rows, setting)
                means = [mean(group, value)[0] for group in groups.values()]
                text = ("GD" if kind else "SGD") + (f", η = {eta:g}" if len(rates) > 1 else "")
                if means:
                    axes.plot(list(groups), means, marker="o", ls=line, color=colour, label=text)
        axes.set(xlabel=label, ylabel=name)
    three[0].legend()
    lost = len(select(runs, stage="train")) - len(chosen)
    if lost:
        three[2].set_title(f"{lost} of {len(runs)} runs diverged")
    return figure


def wrong_labels(runs: Sequence[Run]) -> plt.Figure:
    """GD on more and more examples with wrong labels; its edge 2 / eta dotted.

    What was published at a rate of 0.1 is scaled by 0.1 over ours, as the edge is. Of sharpness its
    range was, of test accuracy that at the fewest and at the most wrong labels.
    """
    figure = by_setting(runs, "wrong_examples", "wrong labels")
    theirs, accuracy = published("wrong_labels", runs), figure.axes[2]
    known = np.isfinite(theirs["test_accuracy"])
    at = theirs["wrong_examples"]
    accuracy.plot(at[known], theirs["test_accuracy"][known], **OPEN, color="k")
    for eta in grouped(trained(runs), "learning_rate"):
        low, high = (RATE / eta * theirs[f"sharpness_{side}"] for side in ("low", "high"))
        figure.axes[0].fill_between(at, low, high, color="k", alpha=0.1, lw=0, label="published")
        figure.axes[1].plot(at, RATE / eta * theirs["nonuniformity"], **DASHED, color="k")
    for eta in grouped(trained(runs), "learning_rate"):
        figure.axes[0].axhline(2 / eta, color="k", ls=":", lw=0.8, label=f"2 / η, η = {eta:g}")
    for axes in figure.axes:
        axes.set_ylim(bottom=0)
    figure.axes[1].set_title("open: published at η = 0.1, scaled", fontsize=8)
    figure.axes[0].legend(loc="lower right")
    return figure


def momentum(runs: Sequence[Run]) -> plt.Figure:
    """Heavy-ball GD and SGD; GD's edge 2 (1 + momentum) / eta dotted.

    The published sharpness is scaled by the published rate over ours, as the edge is.
    """
    figure = by_setting(runs, "momentum", "momentum β")
    beta, theirs = np.array([0.0, 0.9]), published("momentum", runs)
    for eta in distinct(runs, "learning_rate"):
        figure.axes[0].plot(beta, 2 * (1 + beta) / eta, color="grey", ls=":")
        for colour, kind in (("C0", "gd"), ("C1", "sgd")):
            values = theirs["learning_rate"] / eta * theirs[kind]
            figure.axes[0].plot(theirs["momentum"], values, **DASHED, color=colour)
    title = "dotted: 2 (1 + β) / η"
    if len(theirs["learning_rate"]):
        title += f"; open: published at η = {theirs['learning_rate'][0]:g}, scaled"
    figure.axes[0].set_title(title, fontsize=7, loc="left")
    return figure
