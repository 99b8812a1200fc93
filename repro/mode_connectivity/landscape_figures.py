"""Beyond Gotmare et al. 2018: slices (Li et al. 2018), alignment (Ainsworth et al. 2022), forks.

Forks are trainings that were one until an epoch (Frankle et al. 2020).
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from repro.mode_connectivity.curve_figures import QUANTITIES, VARIANTS
from repro.mode_connectivity.measures import instabilities
from repro.mode_connectivity.plane_figures import contours, label_epoch
from repro.reporting.results import Run, only, select

ALIGNED = {"none": "as trained", "weights": "weights matched", "activations": "activations matched"}


def slices(runs: Sequence[Run]) -> plt.Figure:
    """Training loss along one random direction through each mode, and on a path's main plane."""
    figure, (lines, plane) = plt.subplots(1, 2, figsize=(6.75, 3.1))
    for number, run in enumerate(select(runs, dimensions=1)):
        arrays, mode = run.arrays(), run.settings["from"]
        label = f"{mode} ({VARIANTS[mode]})" if mode in VARIANTS else mode
        if mode == "A":
            label = f"A (batch {run.settings['large_batch_size']})"
        lines.plot(arrays["alpha"], arrays["train_nll"], color=f"C{number}", label=label)
    lines.set(
        xlabel="step along a filter-normalised direction", ylabel="training loss", yscale="log"
    )
    lines.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    for run in select(runs, directions="pca", dimensions=2)[:1]:
        _principal(figure, plane, run)
    return figure


def _principal(figure, axes, run: Run) -> None:
    """Draw the loss on the plane of two principal directions, and the iterates it comes from."""
    arrays = run.arrays()
    contours(figure, axes, arrays["alpha"], arrays["beta"], arrays["train_nll"])
    iterates = arrays["iterates"]
    axes.plot(*iterates.T, "o-", color="C3", ms=2.8, lw=0.9, mfc="white", mew=0.6)
    for epoch, place in list(zip(arrays["iterate_epochs"], iterates))[::4]:
        label_epoch(axes, epoch, place)
    last = iterate_name(run.settings["from"])
    labels = [
        f"main direction {k + 1} ({share:.0%})" for k, share in enumerate(arrays["explained"])
    ]
    title = f"training loss, iterates up to {last}\n(%: of squared distances to it)"
    axes.set(xlabel=labels[0], ylabel=labels[1], title=title)


def iterate_name(name: str) -> str:
    """Return what the paper calls an iterate such as `sgdr@150`: w150."""
    return f"w{name.split('@')[-1]}"


def alignment(runs: Sequence[Run]) -> plt.Figure:
    """Training loss and validation accuracy between two modes, neurons permuted or not."""
    figure, panels = plt.subplots(1, 2, figsize=(6.75, 2.9), sharex=True)
    for axes, quantity in zip(panels, ("train_loss", "test_accuracy")):
        name, factor, offset, label = QUANTITIES[quantity]
        for number, (kind, words) in enumerate(ALIGNED.items()):
            run = only(runs, align=kind)
            if run is None:
                continue
            arrays, colour = run.arrays(), f"C{number}"
            axes.plot(arrays["t"], factor * arrays[name] + offset, color=colour, label=words)
            axes.plot(arrays["t"], factor * arrays[f"segment_{name}"] + offset, "--", color=colour)
            if f"repaired_{name}" in arrays:
                axes.plot(
                    arrays["t"], factor * arrays[f"repaired_{name}"] + offset, ":", color=colour
                )
        axes.set(xlabel="t", ylabel=label)
    for style, words in (("-", "curve"), ("--", "segment"), (":", "segment, repaired")):
        if style != ":" or any(run.settings.get("repair") for run in runs):
            panels[0].plot([], [], style, color="grey", label=words)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def instability(runs: Sequence[Run]) -> plt.Figure:
    """How far error rises between two trainings, against the epoch until which they were one."""
    figure, axes = plt.subplots(figsize=(4.2, 2.9))
    for quantity, colour, words in (
        ("train_error", "C0", "training images"),
        ("test_error", "C1", "validation images"),
    ):
        found = instabilities(runs, quantity)
        means = [np.mean([rise for _, rise in of_fork]) for of_fork in found.values()]
        axes.plot(list(found), means, color=colour, label=words)
        for fork, of_fork in found.items():
            axes.plot([fork] * len(of_fork), [rise for _, rise in of_fork], "o", ms=4, color=colour)
    axes.axhline(2, color="grey", ls="--", label="2 points")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(left=-0.3)
    axes.set(xlabel="forked after epoch", ylabel="error on the way over\nthe ends' mean (points)")
    axes.legend()
    return figure


def curve_ensembles(runs: Sequence[Run]) -> plt.Figure:
    """Validation error along curves: networks alone, each with the curve's start, and all."""
    chosen = select(runs, stage="ensemble")
    columns = min(3, max(1, len(chosen)))
    rows = -(-max(1, len(chosen)) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(2.25 * columns, 1.9 * rows + 0.5), sharex=True, squeeze=False
    )
    for run, axes in zip(chosen, panels.flat):
        arrays, result = run.arrays(), run.result
        axes.plot(arrays["t"], 100 * arrays["test_error"], color="C0", label="alone")
        axes.plot(arrays["t"], 100 * arrays["test_pair"], color="C1", label="with the start")
        height = 100 * result["ensemble_error"]
        axes.axhline(height, color="C2", ls="--", label="all of the curve")
        axes.set_title(f"{run.settings['from']} to {run.settings['to']}")
    for axes in panels.flat[len(chosen) :]:
        axes.axis("off")
    for axes in panels[-1]:
        axes.set_xlabel("t")
    for axes in panels[:, 0]:
        axes.set_ylabel("validation error (%)")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


FIGURES = {
    "slices": slices,
    "alignment": alignment,
    "instability": instability,
    "curve_ensembles": curve_ensembles,
}
