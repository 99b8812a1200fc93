"""Figures 1 to 10 of Gotmare et al. 2018, as far as they show curves, segments and trajectories.

Of the published curves no readable points are at hand, so ours stand alone; what Garipov et al.
published as numbers is in the table of metrics.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from repro.mode_connectivity.measures import gains
from repro.reporting.results import Run, distinct, only, select

VARIANTS = {
    "A": "batch 4000",
    "B": "Adam",
    "C": "linear decay",
    "D": "weight decay / 100",
    "E": "initial weights x 3",
    "F": "no augmentation",
}
PAIRS = {  # mode -> the pairs of epochs in Figure 2's text; the caption's come after
    "sgdr": ((30, 70), (70, 150), (30, 150)),
    "step": ((55, 65), (145, 165), (55, 165), (145, 155), (55, 155)),
}
MODE_NAMES = {"sgdr": "SGDR", "step": "step decay"}
# What is drawn of a run's arrays: name, factor, offset, label.
QUANTITIES = {
    "test_accuracy": ("test_error", -100, 100, "validation accuracy (%)"),
    "train_accuracy": ("train_error", -100, 100, "training accuracy (%)"),
    "test_loss": ("test_nll", 1, 0, "validation loss"),
    "train_loss": ("train_nll", 1, 0, "training loss"),
}


def curve_run(runs: Sequence[Run], start: str, end: str) -> Run | None:
    """Return the evaluated curve between two points: the chain, where there are other kinds."""
    found = select(runs, stage="evaluate", to=end, **{"from": start})
    return only(select(found, curve="polychain") or found)


def fig1(runs: Sequence[Run]) -> plt.Figure:
    """Validation accuracy along the six curves, at four epochs of their training."""
    return _six_curves(runs, "test_accuracy")


def fig8(runs: Sequence[Run]) -> plt.Figure:
    """Validation loss along the six curves."""
    return _six_curves(runs, "test_loss")


def fig9(runs: Sequence[Run]) -> plt.Figure:
    """Training accuracy along the six curves."""
    return _six_curves(runs, "train_accuracy")


def fig10(runs: Sequence[Run]) -> plt.Figure:
    """Training loss along the six curves."""
    return _six_curves(runs, "train_loss")


def _six_curves(runs: Sequence[Run], quantity: str) -> plt.Figure:
    name, factor, offset, label = QUANTITIES[quantity]
    figure, panels = plt.subplots(2, 3, figsize=(6.75, 4), sharex=True, sharey=True)
    for axes, (mode, change) in zip(panels.flat, VARIANTS.items()):
        run = curve_run(runs, "G", mode)
        axes.set_title(f"G to {mode} ({change})")
        if run is None:
            axes.text(0.5, 0.5, "not run", ha="center", transform=axes.transAxes, color="grey")
            continue
        if mode == "A":  # a scaled-down run has a smaller one
            axes.set_title(f"G to A (batch {run.settings['large_batch_size']})")
        arrays = run.arrays()
        axes.plot(
            arrays["t"],
            factor * arrays[f"segment_{name}"] + offset,
            color="grey",
            ls="--",
            lw=0.9,
            label="segment",
        )
        shades = plt.cm.viridis(np.linspace(0.85, 0.1, len(arrays["snapshot_epochs"])))
        for epoch, values, colour in zip(
            arrays["snapshot_epochs"], arrays[f"snapshot_{name}"], shades
        ):
            axes.plot(arrays["t"], factor * values + offset, color=colour, label=f"epoch {epoch}")
    for axes in panels[1]:
        axes.set_xlabel("t (0: mode G)")
    for axes in panels[:, 0]:
        axes.set_ylabel(label)
    handles = panels.flat[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=5, title=_epochs_run(runs))
    return figure


def _epochs_run(runs: Sequence[Run]) -> str | None:
    """Say how many epochs were run for one of the paper's, where it is not one."""
    scales = [scale for scale in distinct(runs, "epoch_scale") if scale not in (None, 1.0)]
    return f"epochs as the paper counts them; {scales[0]:g} of each were run" if scales else None


def fig2(runs: Sequence[Run]) -> plt.Figure:
    """Accuracy and learning rates of SGDR and step decay; training loss between their iterates."""
    figure, ((accuracy, rates), (restarts, steps)) = plt.subplots(2, 2, figsize=(6.75, 5.4))
    for mode, colour in (("sgdr", "C0"), ("step", "C1")):
        run = only(runs, stage="endpoint", mode=mode)
        if run is None:
            continue
        scale = run.settings["epoch_scale"]
        epochs, values = run.curve("test/accuracy")
        label = MODE_NAMES[mode]
        accuracy.plot(np.array(epochs) / scale, 100 * np.array(values), color=colour, label=label)
        rate = run.arrays()["learning_rate"]
        at = np.arange(len(rate)) / len(rate) * run.result["epochs"] / scale
        rates.plot(at, rate, color=colour, label=label)
    accuracy.set(xlabel="epoch", ylabel="validation accuracy (%)", title="(a)")
    rates.set(xlabel="epoch", ylabel="learning rate", yscale="log", title="(b)")
    for axes, mode, letter in ((restarts, "sgdr", "c"), (steps, "step", "d")):
        _pairs(axes, runs, mode, "train_loss")
        axes.set_title(f"({letter}) {MODE_NAMES[mode]}")
        axes.set_xlabel("t")
        _legend_below(axes)
    for axes in (accuracy, rates):
        if axes.lines:
            axes.legend()
    return figure


def fig7(runs: Sequence[Run]) -> plt.Figure:
    """What Figure 2 leaves out: both accuracies and validation loss between iterates."""
    figure, panels = plt.subplots(3, 2, figsize=(6.75, 7), sharex=True, sharey="row")
    for row, quantity in zip(panels, ("train_accuracy", "test_accuracy", "test_loss")):
        for axes, mode in zip(row, MODE_NAMES):
            _pairs(axes, runs, mode, quantity)
        row[1].set_ylabel("")
    for axes, mode in zip(panels[0], MODE_NAMES):
        axes.set_title(MODE_NAMES[mode])
    for axes in panels[2]:
        axes.set_xlabel("t")
        _legend_below(axes)
    return figure


def _pairs(axes, runs: Sequence[Run], mode: str, quantity: str) -> None:
    """Draw curve (full) and segment (dashed) between the iterates of a mode."""
    name, factor, offset, label = QUANTITIES[quantity]
    for number, (first, second) in enumerate(PAIRS[mode]):
        run = curve_run(runs, f"{mode}@{first}", f"{mode}@{second}")
        if run is None:
            continue
        arrays, colour = run.arrays(), f"C{number}"
        axes.plot(
            arrays["t"],
            factor * arrays[name] + offset,
            color=colour,
            label=f"$w_{{{first}}}$ to $w_{{{second}}}$",
        )
        axes.plot(arrays["t"], factor * arrays[f"segment_{name}"] + offset, color=colour, ls="--")
    axes.plot([], [], color="grey", label="curve")
    axes.plot([], [], color="grey", ls="--", label="segment")
    axes.set_ylabel(label)


def _legend_below(axes) -> None:
    """Put the legend where it hides no line."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)


def fig4(runs: Sequence[Run]) -> plt.Figure:
    """t-SNE of the seven modes and six bends, each curve drawn as a chain."""
    figure, axes = plt.subplots(figsize=(4.2, 3.4))
    for run in select(runs, stage="study"):
        arrays = run.arrays()
        place = dict(zip(arrays["names"], arrays["positions"]))
        for number, mode in enumerate(VARIANTS):
            chain = np.array([place["G"], place[f"bend G{mode}"], place[mode]])
            axes.plot(*chain.T, color=f"C{number}", lw=0.9)
            axes.scatter(*chain[1], color=f"C{number}", marker="D", s=16, zorder=3)
            axes.scatter(*chain[2], color=f"C{number}", s=28, zorder=3)
            axes.annotate(mode, chain[2], xytext=(4, 4), textcoords="offset points")
        axes.scatter(*place["G"], color="black", s=34, zorder=4)
        axes.annotate("G", place["G"], xytext=(4, 4), textcoords="offset points")
    axes.scatter([], [], color="grey", marker="D", s=16, label="bend")
    axes.scatter([], [], color="grey", s=28, label="mode")
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.legend()
    return figure


def averages(runs: Sequence[Run]) -> plt.Figure:
    """Validation accuracy of SWA's average and FGE's ensemble beside the networks they are of."""
    figure, axes = plt.subplots(figsize=(4.6, 2.8))
    for number, (mode, label) in enumerate((("swa", "average"), ("fge", "ensemble"))):
        for run, together, members in gains(runs, mode):
            place = number + 0.12 * run.settings["seed"]
            alone = 100 * np.array(members)
            axes.plot([place] * len(alone), alone, "o", mfc="none", ms=4, color=f"C{number}")
            axes.plot(place, 100 * together, "*", ms=9, color=f"C{number}")
        axes.plot([], [], "*", ms=9, color=f"C{number}", label=f"{mode.upper()}: {label}")
    axes.plot([], [], "o", mfc="none", ms=4, color="grey", label="its networks, by seed")
    axes.set(xticks=[], xlim=(-0.4, 1.8), ylabel="validation accuracy (%)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3)
    return figure


FIGURES = {
    "averages": averages,
    "fig1": fig1,
    "fig2": fig2,
    "fig4": fig4,
    "fig7": fig7,
    "fig8": fig8,
    "fig9": fig9,
    "fig10": fig10,
}
