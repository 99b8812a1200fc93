"""Figures of Wu, Ma, E 2018, ours beside the published numbers, which have open markers.

Of the toy there is nothing beside ours: the published picture says where it ends and no number.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from repro.reporting.figures import label_1_2_5
from repro.reporting.results import Run, distinct, select
from repro.stability import edge_figures, theory_figures
from repro.stability.escape_figures import OPEN, escape
from repro.stability.measures import (
    POWERS,
    a,
    bound,
    exponent,
    grouped,
    is_gd,
    is_solution,
    mean,
    plain,
    published,
    s,
    solutions,
    test_accuracy,
)
from repro.stability.setting_figures import momentum, wrong_labels

WITHOUT_DIVERGED = False  # they say themselves what diverged


def toy(runs: Sequence[Run]) -> plt.Figure:
    """The two functions, and the paths of GD and SGD that start beside x = 1."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.75, 2.4))
    x = np.linspace(-0.5, 1.6, 500)
    parts = [np.minimum(x**2, factor * (x - 1) ** 2) for factor in (0.1, 1.9)]
    for f, label in zip((*parts, np.mean(parts, axis=0)), ("$f_1$", "$f_2$", "$f$")):
        left.plot(x, f, label=label, color="k" if label == "$f$" else None)
    left.set(xlabel="x", ylabel="loss", ylim=(0, 0.4))
    left.legend()
    for run in select(runs, stage="toy"):
        arrays = run.arrays()
        right.plot(arrays["sgd"], color="C3", lw=0.5, alpha=0.5)
        right.plot(arrays["gd"], color="C0")
        rate = run.settings["learning_rate"]
    right.plot([], [], color="C3", label=f"SGD, η = {rate:g}")
    right.plot([], [], color="C0", label=f"GD, η = {rate:g}")
    right.set(xlabel="step", ylabel="x", ylim=(-0.5, 1.6))
    right.legend(loc="center right")
    return figure


def batch_size(runs: Sequence[Run]) -> plt.Figure:
    """Sharpness, non-uniformity and test accuracy against the batch size, by learning rate.

    The largest batch is all examples: GD, to the right of SGD. Only sharpness was published.
    """
    theirs = published("batch_size", runs)
    figure, three = plt.subplots(1, 3, figsize=(6.75, 2.4))
    values = {"sharpness a": a, "non-uniformity s": s, "test accuracy": test_accuracy}
    for axes, (label, value) in zip(three, values.items()):
        for number, (eta, rows) in enumerate(grouped(solutions(runs), "learning_rate").items()):
            groups = grouped(rows, "batch_size")
            means = [mean(group, value) for group in groups.values()]
            axes.errorbar(
                list(groups),
                [m for m, _ in means],
                np.nan_to_num([d for _, d in means]),
                color=f"C{number}",
                marker="o",
                label=f"η = {eta:g}",
            )
            if value is a:
                axes.axhline(2 / eta, color=f"C{number}", ls=":", lw=0.8)
                here = theirs["learning_rate"] == eta
                points = theirs["batch_size"][here], theirs["sharpness"][here]
                axes.plot(*points, **OPEN, color=f"C{number}")
        axes.set(xscale="log", xlabel="batch size B", ylabel=label)
        if value is not test_accuracy:
            axes.set_yscale("log")
            label_1_2_5(axes.yaxis)
    three[0].set_title("dotted: 2 / η; open: published", fontsize=8)
    three[2].legend()
    return figure


def diagram(runs: Sequence[Run]) -> plt.Figure:
    """Non-uniformity against sharpness by batch size, with the bounds on both.

    What was published at the same rate stands beside: the mean of 14 to 16 networks, and how far
    they reach from the lowest to the highest. Runs that were cut short are crosses.
    """
    figure, axes = plt.subplots(figsize=(4.6, 3))
    theirs = published("diagram", runs)
    for number, (batch, rows) in enumerate(grouped(plain(runs), "batch_size").items()):
        label, colour = "GD" if is_gd(rows[0]) else f"B = {batch}", f"C{number}"
        ended = [run for run in rows if is_solution(run)]
        short = [run for run in rows if not is_solution(run)]
        axes.scatter([a(r) for r in ended], [s(r) for r in ended], s=10, color=colour, label=label)
        axes.scatter([a(r) for r in short], [s(r) for r in short], s=12, color=colour, marker="x")
        if np.isfinite(bound(rows[0])):
            axes.axhline(bound(rows[0]), color=colour, ls="--", lw=0.8)
        for eta in distinct(rows, "learning_rate"):
            _reach(axes, theirs, eta, batch, colour)
    if not all(map(is_solution, plain(runs))):
        axes.scatter([], [], s=12, color="k", marker="x", label="cut short")
    for eta in distinct(runs, "learning_rate"):
        axes.axvline(2 / eta, color="grey", ls=":", lw=0.8)
    axes.plot([], [], **OPEN, color="k", label="published:\nmean, range")
    axes.set(xlabel="sharpness a", ylabel="non-uniformity s", xlim=(0, None), ylim=(0, None))
    axes.set_title("dashed: bounds on s; dotted: 2 / η", fontsize=8)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _reach(axes, theirs: dict, eta: float, batch: int, colour) -> None:
    """Draw the mean of the published networks of a rate and batch size, and how far they reach."""
    (at,) = np.nonzero((theirs["learning_rate"] == eta) & (theirs["batch_size"] == batch))
    if not len(at):
        return
    middle = [theirs[name][at] for name in ("sharpness", "nonuniformity")]
    reach = [
        np.abs([theirs[f"{name}_low"][at] - value, theirs[f"{name}_high"][at] - value])
        for name, value in zip(("sharpness", "nonuniformity"), middle)
    ]
    axes.errorbar(*middle, xerr=reach[0], yerr=reach[1], **OPEN, color=colour, lw=0.6)


def proportional(runs: Sequence[Run]) -> plt.Figure:
    """Non-uniformity against sharpness over all networks, with the fitted power.

    Of the published networks the means by batch size at one rate are drawn; the published power is
    that of all of them, 116 on Fashion-MNIST and 200 on CIFAR-10, at several rates.
    """
    figure, axes = plt.subplots(figsize=(4.2, 3))
    chosen = solutions(runs)
    for eta, rows in grouped(chosen, "learning_rate").items():
        axes.scatter([a(r) for r in rows], [s(r) for r in rows], s=10, label=f"η = {eta:g}")
    if len(chosen) > 2:
        power, correlation = exponent(chosen)
        x = np.array(sorted(a(run) for run in chosen))
        middle = np.exp(np.mean([np.log(s(r)) - power * np.log(a(r)) for r in chosen]))
        axes.plot(x, middle * x**power, color="k", lw=0.8)
        title = f"s ~ a^{power:.2f}, r = {correlation:.3f}"
        names = distinct(runs, "dataset")
        if len(names) == 1 and names[0] in POWERS:
            title += "; published {:g}, {:g}".format(*POWERS[names[0]])
        axes.set_title(title)
        theirs = published("diagram", runs)
        for eta in np.unique(theirs["learning_rate"]):
            here = np.equal(theirs["learning_rate"], eta)
            points = [np.array(theirs[name])[here] for name in ("sharpness", "nonuniformity")]
            axes.plot(*points, **OPEN, color="k", label=f"published, η = {eta:g}")
    axes.set(xscale="log", yscale="log", xlabel="sharpness a", ylabel="non-uniformity s")
    label_1_2_5(axes.xaxis)
    label_1_2_5(axes.yaxis)
    axes.legend()
    return figure


FIGURES = {
    "toy": toy,
    "batch_size": batch_size,
    "diagram": diagram,
    "proportional": proportional,
    "escape": escape,
    "wrong_labels": wrong_labels,
    "momentum": momentum,
    **edge_figures.FIGURES,
    **theory_figures.FIGURES,
}
