"""Figures of Liu et al. 2020: four settings, norms, the adversary, the toy.

The published pictures could not be read. Beside ours stands what the paper and its JAX rerun say in
words, the sizes of their norms.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

from repro.bad_minima.flatness_figures import sharpness_measures
from repro.bad_minima.kept_figures import kept_weights
from repro.bad_minima.measures import INITS, SETTINGS, of, spread
from repro.reporting.results import Run, distinct

WITHOUT_DIVERGED = False  # they say themselves what diverged

PAPER = 50  # log10 of the norm in the paper's Figure 10
NORMS = {  # reading -> label, and the published number it can be compared with
    "frobenius": ("root of the sum of squares", None),
    "frobenius_squared": ("sum of squares", ("the JAX rerun: about 1e5", 5)),
    "log10_product": ("product over layers", None),
    "log10_product_squared": ("product of squares", None),
    "log10_product_over_margin": ("product / margin, if positive", None),
    "log10_path_l1": ("l1 path norm", None),
    "log10_path_l2": ("l2 path norm", None),
}


def four_settings(runs: Sequence[Run]) -> plt.Figure:
    """Train and test accuracy and distance from the start; mean and range over seeds."""
    figure, panels = plt.subplots(
        1, 3, figsize=(6.75, 3.0), sharex=True, gridspec_kw={"width_ratios": (1, 1.3, 1)}
    )
    quantities = ("train/accuracy", "test/accuracy", "distance/relative")
    titles = ("train accuracy, un-augmented", "test accuracy", "distance from start / its norm")
    for axes, quantity, title in zip(panels, quantities, titles):
        for (kind, init), (label, colour) in SETTINGS.items():
            curves = [run.curve(quantity) for run in of(runs, kind, init)]
            if not curves:
                continue
            values = np.array([curve[1] for curve in curves])
            epochs = curves[0][0]
            axes.plot(epochs, values.mean(axis=0), ".-", color=colour, label=label)
            axes.fill_between(
                epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, lw=0
            )
        axes.set(title=title, xlabel="epoch")
    panels[0].set_ylim(0, 1.02)
    title = "mean and range over seeds" if len(distinct(runs, "seed")) > 1 else None
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, title=title
    )
    return figure


def norms(runs: Sequence[Run]) -> plt.Figure:
    """Every reading of the norm, raw and folded, after training in the four settings; log10."""
    figure, (raw, folded) = plt.subplots(1, 2, figsize=(6.75, 3.2), sharex=True, sharey=True)
    for axes, title in ((raw, "raw weights"), (folded, "batch norm folded")):
        for number, ((kind, init), (label, colour)) in enumerate(SETTINGS.items()):
            for place, name in enumerate(NORMS):
                values = [_log10(run, name, axes is folded) for run in of(runs, kind, init)]
                values = [value for value in values if value is not None]
                if values:
                    mean, deviation = spread(values)
                    axes.errorbar(
                        mean,
                        place + (number - 1.5) * 0.15,
                        xerr=deviation,
                        marker="o",
                        ms=3,
                        ls="none",
                        color=colour,
                        label=label if place == 0 else None,
                    )
        axes.set(title=title, xlabel="log10 of the norm")
        axes.axvline(PAPER, color="k", lw=0.8, ls=":")  # which reading it is, it does not say
        axes.annotate(f"paper: about 1e{PAPER} ", (PAPER, 0), ha="right", fontsize=7)
    for place, (_, published) in enumerate(NORMS.values()):
        if published:
            raw.plot([published[1]] * 2, [place - 0.4, place + 0.4], color="k", lw=1.5)
            raw.annotate(f" {published[0]}", (published[1], place), va="center", fontsize=7)
    raw.set_yticks(range(len(NORMS)), [label for label, _ in NORMS.values()])
    raw.set_ylim(len(NORMS) - 0.4, -0.6)
    figure.legend(*raw.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _log10(run: Run, name: str, folded: bool) -> float | None:
    """Return log10 of a reading; None where it makes no sense.

    That is for path norms of raw weights, and over a margin that is not positive.
    """
    if name.startswith("log10_path") and not folded:
        return None
    norms = run.result["norms"]
    norms = {**norms, **norms["folded"]} if folded else norms
    if name == "log10_product_over_margin":  # no bound where some training images are wrong
        margin = run.result["margins"]["quantile_05"]
        return norms["log10_product"] - float(np.log10(margin)) if margin > 0 else None
    value = norms[name]
    return value if name.startswith("log10") else float(np.log10(value))


def adversary(runs: Sequence[Run]) -> plt.Figure:
    """Test accuracy of vanilla SGD by the adversary's R, N and unit; and how pre-training went."""
    figure, (tests, fits) = plt.subplots(1, 2, figsize=(6.75, 2.8))
    arms = {}
    for run in runs:
        arms.setdefault(arm(run), []).append(run)
    trained = {
        name: [run.result["test_accuracy"] for run in of(members)] for name, members in arms.items()
    }
    for place, (name, values) in enumerate((n, v) for n, v in trained.items() if v):
        mean, deviation = spread(values)
        colour = "C0" if name == "random start" else "C3"
        tests.errorbar(mean, place, xerr=deviation, marker="o", color=colour, capsize=2)
    names = [name for name, values in trained.items() if values]
    tests.set_yticks(range(len(names)), names)
    tests.set(xlabel="test accuracy after vanilla SGD", ylim=(len(names) - 0.5, -0.5))
    pretrained = [(name, members) for name, members in arms.items() if name != "random start"]
    for place, (_, members) in enumerate(pretrained):
        for run in members:
            stage = run.result["pretraining"]
            fits.plot(stage["train_accuracy"], place, "o", color="C3")
            fits.plot(stage["ceiling"], place, "|", color="k", ms=14)
    fits.set_yticks(range(len(pretrained)), [name for name, _ in pretrained])
    fits.set(
        xlabel="pre-training accuracy (bars: ceiling)",
        xlim=(0, 1.05),
        ylim=(len(pretrained) - 0.5, -0.5),
    )
    return figure


def arm(run: Run) -> str:
    """Return a name of the start: `random start`, or R, N and the unit."""
    settings = run.settings
    if settings["init"] == "random":
        return "random start"
    unit = "" if settings["zero_out"] == 0 else f" {settings['zero_unit']}"
    return f"R={settings['replicas']}, N={settings['zero_out']:g}{unit}"


def other_images(runs: Sequence[Run]) -> plt.Figure:
    """Train and test accuracy after pre-training on random labels of other images, or none."""
    figure, panels = plt.subplots(1, 2, figsize=(6.75, 2.6), sharex=True)
    for axes, quantity in zip(panels, ("train/accuracy", "test/accuracy")):
        for init, colour in zip(INITS, ("C0", "C3")):
            for number, run in enumerate(of(runs, "vanilla", init)):
                label = "random start" if init == "random" else "pre-trained on other images"
                axes.plot(*run.curve(quantity), color=colour, label=None if number else label)
        axes.set(title=quantity.replace("/", " "), xlabel="epoch")
    panels[0].axhline(0.9, color="k", lw=0.6, ls=":")
    panels[0].legend(loc="lower right")
    return figure


PANELS = {
    "random_vanilla": "random start, vanilla",
    "pretrained": "pre-trained on random labels",
    "adversarial_vanilla": "adversarial start, vanilla",
    "adversarial_sota": "adversarial start, SOTA",
}


def toy(runs: Sequence[Run]) -> plt.Figure:
    """The four decision boundaries of the lowest seed, with the share on the wrong side."""
    run = min(runs, key=lambda run: (run.result["status"] != "complete", run.settings["seed"]))
    arrays, points = run.arrays(), run.arrays()["points"]
    figure, panels = plt.subplots(1, 4, figsize=(6.75, 1.9), sharex=True, sharey=True)
    extent, sides = (-1.25, 1.8, -0.75, 1.25), ListedColormap(["#c6dbef", "#fdd0a2"])
    panels[0].set_ylabel(f"seed {run.settings['seed']}")
    for axes, (panel, title) in zip(panels, PANELS.items()):
        axes.imshow(arrays[panel] > 0.5, extent=extent, origin="lower", cmap=sides, aspect="equal")
        labels = arrays["random"] if panel == "pretrained" else arrays["truth"]
        colours = np.where(labels > 0.5, "C1", "C0")
        axes.scatter(*points.T, c=colours, s=2, lw=0)
        measured = run.result["panels"][panel]
        axes.set_title(title, fontsize=7)
        axes.set(xticks=[], yticks=[])
        axes.set_xlabel(
            f"wrong side {measured['disagreement_with_line']:.1%}\n"
            f"test accuracy {measured['test_accuracy']:.0%}"
        )
    return figure


FIGURES = {
    "four_settings": four_settings,
    "norms": norms,
    "adversary": adversary,
    "other_images": other_images,
    "toy": toy,
    "sharpness_measures": sharpness_measures,
    "kept_weights": kept_weights,
}
