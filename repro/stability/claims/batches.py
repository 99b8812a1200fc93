"""The claims of Wu, Ma, E 2018 about batch sizes and non-uniformity, P7 to P10, as checks."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from repro.reporting import statistics
from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    agreed,
    of_seeds,
    undecided,
    verdict,
    worst,
)
from repro.reporting.results import Run
from repro.reporting.statistics import Estimate
from repro.stability.measures import (
    TRIALS,
    a,
    bound,
    exponent,
    grouped,
    is_gd,
    mean,
    of_the_paper,
    s,
    solutions,
    to_the_rule,
    unfinished,
)

SMALL_BATCHES = (4, 10, 25)  # of the sharpness-non-uniformity diagram
SATURATED = 0.1  # a(100) off a(n)
FAR_OFF = 0.3  # rate at which that was published as 24 % on CIFAR-10
LEVEL_BATCH = 4  # there a neither rises from it on to the next nor falls with eta at it
PROPORTIONAL = 0.95  # Pearson's r, at least
POWER = (0.7, 0.95)  # of s ~ a^p


def p7(runs):
    return below_bound(runs, 0.05)


def p8(runs):
    chosen = solutions(of_the_paper(runs), dataset="fashion_mnist", gain=1.0, learning_rate=0.5)
    groups = grouped(chosen, "batch_size")
    if not {*SMALL_BATCHES, 1000} <= set(groups):
        return None
    arms = [groups[batch] for batch in (*SMALL_BATCHES, 1000)]
    used = [run for arm in arms for run in arm]
    means = ", ".join(f"{mean(arm, s)[0]:.2f}" for arm in arms)
    rises = [
        statistics.difference(*(statistics.over_seeds(list(map(s, arm))) for arm in (high, low)))
        for low, high in pairwise(arms)
        if min(len(low), len(high)) > 1
    ]
    outcome = agreed([statistics.above(rise, 0) for rise in rises]) if rises else INCONCLUSIVE
    error = "Student's t over networks of each size (Welch)" if rises else ""
    finding = Finding(f"s = {means} at B = 4, 10, 25, n", outcome, used, error)
    return of_seeds(undecided(finding, unfinished(used)), TRIALS, min(arms, key=len))


def p9(runs):
    own = of_the_paper(runs)
    chosen = solutions(own, dataset="fashion_mnist", gain=1.0)
    if cifar := not chosen:
        rows = solutions(own, dataset="cifar10", gain=1.0)
        chosen = [run for run in rows if run.settings["batch_size"] != LEVEL_BATCH]
    table = {
        eta: {batch: mean(group, a)[0] for batch, group in grouped(rows, "batch_size").items()}
        for eta, rows in grouped(chosen, "learning_rate").items()
    }
    saturated = {
        eta: abs(row[100] / row[1000] - 1)
        for eta, row in table.items()
        if {100, 1000} <= set(row) and not (cifar and eta == FAR_OFF)
    }
    if not saturated:
        return None
    rising = [
        row[low] < row[high]
        for row in table.values()
        for low, high in pairwise(sorted(row))
        if high <= 100
    ]
    measured = f"a rises in {sum(rising)} of {len(rising)} steps of B up to 100; a(100) is off by "
    measured += ", ".join(f"{gap:.1%} at {eta:g}" for eta, gap in saturated.items()) + " from a(n)"
    falling = [
        table[low][batch] > table[high][batch]
        for low, high in pairwise(sorted(table))
        for batch in {*table[low]} & {*table[high]}
    ]
    if falling:
        measured += f"; at one B it falls in {sum(falling)} of {len(falling)} steps of eta"

    def level(off: float) -> str:
        parts = [rising, falling, [gap < off for gap in saturated.values()]]
        return worst([verdict(part) for part in parts if part])

    finding = Finding(
        measured,
        level(SATURATED),
        chosen,
        "none; a part holds where every step of it does",
        statistics.sensitivity(level, SATURATED),
    )
    arms = [
        arm
        for rows in grouped(chosen, "learning_rate").values()
        for arm in grouped(rows, "batch_size").values()
    ]
    return of_seeds(undecided(finding, unfinished(chosen)), TRIALS, min(arms, key=len))


def p10(runs):
    own = of_the_paper(runs)
    chosen = solutions(own, dataset="fashion_mnist") or solutions(own, dataset="cifar10")
    if len({run.settings["learning_rate"] for run in chosen}) < 3:
        return None
    power, correlation = exponent(chosen)
    free = len(chosen) - 2
    slope = Estimate(power, _slope_error(chosen, free), free, "regression of logarithms")
    error = (free - 1) ** -0.5 if free > 1 else np.inf
    linear = Estimate(np.arctanh(correlation), error, np.inf, "Fisher's z")
    measured = f"s ~ a^{slope.text()}, Pearson's r {correlation:.3f}, over {len(chosen)} networks"
    parts = [
        statistics.above(linear, np.arctanh(PROPORTIONAL)),
        worst([statistics.above(slope, POWER[0]), statistics.below(slope, POWER[1])]),
    ]
    finding = Finding(measured, agreed(parts), chosen, f"{slope.method}; {linear.method}")
    return of_seeds(undecided(finding, unfinished(chosen)))


def _slope_error(chosen: Sequence[Run], free: int) -> float:
    """Return the standard error of the power, which is infinite without a network to spare."""
    if free < 1:
        return np.inf
    x, y = np.log([a(run) for run in chosen]), np.log([s(run) for run in chosen])
    left = y - np.polyval(np.polyfit(x, y, 1), x)
    return float(np.sqrt(np.sum(left**2) / free / np.sum((x - x.mean()) ** 2)))


def below_bound(runs: Sequence[Run], slack: float) -> Finding | None:
    """Return whether every solution of SGD has s below its bound, or `slack` of it above."""
    chosen = [
        run
        for run in solutions(runs)
        if run.settings["batch_size"] in SMALL_BATCHES and not is_gd(run) and to_the_rule(run)
    ]
    if not chosen:
        return None
    shares = [s(run) / bound(run) for run in chosen]
    over = sum(share > 1 + slack for share in shares)
    measured = (
        f"s over its bound {np.mean(shares):.2f} on average, {max(shares):.3f} at most; "
        f"{over} of {len(chosen)} networks are over {1 + slack:g}"
    )

    def below(more: float) -> str:
        return CONTRADICTED if max(shares) > 1 + more else REPRODUCED

    sensitivity = statistics.sensitivity(below, slack) if slack else None
    finding = Finding(
        measured, below(slack), chosen, "Lanczos to a relative residual of 1e-4", sensitivity
    )
    # A single network over the line refutes a statement about all of them.
    return finding if over else of_seeds(finding)


RULE = "Trainings to the paper's stopping rule"
CLAIMS = (
    Claim(
        "P7",
        "No solution of SGD has s over its bound (5 % for noise).",
        "published results",
        "4 of 45 up to 4 % over",
        p7,
        f"{RULE} with B of 4, 10 and 25, of three seeds or more, none over 1.05; a single one "
        "over it contradicts.",
        everywhere=True,
    ),
    Claim(
        "P8",
        "s rises with the batch size (Fashion-MNIST, eta = 0.5).",
        "diagram",
        "2.27, 4.27, 7.94, 12.85",
        p8,
        f"{RULE}, five seeds for each of four sizes: every rise beyond the 95 % interval of "
        "Student's t (Welch).",
        to_decide="Five seeds of every size: the runs of `stability/diagram` that are left.",
    ),
    Claim(
        "P9",
        "a rises with the batch size up to 100 and is level beyond; it falls with eta.",
        "published results",
        "within 9 % of GD's at B = 100 (CIFAR-10: but at eta = 0.3, 24 %)",
        p9,
        f"{RULE}, five seeds each: means rise in every step of B up to 100, a(100) is within 10 % "
        "of a(n), and means fall in every step of eta; one of these three that fails in every step "
        "contradicts. On CIFAR-10 without B = 4, where the published a is level, and without "
        "a(100) at eta = 0.3, which the published results have 24 % off.",
        to_decide="B = 100 at the published rates of 0.05 and 0.1, `--scale=paper`: of the two "
        "rates that were run a(100) is near enough to a(n) at one.",
    ),
    Claim(
        "P10",
        "s is roughly proportional to a.",
        "published results",
        "r = 0.981, but s ~ a^0.78; on CIFAR-10 0.988 and 0.82",
        p10,
        f"{RULE}, three learning rates and three seeds or more: Pearson's r above 0.95 and the "
        "power between 0.7 and 0.95, each with its 95 % interval; parts that differ are "
        "inconclusive.",
        to_decide="More networks at rates of 0.1 and below, which the published power is over too: "
        "more seeds at 0.5 and 1 leave its parts as different as they are.",
    ),
)
