"""Figures of what theory allows, and of what flat and uniform minima are good for."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from repro.reporting.figures import label_1_2_5
from repro.reporting.results import Run, distinct
from repro.stability.measures import (
    LEFT,
    a,
    bound,
    departures,
    grouped,
    is_gd,
    s,
    solutions,
    test_accuracy,
)

RATE, BATCHES = 0.1, (1, 2, 3)  # of the published diagram's left half
RATES = (0.1, 0.2, 0.3)  # of its right half, whose batches have one example


def theory(runs: Sequence[Run]) -> plt.Figure:
    """Where minima must lie to be stable: a up to 2 / eta, s up to sqrt(B) / eta.

    That is the bound on s for many more examples than B. The two halves are the published ones;
    nothing in them is measured.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.75, 2.6))
    for number, batch in enumerate(BATCHES):
        _rectangle(left, RATE, batch, f"B = {batch}", f"C{number}")
    for number, rate in enumerate(RATES):
        _rectangle(right, rate, 1, f"η = {rate:g}", f"C{number}")
    left.set_title(f"batch sizes, η = {RATE:g}", fontsize=8)
    right.set_title("learning rates, B = 1", fontsize=8)
    for axes in (left, right):
        axes.set(xlabel="sharpness a", ylabel="non-uniformity s", xlim=(0, 24), ylim=(0, 19))
        axes.legend()
    return figure


def _rectangle(axes, rate: float, batch: int, label: str, colour: str) -> None:
    width, height = 2 / rate, np.sqrt(batch) / rate
    axes.plot([0, width, width], [height, height, 0], color=colour, label=label)
    axes.fill_between([0, width], height, color=colour, alpha=0.08, lw=0)


def accuracy(runs: Sequence[Run]) -> plt.Figure:
    """Test accuracy of all solutions on Fashion-MNIST against sharpness and non-uniformity."""
    chosen = solutions(runs, dataset="fashion_mnist") or solutions(runs)
    figure, two = plt.subplots(1, 2, figsize=(6.75, 2.6))
    for axes, value, label in zip(two, (a, s), ("sharpness a", "non-uniformity s")):
        for eta, rows in grouped(chosen, "learning_rate").items():
            x, y = [value(run) for run in rows], [test_accuracy(run) for run in rows]
            axes.scatter(x, y, s=10, label=f"η = {eta:g}")
        axes.set(xscale="log", xlabel=label, ylabel="test accuracy")
        label_1_2_5(axes.xaxis)
        accuracies = [test_accuracy(run) for run in chosen]
        if len(set(accuracies)) > 2:
            found = stats.spearmanr([value(run) for run in chosen], accuracies)
            axes.set_title(f"rank correlation {found.statistic:.2f}", fontsize=8)
    two[1].legend()
    return figure


def gd_sgd(runs: Sequence[Run]) -> plt.Figure:
    """GD beside SGD at the same learning rates: accuracies, and how near s is to its bound.

    Every point is a network; that of GD, which has no bound on s, stands at B = n.
    """
    chosen = solutions(runs, dataset="fashion_mnist") or solutions(runs)
    figure, three = plt.subplots(1, 3, figsize=(6.75, 2.4))
    for number, (eta, rows) in enumerate(grouped(chosen, "learning_rate").items()):
        style = {"color": f"C{number}", "marker": "o", "ms": 3, "ls": "none"}
        batches = [run.settings["batch_size"] for run in rows]
        trained = [run.result["train_accuracy"] for run in rows]
        three[0].plot(batches, trained, **style, label=f"η = {eta:g}")
        three[1].plot(batches, [test_accuracy(run) for run in rows], **style)
        noisy = [run for run in rows if not is_gd(run)]
        shares = [s(run) / bound(run) for run in noisy]
        three[2].plot([run.settings["batch_size"] for run in noisy], shares, **style)
    three[2].axhline(1, color="grey", ls=":", lw=0.8)
    for axes, label in zip(three, ("train accuracy", "test accuracy", "s over its bound")):
        axes.set(xscale="log", xlabel="batch size B", ylabel=label)
    three[0].legend()
    return figure


def escape_time(runs: Sequence[Run]) -> plt.Figure:
    """How many steps GD at a larger rate takes to leave a minimum, by the minimum's sharpness.

    Where the loss is quadratic, GD multiplies what is off the minimum by eta a - 1 at every step,
    and so the loss by its square: the line says how many steps make it 1e6 times as large, which
    stands for a start of whose loss the sharpest direction has one part in 10,000.
    """
    figure, axes = plt.subplots(figsize=(4.2, 3))
    left = departures(runs)
    for number, start in enumerate(distinct(runs, "start_learning_rate")):
        rows = [row for row in left if row[0].settings["start_learning_rate"] == start]
        shares, steps = [share for _, share, _ in rows], [step for _, _, step in rows]
        axes.plot(shares, steps, "o", ms=4, color=f"C{number}", label=f"from GD at {start:g}")
    x = np.linspace(1.1, max([share for _, share, _ in left], default=2) * 1.1, 200)
    axes.plot(x, np.log(1e6) / (2 * np.log(2 * x - 1)), color="grey", ls=":", label="quadratic")
    axes.set(xlabel="a η / 2 at the start, of the new rate η", ylabel=f"steps to {LEFT} times")
    axes.set_yscale("log")
    label_1_2_5(axes.yaxis)
    axes.legend()
    return figure


FIGURES = {"escape_time": escape_time, "theory": theory, "accuracy": accuracy, "gd_sgd": gd_sgd}
