"""Claims of Wu, Ma, E 2018 on Theorem 1's operator and on how soon a minimum is left, as checks.

The paper proves the theorem and shows neither number; both follow from what it says.
"""

import numpy as np
from scipy import stats

from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    of_seeds,
    undecided,
    verdict,
)
from repro.stability.measures import (
    LEFT,
    departures,
    grouped,
    is_gd,
    networks,
    operators,
    theorem1,
    to_the_rule,
    unfinished,
)

NOISE = 0.12  # (eta a - 1)^2 where a is 3 % over 2 / eta, as P6 allows
STARTS = 3  # minima of different sharpness that P17 asks for, at least
CHANCE = 0.05  # P17: of such a rank correlation, if there were none


def p16(runs):
    chosen = operators(runs)
    judged = [run for run in chosen if to_the_rule(run)] or chosen
    if not judged:
        return None
    largest = max(theorem1(run) for run in judged)
    over = [run for run in judged if theorem1(run) > 1 + NOISE]
    noisy = sum(not is_gd(run) for run in judged)
    text = f"at most {largest:.3f} over {len(judged)} networks, {noisy} of them of SGD"
    every = networks(runs)
    if len(judged) < len(every):
        text += f"; it was measured at {len(chosen)} of {len(every)} solutions"
    finding = Finding(text, verdict([not over]), over or judged, brief=f"at most {largest:.3f}")
    finding = undecided(finding, unfinished(judged))
    return finding if over else of_seeds(undecided(finding, "" if noisy else "no network of SGD"))


def p17(runs):
    left = departures(runs)
    if not left:
        return None
    groups = grouped([run for run, _, _ in left], "start_learning_rate")
    shares, steps = ([row[number] for row in left] for number in (1, 2))
    text = ", ".join(
        f"{share:.2f}: {step if np.isfinite(step) else 'never'}"
        for share, step in sorted(zip(shares, steps))
    )
    used = [run for run, _, _ in left]
    if len(groups) < STARTS or len(set(steps)) == 1:
        return Finding(f"steps by a eta / 2 at first: {text}", INCONCLUSIVE, used)
    found = stats.spearmanr(shares, steps)
    outcome = INCONCLUSIVE
    if found.pvalue < CHANCE:
        outcome = REPRODUCED if found.statistic < 0 else CONTRADICTED
    finding = Finding(
        f"rank correlation {found.statistic:.2f}; steps by a eta / 2 at first: {text}",
        outcome,
        used,
        f"Spearman's rank correlation, P = {found.pvalue:.1g}",
        brief=f"rank correlation {found.statistic:.2f}",
    )
    return of_seeds(finding, runs=min(groups.values(), key=len))


CLAIMS = (
    Claim(
        "P16",
        "Where SGD or GD ends, the largest eigenvalue of Theorem 1's operator is at most 1.",
        "Theorem 1",
        "at most 1",
        p16,
        "Trainings to the paper's stopping rule, three seeds or more: none over 1.12, which a "
        "sharpness of 3 % over 2 / eta gives; a single one over it contradicts. Of GD the value "
        "follows from the sharpness, so that networks of SGD must be among them.",
        everywhere=True,
    ),
    Claim(
        "P17",
        "The sharper a minimum is, the sooner another optimiser leaves it.",
        "theory",
        "unstable directions grow by a factor that rises with a",
        p17,
        f"Starts of three sharpnesses or more, three seeds each, one optimiser after them: the "
        f"number of steps until the loss is {LEFT} times what it was falls with a, by a rank "
        f"correlation that has less than {CHANCE:.0%} chance.",
    ),
)
