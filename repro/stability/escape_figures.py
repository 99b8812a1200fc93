"""The figure of what changes after a switch of optimisers, and where the published runs ended."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from repro.reporting.results import Run, select
from repro.stability.measures import curve, is_gd, published

OPEN = {"marker": "o", "mfc": "white", "ms": 5, "ls": "none"}  # what was published
SHARPNESS, TESTED = "curvature/sharpness", "test/accuracy"
QUANTITIES = {
    SHARPNESS: "sharpness a",
    "curvature/nonuniformity": "non-uniformity s",
    "train/loss": "training loss",
    "train/accuracy": "training accuracy",
    TESTED: "test accuracy",
}
COLUMNS = {SHARPNESS: "sharpness", TESTED: "test_accuracy"}  # of the published file


def escape(runs: Sequence[Run]) -> plt.Figure:
    """What changes after the switch: a, s, loss and both accuracies, a colour for each switch.

    A switch is a start, GD, SGD or L-BFGS, a learning rate and a batch size; each of its seeds is a
    line of its own. Open markers are where the same switches ended in the published results. From
    GD they are scaled by the published rate before the switch over ours, as its edge 2 / eta is.
    """
    figure, grid = plt.subplots(3, 2, figsize=(6.75, 6), sharex=True)
    theirs = published("escape", runs)
    switches, compared = _switches(runs), False
    for axes, (quantity, label) in zip(grid.flat, QUANTITIES.items()):
        for number, rows in enumerate(switches.values()):
            colour, first = f"C{number % 10}", rows[0]
            width = 1.3 if len(rows) == 1 else 0.7
            name = _name(rows)
            for run in rows:
                axes.plot(*curve(run, quantity), color=colour, lw=width, label=name)
                name = None  # one entry of the legend for all seeds
            if quantity in COLUMNS:
                values = _ends(theirs, first, COLUMNS[quantity])
                if len(values):
                    compared = True
                    steps = [max(run.settings["iterations"] for run in rows)] * len(values)
                    axes.plot(steps, values, **OPEN, color=colour, zorder=5)
            if quantity == SHARPNESS:
                axes.axhline(2 / first.settings["learning_rate"], color=colour, ls=":", lw=0.8)
        axes.set(ylabel=label)
        if quantity == "train/loss":
            axes.set_yscale("log")
    for axes in grid[2]:
        axes.set_xlabel("steps after the switch")
        axes.locator_params(axis="x", nbins=5)
    title = "dotted: 2 / η"
    rates = theirs["start_learning_rate"][np.isfinite(theirs["start_learning_rate"])]
    if compared and len(rates):
        title += f"; open: published ends, from GD at {rates[0]:g} scaled"
    grid[0, 0].set_title(title, fontsize=8)
    grid[2, 0].set_title("open: published ends" if compared else "", fontsize=8)
    grid[1, 1].tick_params(labelbottom=True)
    grid[2, 1].axis("off")
    grid[2, 1].legend(*grid[0, 0].get_legend_handles_labels(), loc="center")
    return figure


def _switches(runs: Sequence[Run]) -> dict[tuple, list[Run]]:
    """Return runs by what they start from, and by learning rate and batch size after it."""
    starts = ("start_optimizer", "start_learning_rate", "start_batch_size")
    names = (*starts, "learning_rate", "batch_size")
    found: dict[tuple, list[Run]] = {}
    for run in select(runs, stage="escape"):
        found.setdefault(tuple(run.settings.get(name) for name in names), []).append(run)
    return found


def _name(rows: Sequence[Run]) -> str:
    """Return what the legend calls a switch."""
    run = rows[0]
    start = "L-BFGS" if run.settings.get("start_optimizer") else "GD"
    if size := run.settings.get("start_batch_size"):
        start = f"B = {size}"
    batch = "GD" if is_gd(run) else f"B = {run.settings['batch_size']}"
    lost = sum(not each.result["sharpness"] for each in rows)
    diverged = f", {lost} of {len(rows)} diverged" if len(rows) > 1 else ", diverged"
    text = f"{start} → η = {run.settings['learning_rate']:g}, {batch}"
    return text + (diverged if lost else "")


def _ends(theirs: dict, run: Run, column: str) -> np.ndarray:
    """Return where the published runs of the same switch ended, as our rates would have it."""
    same = theirs["wrong_examples"] == run.settings.get("wrong_examples", 0)
    same &= theirs["batch_size"] == run.settings["batch_size"]
    same &= run.settings.get("start_batch_size") is None  # none of theirs starts from SGD
    shrunk = np.ones(len(same))
    if run.settings.get("start_optimizer"):
        same &= np.isnan(theirs["start_learning_rate"])
    else:
        shrunk = theirs["start_learning_rate"] / run.settings["start_learning_rate"]
    same &= np.isclose(theirs["learning_rate"], shrunk * run.settings["learning_rate"])
    return (theirs[column] * (shrunk if column == "sharpness" else 1))[same]
