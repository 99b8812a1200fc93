"""Figures 1a-c of Zhang et al. 2017 beside ours; see regularizer_figures, theory_figures too."""

from collections.abc import Sequence

import matplotlib.pyplot as plt

from repro.randomization.measures import (
    AVERAGE_LOSS,
    FIG1_MODELS,
    OVERFITTED_ACCURACY,
    by_images,
    corruption_level,
    overfit_epochs,
    published,
    steps_to,
    test_errors,
)
from repro.randomization.regularizer_figures import fig2a, fig2b
from repro.randomization.theory_figures import kernel_curve, theorem1
from repro.reporting.results import Run, distinct, select

WITHOUT_DIVERGED = True  # its figures and claims are about trainings that ended

# The colours and names of Figure 1a's five data sets, and the columns of its digitised curves.
DATA = {
    "none": ("true labels", "C0", "true_labels"),
    "random_labels": ("random labels", "C3", "random_labels"),
    "shuffled_pixels": ("shuffled pixels", "C2", "shuffled_pixels"),
    "random_pixels": ("random pixels", "C4", "random_pixels"),
    "gaussian": ("Gaussian", "C1", "gaussian"),
}
MODEL_STYLES = {"inception": ("C0", "o"), "alexnet": ("C1", "s"), "mlp_1x512": ("C2", "^")}


def fig1a(runs: Sequence[Run]) -> plt.Figure:
    """Training loss against steps on five corruptions; the paper's curves on the right."""
    figure, (ours, paper) = plt.subplots(1, 2, figsize=(6.75, 2.6), sharey=True)
    for kind, (label, colour, _) in DATA.items():
        for run in select(runs, corruption=kind):
            steps = [row["step"] / 1000 for row in run.metrics]
            ours.plot(steps, run.curve(AVERAGE_LOSS)[1], color=colour, label=label)
    columns = published("fig1a")
    for label, colour, column in DATA.values():
        paper.plot(columns["kstep"], columns[column], color=colour, label=label)
    ours.set(title="ours: " + _subset(runs), ylabel="training loss", ylim=(0, 2.75))
    lengths = [run.result["steps"] for run in runs]
    if max(lengths) > 5 * min(lengths):
        ours.set_xscale("log")
    paper.set(title="published: Inception, 50,000 images", xlim=(0, 25))
    for axes in (ours, paper):
        axes.set_xlabel("thousand steps")
    paper.legend()
    return figure


def order(runs: Sequence[Run]) -> plt.Figure:
    """Steps until the training loss is 0.1, by corruption, against the number of images."""
    figure, axes = plt.subplots(figsize=(4.2, 3))
    found = steps_to(runs, 0.1)
    for kind, (label, colour, _) in DATA.items():
        points = [(n, kinds[kind]) for n, kinds in found.items() if kind in kinds]
        if points:
            axes.plot(*zip(*points), "o-", ms=4, color=colour, label=label)
    axes.set(xscale="log", yscale="log", xlabel="training images", ylabel="steps to a loss of 0.1")
    axes.legend()
    return figure


def fig1b(runs: Sequence[Run]) -> plt.Figure:
    """Epochs to overfit, relative to true labels, against the share of replaced labels."""
    figure, axes = plt.subplots(figsize=(4.2, 3))
    columns = published("fig1bc")
    for (model, images), group in by_images(runs).items():
        colour, marker = MODEL_STYLES[model]
        epochs = overfit_epochs(group)
        if 0.0 in epochs:
            ratios = [epoch / epochs[0.0] for epoch in epochs.values()]
            label = f"{FIG1_MODELS[model]}, {images:,} images\n({epochs[0.0]:g} epochs at p = 0)"
            style = {"color": colour, "marker": marker, "ls": _line(images)}
            axes.plot(list(epochs), ratios, **style, label=label)
    for model, name in FIG1_MODELS.items():
        colour = MODEL_STYLES[model][0]
        axes.plot(columns["p"], columns[f"{name}_rel_time"], color=colour, ls=":", alpha=0.8)
    axes.plot([], [], color="grey", ls=":", label="published")
    axes.set(
        xlabel="label corruption p",
        ylabel=f"epochs to {OVERFITTED_ACCURACY:.1%} train accuracy, relative",
    )
    axes.legend()
    return figure


def _line(images: int) -> str:
    """Solid on all of CIFAR-10's training images, as published, and dashed on fewer."""
    return "-" if images == 50_000 else "--"


def fig1c(runs: Sequence[Run]) -> plt.Figure:
    """Test error against the share of replaced labels, on corrupted and on clean test labels."""
    figure, both = plt.subplots(1, 2, figsize=(6.75, 2.8), sharey=True)
    columns = published("fig1bc")
    for axes, corrupted in zip(both, (True, False)):
        for (model, images), group in by_images(runs).items():
            colour, marker = MODEL_STYLES[model]
            errors = test_errors(group, corrupted)
            label = f"{FIG1_MODELS[model]}, {images:,} images"
            style = {"color": colour, "marker": marker, "ls": _line(images)}
            axes.plot(list(errors), list(errors.values()), **style, label=label)
        for model, name in FIG1_MODELS.items():
            colour = MODEL_STYLES[model][0]
            axes.plot(columns["p"], columns[f"{name}_test_error"], color=colour, ls=":", alpha=0.8)
        axes.plot([], [], color="grey", ls=":", label="published")
        kind = "corrupted like the training labels" if corrupted else "clean"
        axes.set(xlabel="label corruption p", title=f"test labels {kind}")
    both[0].set(ylabel="test error", ylim=(0, 1))
    both[1].legend()
    return figure


def redraw(runs: Sequence[Run]) -> plt.Figure:
    """Training accuracy under labels drawn afresh, with the ceilings 1 - 0.9 p."""
    figure, axes = plt.subplots(figsize=(4.2, 3))
    kinds = ("none", "partial_labels", "random_labels")
    chosen = [run for run in runs if run.settings["corruption"] in kinds]
    for number, run in enumerate(sorted(chosen, key=corruption_level)):
        p, colour = corruption_level(run), f"C{number}"
        axes.plot(*run.curve("train/accuracy"), color=colour, label=f"p = {p:.2g}, train")
        axes.plot(*run.curve("test/accuracy"), color=colour, ls="--", label="test, clean labels")
        axes.axhline(1 - 0.9 * p, color=colour, ls=":", lw=0.8)
    axes.set(xlabel="epoch", ylabel="accuracy", ylim=(0, 1.02), title="dotted: 1 - 0.9 p")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _subset(runs: Sequence[Run]) -> str:
    model, data = distinct(runs, "model")[0], distinct(runs, "dataset")[0]
    return f"{model}, {runs[0].result['train_examples']:,} images of {data}"


FIGURES = {
    "fig1a": fig1a,
    "fig1b": fig1b,
    "fig1c": fig1c,
    "order": order,
    "fig2a": fig2a,
    "fig2b": fig2b,
    "redraw": redraw,
    "kernel_curve": kernel_curve,
    "theorem1": theorem1,
}
