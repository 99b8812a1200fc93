"""Figures and tables of the teacher-student runs (Simsek et al. 2021, seed 002)."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from repro.reporting.results import Run, distinct, protocol, select
from repro.reporting.tables import Table

COLOURS = {
    "global": "C2", "local": "C0", "plateau": "C4", "saddle": "C3", "channel": "C1",
    "undecided": "0.5",
}  # fmt: skip
TEACHER = ((0.6, 0.5), (-0.5, 0.5), (-0.2, -0.6), (0.1, -0.6))  # rays of the w-plane
FLOOR = 1e-33  # losses of zero are drawn here


def widths(runs: Sequence[Run]) -> plt.Figure:
    """Final loss of every student against width, on a log axis, and the share that fails."""
    figure, (losses, failing) = plt.subplots(1, 2, figsize=(6.75, 2.6))
    for number, teacher in enumerate(distinct(runs, "teacher")):
        rows = []
        for run in sorted(select(runs, teacher=teacher), key=lambda run: run.settings["width"]):
            arrays, width = run.arrays(), run.settings["width"]
            place = width * 1.02 ** (number - 0.5)
            jitter = place * (1 + 0.008 * np.linspace(-1, 1, len(arrays["loss"])))
            losses.scatter(
                jitter, np.maximum(arrays["loss"], FLOOR), s=1,
                c=[COLOURS[name] for name in arrays["class"]],
            )  # fmt: skip
            counted = run.result["counts"]["global"]
            rows.append((width, 1 - counted["share"], *(1 - w for w in counted["wilson"])))
        width, share, high, low = np.array(rows).T
        error = np.maximum([share - low, high - share], 0)
        failing.errorbar(width, share, error, marker="o", capsize=2, label=teacher)
    losses.set(xscale="log", yscale="log", xlabel="width", ylabel="loss at convergence")
    failing.set(xscale="log", xlabel="width", ylabel="share not at a global minimum", ylim=(0, 1))
    for axes in (losses, failing):
        ticks = sorted(distinct(runs, "width"))
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
    failing.legend(title="teacher")
    return figure


def trajectories(runs: Sequence[Run]) -> plt.Figure:
    """Neurons' paths in the w-plane under Adam, one panel per class; the teacher's rays in grey.

    Dots, coloured by outgoing weight: where Adam stops. Circles: where Newton's method ends.
    """
    arrays = runs[0].arrays()
    paths, names = arrays["trajectory"], arrays["class"][: arrays["trajectory"].shape[1]]
    shown = [int(np.flatnonzero(names == name)[0]) for name in COLOURS if name in names][:4]
    figure, panels = plt.subplots(1, len(shown), figsize=(6.75, 2.2), squeeze=False)
    for axes, student in zip(panels[0], shown):
        for x, y in TEACHER:
            axes.plot([0, 10 * x], [0, 10 * y], color="0.7", lw=1)
            axes.plot([0, -10 * x], [0, -10 * y], color="0.7", lw=1, ls="--")
        path = paths[:, student]
        axes.plot(path[:, 0], path[:, 1], color="k", lw=0.6)
        end = path[-1]
        axes.scatter(end[0], end[1], c=np.clip(end[2], -1, 1), cmap="coolwarm", vmin=-1, vmax=1,
                     s=14, zorder=3)  # fmt: skip
        ended = arrays["incoming"][student].T
        axes.scatter(*ended, s=40, facecolors="none", edgecolors="k", lw=0.6)
        axes.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal", xlabel="$w_1$",
                 title=f"{names[student]}, {arrays['loss'][student]:.1e}")  # fmt: skip
    panels[0][0].set_ylabel("$w_2$")
    return figure


def eigenvalues(runs: Sequence[Run]) -> plt.Figure:
    """Smallest eigenvalues after Adam: the slides' histogram, and against loss by class."""
    figure, (histogram, scatter) = plt.subplots(1, 2, figsize=(6.75, 2.6))
    arrays = runs[0].arrays()
    lowest, loss = arrays["adam_lambda_min"], arrays["adam_loss"]
    negative = lowest[lowest < 0]
    histogram.hist(negative, bins=40, color="C3")
    histogram.set(xlabel="smallest eigenvalue, where negative", ylabel="students",
                  title=f"after Adam: {len(negative)} of {len(lowest)} negative")  # fmt: skip
    for name, colour in COLOURS.items():
        of_class = arrays["class"] == name
        scatter.scatter(loss[of_class], lowest[of_class], s=2, color=colour, label=name)
    scatter.set(xscale="log", xlabel="loss after Adam", ylabel="smallest eigenvalue after Adam",
                title="coloured by what it becomes")  # fmt: skip
    scatter.set_yscale("symlog", linthresh=1e-9)
    scatter.legend(markerscale=3)
    return figure


def classes(runs: Sequence[Run]) -> plt.Figure:
    """Share of each class by width, one panel per teacher."""
    teachers = distinct(runs, "teacher")
    figure, panels = plt.subplots(
        1, len(teachers), figsize=(6.75, 2.6), squeeze=False, sharey=True, layout="constrained"
    )
    for axes, teacher in zip(panels[0], teachers):
        chosen = sorted(select(runs, teacher=teacher), key=lambda run: run.settings["width"])
        labels, base = [str(run.settings["width"]) for run in chosen], np.zeros(len(chosen))
        for name, colour in COLOURS.items():
            share = np.array([run.result["counts"][name]["share"] for run in chosen])
            axes.bar(labels, share, bottom=base, color=colour, label=name)
            base += share
        axes.set(title=f"teacher {teacher}", xlabel="width")
    panels[0][0].set_ylabel("share of students")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside right")
    return figure


def transition(runs: Sequence[Run]) -> plt.Figure:
    """Share escaped and final loss after a perturbation and second-order convergence, per class."""
    figure, (share, loss) = plt.subplots(1, 2, figsize=(6.75, 2.6))
    arrays, seen = runs[0].arrays(), set()
    for row, kind in enumerate(map(str, arrays["transition_class"])):
        style = {"color": COLOURS[kind], "label": None if kind in seen else kind}
        seen.add(kind)
        share.plot(arrays["transition_epsilon"], arrays["transition_share"][row], **style)
        final = np.median(arrays["transition_loss"][row], axis=1)
        loss.plot(arrays["transition_epsilon"], np.maximum(final, FLOOR), **style)
    share.set(xscale="log", xlabel="length of the perturbation", ylabel="share that escapes")
    loss.set(xscale="log", yscale="log", xlabel="length of the perturbation",
             ylabel="median final loss")  # fmt: skip
    share.legend()
    return figure


def graph(runs: Sequence[Run]) -> plt.Figure:
    """Minima by width and loss; through each split saddle a line to where it leads."""
    figure, axes = plt.subplots(figsize=(6.75, 4))
    nodes = {node["id"]: node for node in runs[0].result["nodes"]}
    bottom = 0.5 * min(node["loss"] for node in nodes.values())
    seen = set()
    for edge in runs[0].result["edges"]:
        if edge["kind"] != "descends" or edge["to"].endswith("/other"):
            continue
        saddle = nodes[edge["from"]]
        parent = nodes[saddle["parent"]]
        end = nodes[edge["to"]]["loss"] if edge["to"] in nodes else bottom
        if (line := (parent["id"], edge["to"])) not in seen:
            seen.add(line)
            axes.plot([parent["width"], saddle["width"]], [parent["loss"], end], color="0.8",
                      lw=0.5, zorder=1)  # fmt: skip
    for name in ("saddle", "plateau", "local"):
        chosen = [node for node in nodes.values() if node["class"] == name]
        shift = {"saddle": 0.12, "plateau": -0.12, "local": 0}[name]
        axes.scatter([node["width"] + shift for node in chosen], [node["loss"] for node in chosen],
                     s=14 if name == "local" else 5, color=COLOURS[name], label=name, zorder=2)
    tops = sorted({node["width"] for node in nodes.values()})
    wide = [width for width in tops if width >= len(TEACHER)]
    axes.scatter(wide, [bottom] * len(wide), marker="v", color=COLOURS["global"],
                 label="global: zero loss")  # fmt: skip
    axes.set(yscale="log", xlabel="width", ylabel="loss")
    axes.set_xticks(tops)
    axes.legend()
    return figure


def channels(runs: Sequence[Run]) -> plt.Figure:
    """Loss over its limit and largest eigenvalue against distance, for students in channels."""
    figure, (excess, top) = plt.subplots(1, 2, figsize=(6.75, 2.6))
    for run in runs:
        for gap, above, largest in channel_jumps(run)[:40]:
            excess.plot(gap[:-1], above[:-1], color=COLOURS["channel"], lw=0.6)
            top.plot(gap, largest, color=COLOURS["channel"], lw=0.6)
    gap = np.array([1e-4, 1e-2])
    excess.plot(gap, gap**2 * 1e-2, color="k", ls="--", label=r"$\epsilon^2$")
    top.plot(gap, gap**-2.0, color="k", ls="--", label=r"$\epsilon^{-2}$")
    excess.set(xscale="log", yscale="log", xlabel=r"distance $\epsilon$", ylabel="$L - L_0$")
    top.set(xscale="log", yscale="log", xlabel=r"distance $\epsilon$",
            ylabel="largest eigenvalue")  # fmt: skip
    for axes in (excess, top):
        axes.legend()
    return figure


def channel_jumps(run: Run) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return distance, loss over its limit, largest eigenvalue along each channel that jumps.

    The limit L0 follows from the last two losses, taking L - L0 ~ eps^2; students whose distance
    was not halved by every jump, or whose loss did not fall, tell nothing and are left out.
    """
    arrays, jumps = run.arrays(), []
    if not arrays["channel_gap"].size:  # no student is in a channel
        return jumps
    for gap, loss, top in zip(
        arrays["channel_gap"], arrays["channel_loss"], arrays["channel_lambda_max"]
    ):
        ratio = gap[1:] / gap[:-1] if gap.all() else gap[1:]
        if np.isfinite(gap).all() and (np.abs(ratio - 0.5) < 0.05).all():
            limit = (loss[-1] - ratio[-1] ** 2 * loss[-2]) / (1 - ratio[-1] ** 2)
            if (np.diff(loss) < 0).all():
                jumps.append((gap, loss - limit, top))
    return jumps


def class_table(runs: Sequence[Run]) -> Table:
    """Counts per class with Wilson intervals, by teacher and width."""
    rows = []
    for run in sorted(runs, key=lambda r: (r.settings["teacher"], r.settings["width"])):
        cells = [run.settings["teacher"], str(run.settings["width"])]
        for name in COLOURS:
            counted = run.result["counts"][name]
            low, high = counted["wilson"]
            cells.append(f"{counted['count']} ({low:.1%} to {high:.1%})")
        certified = sum(point["certified"] for point in run.result["points"])
        rows.append([*cells, f"{certified} of {len(run.result['points'])}"])
    header = ["teacher", "width", *COLOURS, "distinct points certified"]
    return Table(header, rows, "Intervals are Wilson's, 95 %. " + protocol(runs))


def sensitivity(runs: Sequence[Run]) -> Table:
    """Share of negative smallest eigenvalues against steps, precision, initial weights."""
    rows = []
    for run in runs:
        for row in run.metrics:
            if row["step"] in (10_000, 30_000, 100_000, 300_000):
                share = row["students/negative_lambda_min"]
                settings = run.settings
                rows.append([
                    f"{row['step']:,}", settings["adam_precision"], settings["init"],
                    f"{share:.1%} of {settings['num_students']:,}",
                    f"{row['students/lowest_lambda_min']:.1e}",
                ])  # fmt: skip
    header = ["Adam steps", "precision", "initial weights", "negative", "lowest eigenvalue"]
    rows.sort(key=lambda cells: (cells[1:3], len(cells[0]), cells[0]))
    return Table(header, rows, protocol(runs))


FIGURES = {
    "teacher_widths": widths, "teacher_trajectories": trajectories,
    "teacher_eigenvalues": eigenvalues, "teacher_classes": classes,
    "teacher_transition": transition, "teacher_graph": graph, "teacher_channels": channels,
}  # fmt: skip
TABLES = {"teacher_class_table": class_table, "teacher_sensitivity": sensitivity}
