"""Claims of the EPFL slides on where Adam leaves students: C3, C4, C7 and C11."""

import numpy as np

from repro.reporting import statistics
from repro.reporting.claims import (
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    agreed,
    verdict,
    worst,
)
from repro.reporting.results import select
from repro.teacher_student.measures import censuses, enough, share_text, shown_above

STEPS = (30_000, 100_000, 300_000)  # Adam steps at which the share of negative ones is judged
TO_ZERO = 2e-5  # width-5 students below this after 100,000 steps end at zero: minima start at 5e-5
SLIDES = {"hidden": 5, "teacher": "alternating", "biases": None}
NEGATIVE = (347, 1000)  # of the slides' students
NEAR = 0.05  # that share, within
SMALL = 1e-4  # size of a small negative eigenvalue
AROUND = (1e-10, 1e-8)  # a loss of about 1e-9
EXAMPLE = (1.75e-7, -1.7e-6)  # loss and smallest eigenvalue of the slides' example


def c3(runs):
    chosen = select(runs, stage="slides", **SLIDES)
    parts, off = [], []
    for run in chosen:
        s = run.settings
        for row in run.metrics:
            if row["step"] in STEPS and row["step"] <= s["adam_steps"]:
                hits = round(row["students/negative_lambda_min"] * s["num_students"])
                ours, theirs = (
                    statistics.share(*each) for each in ((hits, s["num_students"]), NEGATIVE)
                )
                off.append(statistics.difference(ours, theirs))
                parts.append(
                    f"{share_text(hits, s['num_students'])} after {row['step']:,} steps in "
                    f"{s['adam_precision']} from {s['init']} weights"
                )
    if not parts:
        return None

    def near(margin: float) -> str:
        return agreed([statistics.no_difference(each, margin) for each in off])

    measured = "; ".join(dict.fromkeys(parts)) + "; it depends on steps, precision and start"
    error = "binomial over our students and the slides', one seed of them"
    return Finding(measured, near(NEAR), chosen, error, statistics.sensitivity(near, NEAR))


def c4(runs):
    chosen = select(runs, stage="slides", **SLIDES)
    lowest = [
        (row["step"], run.settings, row["students/lowest_lambda_min"])
        for run in chosen
        for row in run.metrics
        if row["step"] in STEPS
    ]
    if not lowest:
        return None
    parts = [
        f"{value:.1e} of {s['num_students']:,} after {step:,} steps in {s['adam_precision']} from "
        f"{s['init']} weights"
        for step, s, value in lowest
    ]
    measured = "the lowest " + "; ".join(dict.fromkeys(parts))  # students in several runs

    def small(size: float) -> str:
        outcome = verdict([value > -size for *_, value in lowest])
        few = not any(enough(s["num_students"]) for _, s, _ in lowest)
        return INCONCLUSIVE if few and outcome == REPRODUCED else outcome

    sensitivity = statistics.sensitivity(small, SMALL)
    return Finding(measured, small(SMALL), chosen, "float64 eigenvalues, exact here", sensitivity)


def c7(runs):
    chosen = censuses(runs, **SLIDES)
    if not chosen:
        return None
    arrays = chosen[0].arrays()
    alike = (arrays["adam_loss"] > 2e-8) & (arrays["adam_loss"] < 1e-6)
    negative = np.flatnonzero(alike & (arrays["adam_lambda_min"] < 0))
    if not len(negative):
        return Finding("no student looks like that after Adam", INCONCLUSIVE, chosen[:1])
    loss, lowest = arrays["adam_loss"][negative], arrays["adam_lambda_min"][negative]
    off = np.hypot(np.log(loss / EXAMPLE[0]), np.log(lowest / EXAMPLE[1]))
    nearest = int(off.argmin())
    zero = arrays["loss"][alike] < 1e-20
    measured = (
        f"a student with a loss of {loss[nearest]:.2e} and an eigenvalue of {lowest[nearest]:.1e} "
        f"descends on to {arrays['loss'][negative[nearest]]:.0e}; so do {zero.sum()} of "
        f"{alike.sum()} with losses between 2e-8 and 1e-6: they were no minima"
    )
    return Finding(measured, verdict([not z for z in zero]), chosen[:1], "all students alike")


def c11(runs):
    chosen = [
        run
        for run in select(runs, stage="slides", init="glorot", **SLIDES)
        if run.settings["adam_steps"] >= 100_000
    ]
    parts, outcomes = [], []
    for run in chosen:
        loss = run.arrays()["loss"]
        low, middle, high = np.quantile(loss[loss < TO_ZERO], [0.1, 0.5, 0.9])
        to_zero = loss[loss < TO_ZERO]
        sides = (to_zero > AROUND[0], to_zero < AROUND[1])
        outcomes.append(worst([shown_above(int(side.sum()), len(side), 0.5) for side in sides]))
        parts.append(
            f"median {middle:.0e} (10 to 90 %: {low:.0e} to {high:.0e}) after "
            f"{run.settings['adam_steps']:,} steps of {run.settings['num_students']:,} "
            f"students in {run.settings['adam_precision']}"
        )
    if not parts:
        return None
    error = "of the median: Wilson's interval of the students on either side of a bound"
    return Finding("; ".join(parts) + "; it falls on", agreed(outcomes), chosen, error)


EPFL = "the EPFL slides"
ALL = "Every protocol that was run (steps, precision, start) must say the same."
CLAIMS = (
    Claim(
        "C3",
        "Share of width-5 students with a negative smallest eigenvalue.",
        EPFL,
        "347/1000",
        c3,
        f"Within 5 points of 34.7 % by an equivalence test over both sets of students. {ALL}",
        to_decide="1,000 students of each protocol, and to know which one the slides had: they "
        "end at different shares.",
    ),
    Claim(
        "C4",
        "All negative smallest eigenvalues are small (below 1e-4 here).",
        EPFL,
        "yes, no number",
        c4,
        "None below -1e-4, after 30,000 steps of Adam or more, of so many that what one student "
        f"in a hundred does would be among them. {ALL}",
        to_decide="To know for how long the slides trained: after 30,000 steps some lie below the "
        "bound, after 100,000 hardly any do.",
    ),
    Claim(
        "C7",
        "A student with a loss of 1.75e-7, then 5.92e-8, has converged to a minimum.",
        EPFL,
        "-1.7e-6 -> 4.45e-7 in 2 perturbations",
        c7,
        "No student that looks like this after Adam descends on to a loss below 1e-20; if all do "
        "this contradicts.",
    ),
    Claim(
        "C11",
        "Global minima have a loss of about 1e-9 where Adam stops.",
        EPFL,
        "1e-9",
        c11,
        "The median of the students on their way to zero between 1e-10 and 1e-8, by Wilson's "
        f"interval, after 100,000 steps or more. {ALL}",
        to_decide="To know for how long the slides trained: the median falls as training goes on.",
    ),
)
