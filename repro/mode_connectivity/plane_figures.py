"""Figures 3, 5 and 6 of Gotmare et al. 2018: losses on planes, in the colours of Garipov et al."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.colors import BoundaryNorm

from repro.reporting.results import Run, select

LEVELS = 8  # contours, spaced logarithmically above the lowest loss
FIRST = 5.0  # the lowest contour lies exp(-FIRST) above the lowest loss
OUTLINE = [patheffects.withStroke(linewidth=1.5, foreground="black")]  # of text on colours
SPLITS = {"train": "training", "test": "validation"}


def levels(values: np.ndarray, highest: float) -> np.ndarray:
    """Return contour levels minimum + exp(-5 + g k), from the minimum to `highest` (Garipov).

    Raises:
      ValueError: nothing lies below `highest`.
    """
    lowest = float(np.min(values))
    if not lowest < highest:
        raise ValueError(f"all losses lie above {highest:g}")
    last = np.log(highest - lowest)
    steps = np.linspace(min(-FIRST, last - 1), last, LEVELS)
    found = lowest + np.exp(steps)
    found[0], found[-1] = lowest, highest
    return found


def plane(runs: Sequence[Run]) -> plt.Figure:
    """Training and validation loss side by side."""
    figure, both = plt.subplots(1, 2, figsize=(6.75, 3.2), sharey=True)
    for axes, split in zip(both, SPLITS):
        _draw(figure, axes, runs, split)
    both[1].set_ylabel("")
    figure.legend(*both[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def plane_train(runs: Sequence[Run]) -> plt.Figure:
    """Training loss."""
    return _single(runs, "train")


def plane_test(runs: Sequence[Run]) -> plt.Figure:
    """Validation loss."""
    return _single(runs, "test")


def plane_eigenvalues(runs: Sequence[Run]) -> plt.Figure:
    """Training loss, and how far from convex it is: the ratio of the extreme eigenvalues."""
    figure, (losses, ratios) = plt.subplots(1, 2, figsize=(6.75, 3.2), sharey=True)
    _draw(figure, losses, runs, "train")
    for run in select(runs, stage="plane")[:1]:
        arrays, units = run.arrays(), np.array(run.result["axis_lengths"])
        x, y = arrays["alpha"] * units[0], arrays["beta"] * units[1]
        shown = ratios.pcolormesh(x, y, arrays["eigenvalue_ratio"], cmap="cividis", vmin=0)
        figure.colorbar(shown, ax=ratios)
        ratios.grid(False)
        _draw_points(ratios, run, arrays, units)
        ratios.set_title("$|\\lambda_{min} / \\lambda_{max}|$, 0 where none is negative")
        ratios.set_xlabel("distance along the segment")
    figure.legend(*losses.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _single(runs: Sequence[Run], split: str) -> plt.Figure:
    figure, axes = plt.subplots(figsize=(4.2, 3.4))
    _draw(figure, axes, runs, split)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _draw(figure, axes, runs: Sequence[Run], split: str) -> None:
    for run in select(runs, stage="plane")[:1]:
        arrays, units = run.arrays(), np.array(run.result["axis_lengths"])
        x, y = arrays["alpha"] * units[0], arrays["beta"] * units[1]
        contours(figure, axes, x, y, arrays[f"{split}_nll"], highest=5.0)
        _draw_points(axes, run, arrays, units)
        axes.set_title(f"{SPLITS[split]} loss")
        axes.set(xlabel="distance along the segment", ylabel="distance from it")


def contours(figure, axes, x, y, values: np.ndarray, highest: float = np.inf) -> None:
    """Draw losses on a grid in colours spaced logarithmically above the lowest, with their bar."""
    finite = np.where(np.isfinite(values), values, np.nanmax(values[np.isfinite(values)]))
    bounds = levels(finite, min(highest, float(finite.max())))
    shown = axes.contourf(
        x,
        y,
        finite,
        bounds,
        cmap="viridis_r",
        norm=BoundaryNorm(bounds, 256),
        extend="max",
        alpha=0.75,
    )
    axes.contour(x, y, finite, bounds[1:], colors="white", linewidths=0.5)
    figure.colorbar(shown, ax=axes, format="%.3g", ticks=bounds)
    axes.grid(False)


def _draw_points(axes, run: Run, arrays: dict, units: np.ndarray) -> None:
    """Mark both ends, the bend, the curve, and the iterates where they are projected to."""
    start, end, third = arrays["anchors"] * units
    if len(arrays["curve"]):
        axes.plot(*(arrays["curve"] * units).T, color="black", lw=1.0, label="curve")
    axes.plot(*np.array([start, end]).T, color="black", lw=0.9, ls="--", label="segment")
    iterates = arrays["iterates"] * units
    inside, span = np.ones(len(iterates), bool), np.zeros(2)
    for column, grid in enumerate(("alpha", "beta")):
        edges = np.array([arrays[grid].min(), arrays[grid].max()]) * units[column]
        span[column] = np.ptp(edges)
        inside &= (iterates[:, column] >= edges[0]) & (iterates[:, column] <= edges[1])
    if len(iterates):
        axes.plot(
            *iterates[inside].T,
            "o-",
            color="C3",
            ms=2.8,
            lw=0.9,
            mfc="white",
            mew=0.6,
            label="iterates, projected",
        )
        for epoch, place in _apart(
            arrays["iterate_epochs"][inside], iterates[inside], np.array([start, end]), span
        ):
            label_epoch(axes, epoch, place)
    axes.scatter(*third, marker="D", s=22, color="black", zorder=4)
    for place, text in ((start, run.settings["from"]), (end, run.settings["to"])):
        axes.scatter(*place, s=26, color="black", zorder=4)
        axes.annotate(
            f"$w_{{{text.split('@')[-1]}}}$",
            place,
            xytext=(5, -9),
            color="white",
            textcoords="offset points",
            path_effects=OUTLINE,
        )


def label_epoch(axes, epoch: int, place: np.ndarray) -> None:
    """Write an epoch beside the place of its iterate, readable on any colour."""
    axes.annotate(
        str(epoch),
        place,
        fontsize=5.5,
        color="white",
        xytext=(2, 2),
        textcoords="offset points",
        path_effects=OUTLINE,
    )


def _apart(
    epochs: np.ndarray, places: np.ndarray, taken: np.ndarray, span: np.ndarray
) -> list[tuple[int, np.ndarray]]:
    """Return the iterates whose labels fit beside `taken` places and those before them."""
    chosen, occupied = [], list(taken)
    for epoch, place in zip(epochs, places):
        if all((np.abs(place - other) / span > (0.09, 0.05)).any() for other in occupied):
            chosen.append((int(epoch), place))
            occupied.append(place)
    return chosen


FIGURES = {
    "plane": plane,
    "plane_train": plane_train,
    "plane_test": plane_test,
    "plane_eigenvalues": plane_eigenvalues,
}
