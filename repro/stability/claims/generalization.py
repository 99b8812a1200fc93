"""Claims on what flat and uniform minima are good for: P15, and S4 and S5 of the course project."""

import math
from itertools import pairwise

import numpy as np
from scipy import stats

from repro.reporting import statistics
from repro.reporting.claims import Claim, Finding, agreed, of_seeds, worst
from repro.reporting.statistics import Estimate
from repro.stability.measures import (
    a,
    bound,
    grouped,
    is_gd,
    of_the_paper,
    s,
    solutions,
    test_accuracy,
    to_the_rule,
)

LEAST = 10  # networks, for a rank correlation
BATCHES = (4, 10, 25)  # of SGD in the published diagram
HARDLY = 0.01  # of test accuracy


def rank_correlation(x, y) -> Estimate:
    """Return Spearman's correlation as Fisher's z, with the error of Bonett and Wright (2000)."""
    found = float(stats.spearmanr(x, y).statistic)
    error = math.sqrt((1 + found**2 / 2) / (len(x) - 3))
    return Estimate(math.atanh(found), error, math.inf, "Fisher's z of ranks (Bonett and Wright)")


def _ended(runs, **settings):
    """Return the solutions on Fashion-MNIST that met the paper's stopping rule."""
    chosen = solutions(of_the_paper(runs), dataset="fashion_mnist", **settings)
    return [run for run in chosen if to_the_rule(run)]


def p15(runs):
    chosen = _ended(runs)
    if len(chosen) < LEAST:
        return None
    accuracies = [test_accuracy(run) for run in chosen]
    found = [rank_correlation([value(run) for run in chosen], accuracies) for value in (a, s)]
    shown = [f"{name} {math.tanh(each.value):.2f}" for name, each in zip("as", found)]
    finding = Finding(
        f"rank correlation of test accuracy with {' and '.join(shown)}, {len(chosen)} networks",
        agreed([statistics.below(each, 0) for each in found]),
        chosen,
        found[0].method,
    )
    return of_seeds(finding)


def s4(runs):
    """Compare GD with SGD at each learning rate that has two networks or more of either."""
    arms = []
    for rows in grouped(_ended(runs, gain=1.0), "learning_rate").values():
        both = [run for run in rows if is_gd(run)], [run for run in rows if not is_gd(run)]
        if min(map(len, both)) > 1:
            arms.append(both)
    if not arms:
        return None
    fits = [_gap(*both, lambda run: run.result["train_accuracy"]) for both in arms]
    tests = [_gap(*both, test_accuracy) for both in arms]
    parts = [statistics.above(gap, 0) for gap in fits]
    parts += [statistics.no_difference(gap, HARDLY) for gap in tests]
    used = [run for both in arms for some in both for run in some]
    finding = Finding(
        f"GD minus SGD in points: train {_list(fits)}; test {_list(tests)}",
        worst(parts),
        used,
        tests[0].method,
    )
    return of_seeds(finding, runs=min((some for both in arms for some in both), key=len))


def _gap(first, second, value) -> Estimate:
    each = [statistics.over_seeds([value(run) for run in some]) for some in (first, second)]
    return statistics.difference(*each)


def _list(gaps) -> str:
    return ", ".join(gap.text(100) for gap in gaps)


def s5(runs):
    noisy = [run for run in _ended(runs, gain=1.0) if not is_gd(run)]
    at_half = [run for run in noisy if run.settings["learning_rate"] == 0.5]
    arms = [grouped(at_half, "batch_size").get(batch, []) for batch in BATCHES]
    if min(map(len, arms)) < 2:
        return None
    shares = [[s(run) / bound(run) for run in rows] for rows in arms]
    rises = [
        statistics.difference(statistics.over_seeds(high), statistics.over_seeds(low))
        for low, high in pairwise(shares)
    ]
    used = [run for rows in arms for run in rows]
    means = ", ".join(f"{np.mean(share):.2f}" for share in shares)
    finding = Finding(
        f"s over its bound {means} at B = 4, 10, 25",
        worst([statistics.above(rise, 0) for rise in rises]),
        used,
        "Student's t over networks of each size (Welch)",
    )
    return of_seeds(finding, runs=min(arms, key=len))


CLAIMS = (
    Claim(
        "P15",
        "Flat and uniform minima test better.",
        "published results",
        "correlation with log a -0.74 (116 networks)",
        p15,
        "Over all solutions on Fashion-MNIST, trained to the paper's stopping rule, Spearman's "
        "rank correlation of test accuracy with a and with s is below 0, each with its 95 % "
        "interval; parts that differ are inconclusive.",
        everywhere=True,
        to_decide="More solutions: the runs of `stability/batch_size` that are left.",
    ),
    Claim(
        "S4",
        "GD fits better than SGD and tests hardly better.",
        "course project",
        "much better in training accuracy, only marginally better on test",
        s4,
        "At every learning rate with networks of both, from the default initial weights to the "
        "paper's stopping rule: the training accuracy of GD above SGD's beyond the 95 % interval "
        "of Student's t (Welch), "
        "test accuracies within a point by an equivalence test.",
        everywhere=True,
        to_decide="Five seeds of every batch size: the runs of `stability/batch_size` that are "
        "left.",
    ),
    Claim(
        "S5",
        "Larger batches bring s closer to its bound.",
        "course project",
        "0.57, 0.67, 0.78 of it at B = 4, 10, 25 (published results)",
        s5,
        "Trainings to the paper's stopping rule at a rate of 0.5, three seeds or more of B = 4, "
        "10, 25: every rise beyond the 95 % interval of Student's t (Welch).",
        everywhere=True,
        to_decide="Five seeds of every batch size: the runs of `stability/batch_size` that are "
        "left.",
    ),
)
