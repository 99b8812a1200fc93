"""Figures of neurons' paths in the plane of incoming weights, and of where they end."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from repro.reporting.results import Run
from repro.teacher_student.measures import COLOURS

TEACHER = ((0.6, 0.5), (-0.5, 0.5), (-0.2, -0.6), (0.1, -0.6))  # rays of the w-plane
PANELS = 4
DOT, CIRCLE, CROSS = {"c": "0.5"}, {"c": "k", "mfc": "none", "ms": 6, "mew": 0.6}, {"c": "C3"}


def trajectories(runs: Sequence[Run]) -> plt.Figure:
    """Neurons' paths in the w-plane under Adam, one panel per class; the teacher's rays in grey.

    Dots, coloured by outgoing weight: where Adam stops. Circles: where Newton's method ends.
    """
    arrays = runs[0].arrays()
    names = arrays["class"][: arrays["trajectory"].shape[1]]
    shown = [int(np.flatnonzero(names == name)[0]) for name in COLOURS if name in names][:PANELS]
    figure, panels = _panels(1, len(shown))
    for axes, student in zip(panels[0], shown):
        dots = _path(axes, arrays["trajectory"][:, student])
        _circles(axes, arrays["incoming"][student].T)
        axes.set_title(f"{names[student]}, loss {arrays['loss'][student]:.1e}")
    marks = [
        _mark("o", DOT, "where Adam stops"),
        _mark("o", CIRCLE, "where Newton's method ends, with that loss"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=2)
    _colours(figure, dots, panels)
    return figure


def perturbed_paths(runs: Sequence[Run]) -> plt.Figure:
    """Neurons' paths under Adam, where SLSQP ends, and, crosses, where perturbations end.

    A row for each tolerance of SLSQP; of the students taken up whose paths are kept four, spread
    over the losses at which SLSQP leaves them in the first row.
    """
    runs = [run for run in runs if "perturbed_student" in run.arrays()]  # earlier code kept none
    students = _spread(runs[0].arrays()) if runs else []
    if not students:
        figure, axes = plt.subplots()
        axes.set_title("no student was taken up whose path is kept")
        return figure
    figure, panels = _panels(len(runs), len(students))
    for line, run in zip(panels, runs):
        arrays = run.arrays()
        for axes, student in zip(line, students):
            if student not in arrays["examined"][: len(arrays["attempts"])]:
                axes.set_axis_off()
                continue
            place = int(np.flatnonzero(arrays["examined"] == student)[0])
            dots = _path(axes, arrays["trajectory"][:, student])
            _circles(axes, arrays["slsqp_student"][place])
            axes.scatter(
                *arrays["perturbed_student"][place][:2], marker="x", c="C3", s=16, zorder=5
            )
            before, after = (arrays[f"{name}_loss"][place] for name in ("slsqp", "perturbed"))
            tries = arrays["attempts"][place]
            many = f"{tries} perturbation{'' if tries == 1 else 's'}"
            axes.set_title(f"loss {before:.0e}, then {after:.0e}\nafter {many}", fontsize=7)
        line[0].set_ylabel(f"ftol {run.settings['slsqp_ftol']:g}\n$w_2$")
    marks = [
        _mark("o", DOT, "Adam stops"),
        _mark("o", CIRCLE, "SLSQP ends (first loss)"),
        _mark("x", CROSS, "perturbations and SLSQP end (second loss)"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=3)
    _colours(figure, dots, panels)
    return figure


def _spread(arrays: Mapping[str, np.ndarray]) -> list[int]:
    """Return up to PANELS students that were taken up and whose paths are kept, by loss."""
    done, kept = len(arrays["attempts"]), arrays["trajectory"].shape[1]
    places = np.flatnonzero(arrays["examined"][:done] < kept)
    ordered = places[np.argsort(arrays["slsqp_loss"][places], kind="stable")]
    chosen = np.linspace(0, len(ordered) - 1, min(PANELS, len(ordered))).round().astype(int)
    return [int(student) for student in arrays["examined"][ordered[chosen]]]


def _panels(rows: int, columns: int):
    """Return a figure and its panels [rows, columns] of the w-plane."""
    figure, panels = plt.subplots(
        rows, columns, figsize=(6.75, 2.2 * rows), squeeze=False, sharex=True, sharey=True
    )
    for axes in panels.flat:
        axes.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal")
    for axes in panels[-1]:
        axes.set_xlabel("$w_1$")
    panels[0][0].set_ylabel("$w_2$")
    return figure, panels


def _path(axes: plt.Axes, path: np.ndarray):
    """Draw the teacher's rays and neurons' paths [steps, d + 1, m]; return the dots at the end."""
    for x, y in TEACHER:
        axes.plot([0, 10 * x], [0, 10 * y], color="0.7", lw=1)
        axes.plot([0, -10 * x], [0, -10 * y], color="0.7", lw=1, ls="--")
    axes.plot(path[:, 0], path[:, 1], color="k", lw=0.6)
    end = path[-1]
    sign = {"c": np.clip(end[-1], -1, 1), "cmap": "coolwarm", "vmin": -1, "vmax": 1}
    return axes.scatter(end[0], end[1], s=14, zorder=3, **sign)


def _circles(axes: plt.Axes, student: np.ndarray) -> None:
    """Draw a circle at each neuron of a student whose first two rows are incoming weights."""
    axes.scatter(*student[:2], s=40, facecolors="none", edgecolors="k", lw=0.6, zorder=4)


def _mark(marker: str, style: Mapping, label: str) -> plt.Line2D:
    return plt.Line2D([], [], ls="", marker=marker, label=label, **style)


def _colours(figure: plt.Figure, dots, panels: np.ndarray) -> None:
    figure.colorbar(dots, ax=panels, label="outgoing weight", shrink=0.8, ticks=[-1, 0, 1])


FIGURES = {"trajectories": trajectories, "perturbed_paths": perturbed_paths}
