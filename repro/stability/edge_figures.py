"""Figures of works that go on from Wu, Ma, E 2018: sharpness along training, SGD's noise."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from repro.reporting.figures import label_1_2_5
from repro.reporting.results import Run
from repro.stability.measures import SHARPNESS, curve, grouped, noise, noisy, watched


def edge(runs: Sequence[Run]) -> plt.Figure:
    """Loss and sharpness of GD along training, and 2 / eta (Cohen et al. 2021)."""
    return _along(runs, "linear")


def catapult(runs: Sequence[Run]) -> plt.Figure:
    """The same on a logarithmic axis: rates beyond 2 over the first sharpness (Lewkowycz 2020)."""
    return _along(runs, "symlog")


def frobenius(runs: Sequence[Run]) -> plt.Figure:
    """||H||_F of minima of SGD against sqrt(B) / eta, and the alignment of noise and curvature."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.75, 2.6), sharex=True)
    places = []
    for number, (batch, rows) in enumerate(grouped(noisy(runs), "batch_size").items()):
        x = [np.sqrt(batch) / run.settings["learning_rate"] for run in rows]
        style = {"color": f"C{number}", "ls": "", "ms": 4}
        for axes, name in ((left, "frobenius"), (right, "alignment")):
            axes.errorbar(
                x,
                [noise(run)[name] for run in rows],
                [noise(run)[f"{name}_standard_error"] for run in rows],
                marker="o",
                label=f"B = {batch}",
                **style,
            )
        bounds = [noise(run)["bound"] or np.nan for run in rows]
        left.plot(x, bounds, marker="_", **style | {"ms": 9})
        places += x
    if places:
        line = min(places), max(places)
        left.plot(line, line, color="grey", ls=":", lw=0.8)
    title = r"dashes: $\sqrt{B/\mu}\,/\,\eta$; dotted: $\sqrt{B}\,/\,\eta$"
    left.set(yscale="log", ylabel=r"$\|H\|_F$", title=title)
    right.set(ylabel=r"alignment $\mu$", ylim=(0, None))
    for axes in (left, right):
        axes.set(xscale="log", xlabel=r"$\sqrt{B}\,/\,\eta$")
        label_1_2_5(axes.xaxis)
    label_1_2_5(left.yaxis)
    if places:
        right.legend()
    return figure


def _along(runs: Sequence[Run], scale: str) -> plt.Figure:
    """Draw loss and sharpness of the first seed's runs against steps, by learning rate."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.75, 2.6), sharex=True)
    chosen = watched(runs)
    first = min((run.settings["seed"] for run in chosen), default=0)
    shown = [run for run in chosen if run.settings["seed"] == first]
    for number, (eta, rows) in enumerate(grouped(shown, "learning_rate").items()):
        for run in rows:
            ended = "" if run.result["status"] == "complete" else ", diverged"
            color = f"C{number}"
            left.plot(*curve(run, "train/loss"), color=color, label=f"η = {eta:g}{ended}")
            right.plot(*curve(run, SHARPNESS), color=color, marker=".", ms=3)
            right.axhline(2 / eta, color=color, ls=":", lw=0.8)
    left.set(xlabel="step", ylabel="training loss", yscale="log", xscale=scale, xlim=(0, None))
    right.set(xlabel="step", ylabel="sharpness", ylim=(0, None), title="dotted: 2 / η")
    if shown:
        left.legend()
    return figure


FIGURES = {"edge": edge, "catapult": catapult, "frobenius": frobenius}
