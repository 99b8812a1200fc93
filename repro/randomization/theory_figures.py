"""Figures of what Zhang et al. 2017 state without drawing: Theorem 1, and kernels by size."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from repro.randomization.claims.theory import CIFAR10, FEWEST_SIZES, LARGEST_ERROR, MNIST
from repro.randomization.measures import curves, extrapolated, power_law
from repro.reporting.results import Run, select

# What the paper has for whole training sets: dataset -> error, its tolerance, images.
PUBLISHED = {"mnist": MNIST, "cifar10": CIFAR10}
WHOLE = {"mnist": 60_000, "fashion_mnist": 60_000, "cifar10": 50_000, "cifar100": 50_000}
BELOW = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "fontsize": "small"}


def kernel_curve(runs: Sequence[Run]) -> plt.Figure:
    """Test error against the number of training images; dashed lines are extrapolations."""
    figure, axes = plt.subplots(figsize=(6.75, 3.8))
    found = curves(runs)
    for number, (key, curve) in enumerate(found.items()):
        colour = f"C{number}"
        sizes = [run.result["train_examples"] for run in curve]
        errors = [run.result["test_error"] for run in curve]
        bars = [2 * run.result["test_error_se"] for run in curve]
        gamma = "" if key.gamma is None else f", gamma {key.gamma:g}"
        of = key.features if key.filters is None else f"{key.filters:,} filters"
        label = f"{key.dataset}: {key.kernel} of {of}{gamma}"
        axes.errorbar(sizes, errors, bars, color=colour, marker="o", ms=3, lw=1, label=label)
        whole = WHOLE.get(key.dataset, 0)
        if len(curve) >= FEWEST_SIZES and whole > sizes[-1]:
            law = power_law(curve)
            beyond = np.geomspace(sizes[-1], whole, 20)
            axes.plot(beyond, [extrapolated(law, n) for n in beyond], color=colour, ls="--", lw=1)
    for dataset in {key.dataset for key in found} & set(PUBLISHED):
        error, _, images = PUBLISHED[dataset]
        axes.plot([images], [error], "k*", label=f"published, {dataset}, Gaussian kernel")
    axes.plot([], [], color="grey", ls="--", lw=1, label="extrapolated: c n^b through all points")
    axes.set(xscale="log", yscale="log", xlabel="training images", ylabel="test error")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def theorem1(runs: Sequence[Run]) -> plt.Figure:
    """Weights of Theorem 1's network against n; its largest error; the width of deep ones.

    Errors are measured or proved bounds. The width of the widest layer stands against the number of
    layers k, with a dotted n / k, in a panel that is there where there are deep networks.
    """
    deep_ones = [run for run in select(runs, stage="theorem1") if run.settings["layers"] > 1]
    figure, panels = plt.subplots(1, 3 if deep_ones else 2, figsize=(9.5 if deep_ones else 6.75, 3))
    weights, errors = panels[:2]
    chosen = sorted(select(runs, stage="theorem1"), key=lambda run: run.result["train_examples"])
    points = sorted({(run.settings["dataset"], run.result["dimension"]) for run in chosen})
    colours = {point: f"C{number}" for number, point in enumerate(points)}
    for dataset, dimension in points:
        own = [
            run
            for run in chosen
            if (run.settings["dataset"], run.result["dimension"]) == (dataset, dimension)
        ]
        colour, name = colours[dataset, dimension], f"{dataset}, d = {dimension:,}"
        flat = [run for run in own if run.settings["layers"] == 1]
        _line(weights, flat, "weights", colour, "o", name)
        if flat:
            sizes = np.geomspace(*(flat[i].result["train_examples"] for i in (0, -1)), 50)
            weights.plot(sizes, 2 * sizes + dimension, color=colour, ls=":", lw=0.8)
        deep = [run for run in own if run.settings["layers"] > 1]
        _line(weights, deep, "connections", colour, "s", f"{name}, deep: all connections")
        for certified, marker, how in ((False, "o", "measured"), (True, "^", "proved bound")):
            some = [run for run in flat if run.result["certified"] == certified]
            _line(errors, some, "max_error", colour, marker, f"largest error, {how}")
        _line(errors, flat, "smallest_gap", colour, "x", "smallest gap of projections")
    if deep_ones:
        _widths(panels[2], deep_ones)
    errors.axhline(LARGEST_ERROR, color="grey", ls=":", lw=0.8, label="largest error that passes")
    weights.plot([], [], color="grey", ls=":", lw=0.8, label="2n + d")
    for axes in (weights, errors):
        axes.set(xscale="log", yscale="log", xlabel="points n")
    weights.set_ylabel("weights")
    handles = dict(zip(*errors.get_legend_handles_labels()[::-1]))  # one a kind, not one a dataset
    weights.legend(**BELOW)
    errors.legend(handles.values(), handles.keys(), **BELOW)
    return figure


def _widths(axes, runs: Sequence[Run]) -> None:
    """Draw the width of deep networks against their number of layers, by data set and n."""
    sizes = sorted({(run.settings["dataset"], run.result["train_examples"]) for run in runs})
    for number, (dataset, n) in enumerate(sizes):
        own = select(runs, dataset=dataset, train_examples=n)
        own = sorted(own, key=lambda run: run.settings["layers"])
        layers = [run.settings["layers"] for run in own]
        widths = [run.result["width"] for run in own]
        style = {"color": f"C{number}", "marker": "s", "ms": 4, "ls": ""}
        axes.plot(layers, widths, **style, label=f"{dataset}, n = {n:,}")
        axes.plot(layers, [n / k for k in layers], color=f"C{number}", ls=":", lw=0.8)
    axes.plot([], [], color="grey", ls=":", lw=0.8, label="n / k")
    axes.set(xscale="log", yscale="log", xlabel="layers k", ylabel="units of the widest layer")
    axes.legend(**BELOW)


def _line(axes, runs: Sequence[Run], quantity: str, colour: str, marker: str, label: str) -> None:
    if runs:
        sizes = [run.result["train_examples"] for run in runs]
        values = [run.result[quantity] for run in runs]
        axes.plot(sizes, values, color=colour, marker=marker, ms=4, ls="", label=label)
