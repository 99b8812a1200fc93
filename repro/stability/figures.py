"""Figures of Wu, Ma, E 2018, ours beside the published numbers."""

from collections.abc import Sequence

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker

from repro.reporting.results import Run, distinct, select
from repro.stability.measures import (
    a,
    bound,
    curve,
    exponent,
    grouped,
    is_gd,
    mean,
    plain,
    s,
    solutions,
    test_accuracy,
    trained,
)

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

    The largest batch is all examples: GD, to the right of SGD.
    """
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
        axes.set(xscale="log", xlabel="batch size B", ylabel=label)
        if value is not test_accuracy:
            axes.set_yscale("log")
            _label_1_2_5(axes.yaxis)
    three[0].set_title("dotted: 2 / η")
    three[2].legend()
    return figure


def diagram(runs: Sequence[Run]) -> plt.Figure:
    """Non-uniformity against sharpness by batch size, with the bounds on both."""
    figure, axes = plt.subplots(figsize=(4.4, 3))
    for batch, rows in grouped(plain(runs), "batch_size").items():
        label = "GD" if is_gd(rows[0]) else f"B = {batch}"
        points = axes.scatter([a(r) for r in rows], [s(r) for r in rows], s=10, label=label)
        if np.isfinite(bound(rows[0])):
            axes.axhline(bound(rows[0]), color=points.get_facecolor(), ls="--", lw=0.8)
    for eta in distinct(runs, "learning_rate"):
        axes.axvline(2 / eta, color="grey", ls=":", lw=0.8)
    axes.set(xlabel="sharpness a", ylabel="non-uniformity s", xlim=(0, None), ylim=(0, None))
    axes.set_title("dashed: bounds on s; dotted: 2 / η", fontsize=8)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def proportional(runs: Sequence[Run]) -> plt.Figure:
    """Non-uniformity against sharpness over all networks, with the fitted power."""
    figure, axes = plt.subplots(figsize=(4.2, 3))
    chosen = solutions(runs)
    for eta, rows in grouped(chosen, "learning_rate").items():
        axes.scatter([a(r) for r in rows], [s(r) for r in rows], s=10, label=f"η = {eta:g}")
    if len(chosen) > 2:
        power, correlation = exponent(chosen)
        x = np.array(sorted(a(run) for run in chosen))
        middle = np.exp(np.mean([np.log(s(r)) - power * np.log(a(r)) for r in chosen]))
        axes.plot(x, middle * x**power, color="k", lw=0.8)
        axes.set_title(f"s ~ a^{power:.2f}, r = {correlation:.3f}; published 0.78, 0.981")
    axes.set(xscale="log", yscale="log", xlabel="sharpness a", ylabel="non-uniformity s")
    _label_1_2_5(axes.xaxis)
    _label_1_2_5(axes.yaxis)
    axes.legend()
    return figure


def escape(runs: Sequence[Run]) -> plt.Figure:
    """What changes after the switch from GD: a, s, losses and accuracies."""
    figure, grid = plt.subplots(2, 2, figsize=(6.75, 4.2), sharex=True)
    quantities = {
        "curvature/sharpness": "sharpness a",
        "curvature/nonuniformity": "non-uniformity s",
        "train/loss": "training loss",
        "test/accuracy": "test accuracy",
    }
    for axes, (quantity, label) in zip(grid.flat, quantities.items()):
        for number, run in enumerate(select(runs, stage="escape")):
            name = "GD" if is_gd(run) else f"B = {run.settings['batch_size']}"
            name += "" if run.result["sharpness"] else ", diverged"
            eta = run.settings["learning_rate"]
            axes.plot(*curve(run, quantity), color=f"C{number}", label=f"η = {eta:g}, {name}")
            if quantity == "curvature/sharpness":
                axes.axhline(2 / eta, color=f"C{number}", ls=":", lw=0.8)
        axes.set(ylabel=label)
        if quantity == "train/loss":
            axes.set_yscale("log")
    for axes in grid[1]:
        axes.set_xlabel("steps after the switch")
    grid[0, 0].set_title("dotted: 2 / η")
    grid[0, 1].legend()
    return figure


def by_setting(runs: Sequence[Run], setting: str, label: str) -> plt.Figure:
    """Sharpness, non-uniformity and test accuracy of GD solutions against a setting."""
    figure, three = plt.subplots(1, 3, figsize=(6.75, 2.3))
    values = (a, s, test_accuracy)
    names = ("sharpness a", "non-uniformity s", "test accuracy")
    chosen = trained(runs)
    for axes, value, name in zip(three, values, names):
        for kind in (True, False):
            groups = grouped([run for run in chosen if is_gd(run) == kind], setting)
            means = [mean(group, value)[0] for group in groups.values()]
            if means:
                axes.plot(list(groups), means, marker="o", label="GD" if kind else "SGD")
        axes.set(xlabel=label, ylabel=name)
    three[0].legend()
    lost = len(select(runs, stage="train")) - len(chosen)
    if lost:
        three[2].set_title(f"not drawn: {lost} of {len(runs)} runs, diverged")
    return figure


def wrong_labels(runs: Sequence[Run]) -> plt.Figure:
    """GD on more and more examples with wrong labels; its edge 2 / eta dotted."""
    figure = by_setting(runs, "wrong_examples", "wrong labels")
    for eta in grouped(trained(runs), "learning_rate"):
        figure.axes[0].axhline(2 / eta, color="k", ls=":", lw=0.8, label=f"2 / η, η = {eta:g}")
    for axes in figure.axes:
        axes.set_ylim(bottom=0)
    figure.axes[0].legend(loc="lower right")
    return figure


def momentum(runs: Sequence[Run]) -> plt.Figure:
    """Heavy-ball GD and SGD; GD's edge 2 (1 + momentum) / eta dotted."""
    figure = by_setting(runs, "momentum", "momentum β")
    beta = np.array([0.0, 0.9])
    for eta in distinct(runs, "learning_rate"):
        figure.axes[0].plot(beta, 2 * (1 + beta) / eta, color="grey", ls=":")
    figure.axes[0].set_title("dotted: 2 (1 + β) / η")
    return figure


def _label_1_2_5(axis) -> None:
    """Label a logarithmic axis that spans little more than a decade at 1, 2, 5, 10."""
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axis.set_minor_formatter(ticker.NullFormatter())


FIGURES = {
    "toy": toy,
    "batch_size": batch_size,
    "diagram": diagram,
    "proportional": proportional,
    "escape": escape,
    "wrong_labels": wrong_labels,
    "momentum": momentum,
}
