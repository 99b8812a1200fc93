"""The claims of the course project that reran Wu, Ma, E 2018, S1 to S3, as checks."""

import math

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
)
from repro.reporting.statistics import Estimate
from repro.stability.claims.batches import below_bound
from repro.stability.claims.minima import p2
from repro.stability.measures import COURSE_PROJECT, a, is_gd, of_the_paper, plain, s

BUDGET = 10_000  # steps of its trainings, which no loss stopped
NEAR = (0.05, 0.15, 0.01)  # a and s relative to its own, test accuracy


def s1(runs):
    chosen, groups, shown = [], [], []
    for name, (_, test, sharp, uneven) in COURSE_PROJECT.items():
        rows = [
            run
            for run in plain(of_the_paper(runs), dataset=name, learning_rate=0.1, stop_loss=0.0)
            if is_gd(run) and run.settings["iterations"] >= BUDGET
        ]
        if not rows:
            continue
        groups.append((rows, (sharp, uneven, test / 100)))
        accuracy = sum(run.result["test_accuracy"] for run in rows) / len(rows)
        seeds = "1 seed" if len(rows) == 1 else f"{len(rows)} seeds"
        shown.append(
            f"{name} ({seeds}): a = {sum(map(a, rows)) / len(rows):.1f}, "
            f"s = {sum(map(s, rows)) / len(rows):.1f}, test {accuracy:.1%}"
        )
        chosen += rows
    if not chosen:
        return None

    def near(factor: float) -> str:
        return agreed([_near(rows, theirs, factor) for rows, theirs in groups])

    finding = Finding(
        "; ".join(shown),
        near(1),
        chosen,
        "Student's t over seeds, binomial over test images",
        statistics.sensitivity(near, 1),
    )
    finding = of_seeds(finding, runs=min((rows for rows, _ in groups), key=len))
    return undecided(finding, "" if len(groups) == len(COURSE_PROJECT) else "one of two data sets")


def _near(rows, theirs, factor: float) -> str:
    """Judge that a, s and test accuracy are the project's, times a factor of the tolerances."""
    if len(rows) < 2:
        return INCONCLUSIVE
    sharp, uneven, test = theirs
    off = [
        _less(statistics.over_seeds([a(run) / sharp for run in rows]), 1),
        # It stopped power iteration for s after 10 steps: a lower bound, so a wider margin.
        _less(statistics.over_seeds([s(run) / uneven for run in rows]), 1),
        _less(statistics.test_accuracy(rows), test),
    ]
    return agreed([statistics.no_difference(o, factor * near) for o, near in zip(off, NEAR)])


def _less(found: Estimate, value: float) -> Estimate:
    return statistics.difference(found, Estimate(value, 0.0, math.inf, ""))


def s2(runs):
    return below_bound(runs, 0.0)


def s3(runs):
    finding = p2(runs)
    if finding is None:
        return None
    end = finding.runs[0].result["gd_end"]
    outcome = CONTRADICTED if abs(end - 1) < 1e-3 else REPRODUCED
    measured = f"GD ends at x = {end:.6f}: it stays where SGD leaves"
    return Finding(measured, outcome, finding.runs, "none: GD draws nothing")


CLAIMS = (
    Claim(
        "S1",
        "GD at 0.1: sharpness, non-uniformity and test accuracy of the rerun.",
        "course project",
        "19.9, 40.4, 80.4 % and 19.2, 53, 88.9 %",
        s1,
        "Its 10,000 steps, both data sets, three seeds each: a within 5 %, s within 15 %, test "
        "accuracy within a point of its own, by equivalence tests over seeds and test images.",
        everywhere=True,
        to_decide="Seeds 1 and 2 of `stability/course_project` on CIFAR-10.",
    ),
    Claim(
        "S2",
        "Every solution of SGD has s within its bound, without slack.",
        "poster and course project",
        "all points below their lines; 4 of 45 in the published data are not",
        s2,
        "Trainings to the paper's stopping rule with B of 4, 10 and 25, of three seeds or more, "
        "none over its bound; a single one over it contradicts.",
        everywhere=True,
    ),
    Claim(
        "S3",
        "GD leaves the toy's minimum x = 1 as SGD does.",
        "course project",
        '"behaved in a similar manner"',
        s3,
        "GD from beside x = 1 ends elsewhere; it contradicts where GD ends at 1 to 0.001.",
    ),
)
