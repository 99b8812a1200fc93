"""The claims of Wu, Ma, E 2018 about sharpness and non-uniformity, P1 to P10, as checks.

Tolerances are those the authors' own published results call for: the same network in two of their
files differs by up to 2.8 % in sharpness and 5.7 % in non-uniformity.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from repro.reporting.claims import CONTRADICTED, REPRODUCED, Claim, Finding, verdict
from repro.reporting.results import Run, select
from repro.stability.measures import (
    COURSE_PROJECT,
    TABLE2,
    a,
    bound,
    exponent,
    grouped,
    is_gd,
    is_solution,
    mean,
    s,
    solutions,
    trained,
)

PARAMETERS = {"fnn": 898_510, "vgg_small": 71_410}
SMALL_BATCHES = (4, 10, 25)  # of the sharpness-non-uniformity diagram


def p1(runs):
    full = [
        run for run in trained(runs)
        if run.settings["model"] in PARAMETERS and run.settings["dataset"] in COURSE_PROJECT
    ]
    if not full:
        return None
    counts = {run.settings["model"]: run.result["parameters"] for run in full}
    measured = ", ".join(f"{model} {count:,}" for model, count in counts.items())
    return Finding(measured, verdict([PARAMETERS[m] == c for m, c in counts.items()]), full)


def p2(runs):
    chosen = [run for run in select(runs, stage="toy") if run.settings["learning_rate"] == 0.7]
    if not chosen:
        return None
    result = chosen[0].result
    measured = (
        f"a = {result['sharpness']:g}, s = {result['nonuniformity']:g}, Theorem 1's value "
        f"{result['condition']:.4f}; {result['sgd_at_0']:.1%} of SGD runs end at 0, after a median "
        f"of {result['escape_steps'][1]:.0f} steps; GD ends at {result['gd_end']:.6f}"
    )
    close = abs(result["condition"] - 1.7476) < 1e-3
    stays = abs(result["gd_end"] - 1) < 1e-3
    return Finding(measured, verdict([close, result["sgd_at_0"] >= 0.99, stays]), chosen)


def p3(runs):
    chosen = [
        run for run in solutions(runs) if is_gd(run)
        and (run.settings["dataset"], run.settings["learning_rate"]) != ("fashion_mnist", 0.01)
    ]
    if not chosen:
        return None
    margins = {
        (data, eta): mean(group, lambda run: run.result["sharpness_margin"])[0]
        for data, rows in grouped(chosen, "dataset").items()
        for eta, group in grouped(rows, "learning_rate").items()
    }
    shares = ", ".join(f"{m:.3f} ({data}, {eta:g})" for (data, eta), m in margins.items())
    outcomes = [0.90 <= margin <= 1.03 for margin in margins.values()]
    published = sum(map(len, TABLE2.values())) - 1  # P4's is none of them
    measured = f"mean a eta / 2 at {len(margins)} of Table 2's {published} learning rates: {shares}"
    return Finding(measured, verdict(outcomes), chosen)


def p4(runs):
    chosen = solutions(runs, dataset="fashion_mnist", learning_rate=0.01)
    chosen = [run for run in chosen if is_gd(run)]
    if not chosen:
        return None
    measured = f"a = {', '.join(f'{a(run):.1f}' for run in chosen)}, where 2 / eta = 200"
    return Finding(measured, verdict([45 <= a(run) <= 62 for run in chosen]), chosen)


def p5(runs):
    chosen = [
        run for run in select(runs, stage="train", dataset="cifar10", momentum=0.0)
        if run.settings["learning_rate"] >= 1
    ]
    if not chosen:
        return None
    outcomes = [run.result["status"] == "diverged" for run in chosen]
    stuck = sum(not out and not run.result["fitted"] for out, run in zip(outcomes, chosen))
    measured = f"{sum(outcomes)} of {len(chosen)} runs diverged, {stuck} more did not fit"
    return Finding(measured, verdict(outcomes), chosen)


def p6(runs):
    chosen = [run for run in trained(runs, momentum=0.0) if is_solution(run)]
    if not chosen:
        return None
    over = [run for run in chosen if run.result["sharpness_margin"] > 1.03]
    largest = max(run.result["sharpness_margin"] for run in chosen)
    measured = f"a eta / 2 at most {largest:.3f}; {len(over)} of {len(chosen)} networks over 1.03"
    if over and not any(run.result["fitted"] for run in over):
        measured += ", which fit 99 % of the examples but ended at their budget of steps"
    # A single network over the line refutes a statement about all of them.
    return Finding(measured, CONTRADICTED if over else REPRODUCED, chosen)


def p7(runs):
    return below_bound(runs, 1.05)


def p8(runs):
    chosen = solutions(runs, dataset="fashion_mnist", learning_rate=0.5)
    groups = grouped(chosen, "batch_size")
    if not {*SMALL_BATCHES, 1000} <= set(groups):
        return None
    means = [mean(groups[batch], s)[0] for batch in (*SMALL_BATCHES, 1000)]
    measured = "s = " + ", ".join(f"{m:.2f}" for m in means) + " at B = 4, 10, 25, n"
    return Finding(measured, verdict([low < high for low, high in pairwise(means)]), chosen)


def p9(runs):
    chosen = solutions(runs, dataset="fashion_mnist")
    table = {
        eta: {batch: mean(group, a)[0] for batch, group in grouped(rows, "batch_size").items()}
        for eta, rows in grouped(chosen, "learning_rate").items()
    }
    saturated = {
        eta: abs(row[100] / row[1000] - 1) for eta, row in table.items() if {100, 1000} <= set(row)
    }
    if not saturated:
        return None
    rising = [
        row[low] < row[high] for row in table.values()
        for low, high in pairwise(sorted(row)) if high <= 100
    ]
    measured = f"a rises in {sum(rising)} of {len(rising)} steps of B up to 100; a(100) is off by "
    measured += ", ".join(f"{gap:.1%} at {eta:g}" for eta, gap in saturated.items()) + " from a(n)"
    falling = [
        table[low][batch] > table[high][batch] for low, high in pairwise(sorted(table))
        for batch in {*table[low]} & {*table[high]}
    ]
    if falling:
        measured += f"; at one B it falls in {sum(falling)} of {len(falling)} steps of eta"
    outcomes = [*rising, *falling, *(gap < 0.1 for gap in saturated.values())]
    return Finding(measured, verdict(outcomes), chosen)


def p10(runs):
    chosen = solutions(runs, dataset="fashion_mnist")
    if len({run.settings["learning_rate"] for run in chosen}) < 3:
        return None
    power, correlation = exponent(chosen)
    measured = f"s ~ a^{power:.2f}, Pearson's r {correlation:.3f}, over {len(chosen)} networks"
    return Finding(measured, verdict([correlation > 0.95, 0.7 <= power <= 0.95]), chosen)


def below_bound(runs: Sequence[Run], slack: float) -> Finding | None:
    """Return whether every solution of SGD has s below `slack` times its bound."""
    chosen = [
        run for run in solutions(runs)
        if run.settings["batch_size"] in SMALL_BATCHES and not is_gd(run)
    ]
    if not chosen:
        return None
    shares = [s(run) / bound(run) for run in chosen]
    over = sum(share > slack for share in shares)
    measured = (
        f"s over its bound {np.mean(shares):.2f} on average, {max(shares):.3f} at most; "
        f"{over} of {len(chosen)} networks are over {slack:g}"
    )
    # A single network over the line refutes a statement about all of them.
    return Finding(measured, CONTRADICTED if over else REPRODUCED, chosen)


CLAIMS = (
    Claim("P1", "The two networks have the published numbers of parameters.", "Table 1",
          "898,510 and 71,410", p1),
    Claim("P2", "Toy: at eta = 0.7 SGD leaves x = 1 for x = 0, and GD stays.", "Section 2",
          "a = 2, s = 1.8, 1.7476; 100 % end at 0; GD ends at 1", p2),
    Claim("P3", "GD ends where a is about 2 / eta: mean a eta / 2 is 0.90 to 1.03.", "Table 2",
          "0.962 to 0.992 (Fashion-MNIST), 0.911 to 0.995 (CIFAR-10)", p3),
    Claim("P4", "except at eta = 0.01 on Fashion-MNIST, far below 2 / eta.", "Table 2",
          "53.5 ± 4.3", p4),
    Claim("P5", "On CIFAR-10 GD diverges at eta of 1 and more.", "Table 2", "diverges", p5),
    Claim("P6", "No solution has a over 2 / eta (3 % for noise).", "theory",
          "at most 1.02", p6),
    Claim("P7", "No solution of SGD has s over its bound (5 % for noise).", "published results",
          "4 of 45 up to 4 % over", p7),
    Claim("P8", "s rises with the batch size (Fashion-MNIST, eta = 0.5).", "diagram",
          "2.27, 4.27, 7.94, 12.85", p8),
    Claim("P9", "a rises with the batch size up to 100 and is level beyond; it falls with eta.",
          "published results", "within 9 % of GD's at B = 100", p9),
    Claim("P10", "s is roughly proportional to a.", "published results",
          "r = 0.981, but s ~ a^0.78", p10),
)
