"""Figures of the teacher-student runs: of censuses here, of paths and of the graph beside."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from repro.reporting.results import Run, distinct, select
from repro.teacher_student import graph_figures, path_figures
from repro.teacher_student.measures import COLOURS, FAILED, FLOOR, interval

WITHOUT_DIVERGED = False  # no student diverges


def widths(runs: Sequence[Run]) -> plt.Figure:
    """Final loss of every student against width, on a log axis, and the share that fails."""
    figure, (losses, failing) = plt.subplots(1, 2, figsize=(6.75, 2.8))
    teachers, ticks = distinct(runs, "teacher"), sorted(distinct(runs, "hidden"))
    for number, teacher in enumerate(teachers):
        chosen = sorted(select(runs, teacher=teacher), key=lambda run: run.settings["hidden"])
        places, rows = [], []
        for run in chosen:
            arrays = run.arrays()
            loss = np.maximum(arrays["loss"], FLOOR)
            beside = 0.3 * (number - (len(teachers) - 1) / 2)
            places.append(ticks.index(run.settings["hidden"]) + beside)
            jitter = places[-1] + 0.12 * np.linspace(-1, 1, len(loss))
            colours = [COLOURS[name] for name in arrays["class"]]
            losses.scatter(jitter, loss, s=2, c=colours)
            failed = int((loss > FAILED).sum())
            share = failed / len(loss)
            rows.append((share, *np.abs(np.array(interval(failed, len(loss))) - share)))
        share, low, high = np.array(rows).T
        failing.errorbar(places, share, [low, high], marker="o", ls="", capsize=2, label=teacher)
    losses.set(yscale="log", xlabel="width", ylabel="final loss")
    failing.set(xlabel="width", ylabel=f"share with a loss above {FAILED:g}", ylim=(0, 1))
    for axes in (losses, failing):
        axes.set_xticks(range(len(ticks)), [str(tick) for tick in ticks])
    failing.legend(title="teacher")
    present = {name for run in runs for name in run.arrays()["class"]}
    dots = [
        plt.Line2D([], [], ls="", marker="o", color=COLOURS[n], label=n)
        for n in COLOURS
        if n in present
    ]
    figure.legend(handles=dots, loc="outside lower left", ncols=len(dots))
    return figure


def eigenvalues(runs: Sequence[Run]) -> plt.Figure:
    """Smallest eigenvalues after Adam, against loss after Adam and after convergence, by class."""
    figure, (histogram, after_adam, converged) = plt.subplots(1, 3, figsize=(6.75, 2.7))
    arrays = runs[0].arrays()
    lowest = arrays["adam_lambda_min"]
    negative = lowest < 0
    bins = np.logspace(-10, -3, 36)
    histogram.hist(lowest[~negative], bins, color="0.75", label="positive")
    histogram.hist(-lowest[negative], bins, color="C3", histtype="step", label="negative")
    histogram.set(
        xscale="log",
        xlabel="size of the smallest eigenvalue",
        ylabel="students",
        title=f"after Adam: {negative.sum()} of {len(lowest):,} negative",
    )
    histogram.legend(loc="upper left")
    for name, colour in COLOURS.items():
        chosen = arrays["class"] == name
        style = {"s": 2, "color": colour, "label": name, "alpha": 0.6}
        if chosen.any():
            after_adam.scatter(arrays["adam_loss"][chosen], lowest[chosen], **style)
            loss = np.maximum(arrays["loss"][chosen], FLOOR)
            converged.scatter(loss, arrays["lambda_min"][chosen], **style)
    after_adam.set(
        xscale="log", xlabel="loss after Adam", ylabel="smallest eigenvalue", title="after Adam"
    )
    after_adam.set_yscale("symlog", linthresh=1e-8)
    after_adam.set_yticks([-1e-4, -1e-6, 0, 1e-6, 1e-4])
    converged.set(xscale="log", xlabel="loss after Newton", title="after Newton")
    converged.set_yscale("symlog", linthresh=1e-16)
    converged.set_yticks([-1e-9, -1e-12, -1e-15, 0, 1e-15, 1e-12, 1e-9, 1e-6])
    converged.set_ylim(top=1e-4)
    handles = after_adam.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(COLOURS), markerscale=3)
    return figure


def classes(runs: Sequence[Run]) -> plt.Figure:
    """Share of each class by width, one panel per teacher."""
    teachers = distinct(runs, "teacher")
    figure, panels = plt.subplots(
        1, len(teachers), figsize=(6.75, 2.6), squeeze=False, sharey=True, layout="constrained"
    )
    for axes, teacher in zip(panels[0], teachers):
        chosen = sorted(select(runs, teacher=teacher), key=lambda run: run.settings["hidden"])
        labels, base = [str(run.settings["hidden"]) for run in chosen], np.zeros(len(chosen))
        for name, colour in COLOURS.items():
            share = np.array([run.result["counts"][name]["share"] for run in chosen])
            axes.bar(labels, share, bottom=base, color=colour, label=name)
            base += share
        axes.set(title=f"teacher {teacher}", xlabel="width")
    panels[0][0].set_ylabel("share of students")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside right")
    return figure


def biases(runs: Sequence[Run]) -> plt.Figure:
    """Share of each class without and with biases, one panel per width."""
    widths = sorted(distinct(runs, "hidden"))
    figure, panels = plt.subplots(1, len(widths), figsize=(6.75, 2.6), squeeze=False, sharey=True)
    for axes, width in zip(panels[0], widths):
        chosen = sorted(select(runs, hidden=width), key=lambda run: bool(run.settings["biases"]))
        for place, name in enumerate(COLOURS):
            for number, run in enumerate(chosen):
                counted = run.result["counts"][name]
                share = counted["share"]
                low, high = (abs(bound - share) for bound in counted["wilson"])
                axes.bar(
                    place + 0.4 * (number - (len(chosen) - 1) / 2),
                    share,
                    width=0.38,
                    yerr=[[low], [high]],
                    error_kw={"lw": 0.8, "capsize": 1.5},
                    color=COLOURS[name],
                    hatch="////" if run.settings["biases"] else None,
                    edgecolor="w",
                )
        axes.set_xticks(range(len(COLOURS)), list(COLOURS), rotation=45, ha="right")
        axes.set_title(f"width {width}")
    panels[0][0].set_ylabel("share of students")
    kinds = [
        plt.Rectangle((0, 0), 1, 1, color="0.6", label="without biases"),
        plt.Rectangle((0, 0), 1, 1, fc="0.6", ec="w", hatch="////", label="with biases"),
    ]
    figure.legend(handles=kinds, loc="outside right")
    return figure


FIGURES = {
    "widths": widths,
    "eigenvalues": eigenvalues,
    "classes": classes,
    "biases": biases,
    **path_figures.FIGURES,
    **graph_figures.FIGURES,
}
