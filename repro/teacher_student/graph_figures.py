"""Figures of the teacher-student runs beyond a census: channels, transitions, the graph."""

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np

from repro.reporting.results import Run
from repro.teacher_student.measures import (
    COLOURS,
    FLOOR,
    channel_jumps,
    eigenvalue_exponent,
    loss_exponent,
)

STEEP = -3.0  # slope of the largest eigenvalue between those of pairs, -2, and of triples, -4


def channels(runs: Sequence[Run]) -> plt.Figure:
    """Fall of the loss and largest eigenvalue against distance, and their exponents."""
    figure, (fall, top, exponents) = plt.subplots(1, 3, figsize=(6.75, 2.5))
    jumps = [jump for run in runs for jump in channel_jumps(run)]
    if not jumps:
        fall.set_title("no channel was met")
        return figure
    for gap, loss, largest in jumps:
        colour = "C5" if eigenvalue_exponent(gap, largest) < STEEP else "C1"
        fall.plot(gap[:-1], -np.diff(loss), color=colour, lw=0.4, alpha=0.4)
        top.plot(gap, largest, color=colour, lw=0.4, alpha=0.4)
    gaps, losses, largest = (np.array(column) for column in zip(*jumps))
    slopes = [eigenvalue_exponent(gap, values) for gap, values in zip(gaps, largest)]
    steep = np.array(slopes) < STEEP
    _guide(fall, gaps[:, 0], -np.diff(losses)[:, 0], 2, "--")
    _guide(top, gaps[~steep, 0], largest[~steep, 0], -2, "--")
    if steep.any():
        _guide(top, gaps[steep, 0], largest[steep, 0], -4, ":")
    fall.plot([], [], color="C1", label="pairs of neurons")
    if steep.any():
        fall.plot([], [], color="C5", label="triples")
    fall.set(
        xscale="log",
        yscale="log",
        xlabel=r"distance $\epsilon$",
        ylabel="fall of the loss by a jump",
    )
    top.set(xscale="log", yscale="log", xlabel=r"distance $\epsilon$", ylabel="largest eigenvalue")
    bins = np.linspace(-5, 5, 101)
    exponents.hist([loss_exponent(*jump[:2]) for jump in jumps], bins, color="0.5", label="loss")
    exponents.hist(
        [eigenvalue_exponent(jump[0], jump[2]) for jump in jumps],
        bins,
        color="C1",
        label="eigenvalue",
    )
    exponents.set(yscale="log", xlabel="exponent", ylabel="channels", xticks=[-4, -2, 0, 2, 4])
    exponents.set_ylim(top=1e2 * exponents.get_ylim()[1])  # room for the legend
    for axes in (fall, top, exponents):
        axes.legend()
    return figure


def transition(runs: Sequence[Run]) -> plt.Figure:
    """The slides' plot of the loss over epsilon; then, with second-order convergence, the share
    that escapes and the final loss, one curve per point.

    Ticks at the top: radii within which the loss is certified to be convex.
    """
    figure, (slides, share, loss) = plt.subplots(1, 3, figsize=(6.75, 2.7))
    arrays, seen = runs[0].arrays(), set()
    epsilon = arrays["transition_epsilon"]
    for row, kind in enumerate(map(str, arrays["transition_class"])):
        style = {"color": COLOURS[kind], "label": None if kind in seen else kind, "alpha": 0.8}
        seen.add(kind)
        share.plot(epsilon, arrays["transition_share"][row], **style)
        median = np.median(arrays["transition_slides_loss"][row], axis=1)
        slides.plot(epsilon, np.maximum(median, FLOOR), **style)
        ends = np.maximum(arrays["transition_loss"][row], FLOOR)
        beside = 10 ** np.linspace(-0.15, 0.15, ends.shape[1])  # draws of one epsilon
        loss.scatter(epsilon[:, None] * beside, ends, s=1, color=COLOURS[kind], alpha=0.5)
        if np.isfinite(arrays["transition_basin"][row]):
            share.plot(
                arrays["transition_basin"][row], 1.04, "|", color=COLOURS[kind], ms=8, clip_on=False
            )
    share.set(
        xscale="log",
        xlabel=r"length $\epsilon$ (ticks: certified radii)",
        ylim=(-0.03, 1.08),
        title="share that escapes",
    )
    for axes, title in ((slides, "loss after SLSQP, ftol 1e-6"), (loss, "loss after Newton")):
        axes.set(xscale="log", yscale="log", xlabel=r"length $\epsilon$", title=title)
    handles = share.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(seen))
    return figure


def graph(runs: Sequence[Run]) -> plt.Figure:
    """Certified points by width and loss, in two panels with a gap of losses between them.

    From each minimum lines go, through the saddles that splitting it makes one width up, to where
    they lead.
    """
    result = runs[0].result
    nodes = {node["id"]: node for node in result["nodes"]}
    figure, (high, low) = plt.subplots(2, 1, figsize=(6.75, 5), sharex=True, height_ratios=(1, 4))
    losses = np.array([node["loss"] for node in nodes.values()])
    bottom = 0.9 * losses.min()
    zero = bottom * 0.93
    for parent, target, width in _leads(result["edges"], nodes):
        end = nodes[target]["loss"] if target in nodes else zero
        colour = COLOURS["local" if target in nodes else "global"]
        for axes in (high, low):
            axes.plot(
                [width - 1, width], [parent["loss"], end], color=colour, lw=0.4, alpha=0.5, zorder=1
            )
    styles = {"saddle": ("x", 9, 0.1), "plateau": ("D", 6, -0.1), "local": ("o", 16, 0.0)}
    for name, (marker, size, shift) in styles.items():
        chosen = [node for node in nodes.values() if node["class"] == name]
        place = [node["width"] + shift for node in chosen], [node["loss"] for node in chosen]
        for axes in (high, low):
            axes.scatter(
                *place,
                s=size,
                marker=marker,
                lw=0.7,
                color=COLOURS[name],
                zorder=2,
                label=f"{name} ({len(chosen)})",
            )
    for name, words in (("local", "to a local minimum"), ("global", "to zero loss")):
        low.plot([], [], color=COLOURS[name], lw=0.8, label=f"a split minimum leads {words}")
    widths = sorted({node["width"] for node in nodes.values()})
    wide = [width for width in widths if width >= 4]
    if wide:
        low.scatter(
            wide,
            [zero] * len(wide),
            marker="v",
            color=COLOURS["global"],
            zorder=2,
            label="zero loss",
            clip_on=False,
        )
    top, above = _break(losses)
    low.set(yscale="log", xlabel="width", ylabel="loss", ylim=(zero, top), xticks=widths)
    high.set(yscale="log", ylim=(above, 2 * losses.max()))
    low.legend(loc="lower left")
    high.set_title(ends(result["edges"]))
    return figure


def _break(losses: np.ndarray) -> tuple[float, float]:
    """Return where the lower panel ends and the upper begins: around the lowest threefold gap."""
    ordered = np.sort(losses)
    wide = np.flatnonzero(ordered[1:] > 3 * ordered[:-1])
    last = wide[0] if len(wide) else len(ordered) - 2
    return 1.3 * ordered[last], 0.5 * ordered[last + 1]


def _leads(edges: Iterable[dict], nodes: dict[str, dict]) -> list[tuple[dict, str, int]]:
    """Return parent, target and width of all ways down from saddles of level 1, without repeats."""
    seen = {}
    for edge in edges:
        saddle = nodes.get(edge["from"])
        at_zero = edge["to"].endswith("/global")
        if edge["kind"] != "descends" or saddle["level"] != 1:
            continue
        if edge["to"] in nodes or at_zero:
            parent = nodes[saddle["parent"]]
            seen[parent["id"], edge["to"]] = parent, edge["to"], saddle["width"]
    return list(seen.values())


def ends(edges: Iterable[dict]) -> str:
    """Describe where steps off saddles end."""
    counts: dict[str, int] = {}
    for edge in edges:
        if edge["kind"] == "descends":
            kind = edge["to"].split("/")[1].split("-")[0]
            kind = {"other minimum": "local"}.get(kind, kind)
            counts[kind] = counts.get(kind, 0) + edge["count"]
    total = sum(counts.values())
    ways = ", ".join(f"{kind} {counts[kind]}" for kind in COLOURS if kind in counts)
    return f"{total:,} steps off split saddles end at: {ways}; channels are not drawn"


def _guide(axes, x, y, exponent: int, style: str) -> None:
    """Draw a power law a little above points, over their range."""
    ends = np.quantile(x, [0.05, 0.95])
    law = 8 * np.median(y) * (ends / np.median(x)) ** exponent
    axes.plot(ends, law, color="k", ls=style, label=rf"$\epsilon^{{{exponent}}}$")


FIGURES = {"transition": transition, "graph": graph, "channels": channels}
